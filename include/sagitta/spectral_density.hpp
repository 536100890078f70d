#pragma once

#include <sagitta/detail/language.hpp>

#include <numeric>
#include <sagitta/effective_rank.hpp>
#include <sagitta/lanczos.hpp>

// The spectrum as a whole, estimated from products with vectors: stochastic Lanczos quadrature. m steps of
// Lanczos from a unit vector v give the Gauss rule of v's spectral measure: m nodes and weights with
//   sum_i w_i node_i^p = v^T A^p v,  p = 0 ... 2 m - 1,
// and the mean of that over random v is the distribution of the eigenvalues.
//
// One vector is a poor witness of the few outer eigenvalues, of which each has its own random weight; but
// those are the ones to which Lanczos converges. So converged nodes at both ends of the spectrum, each known
// to be one eigenvalue, get the weight 1/n that is theirs, and the random weights only tell the rest: a
// deflation of the outer spectrum that costs no product. Where few eigenvalues are distinct, Lanczos ends
// early; it is then restarted on what it has left, and counts repeated eigenvalues one by one.
namespace sagitta {

// A discrete distribution.
struct SpectralDensity {
  Eigen::VectorXd nodes;    // ascending
  Eigen::VectorXd weights;  // >= 0, they sum to 1
  Index products = 0;
};

struct DensityOptions {
  Index steps = 320;  // of Lanczos for each probe: n * steps doubles
  Index probes = 1;   // more steps help more
};

namespace detail {

// An unordered Gauss rule, weights that sum to 1.
struct Quadrature {
  Eigen::VectorXd nodes, weights;
};

// of a process's steps from `first` to before `last`
template <class = void>
Quadrature gauss_rule(const LanczosProcess& process, Index first, Index last) {
  const RitzValues ritz = ritz_values(process.diagonal.segment(first, last - first),
                                      process.off_diagonal.segment(first, last - first), 0);
  Quadrature rule{ritz.values, ritz.components.cwiseAbs2()};
  rule.weights /= rule.weights.sum();
  return rule;
}

// A rule as an estimate of the distribution of N eigenvalues, and how good an estimate.
struct EstimatedRule : Quadrature {
  double variance;  // of the mean modulus, for a random start
};

// 2 / N times the variance of |eigenvalue|: that of the mean modulus that a random unit vector gives
template <class Values, class Weights>
double variance_of_mean(const Values& values, const Weights& weights, double N) {
  const double total = weights.sum();
  if (!(total > 0)) return 0;
  const double mean = values.abs().matrix().dot(weights) / total;
  return (values.abs() - mean).square().matrix().dot(weights) / total * 2 / N;
}

// The Gauss rule of steps `first` to before `last` of a process, which began in a random direction on what
// the steps before have left. Where T is cut off, not decoupled, the outer eigenvalues' weights are put
// right. scale: what moduli are divided by in the variance.
template <class = void>
EstimatedRule block_rule(const LanczosProcess& process, Index first, Index last, double scale) {
  const Index m = last - first;
  const double N = static_cast<double>(process.basis.rows() - first);
  EstimatedRule rule{gauss_rule(process, first, last), 0};
  const Eigen::ArrayXd values = rule.nodes.array() / scale;
  rule.variance = variance_of_mean(values, rule.weights, N);
  if (process.off_diagonal[last - 1] == 0) return rule;
  // |A y - theta y| of a Ritz pair: |residual| times the last component of T's eigenvector
  const Eigen::VectorXd components =
      ritz_values(process.diagonal.segment(first, m), process.off_diagonal.segment(first, m), m - 1)
          .components;
  const Eigen::VectorXd residuals = process.off_diagonal[last - 1] * components.cwiseAbs();
  const double converged = 1e-6 * process.size;
  // A single eigenvalue's N w has the chi-square distribution of one degree of freedom: beyond 12 it is
  // rather an eigenvalue that repeats, whose weight is all there is to tell how often.
  const auto single = [&](Index i) { return residuals[i] <= converged && N * rule.weights[i] <= 12; };
  const std::vector<Index> order = extreme_indices(rule.nodes, Extreme::smallest, m);
  std::size_t low = 0, high = order.size();
  while (low < high && single(order[low])) ++low;
  while (high > low && single(order[high - 1])) --high;
  const auto at = [&](std::size_t i) { return order.begin() + static_cast<std::ptrdiff_t>(i); };
  std::vector<Index> outer(at(0), at(low));
  outer.insert(outer.end(), at(high), order.end());
  const std::vector<Index> inner(at(low), at(high));

  const auto count = static_cast<double>(outer.size());
  const double others = rule.weights(inner).sum();
  // more than that many distinct eigenvalues can account for: some repeat, and the plain rule stays
  if (count == 0 || N * (1 - others) > count + 4 * std::sqrt(2 * count) + 4 || !(others > 0)) return rule;
  rule.weights *= (1 - count / N) / others;
  for (const Index i : outer) rule.weights[i] = 1 / N;
  const double share = 1 - count / N;
  rule.variance =
      variance_of_mean(values(inner), Eigen::VectorXd(rule.weights(inner)), N - count) * share * share;
  return rule;
}

// The distribution of the eigenvalues after m steps of a process that was restarted wherever its space was
// invariant. Of the blocks of T each but the last holds eigenvalues of op, all of them exact; so a block's
// rule only has to tell about what the blocks before it have left. The mean over the blocks weights each by
// the inverse of its variance.
template <class = void>
Quadrature spectrum_rule(const LanczosProcess& process, Index m) {
  const auto n = static_cast<double>(process.basis.rows());
  const double scale = process.size > 0 ? process.size : 1;
  Quadrature all{Eigen::VectorXd::Zero(m), Eigen::VectorXd::Zero(m)};
  Index first = 0;
  for (Index last = 0; first < m; first = last) {
    last = first + 1;
    while (last < m && process.off_diagonal[last - 1] != 0) ++last;
    // one step that is cut off knows no variance
    if (first > 0 && last - first == 1 && process.off_diagonal[last - 1] != 0) break;
    const EstimatedRule rule = block_rule(process, first, last, scale);
    const double share = 1 - static_cast<double>(first) / n;
    const double precision = 1 / (std::max)(rule.variance * share * share, epsilon * epsilon);
    all.nodes.segment(first, last - first) = rule.nodes;
    all.weights.head(first).array() += precision / n;
    all.weights.segment(first, last - first) += precision * share * rule.weights;
  }
  all.nodes.conservativeResize(first);
  all.weights.conservativeResize(first);
  all.weights /= all.weights.sum();
  return all;
}

// As many steps of a process from random starts as `steps`, fewer where all of op is known before: where it
// turns out to be a multiple of the identity on what is left, which a random direction tells in one step.
template <SymmetricOperator Op, std::uniform_random_bit_generator Generator>
LanczosProcess random_process(const Op& op, Index steps, Generator& generator, const char* function) {
  LanczosProcess process(normal_vector(checked_size(op, function), generator), steps);
  for (Index block = 0;;) {
    process.extend(op, steps - process.steps, function);
    if (process.steps == steps || process.steps - block == 1) return process;
    block = process.steps;
    process.restart(generator);
  }
}

inline void check_steps(Index steps, Index least, const char* function) {
  if (steps < least) reject(function, "steps is ", steps, ", expected at least ", least);
}

template <class = void>
SpectralDensity sorted_density(const Quadrature& rule, Index products) {
  const std::vector<Index> order = extreme_indices(rule.nodes, Extreme::smallest, rule.nodes.size());
  return {rule.nodes(order), rule.weights(order), products};
}

// How many of n eigenvalues lead to a share `threshold` of the sum of moduli, a fraction of a node's weight
// counted as such; the modulus where that is; and the standard deviation of the share of the values above
// it, as far as the random start is to blame: of those nodes that stand for more than one eigenvalue.
struct Crossing {
  double rank = 0, modulus = 0, deviation = 0;
};

template <class = void>
Crossing crossing(const Quadrature& rule, double n, double threshold) {
  const std::vector<Index> order = extreme_indices(rule.nodes, Extreme::modulus, rule.nodes.size());
  if (order.empty()) return {};
  const double largest = std::abs(rule.nodes[order[0]]);
  if (largest == 0) return {};
  const double total = (rule.nodes / largest).cwiseAbs().dot(rule.weights);
  const double noise = 4 * n * epsilon;
  double sum = 0, rank = 0, modulus = largest, above = 0, below = 0;
  bool crossed = false;
  for (const Index i : order) {
    const double value = std::abs(rule.nodes[i]) / largest;
    if (value <= noise) break;
    const double part = value * rule.weights[i];
    if (n * rule.weights[i] > 1.5) (crossed ? below : above) += 2 * value * part / n;
    if (crossed) continue;
    modulus = std::abs(rule.nodes[i]);
    crossed = threshold < 1 && sum + part > threshold * total;
    rank += crossed ? (threshold * total - sum) / value : rule.weights[i];
    sum += part;
  }
  // of head / (head + tail), from the variances of the two sums
  const double deviation =
      std::sqrt(std::pow(1 - threshold, 2) * above + std::pow(threshold, 2) * below) / total;
  return {std::clamp(n * rank, 1.0, n), modulus, deviation};
}

}  // namespace detail

// The Gauss rule of one vector's spectral measure, exact for the moments above.
//   op: n x n;  probe: n, not zero, of any length;  steps: at least 1
// As many products as steps, fewer where the space becomes invariant. Errors are those of lanczos.
template <SymmetricOperator Op, class Derived>
SpectralDensity spectral_density(const Op& op, const Eigen::MatrixBase<Derived>& probe, Index steps) {
  const Lanczos run = lanczos(op, probe, steps);
  if (run.steps() == 0) return {};
  const detail::RitzValues ritz = detail::ritz_values(run.diagonal, run.off_diagonal, 0);
  detail::Quadrature rule{ritz.values, ritz.components.cwiseAbs2()};
  rule.weights /= rule.weights.sum();
  return detail::sorted_density(rule, run.steps());
}

// The distribution of the eigenvalues, by random probes.
//   op: n x n
// Exact, from n products with unit vectors, where n <= steps. Empty for n = 0. Throws std::invalid_argument
// for an op that is not square, steps below 2, no probes, and where a product is not finite. At most steps *
// probes products and 8 n steps^2 operations a probe.
template <SymmetricOperator Op, std::uniform_random_bit_generator Generator>
SpectralDensity spectral_density(const Op& op, Generator& generator, DensityOptions options = {}) {
  constexpr const char* name = "spectral_density";
  const Index n = detail::checked_size(op, name);
  detail::check_steps(options.steps, 2, name);
  if (options.probes < 1) detail::reject(name, "probes is ", options.probes, ", expected at least 1");
  if (n <= options.steps) {
    const Eigen::VectorXd values = symmetric_eigenvalues(detail::dense_matrix(op, name)).reverse();
    return {values, Eigen::VectorXd::Constant(n, 1 / static_cast<double>(n)), n};
  }
  detail::Quadrature all;
  Index products = 0;
  for (Index probe = 0; probe < options.probes; ++probe) {
    const detail::LanczosProcess process = detail::random_process(op, options.steps, generator, name);
    const detail::Quadrature rule = detail::spectrum_rule(process, process.steps);
    const Index before = all.nodes.size(), count = rule.nodes.size();
    all.nodes.conservativeResize(before + count);
    all.weights.conservativeResize(before + count);
    all.nodes.tail(count) = rule.nodes;
    all.weights.tail(count) = rule.weights / static_cast<double>(options.probes);
    products += process.steps;
  }
  return detail::sorted_density(all, products);
}

// A density on a grid of equal steps, for plots.
struct DensityCurve {
  Eigen::VectorXd x, y;
};

// A distribution smoothed by a Gaussian.
//   points: of the grid, at least 2;  width: standard deviation of the Gaussian, > 0, in the units of the
//   nodes
// Each y is a mean of the smoothed density about its x, weighted by the hat that falls to zero at the
// neighbours, and the tails beyond the grid (6 widths past the outer nodes) count to its ends. So sum y dx =
// 1 and sum x y dx is the mean of the nodes whatever the width, and the variance is larger than that of the
// nodes by width^2 and at most dx^2 / 4 (dx^2 / 6 where the width exceeds dx). Throws std::invalid_argument
// for other points or width. O(points * nodes).
template <class = void>
DensityCurve density_curve(const SpectralDensity& density, double width, Index points = 512) {
  if (!detail::is_finite(width) || width <= 0)
    detail::reject("density_curve", "width is ", width, ", expected a finite number > 0");
  if (points < 2) detail::reject("density_curve", "points is ", points, ", expected at least 2");
  DensityCurve curve{Eigen::VectorXd::Zero(points), Eigen::VectorXd::Zero(points)};
  if (density.nodes.size() == 0) return curve;
  const double low = density.nodes.minCoeff() - 6 * width, high = density.nodes.maxCoeff() + 6 * width;
  curve.x = Eigen::VectorXd::LinSpaced(points, low, high);
  const double step = (high - low) / static_cast<double>(points - 1);
  // the integral of the normal distribution function
  const auto integral = [](double z) {
    return z * std::erfc(-z * std::numbers::sqrt2 / 2) / 2 +
           std::exp(-z * z / 2) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
  };
  for (Index k = 0; k < density.nodes.size(); ++k) {
    double before = 0;  // the mean of the distribution function over the interval before x
    double left = integral((low - density.nodes[k]) / width);
    for (Index i = 0; i < points; ++i) {
      double after = 1;
      if (i + 1 < points) {
        const double right = integral((curve.x[i + 1] - density.nodes[k]) / width);
        after = std::clamp((right - left) * width / step, before, 1.0);
        left = right;
      }
      curve.y[i] += density.weights[k] * (after - before) / step;
      before = after;
    }
  }
  return curve;
}

struct EstimatedRank {
  double rank = 0;     // a fraction where the threshold is crossed within a node; 0 for the zero operator
  double drift = 0;    // |difference| to the estimate after half the steps of the same run; 0 where exact
  Index products = 0;  // with op
};

// An estimate of the effective rank of |op|, of a Hessian for example. There is no certificate, but the drift
// says how far the estimate still moves; what the one random probe contributes it does not see. 320 steps on
// Hessians of networks of 1,306 to 3,626 parameters after 0, 1 and 5 tasks were off by 1 % in the median and
// at most 5.4 % (162 estimates, benchmarks/accuracy.cpp). With 160 steps, 18 estimates for 3,626 parameters
// were off by up to 30 %.
//   op: n x n, indefinite or not;  threshold: from 0 to 1, 1 counts values above rounding;  steps: >= 2
// Exact, from n products with unit vectors, where n <= steps. As many products as steps at most, n * steps
// doubles, 8 n steps^2 operations. Throws std::invalid_argument for an op that is not square, a threshold
// outside [0, 1], steps below 2, and where a product is not finite.
template <SymmetricOperator Op, std::uniform_random_bit_generator Generator>
EstimatedRank estimated_effective_rank(const Op& op, double threshold, Generator& generator,
                                       Index steps = 320) {
  constexpr const char* name = "estimated_effective_rank";
  const Index n = detail::checked_size(op, name);
  detail::check_threshold(threshold, name);
  detail::check_steps(steps, 2, name);
  if (n <= steps) {
    const EffectiveRank exact = symmetric_effective_rank(detail::dense_matrix(op, name), threshold);
    return {static_cast<double>(exact.rank), 0, n};
  }
  const detail::LanczosProcess process = detail::random_process(op, steps, generator, name);
  const auto rank = [&](Index m) {
    return detail::crossing(detail::spectrum_rule(process, m), static_cast<double>(n), threshold).rank;
  };
  const double estimate = rank(process.steps);
  return {estimate, std::abs(estimate - rank(std::max<Index>(1, process.steps / 2))), process.steps};
}

}  // namespace sagitta
