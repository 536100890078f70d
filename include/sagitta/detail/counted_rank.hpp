#pragma once

#include <array>
#include <optional>
#include <sagitta/detail/bracket.hpp>
#include <sagitta/detail/sturm.hpp>

namespace sagitta::detail {

// What the rank is of: the moduli |lambda| of eigenvalues, or their square roots, which are the singular
// values behind a Gram matrix.
enum class Of { moduli, square_roots };

// What counting knows of n eigenvalues: the intervals that hold them.
class CountedValues {
 public:
  // `count` of them lie between two edges, which have no other sign than they; `below` the lower edge. For
  // square roots the edges are square roots too, with the sign of the eigenvalue.
  struct Interval {
    double from, to;
    Index below, count;

    double width() const { return to - from; }
    bool is_negative() const { return from < 0; }
  };

  CountedValues(const SturmSequence& sturm, Of of) : sturm_(sturm), of_(of) {
    const double bound = of == Of::moduli ? sturm.bound() : std::sqrt(sturm.bound()) * (1 + epsilon);
    const double noise = value_error(sturm.size(), sturm.bound());
    // a first picture: four decades to either side, and what is a rounded zero
    std::vector<double> sizes{of == Of::moduli ? noise : std::sqrt(noise)};
    for (int i = 30; i > 0; --i) sizes.push_back(bound * std::pow(0.75, i));
    std::sort(sizes.begin(), sizes.end());
    std::vector<double> edges{0};
    for (const double size : sizes) {
      edges.push_back(size);
      edges.push_back(-size);
    }
    std::sort(edges.begin(), edges.end());
    intervals = {{-bound, bound, 0, sturm.size()}};
    divide(edges, {edges.size()});
  }

  // the least and the greatest that a modulus within the interval can be, for eigenvalues off by `error`
  std::array<double, 2> moduli(const Interval& interval, double error) const {
    const double inner = interval.is_negative() ? interval.to : interval.from,
                 outer = interval.is_negative() ? interval.from : interval.to;
    const double least = (std::max)(std::abs(eigenvalue(inner)) - error, 0.0),
                 greatest = std::abs(eigenvalue(outer)) + error;
    if (of_ == Of::moduli) return {least, greatest};
    return {std::sqrt(least), std::sqrt(greatest)};
  }

  // no modulus is above this
  double greatest() const {
    return (std::max)(moduli(intervals.front(), 0)[1], moduli(intervals.back(), 0)[1]);
  }

  // The j-th largest modulus lies between low[j] and high[j].
  void bounds(double error, Eigen::VectorXd& low, Eigen::VectorXd& high) const {
    // Moduli descend from either end towards zero; the two sides are merged, for each bound by itself, and
    // without a branch on what comes next, which nobody can predict.
    const Index n = low.size();
    Eigen::VectorXd negative(n + 1), positive(n + 1);
    for (std::size_t end = 0; end < 2; ++end) {
      for (const Interval& interval : intervals) {
        const double modulus = moduli(interval, error)[end];
        double* side = interval.is_negative() ? &negative[interval.below]
                                              : &positive[n - interval.below - interval.count];
        for (Index k = 0; k < interval.count; ++k) side[k] = modulus;
      }
      const Index negatives = this->negatives();
      negative[negatives] = positive[n - negatives] = -1;
      Eigen::VectorXd& merged = end == 0 ? low : high;
      Index first = 0, last = 0;
      for (Index j = 0; j < n; ++j) {
        const double a = negative[first], b = positive[last];
        merged[j] = (std::max)(a, b);
        first += a >= b;
        last += a < b;
      }
    }
  }

  // of the moduli of the values below zero
  SumBounds negative_sum() const {
    SumBounds sum{0, 0};
    for (const Interval& interval : intervals) {
      if (!interval.is_negative()) break;
      const auto [least, greatest] = moduli(interval, 0);
      sum.low += static_cast<double>(interval.count) * least;
      sum.high += static_cast<double>(interval.count) * greatest;
    }
    return sum;
  }

  // Counts at more edges, ascending, of which interval i holds number[i].
  void divide(const std::vector<double>& edges, const std::vector<std::size_t>& number) {
    std::vector<double> shifts;
    shifts.reserve(edges.size());
    for (const double edge : edges) shifts.push_back(eigenvalue(edge));
    const std::vector<Index> counts = sturm_.count(shifts);
    std::vector<Interval> parts(intervals.size() + edges.size());
    std::size_t size = 0, next = 0;
    const auto add = [&](double from, double to, Index below, Index above) {
      parts[size] = {from, to, below, above - below};
      size += above > below;  // an empty one is written over
    };
    for (std::size_t i = 0; i < intervals.size(); ++i) {
      double from = intervals[i].from;
      Index below = intervals[i].below;
      const Index end = below + intervals[i].count;
      for (const std::size_t last = next + number[i]; next < last; ++next) {
        // rounding may let two counts at nearly the same place pass each other
        const Index above = std::clamp(counts[next], below, end);
        add(from, edges[next], below, above);
        from = edges[next];
        below = above;
      }
      add(from, intervals[i].to, below, end);
    }
    parts.resize(size);
    intervals.swap(parts);
  }

  std::vector<Interval> intervals;  // those that hold values, ascending

 private:
  double eigenvalue(double value) const {
    return of_ == Of::moduli ? value : std::copysign((std::min)(value * value, sturm_.bound()), value);
  }

  Index negatives() const {
    Index number = 0;
    for (const Interval& interval : intervals) number += interval.is_negative() ? interval.count : 0;
    return number;
  }

  const SturmSequence& sturm_;
  Of of_;
};

// The rank that T, n x n with n > 0, gives, where counting certifies it; nothing where it is a close call.
// `input_error` is that of T's eigenvalues beyond value_error; 0 <= threshold < 1.
//
// Two sums decide, so that most eigenvalues need to be known but roughly: an interval with m of them that is
// h wide leaves m h of doubt in a sum, which weighs 1 - t above the cut and t below it. The sum of all moduli
// is also known from the trace, tr T = sum of lambda_i, but for twice the sum of those below zero: where that
// leaves less doubt, as for a semidefinite T, the sum above the cut need not be known, and the one below
// weighs 1. Rounds of new edges are spread so that the whole doubt shrinks fastest: an interval's share of
// them goes with the square root of its weighted doubt (the least sum of doubt_i / pieces_i for a number of
// pieces).
template <class = void>
std::optional<EffectiveRank> counted_rank(const Tridiagonal& T, double threshold, double input_error,
                                          Of of = Of::moduli) {
  const SturmSequence sturm(T);
  const Index n = T.diagonal.size();
  const double trace = T.diagonal.sum(), trace_noise = sum_noise(n) * T.diagonal.cwiseAbs().sum();
  CountedValues values(sturm, of);
  Eigen::VectorXd low(n), high(n);
  std::vector<double> edges, share;
  std::vector<std::size_t> number;

  for (int round = 0; round < 64; ++round) {
    const double most = values.greatest(), norm = of == Of::moduli ? most : most * most;
    const double error = value_error(n, norm) + sturm.error() + input_error;
    values.bounds(error, low, high);
    SumBounds sum{low.sum(), high.sum()};
    const double noise = sum_noise(n) * sum.high;
    bool by_trace = false;
    if (of == Of::moduli) {
      const SumBounds negative = values.negative_sum();
      by_trace = 4 * (negative.high - negative.low) < sum.high - sum.low;
      // every modulus is off by the error, and those below zero are counted with that of a count, twice
      const double slack = trace_noise + static_cast<double>(n) * (error + sturm.error());
      sum.low = (std::max)(sum.low, trace + 2 * negative.low - slack);
      sum.high = (std::min)(sum.high, trace + 2 * negative.high + slack);
    }
    const RankBounds found = rank_bounds(low, high, threshold, noise, sum);
    if (found.lower == found.upper && found.upper > 0 && low[0] > 0)
      return EffectiveRank{.rank = found.upper, .lower = found.upper, .upper = found.upper, .max_rank = n};

    const double head = by_trace ? 0 : 1 - threshold, tail = by_trace ? 1 : threshold,
                 negative = by_trace ? 2 * (1 - threshold) : 0;
    const double above_cut = found.lower > 0 ? high[found.lower - 1] : high[0],
                 below_cut = found.upper > 0 ? low[found.upper - 1] : 0;
    share.clear();
    double doubt = 0, spread = 0, total = 0;
    Index open = 0;
    for (const CountedValues::Interval& interval : values.intervals) {
      const auto [least, greatest] = values.moduli(interval, error);
      const double weight = (least >= above_cut      ? head
                             : greatest <= below_cut ? tail
                                                     : (std::max)(head, tail)) +
                            (interval.is_negative() ? negative : 0);
      const auto count = static_cast<double>(interval.count);
      const double width = interval.width() > epsilon * most && weight > 0 ? interval.width() : 0;
      doubt += count * width;
      spread += weight > 0 ? count * (greatest - least) : 0;
      share.push_back(std::sqrt(weight * count * width));
      total += share.back();
      open += width > 0;
    }
    // most of what is left is errors, which no division takes away
    if (doubt <= spread / 2) return std::nullopt;

    edges.clear();
    number.clear();
    constexpr Index batch = SturmSequence::batch;  // rounds have a cost of their own: not too few edges
    const Index pieces = (std::max<Index>(2 * open, 128) + batch - 1) / batch * batch;
    const double step = total / static_cast<double>(pieces);
    // edges fall where the running sum of the shares passes a whole number and a half of steps
    const auto mark = [step](Index i) { return (static_cast<double>(i) + 0.5) * step; };
    double before = 0;
    Index passed = 0;
    for (std::size_t i = 0; i < share.size(); ++i) {
      const CountedValues::Interval& interval = values.intervals[i];
      const std::size_t so_far = edges.size();
      const double after = before + share[i];
      for (; mark(passed) < after; ++passed) {
        const double edge = interval.from + (mark(passed) - before) / share[i] * interval.width();
        if (edge > interval.from && edge < interval.to) edges.push_back(edge);
      }
      number.push_back(edges.size() - so_far);
      before = after;
    }
    values.divide(edges, number);
  }
  return std::nullopt;
}

}  // namespace sagitta::detail
