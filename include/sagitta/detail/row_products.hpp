#pragma once

#include <algorithm>
#include <cmath>
#include <sagitta/detail/parallel.hpp>
#include <sagitta/detail/tile_product.hpp>

// Inner products of rows, X Y^T and X X^T, in double whatever X and Y are.
namespace sagitta::detail {

// Some rows of a matrix, some columns at a time, as the kernel wants them: panels of 24 rows, zeros for those
// that are missing, each panel in columns. They serve as the left factor and as the right one.
struct RowPanels {
  static constexpr Index height = 24, depth = 128;  // a panel is 24 KiB: two fit the nearest cache
  Eigen::VectorXd values;

  // copy(row, n, target) writes n rows from the given one on to the columns at target, `height` apart
  template <class Copy>
  void pack(Index rows, Index count, const Copy& copy) {
    const Index panels = (rows + height - 1) / height;
    values.resize(panels * height * depth);
    for (Index I = 0; I < panels; ++I) {
      const Index n = (std::min)(height, rows - I * height);
      copy(I * height, n, at(I));
      Eigen::Map<MatrixOf<double, height, Eigen::Dynamic>>(at(I), height, count)
          .bottomRows(height - n)
          .setZero();
    }
  }
  // X: any expression with coefficients in memory; columns first to first + count
  template <class Derived>
  void pack(const Eigen::MatrixBase<Derived>& X, Index first, Index count) {
    pack(X.rows(), count, [&](Index row, Index n, double* target) {
      Eigen::Map<MatrixOf<double, height, Eigen::Dynamic>>(target, height, count).topRows(n) =
          X.block(row, first, n, count).template cast<double>();
    });
  }

  double* at(Index I) { return values.data() + I * height * depth; }
  const double* at(Index I) const { return values.data() + I * height * depth; }
};

// The products of m rows with n others, of `cols` numbers each, in the leading m x n of `out`, which is
// padded to whole panels; where `symmetric`, the rows are the same and only the lower triangle is computed.
// pack(panels, right, first, count) packs columns of the rows on the left, or of those on the right. m n cols
// operations, times two where not symmetric.
template <class Pack>
void panel_products(Index m, Index n, Index cols, bool symmetric, RowPanels (&scratch)[2],
                    MatrixOf<double>& out, Index threads, const Pack& pack) {
  constexpr Index height = RowPanels::height, depth = RowPanels::depth;
  constexpr Index smallest_shared_gram = 400;  // panel pairs: below, threads cost more than they bring
  const Index high = (m + height - 1) / height, wide = (n + height - 1) / height;
  out.setZero(high * height, wide * height);
  for (Index first = 0; first < cols; first += depth) {
    const Index count = (std::min)(depth, cols - first);
    pack(scratch[0], false, first, count);
    if (!symmetric) pack(scratch[1], true, first, count);
    const RowPanels& right = scratch[symmetric ? 0 : 1];
    in_parallel(high * wide < smallest_shared_gram ? 1 : threads, high, [&](Index I) {
      for (Index J = 0; J < (symmetric ? I + 1 : wide); ++J)
        add_product(out.data() + J * height * out.rows() + I * height, out.rows(), scratch[0].at(I), height,
                    right.at(J), height, 1, height, height, count);
    });
  }
}

// The products of all rows of X with all rows of Y, as above; where `symmetric`, Y is X.
template <class Left, class Right>
void row_products(const Eigen::MatrixBase<Left>& X, const Eigen::MatrixBase<Right>& Y, bool symmetric,
                  RowPanels (&scratch)[2], MatrixOf<double>& out, Index threads = 1) {
  panel_products(X.rows(), Y.rows(), X.cols(), symmetric, scratch, out, threads,
                 [&](RowPanels& panels, bool right, Index first, Index count) {
                   if (right)
                     panels.pack(Y, first, count);
                   else
                     panels.pack(X, first, count);
                 });
}

// A bound on what rounding has moved a matrix of inner products by, in the 2-norm: sums of so many terms,
// `size` the sum of the squared lengths of the vectors. Entry (i, j) is off by about sqrt(terms) eps |x_i|
// |x_j|.
inline double product_rounding(Index terms, double size) {
  return 4 * std::sqrt(static_cast<double>(terms)) * epsilon * size;
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
