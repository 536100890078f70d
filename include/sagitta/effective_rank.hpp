#pragma once

#include <sagitta/detail/language.hpp>

#include <cmath>
#include <sagitta/detail/bracket.hpp>
#include <sagitta/detail/counted_rank.hpp>
#include <sagitta/detail/low_rank.hpp>
#include <sagitta/detail/row_products.hpp>
#include <sagitta/spectrum.hpp>

// How many directions a matrix has. `effective_rank` is the paper's (section 4); two other quantities of the
// field that go by similar names have names of their own here.
//
// Which spectrum: the ranks of the Fisher and Gauss-Newton matrices are of the eigenvalues of their Gram
// matrix, those of features and general matrices of singular values, that of a Hessian of |eigenvalues|.
namespace sagitta {

// The effective rank of a spectrum that is known.
//   values: n numbers >= 0 in any order, float or double
// They count as exact: the bracket holds only what the sums round. Throws std::invalid_argument for a
// negative, NaN or infinite value and for a threshold outside [0, 1]. O(n log n).
template <class Derived>
EffectiveRank spectrum_effective_rank(const Eigen::DenseBase<Derived>& values, double threshold = 0.99) {
  detail::check_threshold(threshold, "spectrum_effective_rank");
  detail::Scaled work =
      detail::scaled(values.derived().reshaped().matrix(), "spectrum_effective_rank", "values");
  Eigen::VectorXd sorted = work.matrix.reshaped();
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  if (sorted.size() > 0 && sorted.tail(1)[0] < 0)
    detail::reject("spectrum_effective_rank", "values holds a negative number, expected values >= 0");
  return detail::bracketed_rank(sorted, 0.0, threshold, sorted.size());
}

namespace detail {

// The rank of the |eigenvalues| of a scaled symmetric matrix, which is used up: by a few directions where
// they certify a low rank, by counting eigenvalues where that certifies it, else by all of them.
//   input_error: of A in norm;  semidefinite: whether A is positive semidefinite but for that error
template <class = void>
EffectiveRank symmetric_rank(SymmetricBlocks&& A, double threshold, double input_error, bool semidefinite,
                             Index threads) {
  const Index n = A.size();
  // an error that cannot be told excludes no rank
  const bool known = is_finite(input_error);
  if (!known) input_error = std::numeric_limits<double>::infinity();
  if (threshold < 1 && known)
    if (const auto certified = low_rank(A, threshold, input_error, semidefinite)) return *certified;
  const Tridiagonal T = tridiagonalize(std::move(A), threads);
  if (n > 0 && threshold < 1 && known)
    if (const auto certified = counted_rank(T, threshold, input_error)) return *certified;
  Spectrum spectrum = symmetric_spectrum(T);
  spectrum.values = spectrum.values.cwiseAbs();
  std::sort(spectrum.values.begin(), spectrum.values.end(), std::greater<>());
  return bracketed_rank(spectrum.values, spectrum.error + input_error, threshold, n);
}

// the same for a matrix of any scale
template <class Derived>
EffectiveRank symmetric_rank(const Eigen::MatrixBase<Derived>& A, double threshold, double input_error,
                             bool semidefinite, Index threads, const char* function) {
  check_threads(threads, function);
  SymmetricBlocks work(A);
  const int exponent = work.scale(function, "A");
  return symmetric_rank(std::move(work), threshold, std::ldexp(input_error, -exponent), semidefinite,
                        threads);
}

}  // namespace detail

// The effective rank of a symmetric matrix, of its |eigenvalues|: of a Hessian, a Gram matrix, a Fisher.
//   A: n x n, float or double, any Eigen expression; only its lower triangle is read
//   input_error: a bound on |A - B|_2 where the rank of another matrix B is asked for, of which A is a
//     rounded version; the bracket includes it. In the units of A.
//   threads: how many to use at most; they share the work from n = 1200 on, up to four, and give the same
//     bits for any number
// Inputs of any scale, 1e-200 to 1e200, are right. The tiny negative eigenvalues that rounding leaves in a
// positive semidefinite matrix count as the tiny values that they are. An iteration that fails to converge is
// reported as the bracket 0..n. Throws std::invalid_argument for a matrix that is not square, for NaN or
// infinity, a threshold outside [0, 1], a negative input_error or threads below 1.
// 4/3 n^3 operations; about 150 n^2 where a positive semidefinite matrix has a rank of 20 or so.
template <class Derived>
EffectiveRank symmetric_effective_rank(const Eigen::MatrixBase<Derived>& A, double threshold = 0.99,
                                       double input_error = 0, Index threads = 1) {
  constexpr const char* name = "symmetric_effective_rank";
  detail::check_square(A.rows(), A.cols(), name, "A");
  detail::check_threshold(threshold, name);
  detail::check_input_error(input_error, name);
  return detail::symmetric_rank(A, threshold, input_error, false, threads, name);
}
template <class Derived>
EffectiveRank symmetric_effective_rank(const Eigen::MatrixBase<Derived>& A, const RankOptions& options) {
  return symmetric_effective_rank(A, options.threshold, options.input_error, options.threads);
}

namespace detail {

// The effective rank of a scaled m x n matrix by the eigenvalues of its smaller Gram matrix, which is several
// times faster than singular values are. An eigenvalue that is off by delta moves its square root sigma by at
// most min(delta / sigma, sqrt(delta)), which the bracket includes.
template <class = void>
EffectiveRank effective_rank_by_gram(const MatrixOf<double>& A, double threshold) {
  const Index shorter = (std::min)(A.rows(), A.cols()), longer = (std::max)(A.rows(), A.cols());
  const MatrixOf<double> K = A.rows() <= A.cols() ? row_gram(A) : row_gram(A.transpose());
  const double product_error = product_rounding(longer, K.trace());
  const Tridiagonal T = tridiagonalize(K);
  if (const auto certified = counted_rank(T, threshold, product_error, Of::square_roots)) return *certified;
  const Spectrum squares = symmetric_spectrum(T);
  const double delta = squares.error + product_error;
  const Eigen::VectorXd values = squares.values.cwiseMax(0).cwiseSqrt();
  Eigen::VectorXd errors(shorter);
  for (Index i = 0; i < shorter; ++i)
    errors[i] = values[i] > 0 ? (std::min)(delta / values[i], std::sqrt(delta)) : std::sqrt(delta);
  return bracketed_rank(values, errors, threshold, shorter);
}

// below this size true singular values cost too little to go around them
inline constexpr Index smallest_gram = 48;

template <class Derived>
EffectiveRank effective_rank(const Eigen::MatrixBase<Derived>& A, double threshold, const char* name,
                             const char* argument) {
  check_threshold(threshold, name);
  const Scaled work = scaled(A, name, argument);
  const Index shorter = (std::min)(A.rows(), A.cols());
  if (shorter >= smallest_gram && threshold < 1) {
    const EffectiveRank fast = effective_rank_by_gram(work.matrix, threshold);
    if (fast.certified()) return fast;
  }
  const Spectrum spectrum = singular_spectrum(work.matrix);
  return bracketed_rank(spectrum.values, spectrum.error, threshold, shorter);
}

}  // namespace detail

// The effective rank of a matrix, of its singular values.
//   A: m x n, float or double, any Eigen expression
// Inputs of any scale are right, and float input is treated in double. Large matrices go through their
// smaller Gram matrix and, only where that cannot certify the rank, through singular values. Throws
// std::invalid_argument for NaN or infinity and for a threshold outside [0, 1].
// m n^2 + 4/3 n^3 operations for m >= n, 2 m n^2 + 8/3 n^3 more where the rank is a close call.
template <class Derived>
EffectiveRank effective_rank(const Eigen::MatrixBase<Derived>& A, double threshold = 0.99) {
  return detail::effective_rank(A, threshold, "effective_rank", "A");
}

// exp of the entropy of the normalised singular values, a smooth count of directions (Roy and Vetterli 2007,
// who call it effective rank; it is not the paper's). From 1 to min(m, n); 0 for a zero or empty matrix.
//   A: m x n, float or double. Throws std::invalid_argument for NaN or infinity. 2 m n^2 + 8/3 n^3
//   operations.
template <class Derived>
double entropy_rank(const Eigen::MatrixBase<Derived>& A) {
  const Eigen::VectorXd values =
      detail::singular_spectrum(detail::scaled(A, "entropy_rank", "A").matrix).values;
  const double total = values.sum();
  if (total == 0) return 0;
  double entropy = 0;
  for (const double value : values)
    if (value > 0) entropy -= value / total * std::log(value / total);
  return std::exp(entropy);
}

// |A|_F^2 / |A|_2^2, which never exceeds the rank and hardly changes with small singular values (Rudelson and
// Vershynin 2007). From 1 to min(m, n); 0 for a zero or empty matrix.
//   A: m x n, float or double. Throws std::invalid_argument for NaN or infinity. 2 m n^2 + 8/3 n^3
//   operations.
template <class Derived>
double stable_rank(const Eigen::MatrixBase<Derived>& A) {
  const Eigen::VectorXd values =
      detail::singular_spectrum(detail::scaled(A, "stable_rank", "A").matrix).values;
  return values.size() == 0 || values[0] == 0 ? 0 : values.squaredNorm() / (values[0] * values[0]);
}

}  // namespace sagitta
