#pragma once

#include <algorithm>
#include <functional>
#include <sagitta/detail/band.hpp>
#include <sagitta/detail/tridiagonal_form.hpp>
#include <vector>

// Singular values without squaring the matrix.
namespace sagitta::detail {

// The triangular factor of a QR decomposition of A, m x n with m >= n: n x n, upper triangular. By panels of
// a few columns, whose reflections Q = I - V T V^T are applied to the others together (Q^T C = C - V T^T V^T
// C). 2 m n^2 operations.
template <class Derived>
MatrixOf<double> triangular_factor(const Eigen::MatrixBase<Derived>& A) {
  constexpr Index width = Band::width;
  const Index m = A.rows(), n = A.cols(), N = (m + 7) / 8 * 8;
  std::vector<TallRows> panels;
  for (Index first = 0; first < n; first += width) {
    const Index count = (std::min)(width, n - first);
    panels.emplace_back(TallRows::Zero(N, width));
    panels.back().topLeftCorner(m, count) = A.middleCols(first, count);
  }
  MatrixOf<double> R = MatrixOf<double>::Zero(n, n);
  for (std::size_t p = 0; p < panels.size(); ++p) {
    TallRows& V = panels[p];
    const Index first = static_cast<Index>(p) * width, count = (std::min)(width, n - first);
    R.block(0, first, first, count) = V.topLeftCorner(first, count);
    R.block(first, first, count, count) = qr_by_rows(V, first).topLeftCorner(count, count);
    if (p + 1 == panels.size()) break;
    const SmallSquare T = compact_factor(V, first);
    for (std::size_t q = p + 1; q < panels.size(); ++q) {
      SmallSquare product = SmallSquare::Zero();
      add_inner_products(V, panels[q], first, product);
      add_combinations(V, -T.transpose().lazyProduct(product), first, panels[q]);
    }
  }
  return R;
}

// Makes x a multiple of e_1 by I - v v^T, |v|^2 = 2, and returns the multiple; x becomes v, which is 0 where
// there is nothing to do.
template <class Vector>
double reflect(Vector&& x) {
  const double head = x(0);
  const double rest = x.tail(x.size() - 1).squaredNorm();
  if (rest < 1e-290) {
    x.setZero();
    return head;
  }
  const double length = std::sqrt(rest + head * head);
  x(0) = head + std::copysign(length, head);
  x *= 1 / std::sqrt(length * (length + std::abs(head)));
  return -std::copysign(length, head);
}

// Singular values of A, m x n with m >= n, descending. Golub and Kahan: Householder reflections from both
// sides leave an upper bidiagonal B, and the symmetric matrix (0 B; B^T 0), interleaved, is tridiagonal with
// zero diagonal and eigenvalues +-sigma. A tall matrix is replaced by its triangular factor first, in blocks
// of rows whose factors are stacked and reduced in turn: rounding then does not grow with m. The error of
// each is at most value_error(n, sigma_1). About 2 m n^2 + 8/3 n^3 operations. `converged` becomes false
// where the iteration failed.
template <class = void>
Eigen::VectorXd tall_singular_values(MatrixOf<double> A, bool& converged) {
  const Index n = A.cols();
  const Index block = std::max<Index>(4 * n, 256);
  while (A.rows() > block) {
    MatrixOf<double> factors((A.rows() + block - 1) / block * n, n);
    Index filled = 0;
    for (Index first = 0; first < A.rows(); first += block) {
      const Index rows = (std::min)(block, A.rows() - first), kept = (std::min)(rows, n);
      if (rows < n)
        factors.middleRows(filled, kept) = A.middleRows(first, rows);
      else
        factors.middleRows(filled, kept) = triangular_factor(A.middleRows(first, rows));
      filled += kept;
    }
    A = factors.topRows(filled);
  }
  if (A.rows() > n + n / 2) A = triangular_factor(A).eval();
  const Index m = A.rows();
  Tridiagonal T{Eigen::VectorXd::Zero(2 * n), Eigen::VectorXd::Zero(std::max<Index>(2 * n - 1, 0))};
  Eigen::VectorXd u, product;
  for (Index k = 0; k < n; ++k) {
    u = A.col(k).tail(m - k);
    T.off_diagonal[2 * k] = reflect(u);
    if (k + 1 == n) break;
    auto rest = A.bottomRightCorner(m - k, n - k - 1);
    product.noalias() = rest.transpose() * u;
    rest.noalias() -= u * product.transpose();

    u = A.row(k).tail(n - k - 1).transpose();
    T.off_diagonal[2 * k + 1] = reflect(u);
    auto below = A.bottomRightCorner(m - k - 1, n - k - 1);
    product.noalias() = below * u;
    below.noalias() -= product * u.transpose();
  }
  converged = diagonalize(T);
  std::sort(T.diagonal.begin(), T.diagonal.end(), std::greater<>());
  return T.diagonal.head(n).cwiseMax(0);  // the n largest are +sigma, the others their mirror images
}

}  // namespace sagitta::detail
