#pragma once

#include <optional>
#include <sagitta/detail/bracket.hpp>
#include <sagitta/detail/sturm.hpp>

namespace sagitta::detail {

// What the rank is of: the moduli |lambda| of eigenvalues, or their square roots, which are the singular
// values behind a Gram matrix.
enum class Of { moduli, square_roots };

// What counting knows of the n values: between edges[i] and edges[i + 1] lie above[i] - above[i + 1] of them.
class CountedValues {
 public:
  CountedValues(const SturmSequence& sturm, Of of)
      : edges{0, of == Of::moduli ? sturm.bound() : std::sqrt(sturm.bound()) * (1 + epsilon)},
        above{sturm.size(), 0},
        sturm_(sturm),
        of_(of) {}

  // The j-th largest value lies between low[j] and high[j], for eigenvalues that are off by `error`. At most
  // an eigenvalue below zero is taken for a larger one, where it is below the error.
  void bounds(double error, Eigen::VectorXd& low, Eigen::VectorXd& high) const {
    for (std::size_t i = 0; i + 1 < edges.size(); ++i) {
      const double least = std::max(modulus(edges[i]) - error, 0.0), most = modulus(edges[i + 1]) + error;
      const double least_value = of_ == Of::moduli ? least : std::sqrt(least);
      const double most_value = of_ == Of::moduli ? most : std::sqrt(most);
      for (Index j = above[i + 1]; j < above[i]; ++j) {
        low[j] = least_value;
        high[j] = most_value;
      }
    }
  }

  // counts at some more edges, ascending
  void refine(const std::vector<double>& points) {
    // |lambda| > x where lambda is not below x, or below -x. Beyond the first edge that is known to have
    // nothing below -x (0 for a positive definite matrix) the second need not be counted again.
    std::vector<double> shifts;
    shifts.reserve(2 * points.size());
    for (const double x : points) shifts.push_back(modulus(x));
    for (const double x : points)
      if (x < nothing_below_minus_) shifts.push_back(-modulus(x));
    const std::vector<Index> counts = sturm_.count(shifts);
    const Index n = sturm_.size();
    std::vector<double> old_edges;
    std::vector<Index> old_above;
    edges.swap(old_edges);
    above.swap(old_above);
    std::size_t next = 0;
    const auto take_until = [&](double x) {
      for (; next < old_edges.size() && old_edges[next] <= x; ++next)
        append(old_edges[next], old_above[next]);
    };
    for (std::size_t i = 0; i < points.size(); ++i) {
      const std::size_t mirrored = points.size() + i;
      const Index below_minus = mirrored < shifts.size() ? counts[mirrored] : 0;
      if (below_minus == 0) nothing_below_minus_ = std::min(nothing_below_minus_, points[i]);
      take_until(points[i]);
      // rounding may let two counts at nearly the same place pass each other
      append(points[i], std::clamp(n - counts[i] + below_minus, old_above[next], above.back()));
    }
    take_until(old_edges.back());
  }

  std::vector<double> edges;  // from 0 up to a bound on the values
  std::vector<Index> above;   // how many values lie above each edge: from n down to 0

 private:
  double modulus(double value) const {
    return of_ == Of::moduli ? value : std::min(value * value, sturm_.bound());
  }

  // an edge between two intervals without values tells nothing
  void append(double edge, Index number) {
    const std::size_t size = above.size();
    if (size >= 2 && above[size - 1] == number && above[size - 2] == number) {
      edges.back() = edge;
      return;
    }
    edges.push_back(edge);
    above.push_back(number);
  }

  const SturmSequence& sturm_;
  Of of_;
  double nothing_below_minus_ = std::numeric_limits<double>::max();
};

// The rank that T, n x n with n > 0, gives, where counting certifies it; nothing where it is a close call.
// `input_error` is that of T's eigenvalues beyond value_error; 0 <= threshold < 1.
//
// Two sums decide, so that most eigenvalues need to be known but roughly: an interval with m of them that is
// h wide leaves m h of doubt in a sum, which weighs 1 - t above the cut and t below it. Rounds of new edges
// are spread so that the whole doubt shrinks fastest: an interval's share of them goes with the square root
// of its weighted doubt (the least sum of doubt_i / pieces_i for a number of pieces).
template <class = void>
std::optional<EffectiveRank> counted_rank(const Tridiagonal& T, double threshold, double input_error,
                                          Of of = Of::moduli) {
  const SturmSequence sturm(T);
  const Index n = T.diagonal.size();
  CountedValues values(sturm, of);
  const double bound = values.edges.back();
  Eigen::VectorXd low(n), high(n);
  std::vector<double> edges, share;
  for (int i = 32; i > 0; --i) edges.push_back(bound * std::pow(0.75, i));  // four decades: a first picture

  for (int round = 0; round < 64; ++round) {
    values.refine(edges);
    values.bounds(0, low, high);
    const double norm = of == Of::moduli ? high[0] : high[0] * high[0];
    values.bounds(value_error(n, norm) + sturm.error() + input_error, low, high);
    const RankBounds found = rank_bounds(low, high, threshold, sum_noise(n) * high.sum());
    if (found.lower == found.upper && found.upper > 0 && low[0] > 0)
      return EffectiveRank{.rank = found.upper, .lower = found.upper, .upper = found.upper, .max_rank = n};

    share.assign(values.edges.size() - 1, 0);
    double doubt = 0, total = 0, open = 0;
    for (std::size_t i = 0; i < share.size(); ++i) {
      const Index first = values.above[i + 1], last = values.above[i];
      const double width = values.edges[i + 1] - values.edges[i];
      if (first == last || width <= epsilon * bound) continue;
      const double weight = last < found.lower                        ? 1 - threshold
                            : found.upper > 0 && first >= found.upper ? threshold
                                                                      : std::max(threshold, 1 - threshold);
      doubt += static_cast<double>(last - first) * width;
      total += share[i] = std::sqrt(weight * static_cast<double>(last - first) * width);
      ++open;
    }
    // most of what is left is errors, which no refinement takes away
    if (doubt <= (high - low).sum() / 2) return std::nullopt;

    edges.clear();
    const double step = total / std::max(open, 64.0);
    double sum = 0;
    for (std::size_t i = 0; i < share.size(); ++i) {
      if (share[i] == 0) continue;
      // edges fall where the running sum of the shares passes a whole number and a half of steps
      for (auto k = static_cast<Index>(std::ceil(sum / step - 0.5));; ++k) {
        const double mark = (static_cast<double>(k) + 0.5) * step;
        if (!(mark < sum + share[i])) break;
        const double at = (mark - sum) / share[i];
        const double edge = values.edges[i] + at * (values.edges[i + 1] - values.edges[i]);
        if (edge > values.edges[i] && edge < values.edges[i + 1]) edges.push_back(edge);
      }
      sum += share[i];
    }
  }
  return std::nullopt;
}

}  // namespace sagitta::detail
