#pragma once

#include <numeric>
#include <sagitta/detail/tridiagonal.hpp>
#include <vector>

namespace sagitta::detail {

// The eigenvalues of a symmetric matrix together with how much of a vector v lies along each eigenvector.
struct SpectralMeasure {
  Eigen::VectorXd values;      // n eigenvalues, by decreasing modulus
  Eigen::VectorXd components;  // n, q_i^T v for the orthonormal eigenvectors q_i, up to sign
  double error = 0;            // a bound on the error of each value; infinite where an iteration failed
};

// Without eigenvectors: the reflection P = I - 2 w w^T / w^T w that takes v to the first axis is applied from
// both sides, the reduction of P A P to T leaves that axis in place, and so the components are |v| times the
// first components of T's eigenvectors, which the QL iteration carries along as one row.
// A: n x n, of which the lower triangle is read; v: n. Both scaled. About 4/3 n^3 operations.
template <class = void>
SpectralMeasure spectral_measure(MatrixOf<double> A, const Eigen::VectorXd& v) {
  const Index n = A.rows();
  const double length = v.norm();
  if (n > 1 && length > 0) {
    Eigen::VectorXd w = v / length;
    w[0] += std::copysign(1.0, w[0]);
    const double square = w.squaredNorm();
    Eigen::VectorXd p = A.selfadjointView<Eigen::Lower>() * w;
    p *= 2 / square;
    p -= (w.dot(p) / square) * w;
    A.selfadjointView<Eigen::Lower>().rankUpdate(w, p, -1.0);
  }
  Tridiagonal T = tridiagonalize(A);
  Eigen::VectorXd row = Eigen::VectorXd::Zero(n);
  if (n > 0) row[0] = length;
  const bool converged = diagonalize(T, row);

  std::vector<Index> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](Index a, Index b) { return std::abs(T.diagonal[a]) > std::abs(T.diagonal[b]); });
  SpectralMeasure measure{T.diagonal(order), row(order), 0};
  const double norm = n == 0 ? 0 : std::abs(measure.values[0]);
  measure.error = converged ? value_error(n, norm) : std::numeric_limits<double>::infinity();
  return measure;
}

}  // namespace sagitta::detail
