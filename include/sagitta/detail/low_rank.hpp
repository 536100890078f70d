#pragma once

#include <optional>
#include <sagitta/detail/band.hpp>
#include <sagitta/detail/bracket.hpp>
#include <sagitta/detail/one_stage.hpp>
#include <vector>

// The rank of a symmetric matrix of which few directions hold nearly everything, without reducing it.
namespace sagitta::detail {

// Y = A X for width vectors, in tiles. 2 n^2 width operations, and one pass over A.
template <class = void>
void multiply_tall(const SymmetricBlocks& A, const TallRows& X, TallRows& Y) {
  constexpr Index width = Band::width, block = SymmetricBlocks::block, tile = SymmetricTiles::tile;
  const Index padded = A.padded(), stride = A.stride();
  Y.setZero();
  // rows i.. of A's columns j.. (below the diagonal) against X from both sides
  const auto both_sides = [&](Index i, Index rows, Index j, Index cols) {
    const double* a = A.column(j) + i;
    add_product(Y.data() + i * width, width, X.data() + j * width, width, a, stride, 1, width, rows, cols);
    add_product(Y.data() + j * width, width, X.data() + i * width, width, a, 1, stride, width, cols, rows);
  };
  for (Index J = 0; J < padded; J += tile) {
    const Index end = (std::min)(J + tile, padded);
    for (Index j = J; j < end; j += block) {
      add_product(Y.data() + j * width, width, X.data() + j * width, width, A.column(j) + j, stride, 1, width,
                  block, block);
      if (j + block < end) both_sides(j + block, end - j - block, j, block);
    }
    for (Index i = end; i < padded; i += tile) both_sides(i, (std::min)(tile, padded - i), J, end - J);
  }
}

// Orthonormal columns that span at least those of X; X.rows() >= width.
template <class = void>
TallRows orthonormal_basis(TallRows X) {
  qr_by_rows(X, 0);
  const SmallSquare top = X.topRows<Band::width>().transpose();
  TallRows Q = TallRows::Zero(X.rows(), Band::width);
  Q.topRows<Band::width>().setIdentity();
  add_combinations(X, -compact_factor(X, 0).lazyProduct(top), 0, Q);
  return Q;
}

// An orthonormal basis Q of m dimensions, block by block, and what A does to it.
struct Subspace {
  std::vector<TallRows> Q, AQ;
  MatrixOf<double> projected;  // Q^T A Q
  double image = 0;            // |A Q|_F^2
  double overlaps = 0;         // |Q^T Q - I|_F^2, as computed

  Index dimension() const { return projected.rows(); }
  // A bound on |Q^T Q - I|_F: what was computed, and an epsilon an element for computing it.
  double defect() const { return std::sqrt(overlaps) + epsilon * static_cast<double>(dimension()); }

  TallRows without_known(TallRows X) const {
    for (const TallRows& known : Q) {
      SmallSquare overlap = SmallSquare::Zero();
      add_inner_products(known, X, 0, overlap);
      add_combinations(known, -overlap, 0, X);
    }
    return X;
  }

  // Adds the directions of X that are new. False where they are not orthonormal to some roundings.
  bool extend(const SymmetricBlocks& A, TallRows X) {
    constexpr Index width = Band::width;
    // Twice is enough. The second time X is nearly orthonormal already, if it had new directions: X^T X = I +
    // E with a small E, and X (I - E / 2) has an error of E^2. Without new directions it is noise.
    X = orthonormal_basis(without_known(std::move(X)));
    if (!Q.empty()) {
      X = without_known(std::move(X));
      SmallSquare E = -SmallSquare::Identity();
      add_inner_products(X, X, 0, E);
      if (E.cwiseAbs().maxCoeff() < 1e-9) {
        const TallRows copy = X;
        add_combinations(copy, E / -2, 0, X);
      } else {
        X = orthonormal_basis(std::move(X));
      }
    }
    Q.push_back(std::move(X));
    for (const TallRows& known : Q) {
      SmallSquare overlap = SmallSquare::Zero();
      add_inner_products(known, Q.back(), 0, overlap);
      if (&known == &Q.back()) overlap -= SmallSquare::Identity();
      if (!(overlap.cwiseAbs().maxCoeff() <= 64 * epsilon)) return false;
      overlaps += (&known == &Q.back() ? 1 : 2) * overlap.squaredNorm();
    }
    AQ.emplace_back(A.padded(), width);
    multiply_tall(A, Q.back(), AQ.back());
    image += AQ.back().squaredNorm();
    const Index m = dimension();
    projected.conservativeResize(m + width, m + width);
    for (std::size_t b = 0; b < Q.size(); ++b) {
      SmallSquare product = SmallSquare::Zero();
      add_inner_products(AQ.back(), Q[b], 0, product);
      const auto at = static_cast<Index>(b) * width;
      projected.block<Band::width, Band::width>(at, m) = product.transpose();
      projected.block<Band::width, Band::width>(m, at) = product;
    }
    return true;
  }
};

// The rank of the |eigenvalues| of A, n x n, where a few dozen dimensions certify it.
//
// In a basis (Q, anything) A is (T B^T; B C). Of C, N x N with N = n - m, the trace and the Frobenius norm
// are known, t = tr A - tr T and f^2 = |A|_F^2 - |T|_F^2 - 2 |B|_F^2; hence |C|_2 <= c =
// min(f, |t| / N + sqrt((N - 1) / N (f^2 - t^2 / N))), and the sum of C's moduli lies between |t| and
// min(sqrt(N) f, N c); it is t where A is positive semidefinite. Then with b = |B|_F
//   each eigenvalue theta of T is one of A to within e = 2 b^2 / (g + sqrt(g^2 + 4 b^2)), g = |theta| - c > 0
//     (Li and Li 2005), or to within b, and all others of A are below c + b in modulus;
//   the j largest moduli of A sum to at least those of T (Ky Fan), all of them to at least T's and C's and at
//     most 2 sqrt(m) b more.
//
// The basis that was computed is Q with |Q^T Q - I|_F = w << 1. All of this holds for the orthonormal
// Q S, S = (Q^T Q)^(-1/2), which spans the same, |S - I|_F <= w (1/2 + w); up to terms of order w^2
//   S T S is within w |T|_F <= w |A|_F of T in the Frobenius norm, so are its eigenvalues from T's and its
//     trace from T's within |T|_F |S^2 - I|_F <= w |A|_F, and its squared norm within 2 w |A|_F^2;
//   |A Q S|_F^2 is within w |A|_F^2 of |A Q|_F^2.
// So theta and t are off by 1 w |A|_F, b^2 by 3 w |A|_F^2, f^2 by 4 w |A|_F^2, and t^2 / N by (|t| + |t'|) /
// N w |A|_F <= 4 sqrt(n) / N w |A|_F^2, where |t| <= sqrt(n) |A|_F + |T|_F sqrt(m) and N >= n / 2: less than
// another w |A|_F^2 from n = 192 on. The certificate takes 2 w |A|_F and 8 w |A|_F^2.
template <class = void>
std::optional<EffectiveRank> certify(const Subspace& known, Index n, double trace, double square,
                                     double threshold, double input_error, bool semidefinite) {
  const Index m = known.dimension();
  const auto rest = static_cast<double>(n - m), size = static_cast<double>(n);
  const double norm = std::sqrt(square), defect = known.defect();
  const double delta = value_error(n, norm) + 2 * defect * norm + input_error;
  const double slack = (16 * size * epsilon + 8 * defect) * square;  // of the differences of squares

  SymmetricBlocks blocks(known.projected);
  Tridiagonal T = reduce_in_one_stage(blocks);
  if (m >= n || !diagonalize(T)) return std::nullopt;
  Eigen::VectorXd theta = T.diagonal.cwiseAbs();
  std::sort(theta.begin(), theta.end(), std::greater<>());

  const double inside = known.projected.squaredNorm();
  const double b_square = (std::max)(known.image - inside, 0.0) + slack, b = std::sqrt(b_square);
  const double f_square = (std::max)(square - inside - 2 * (b_square - slack), 0.0) + slack;
  const double t = trace - known.projected.trace(), f = std::sqrt(f_square);
  const double c =
      (std::min)(f, std::abs(t) / rest + std::sqrt((std::max)(f_square - t * t / rest, 0.0) + slack)) + delta;
  double least = theta.sum() + std::abs(t), most = theta.sum() + (std::min)(std::sqrt(rest) * f, rest * c) +
                                                   2 * std::sqrt(static_cast<double>(m)) * b;
  if (semidefinite) most = (std::min)(most, std::abs(trace));
  least = (std::max)(least, std::abs(trace)) - size * delta;
  most += 2 * size * delta;

  const double tau = sum_noise(n) * most;
  double head = 0, head_most = 0;
  for (Index j = 0; j < m; ++j) {
    if (head_most >= threshold * least - tau) return std::nullopt;  // j may be the rank already
    head += theta[j] - delta;
    if (head > threshold * most + tau)
      return EffectiveRank{.rank = j + 1, .lower = j + 1, .upper = j + 1, .max_rank = n};
    const double gap = (std::max)(theta[j] - c, 0.0);
    const double error = 2 * b_square / (gap + std::sqrt(gap * gap + 4 * b_square));
    head_most += (std::max)(theta[j] + error, c + b) + 2 * delta;  // the gap, too, is off by delta
  }
  return std::nullopt;
}

// The rank of a scaled symmetric A at a threshold below 1 where it is low; nothing where it is not, or not
// certain. A gate that costs n^2 keeps matrices out that cannot be: their rank is at least
// (threshold tr A / |A|_F)^2, if they are positive semidefinite. After the first product a look at how much
// of the trace the subspace holds ends vain attempts, and after the third certify has failed for good.
template <class = void>
std::optional<EffectiveRank> low_rank(const SymmetricBlocks& A, double threshold, double input_error,
                                      bool semidefinite) {
  constexpr Index width = Band::width;
  const Index n = A.size(), smallest = 192;
  if (n < smallest || threshold <= 0) return std::nullopt;
  const double trace = A.trace();
  if (trace <= 0) return std::nullopt;
  const double square = A.squared_norm(), share = threshold * trace;
  if (square > trace * trace || 16 * share * share > static_cast<double>(n) * square) return std::nullopt;

  TallRows columns(A.padded(), width);  // A times unit vectors, evenly spaced: a first subspace for nothing
  for (Index k = 0; k < width; ++k) {
    const Index j = k * n / width, from = j / SymmetricBlocks::block * SymmetricBlocks::block;
    for (Index i = 0; i < from; ++i) columns(i, k) = A.column(i)[j];
    for (Index i = from; i < A.padded(); ++i) columns(i, k) = A.column(j)[i];
  }
  Subspace known;
  for (int products = 1; products <= 3; ++products) {
    if (products > 1) columns = known.AQ.back();
    if (!known.extend(A, columns)) return std::nullopt;
    if (products == 1 && trace - known.projected.trace() > 10 * (1 - threshold) * trace) return std::nullopt;
    if (products == 1) continue;
    if (const auto rank = certify(known, n, trace, square, threshold, input_error, semidefinite)) return rank;
  }
  return std::nullopt;
}

}  // namespace sagitta::detail
