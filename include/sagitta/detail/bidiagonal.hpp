#pragma once

#include <Eigen/QR>
#include <sagitta/detail/tridiagonal.hpp>

// Singular values without squaring the matrix.
namespace sagitta::detail {

// Makes x a multiple of e_1 by x - (x^T u) beta u with u = (1, essential), u^T u beta = 2; the essential part
// replaces the tail of x, the multiple its head. Returns beta, 0 where x is one already.
template <class Vector>
double reflect(Vector&& x) {
  double beta = 0, head = 0;
  const Index tail = x.size() - 1;
  Eigen::VectorXd essential(tail);
  x.makeHouseholder(essential, beta, head);
  x(0) = head;
  x.tail(tail) = essential;
  return beta;
}

// Singular values of A, m x n with m >= n, descending. Golub and Kahan: Householder reflections from both
// sides leave an upper bidiagonal B, and the symmetric matrix (0 B; B^T 0), interleaved, is tridiagonal with
// zero diagonal and eigenvalues +-sigma. A tall matrix is replaced by its triangular factor first, in blocks
// of rows whose factors are stacked and reduced in turn: rounding then does not grow with m. The error of
// each is at most value_error(n, sigma_1). About 2 m n^2 + 8/3 n^3 operations. `converged` becomes false
// where the iteration failed.
inline Eigen::VectorXd tall_singular_values(Eigen::MatrixXd A, bool& converged) {
  const Index n = A.cols();
  const Index block = std::max<Index>(4 * n, 256);
  while (A.rows() > block) {
    Eigen::MatrixXd factors((A.rows() + block - 1) / block * n, n);
    Index filled = 0;
    for (Index first = 0; first < A.rows(); first += block) {
      const Index rows = std::min(block, A.rows() - first), kept = std::min(rows, n);
      const Eigen::HouseholderQR<Eigen::MatrixXd> qr(A.middleRows(first, rows));
      factors.middleRows(filled, kept) = qr.matrixQR().topRows(kept).template triangularView<Eigen::Upper>();
      filled += kept;
    }
    A = factors.topRows(filled);
  }
  if (A.rows() > n + n / 2) {
    const Eigen::HouseholderQR<Eigen::MatrixXd> qr(A);
    A = qr.matrixQR().topRows(n).template triangularView<Eigen::Upper>();
  }
  const Index m = A.rows();
  Tridiagonal T{Eigen::VectorXd::Zero(2 * n), Eigen::VectorXd::Zero(std::max<Index>(2 * n - 1, 0))};
  Eigen::VectorXd u, product;
  for (Index k = 0; k < n; ++k) {
    const double left = reflect(A.col(k).tail(m - k));
    T.off_diagonal[2 * k] = A(k, k);
    if (k + 1 == n) break;
    auto rest = A.bottomRightCorner(m - k, n - k - 1);
    u = A.col(k).tail(m - k);
    u[0] = 1;
    product.noalias() = rest.transpose() * u;
    rest.noalias() -= (left * u) * product.transpose();

    const double right = reflect(A.row(k).tail(n - k - 1));
    T.off_diagonal[2 * k + 1] = A(k, k + 1);
    auto below = A.bottomRightCorner(m - k - 1, n - k - 1);
    u = A.row(k).tail(n - k - 1).transpose();
    u[0] = 1;
    product.noalias() = below * u;
    below.noalias() -= (right * product) * u.transpose();
  }
  converged = diagonalize(T);
  std::sort(T.diagonal.begin(), T.diagonal.end(), std::greater<>());
  return T.diagonal.head(n).cwiseMax(0);  // the n largest are +sigma, the others their mirror images
}

}  // namespace sagitta::detail
