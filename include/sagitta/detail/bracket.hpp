#pragma once

#include <sagitta/detail/tridiagonal.hpp>

namespace sagitta::detail {

struct RankBounds {
  Index lower = 0, upper = 0;
};

struct SumBounds {
  double low = 0, high = (std::numeric_limits<double>::max)();  // finite: -ffast-math knows no infinity
};

// The smallest and the largest rank that values have of which low[i] <= value_i <= high[i] is known
// (both descending, >= 0, scaled), at a threshold below 1; 0 where no j is certain to be reached.
//   sum: what else is known of the sum S of all values
//
// With S_j the sum of the j largest values and R_j the sum of the others, j exceeds the threshold when the
// margin (1 - t) S_j - t R_j = (1 - t) S - R_j is above 0. tau = 4 n eps S bounds the rounding of the sums
// and of the literal t: the lower rank is the first whose largest possible margin is above -tau, the upper
// one the first whose smallest is above tau. An exact tie never is.

template <class = void>
RankBounds rank_bounds(const Eigen::VectorXd& low, const Eigen::VectorXd& high, double threshold, double tau,
                       const SumBounds& sum = {}) {
  const Index n = low.size();
  // sums of the tail from the small end, so that a long tail of small values is not rounded away
  Eigen::VectorXd rest_low(n), rest_high(n);
  double tail_low = 0, tail_high = 0;
  for (Index j = n - 1; j >= 0; --j) {
    rest_high[j] = tail_high;
    rest_low[j] = tail_low;
    tail_high += high[j];
    tail_low += low[j];
  }
  RankBounds bounds;
  double head_low = 0, head_high = 0;
  for (Index j = 0; j < n && bounds.upper == 0; ++j) {
    head_low += low[j];
    head_high += high[j];
    const double most = (std::min)((1 - threshold) * head_high - threshold * rest_low[j],
                                   (1 - threshold) * sum.high - rest_low[j]),
                 least = (std::max)((1 - threshold) * head_low - threshold * rest_high[j],
                                    (1 - threshold) * sum.low - rest_high[j]);
    if (bounds.lower == 0 && most > -tau) bounds.lower = j + 1;
    if (least > tau) bounds.upper = j + 1;
  }
  return bounds;
}

// the rounding of sums of n values, relative to their total
inline double sum_noise(Index n) { return 4 * static_cast<double>(n) * epsilon; }

// The rank of exact values that lie within errors[i] of values[i] (descending, >= 0, scaled), with its
// bracket. Threshold 1, where no sum exceeds the total, counts the values above rounding instead; threshold 0
// gives 1.
template <class = void>
EffectiveRank bracketed_rank(const Eigen::VectorXd& values, const Eigen::VectorXd& errors, double threshold,
                             Index max_rank) {
  const Index n = values.size();
  EffectiveRank result{.max_rank = max_rank};
  const double total = values.sum();
  const bool may_be_zero = n == 0 || values[0] <= errors[0];
  const auto above_rounding = [&](Index i) {
    return values[i] > (std::max)(errors[i], sum_noise(n) * values[0]);
  };

  if (threshold == 1) {
    for (Index i = 0; i < n; ++i) {
      result.rank += above_rounding(i);
      result.upper += values[i] + errors[i] > 0;
    }
    result.lower = result.rank;
    return result;
  }
  if (total > 0) {
    const double tau = sum_noise(n) * total;
    result.rank = rank_bounds(values, values, threshold, tau).upper;
    const RankBounds bounds = rank_bounds((values - errors).cwiseMax(0), values + errors, threshold, tau);
    result.lower = bounds.lower;
    result.upper = bounds.upper;
    if (result.rank == 0) {  // next to threshold 1 every margin can drown in tau: counted as at 1
      while (result.rank < n && above_rounding(result.rank)) ++result.rank;
      result.lower = (std::min)(result.lower, result.rank);
    }
  }
  if (result.upper == 0 && n > 0 && values[0] + errors[0] > 0) result.upper = n;
  if (may_be_zero) result.lower = 0;
  return result;
}

template <class = void>
EffectiveRank bracketed_rank(const Eigen::VectorXd& values, double error, double threshold, Index max_rank) {
  return bracketed_rank(values, Eigen::VectorXd::Constant(values.size(), error), threshold, max_rank);
}

}  // namespace sagitta::detail
