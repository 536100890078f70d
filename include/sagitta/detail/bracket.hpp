#pragma once

#include <sagitta/detail/tridiagonal.hpp>

namespace sagitta {

// How many directions hold more than a share `threshold` of a spectrum (the paper, section 4):
//   erank = min { j : (sigma_1 + ... + sigma_j) / (sigma_1 + ... + sigma_n) > threshold }, sigma descending.
// The comparison is strict, and an exact tie does not exceed: the identity of size 100 has rank 100 at 0.99.
struct EffectiveRank {
  Index rank = 0;      // smallest j whose leading sum exceeds threshold * total; 0 for a zero or empty matrix
  Index lower = 0;     // rounding (and a stated input error) cannot exclude a true rank
  Index upper = 0;     //   from lower to upper
  Index max_rank = 0;  // the largest rank that the matrix allows

  bool certified() const { return lower == upper; }
  // rank / max_rank, the paper's "effective rank divided by the maximum rank"; 0 where max_rank is 0
  double relative() const {
    return max_rank == 0 ? 0 : static_cast<double>(rank) / static_cast<double>(max_rank);
  }
};

namespace detail {

// The rank of exact values that lie within errors[i] of values[i] (descending, >= 0, scaled).
//
// With S_j the sum of the j largest values and R_j the sum of the others, j is accepted when the margin
// (1 - t) S_j - t R_j is above tau = 4 n eps S, which bounds the rounding of the sums and of the literal t:
// an exact tie is never above it. The bracket repeats the comparison with the margin's largest and smallest
// value that the errors allow.
//
// Threshold 1, where no sum exceeds the total, counts the values above rounding instead; threshold 0 gives 1.
inline EffectiveRank bracketed_rank(const Eigen::VectorXd& values, const Eigen::VectorXd& errors,
                                    double threshold, Index max_rank) {
  const Index n = values.size();
  EffectiveRank result{.max_rank = max_rank};
  const double total = values.sum();
  const double noise = 4 * static_cast<double>(n) * epsilon;  // relative to the total
  const bool may_be_zero = n == 0 || values[0] <= errors[0];

  const auto above_rounding = [&](Index i) { return values[i] > std::max(errors[i], noise * values[0]); };

  if (threshold == 1) {
    for (Index i = 0; i < n; ++i) {
      result.rank += above_rounding(i);
      result.upper += values[i] + errors[i] > 0;
    }
    result.lower = result.rank;
    return result;
  }
  if (total > 0) {
    // sums from the small end, so that a long tail of small values is not rounded away
    double tail = 0, tail_low = 0, tail_high = 0;
    Eigen::VectorXd margin(n), margin_low(n), margin_high(n);
    for (Index j = n - 1; j >= 0; --j) {
      margin[j] = -threshold * tail;
      margin_low[j] = -threshold * tail_high;
      margin_high[j] = -threshold * tail_low;
      tail += values[j];
      tail_high += values[j] + errors[j];
      tail_low += std::max(values[j] - errors[j], 0.0);
    }
    double head = 0, head_low = 0, head_high = 0;
    for (Index j = 0; j < n; ++j) {
      head += values[j];
      head_high += values[j] + errors[j];
      head_low += std::max(values[j] - errors[j], 0.0);
      const double tau = noise * total;
      if (result.rank == 0 && margin[j] + (1 - threshold) * head > tau) result.rank = j + 1;
      if (result.lower == 0 && margin_high[j] + (1 - threshold) * head_high > -tau) result.lower = j + 1;
      if (result.upper == 0 && margin_low[j] + (1 - threshold) * head_low > tau) result.upper = j + 1;
    }
    if (result.rank == 0) {  // next to threshold 1 every margin can drown in tau: counted as at 1
      while (result.rank < n && above_rounding(result.rank)) ++result.rank;
      result.lower = std::min(result.lower, result.rank);
    }
  }
  if (result.upper == 0 && n > 0 && values[0] + errors[0] > 0) result.upper = n;
  if (may_be_zero) result.lower = 0;
  return result;
}

inline EffectiveRank bracketed_rank(const Eigen::VectorXd& values, double error, double threshold,
                                    Index max_rank) {
  return bracketed_rank(values, Eigen::VectorXd::Constant(values.size(), error), threshold, max_rank);
}

}  // namespace detail
}  // namespace sagitta
