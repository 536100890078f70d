#pragma once

#include <sagitta/detail/parallel.hpp>
#include <sagitta/detail/symmetric_blocks.hpp>
#include <sagitta/detail/tile_product.hpp>

// The first of two stages from a dense symmetric matrix to a tridiagonal one: to a band, in which nearly all
// of the work is products of tiles that stay in cache.
namespace sagitta::detail {

// A symmetric band matrix of half bandwidth `width`: column j holds rows j to j + 2 width, the second half
// for what the reduction to tridiagonal form lets bulge out. element(i, j) lies at data()[i + j * stride()],
// as in a dense matrix in columns, and a packet more at either end may be read.
class Band {
 public:
  static constexpr Index width = 24, margin = 2 * width;
  explicit Band(Index n)
      : size_(n), storage_(Eigen::VectorXd::Zero((n + 2 * width) * (stride() + 1) + 2 * margin)) {}

  Index size() const { return size_; }
  static constexpr Index stride() { return 3 * width - 1; }
  double* data() { return storage_.data() + margin; }
  double& operator()(Index i, Index j) { return data()[i + j * stride()]; }

 private:
  Index size_;
  Eigen::VectorXd storage_;
};

// Lower triangle in tiles of 48 x 48, each by itself in columns; those on the diagonal in full.
class SymmetricTiles {
 public:
  static constexpr Index tile = 2 * Band::width;

  explicit SymmetricTiles(const SymmetricBlocks& A)
      : count_((A.size() + tile - 1) / tile), storage_(count_ * (count_ + 1) / 2 * tile * tile) {
    constexpr Index block = SymmetricBlocks::block;
    for (Index J = 0; J < count_; ++J)
      for (Index I = J; I < count_; ++I) {
        Eigen::Map<MatrixOf<double>> to(at(I, J), tile, tile);
        to.setZero();
        const Index rows = (std::min)(tile, A.padded() - I * tile),
                    cols = (std::min)(tile, A.padded() - J * tile);
        for (Index j = 0; j < cols; ++j) {
          const Index from = I == J ? j / block * block : 0;  // what lies above is not stored
          to.col(j).segment(from, rows - from) =
              Eigen::Map<const Eigen::VectorXd>(A.column(J * tile + j) + I * tile + from, rows - from);
        }
        if (I == J) to.triangularView<Eigen::StrictlyUpper>() = to.transpose();
      }
  }

  Index count() const { return count_; }
  double* at(Index I, Index J) {  // I >= J
    return storage_.data() + (J * count_ - J * (J - 1) / 2 + I - J) * tile * tile;
  }
  const double* at(Index I, Index J) const { return const_cast<SymmetricTiles*>(this)->at(I, J); }

 private:
  Index count_;
  Eigen::VectorXd storage_;
};

// N x width, one row after the other
using TallRows = Eigen::Matrix<double, Eigen::Dynamic, Band::width, Eigen::RowMajor>;
using SmallSquare = MatrixOf<double, Band::width, Band::width>;

// Householder's QR of the rows `first` and below of X, N x width by rows, in place: X becomes V, the factor R
// (width x width, upper triangular) is returned. The reflections are I - v v^T, v = 0 where nothing is to be
// done; what lies above their first row becomes zero.
//
// One pass over X a reflection: while rows are updated by one, their products with the next column x are
// summed, g = X^T x. That gives |x| and, with v = (x - beta e) / s, the next X^T v = (g - beta X_head) / s.
template <class = void>
SmallSquare qr_by_rows(TallRows& X, Index first) {
  constexpr Index width = Band::width, packets = width / double_lanes, piece = 128;
  const Index N = X.rows();
  SmallSquare R = SmallSquare::Zero();
  alignas(64) double product[width] = {}, factor[width] = {};
  DoublePacket g[packets], w[packets];
  const auto row = [&](Index i) { return X.data() + i * width; };
  for (Index k = -1; k < width; ++k) {
    const Index head = first + std::max<Index>(k, 0);
    if (head >= N) break;
    double scale = 0, beta = 0;
    if (k >= 0) {
      const double square = product[k];
      double* at_head = row(head);
      if (square >= 1e-290) {
        beta = -std::copysign(std::sqrt(square), at_head[k]);
        scale = 1 / std::sqrt(square - beta * at_head[k]);  // 1 / s, |x - beta e|^2 = 2 s^2
      }
      for (Index c = 0; c < width; ++c)  // X^T v of the columns to come; column k itself becomes beta e
        factor[c] = c > k ? scale * (product[c] - beta * at_head[c]) : 0;
      R(k, k) = beta;
    }
#pragma GCC unroll 3
    for (Index a = 0; a < packets; ++a) w[a] = load(factor + a * double_lanes);
    std::fill(product, product + width, 0.0);
    const Index next = (std::min)(k + 1, width - 1);
    for (Index start = head; start < N; start += piece) {  // sums in pieces, as in add_product
#pragma GCC unroll 3
      for (Index a = 0; a < packets; ++a) g[a] = broadcast(0);
      for (Index i = start; i < (std::min)(start + piece, N); ++i) {
        double* x = row(i);
        const double v = k < 0 ? 0 : scale * (i == head ? x[k] - beta : x[k]);
        const DoublePacket minus_v = broadcast(-v);
        DoublePacket updated[packets];
#pragma GCC unroll 3
        for (Index a = 0; a < packets; ++a) {
          updated[a] = multiply_add(w[a], minus_v, load(x + a * double_lanes));
          store(x + a * double_lanes, updated[a]);
        }
        if (k >= 0) x[k] = v;
        if (i == head && k >= 0) continue;  // finished: a row of R
        const DoublePacket factor_next = broadcast(x[next]);
#pragma GCC unroll 3
        for (Index a = 0; a < packets; ++a) g[a] = multiply_add(updated[a], factor_next, g[a]);
      }
#pragma GCC unroll 3
      for (Index a = 0; a < packets; ++a)
        store(product + a * double_lanes, add(load(product + a * double_lanes), g[a]));
    }
    if (k >= 0) {
      double* at_head = row(head);
      for (Index c = k + 1; c < width; ++c) {
        R(k, c) = at_head[c];
        at_head[c] = 0;
      }
    }
  }
  return R;
}

// C += X^T Y over the rows from `first` on
template <class = void>
void add_inner_products(const TallRows& X, const TallRows& Y, Index first, SmallSquare& C) {
  constexpr Index width = Band::width, piece = 128;
  for (; first < X.rows(); first += piece)
    add_product(C.data(), width, X.data() + first * width, width, Y.data() + first * width, width, 1, width,
                width, (std::min)(piece, X.rows() - first));
}

// Y += X C over the rows from `first` on; X.rows() - first is a multiple of 8
template <class = void>
void add_combinations(const TallRows& X, const SmallSquare& C, Index first, TallRows& Y) {
  constexpr Index width = Band::width;
  const SmallSquare transposed = C.transpose();  // a row of Y is a column of C^T X^T
  add_product(Y.data() + first * width, width, transposed.data(), width, X.data() + first * width, 1, width,
              width, X.rows() - first, width);
}

// T, upper triangular, of the product of reflections I - V T V^T: T^-1 + T^-T = V^T V
template <class = void>
SmallSquare compact_factor(const TallRows& V, Index first) {
  SmallSquare M = SmallSquare::Zero(), T = SmallSquare::Identity();
  add_inner_products(V, V, first, M);
  for (Index j = 1; j < Band::width; ++j)
    for (Index i = j - 1; i >= 0; --i)
      T(i, j) = -M.row(i).segment(i + 1, j - i).dot(T.col(j).segment(i + 1, j - i));
  return T;
}

// Reduces a scaled A to a band.
//
// Panel by panel of `width` columns: the QR of what lies below the band, Q = I - V T V^T with T^-1 the upper
// triangle of V^T V (its diagonal halved: 1), is applied from both sides to all that follows,
//   Q^T A Q = A - V W^T - W V^T,  W = P - V (T^T V^T P) / 2,  P = (A V) T.
// As in one stage, a panel needs but its own columns of that to be up to date, and so the update waits and
// each tile is fetched once a panel, for the update by the panel before and the product A V with this one.
//
// Strips of a few columns of tiles, of which a row finds its factors in cache, are dealt out to four groups,
// the next one always to the group that has least, each with a sum A V of its own: as many threads can share
// the work, and any number of them gives the same bits.
template <class = void>
Band reduce_to_band(const SymmetricBlocks& A, Index threads = 1) {
  constexpr Index width = Band::width, tile = SymmetricTiles::tile, area = tile * tile;
  const Index n = A.size();
  SymmetricTiles tiles(A);
  const Index count = tiles.count(), N = count * tile;
  Band band(n);
  constexpr Index wide = 4, most_groups = 4;
  const Index groups = count < 8 ? 1 : most_groups;
  TallRows V = TallRows::Zero(N, width), W(N, width);
  std::vector<Index> group_of(static_cast<std::size_t>((count + wide - 1) / wide));  // each strip
  std::vector<TallRows> products(static_cast<std::size_t>(groups), TallRows(N, width));
  // the update that waits, A += left right^T: left = [V W] in tiles in columns, right = -[W V] in rows
  Eigen::VectorXd left(N * tile), right(N * tile);
  bool waiting = false;
  Team team((std::min)(threads, groups));
  for (Index c = 0; c < n; c += width) {
    const Index next = c + width, first_row = c / tile * tile;
    const auto fetch_panel = [&](Index I) {
      alignas(64) double columns[std::size_t{tile * width}];
      const double* stored = tiles.at(I, c / tile) + (c - first_row) * tile;
      std::copy(stored, stored + tile * width, columns);
      if (waiting)
        add_product(columns, tile, left.data() + I * area, tile, right.data() + c * tile, 1, tile, tile,
                    width, tile);
      V.middleRows(I * tile, tile) = Eigen::Map<const MatrixOf<double, tile, width>>(columns);
    };
    for (Index I = c / tile; I < count; ++I) fetch_panel(I);
    for (Index j = 0; j < width; ++j)
      for (Index i = j; i < width && c + i < n; ++i) band(c + i, c + j) = V(c + i, j);
    if (next >= n) break;
    V.topRows(next).setZero();
    const SmallSquare R = qr_by_rows(V, next);
    for (Index j = 0; j < width; ++j)
      for (Index i = 0; i <= j && next + i < n; ++i) band(next + i, c + j) = R(i, j);

    const Index first = next / tile;
    Index tiles_of[most_groups] = {};
    for (Index strip = first / wide; strip * wide < count; ++strip) {
      Index* const least = std::min_element(tiles_of, tiles_of + groups);
      group_of[static_cast<std::size_t>(strip)] = static_cast<Index>(least - tiles_of);
      const Index from = (std::max)(first, strip * wide), to = (std::min)(count, (strip + 1) * wide);
      *least += (to - from) * (2 * count - from - to + 1) / 2;
    }
    team.run(groups, [&](Index group) {
      TallRows& Y = products[static_cast<std::size_t>(group)];
      Y.bottomRows(N - first * tile).setZero();
      for (Index strip = first / wide; strip * wide < count; ++strip) {
        if (group_of[static_cast<std::size_t>(strip)] != group) continue;
        const Index first_J = (std::max)(first, strip * wide);
        for (Index I = first_J; I < count; ++I) {
          const Index last_J = (std::min)(I, strip * wide + wide - 1);
          for (Index J = first_J; J <= last_J; ++J) {
            double* a = tiles.at(I, J);
            const double* following = J < last_J      ? tiles.at(I, J + 1)
                                      : I + 1 < count ? tiles.at(I + 1, first_J)
                                                      : nullptr;
            if (waiting)
              add_product(a, tile, left.data() + I * area, tile, right.data() + J * area, 1, tile, tile, tile,
                          tile, following);
            const double *V_I = V.data() + I * tile * width, *V_J = V.data() + J * tile * width;
            // by rows: a row of Y is a column of the product's transpose
            add_product(Y.data() + I * tile * width, width, V_J, width, a, tile, 1, width, tile, tile);
            if (I != J)
              add_product(Y.data() + J * tile * width, width, V_I, width, a, 1, tile, width, tile, tile);
          }
        }
      }
    });
    TallRows& Y = products.front();
    for (std::size_t group = 1; group < products.size(); ++group)
      Y.bottomRows(N - next) += products[group].bottomRows(N - next);

    const SmallSquare T = compact_factor(V, next);
    W.setZero();
    add_combinations(Y, T, next, W);  // P
    SmallSquare M = SmallSquare::Zero();
    add_inner_products(V, W, next, M);
    add_combinations(V, T.transpose().lazyProduct(M) * -0.5, next, W);

    for (Index I = next / tile; I < count; ++I) {
      Eigen::Map<MatrixOf<double>> to_left(left.data() + I * area, tile, tile),
          to_right(right.data() + I * area, tile, tile);  // in rows: its transpose
      to_left << V.middleRows(I * tile, tile), W.middleRows(I * tile, tile);
      to_right << -W.middleRows(I * tile, tile).transpose(), -V.middleRows(I * tile, tile).transpose();
    }
    waiting = true;
  }
  return band;
}

}  // namespace sagitta::detail
