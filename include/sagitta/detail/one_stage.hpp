#pragma once

#include <sagitta/detail/symmetric_blocks.hpp>
#include <sagitta/detail/tridiagonal_form.hpp>

namespace sagitta::detail {

// x becomes v with (I - v v^T) x = value e_head, x being zero above `head`; the value is returned. v is 0
// where x is such a multiple already, up to parts whose squares underflow: those are far below the rounding
// of a scaled matrix. Written with |x| + |x_head|, which does not cancel.
template <class Vector>
double reflect_symmetric(Vector&& x, Index head) {
  const double first = x[head];
  x[head] = 0;
  const double rest = x.squaredNorm();
  if (rest < 1e-290) {
    x.setZero();
    return first;
  }
  const double length = std::sqrt(rest + first * first);
  x[head] = first + std::copysign(length, first);
  x *= 1 / std::sqrt(length * (length + std::abs(first)));
  return -std::copysign(length, first);
}

// Householder's reduction of a scaled A to tridiagonal form, which costs A its values. Its transformation
// leaves the first coordinate where it is.
//
// With a reflection H = I - v v^T (|v|^2 = 2), q = A v and w = q - (q^T v / 2) v,
//   H A H = A - v w^T - w v^T.
// The next v needs only one column of that, so the rest of the update can wait for the next product A v, and
// both pass over A together. Half of the updates wait even longer: with one pair (v_1, w_1) outstanding,
// A v = (stored A) v - v_1 (w_1^T v) - w_1 (v_1^T v), and the next pass applies two pairs. That halves what
// is written, and the memory, not the arithmetic, is what this waits for. 4/3 n^3 operations.
template <class = void>
Tridiagonal reduce_in_one_stage(SymmetricBlocks& A) {
  constexpr Index most = 2;  // pairs that wait; measured: 1 is slower from n = 256, 3 and 4 below 512
  constexpr Index block = SymmetricBlocks::block;
  const Index n = A.size(), padded = A.padded();
  Tridiagonal T{Eigen::VectorXd(n), Eigen::VectorXd(std::max<Index>(n - 1, 0))};
  // columns v, w, v, w; zero in the rows that are finished
  MatrixOf<double> pairs = MatrixOf<double>::Zero(padded, 2 * most), full = pairs;
  Eigen::VectorXd v(padded), w(padded), mirrored(padded);
  int waiting = 0;
  for (Index k = 0; k < n; ++k) {
    const Index from = k / block * block, rows = padded - from, done = k + 1 - from;
    auto x = v.segment(from, rows), q = w.segment(from, rows);
    const auto tail = [&](int l) { return pairs.col(l).segment(from, rows); };
    x = Eigen::Map<const Eigen::VectorXd>(A.column(k) + from, rows);
    for (int l = 0; l < 2 * waiting; ++l) x -= pairs(k, l ^ 1) * tail(l);  // l ^ 1: the other of its pair
    T.diagonal[k] = v[k];
    if (k + 1 == n) break;
    x.head(done).setZero();
    T.off_diagonal[k] = reflect_symmetric(x, done);

    if (waiting == most) {
      std::swap(pairs, full);
      update_and_multiply<most>(A, full, k + 1, v, w, mirrored);
      waiting = 0;
    } else {
      update_and_multiply<0>(A, pairs, k + 1, v, w, mirrored);
      for (int l = 0; l < 2 * waiting; ++l) q -= tail(l ^ 1).dot(x) * tail(l);
    }
    q.head(done).setZero();
    q -= q.dot(x) / 2 * x;
    tail(2 * waiting) = x;
    tail(2 * waiting + 1) = q;
    ++waiting;
  }
  return T;
}

}  // namespace sagitta::detail
