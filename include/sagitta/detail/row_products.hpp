#pragma once

#include <algorithm>
#include <sagitta/detail/parallel.hpp>
#include <sagitta/detail/tile_product.hpp>

// Inner products of rows, X Y^T and X X^T, in double whatever X and Y are.
namespace sagitta::detail {

// Some rows of a matrix, some columns at a time, as the kernel wants them: panels of 24 rows, zeros for those
// that are missing, each panel in columns. They serve as the left factor and as the right one.
struct RowPanels {
  static constexpr Index height = 24, depth = 128;  // a panel is 24 KiB: two fit the nearest cache
  Eigen::VectorXd values;

  // X: any expression with coefficients in memory; columns first to first + count
  template <class Derived>
  void pack(const Eigen::MatrixBase<Derived>& X, Index first, Index count) {
    const Index panels = (X.rows() + height - 1) / height;
    values.resize(panels * height * depth);
    for (Index I = 0; I < panels; ++I) {
      Eigen::Map<MatrixOf<double, height, Eigen::Dynamic>> panel(at(I), height, count);
      const Index rows = (std::min)(height, X.rows() - I * height);
      panel.topRows(rows) = X.block(I * height, first, rows, count).template cast<double>();
      panel.bottomRows(height - rows).setZero();
    }
  }

  double* at(Index I) { return values.data() + I * height * depth; }
  const double* at(Index I) const { return values.data() + I * height * depth; }
};

// The products of all rows of X with all rows of Y in the leading X.rows() x Y.rows() of `out`, which is
// padded to whole panels; where `symmetric`, Y is X and only the lower triangle is computed. X.rows()
// Y.rows() cols operations, times two where not symmetric.
template <class Left, class Right>
void row_products(const Eigen::MatrixBase<Left>& X, const Eigen::MatrixBase<Right>& Y, bool symmetric,
                  RowPanels (&scratch)[2], MatrixOf<double>& out, Index threads = 1) {
  constexpr Index height = RowPanels::height, depth = RowPanels::depth;
  constexpr Index smallest_shared_gram = 400;  // panel pairs: below, threads cost more than they bring
  const Index high = (X.rows() + height - 1) / height, wide = (Y.rows() + height - 1) / height;
  out.setZero(high * height, wide * height);
  for (Index first = 0; first < X.cols(); first += depth) {
    const Index count = (std::min)(depth, X.cols() - first);
    scratch[0].pack(X, first, count);
    if (!symmetric) scratch[1].pack(Y, first, count);
    const RowPanels& right = scratch[symmetric ? 0 : 1];
    in_parallel(high * wide < smallest_shared_gram ? 1 : threads, high, [&](Index I) {
      for (Index J = 0; J < (symmetric ? I + 1 : wide); ++J)
        add_product(out.data() + J * height * out.rows() + I * height, out.rows(), scratch[0].at(I), height,
                    right.at(J), height, 1, height, height, count);
    });
  }
}

// X X^T, n x n, of which only the lower triangle is right. n^2 X.cols() operations.
template <class Derived>
MatrixOf<double> row_gram(const Eigen::MatrixBase<Derived>& X, Index threads = 1) {
  RowPanels scratch[2];
  MatrixOf<double> out;
  row_products(X, X, true, scratch, out, threads);
  if (out.rows() == X.rows()) return out;
  return out.topLeftCorner(X.rows(), X.rows());
}

}  // namespace sagitta::detail
