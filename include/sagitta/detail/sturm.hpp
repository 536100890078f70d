#pragma once

#include <bit>
#include <sagitta/detail/packet.hpp>
#include <sagitta/detail/tridiagonal_form.hpp>
#include <vector>

namespace sagitta::detail {

// How many eigenvalues of a symmetric tridiagonal matrix lie below a number x, for many x at a time.
//
// The leading principal minors of T - x I,
//   p_0 = 1,  p_1 = d_1 - x,  p_k = (d_k - x) p_{k-1} - e_{k-1}^2 p_{k-2},
// change sign as often as T has eigenvalues below x (Sturm). Every rounded step is an exact one for d and e^2
// a few eps to the side (the rounding of p_k can be given to its two terms), so that the count is right for a
// matrix within a few eps |T| of T. No division occurs, and none can go wrong:
//   T is scaled to |T| <= 1, x lies within -1..1, so a step grows max(|p_k|, |p_{k-1}|) at most threefold;
//   |e| is raised to eps / 4, which moves eigenvalues by less than eps; then p_{k-1} and p_k are never both 0
//   and a step shrinks their maximum by a factor of e^2 / 8 > 2^-112 at worst;
//   every 8 steps both are scaled by a power of two, long before 2^-1022 is near.
// A p_k of 0 counts as positive or negative, it does not matter: its neighbours have opposite signs, hence
// exactly one change.
class SturmSequence {
 public:
  // shifts that are worked on together: four packets hide the latency of each other's steps
  static constexpr Index batch = 4 * double_lanes;

  explicit SturmSequence(const Tridiagonal& T) : size_(T.diagonal.size()) {
    double bound = 0;  // Gershgorin
    for (Index i = 0; i < size_; ++i)
      bound = (std::max)(bound, std::abs(T.diagonal[i]) + (i > 0 ? std::abs(T.off_diagonal[i - 1]) : 0) +
                                    (i + 1 < size_ ? std::abs(T.off_diagonal[i]) : 0));
    exponent_ = bound > 0 ? std::ilogb(bound) + 1 : 0;
    const double factor = std::ldexp(1.0, -exponent_);
    diagonal_ = T.diagonal * factor;
    minus_squares_ = Eigen::VectorXd::Zero(size_);
    if (size_ > 1)
      minus_squares_.tail(size_ - 1) =
          -(T.off_diagonal * factor).cwiseAbs().cwiseMax(epsilon / 4).cwiseAbs2();
  }

  Index size() const { return size_; }
  // all eigenvalues lie within +- bound()
  double bound() const { return std::ldexp(1.0, exponent_); }

  // a count is right for shifts moved by at most this much
  double error() const { return 4 * epsilon * bound(); }

  // How many eigenvalues lie below each shift, |shift| <= bound(). 7 n operations a shift.
  std::vector<Index> count(const std::vector<double>& shifts) const {
    std::vector<Index> counts(shifts.size());
    const auto number = static_cast<Index>(shifts.size());
    const double factor = std::ldexp(1.0, -exponent_);
    alignas(64) double x[batch], changes[batch];
    for (Index first = 0; first < number; first += batch) {
      for (Index s = 0; s < batch; ++s)
        x[s] = shifts[static_cast<std::size_t>((std::min)(first + s, number - 1))] * factor;
      count_batch(x, changes);
      for (Index s = 0; s < (std::min)(batch, number - first); ++s)
        counts[static_cast<std::size_t>(first + s)] =
            std::clamp(static_cast<Index>(changes[s]), Index{0}, size_);
    }
    return counts;
  }

 private:
  void count_batch(const double* shifts, double* changes) const {
    constexpr Index packets = batch / double_lanes, stretch = 8;
    const DoublePacket sign = broadcast(std::bit_cast<double>(std::uint64_t{1} << 63)), one = broadcast(1),
                       exponent = broadcast(std::numeric_limits<double>::infinity());
    DoublePacket x[packets], before[packets], now[packets],
        balance[packets];  // of signs kept against changed
#pragma GCC unroll 4
    for (Index s = 0; s < packets; ++s) {
      x[s] = load(shifts + s * double_lanes);
      before[s] = broadcast(0);
      now[s] = one;
      balance[s] = broadcast(0);
    }
    // `next` takes the place of the one before, so that two steps need no copies
    const auto step = [&](Index k, const DoublePacket(&last)[packets], DoublePacket(&next)[packets]) {
      const DoublePacket d = broadcast(diagonal_[k]), minus_square = broadcast(minus_squares_[k]);
#pragma GCC unroll 4
      for (Index s = 0; s < packets; ++s) {
        next[s] = multiply_add(subtract(d, x[s]), last[s], multiply(minus_square, next[s]));
        balance[s] = add(balance[s], either(both(differing(next[s], last[s]), sign), one));  // -1 or 1
      }
    };
    const Index pairs = size_ / 2 * 2;
    for (Index first = 0; first < pairs; first += stretch) {
      for (Index k = first; k < (std::min)(first + stretch, pairs); k += 2) {
        step(k, now, before);
        step(k + 1, before, now);
      }
#pragma GCC unroll 4
      for (Index s = 0; s < packets; ++s) {
        // the exponent's bits inverted: the power of two that brings the sum into [2, 4)
        const DoublePacket size = add(magnitude(before[s]), magnitude(now[s]));
        const DoublePacket factor = differing(both(size, exponent), exponent);
        before[s] = multiply(before[s], factor);
        now[s] = multiply(now[s], factor);
      }
    }
    if (pairs < size_) step(pairs, now, before);
    const DoublePacket n = broadcast(static_cast<double>(size_)), half = broadcast(0.5);
#pragma GCC unroll 4
    for (Index s = 0; s < packets; ++s)
      store(changes + s * double_lanes, multiply(half, subtract(n, balance[s])));
  }

  Index size_;
  int exponent_ = 0;
  Eigen::VectorXd diagonal_, minus_squares_;  // d_k and -e_{k-1}^2, 0 before the first
};

}  // namespace sagitta::detail
