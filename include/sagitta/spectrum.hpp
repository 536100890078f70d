#pragma once

#include <sagitta/detail/language.hpp>

#include <algorithm>
#include <functional>
#include <sagitta/detail/bidiagonal.hpp>
#include <sagitta/detail/scaling.hpp>
#include <sagitta/detail/tridiagonal.hpp>

// Spectra in full: eigenvalues of symmetric matrices, singular values of any. They are what the ranks of
// effective_rank.hpp are computed from; most users want those.
namespace sagitta {

namespace detail {

// Values of a scaled matrix, and a bound on how far each may be from its exact value.
struct Spectrum {
  Eigen::VectorXd values;  // descending
  double error = 0;        // infinite where the iteration did not converge
};

// eigenvalues of a scaled symmetric matrix by its tridiagonal form
template <class = void>
Spectrum symmetric_spectrum(Tridiagonal T) {
  const bool converged = diagonalize(T);
  std::sort(T.diagonal.begin(), T.diagonal.end(), std::greater<>());
  const Index n = T.diagonal.size();
  const double norm = n == 0 ? 0 : T.diagonal.cwiseAbs().maxCoeff();
  const double error = converged ? value_error(n, norm) : std::numeric_limits<double>::infinity();
  return {std::move(T.diagonal), error};
}

template <class = void>
Spectrum singular_spectrum(const MatrixOf<double>& A) {
  bool converged = true;
  Eigen::VectorXd values = A.rows() >= A.cols() ? tall_singular_values(A, converged)
                                                : tall_singular_values(A.transpose(), converged);
  const double norm = values.size() == 0 ? 0 : values[0];
  const double error = converged ? value_error(values.size(), norm) : std::numeric_limits<double>::infinity();
  return {std::move(values), error};
}

}  // namespace detail

// The eigenvalues of a symmetric matrix, descending.
//   A: n x n, float or double, any Eigen expression; only its lower triangle is read
//   threads: how many to use at most; they share the work from n = 1200 on, and give the same bits for any
//     number
// Each is within 8 sqrt(n) eps |A|_2 of the exact one, in double for float input too.
// Throws std::invalid_argument for a matrix that is not square, or has NaN or infinity, and for threads
// below 1. 4/3 n^3 operations.
template <class Derived>
Eigen::VectorXd symmetric_eigenvalues(const Eigen::MatrixBase<Derived>& A, Index threads = 1) {
  detail::check_threads(threads, "symmetric_eigenvalues");
  detail::check_square(A.rows(), A.cols(), "symmetric_eigenvalues", "A");
  detail::SymmetricBlocks work(A);
  const int exponent = work.scale("symmetric_eigenvalues", "A");
  Eigen::VectorXd values =
      detail::symmetric_spectrum(detail::tridiagonalize(std::move(work), threads)).values;
  detail::multiply_by_power_of_two(values, exponent);
  return values;
}

// The min(m, n) singular values of a matrix, descending.
//   A: m x n, float or double, any Eigen expression
// Each is within 8 sqrt(n) eps sigma_1 of the exact one: the matrix is not squared.
// Throws std::invalid_argument where A has NaN or infinity. 2 m n^2 + 8/3 n^3 operations for m >= n.
template <class Derived>
Eigen::VectorXd singular_values(const Eigen::MatrixBase<Derived>& A) {
  const detail::Scaled work = detail::scaled(A, "singular_values", "A");
  Eigen::VectorXd values = detail::singular_spectrum(work.matrix).values;
  detail::multiply_by_power_of_two(values, work.exponent);
  return values;
}

}  // namespace sagitta
