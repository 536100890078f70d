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

// An unordered Gauss rule, weights that sum to 1, as an estimate of the distribution of eigenvalues.
struct Quadrature {
  Eigen::VectorXd nodes, weights;
  Eigen::VectorXd
      variances;  // of the weights, for a random start; 0 where a node is known to be one eigenvalue
};

// of a process's steps from `first` to before `last`
template <class = void>
Quadrature gauss_rule(const LanczosProcess& process, Index first, Index last) {
  const RitzValues ritz = ritz_values(process.diagonal.segment(first, last - first),
                                      process.off_diagonal.segment(first, last - first), 0);
  Quadrature rule{ritz.values, ritz.components.cwiseAbs2(), {}};
  rule.weights /= rule.weights.sum();
  rule.variances = rule.weights * (2 / static_cast<double>(process.basis.rows() - first));
  return rule;
}

// sum of coefficient_i times the error of weight_i: its variance, for a random start. The errors add up to 0.
template <class Coefficients>
double variance_of_sum(const Quadrature& rule, const Coefficients& coefficients) {
  const auto random = (rule.variances.array() > 0).template cast<double>();
  const double weight = rule.weights.dot(random.matrix());
  if (!(weight > 0)) return 0;
  const double mean = (coefficients * random * rule.weights.array()).sum() / weight;
  return ((coefficients - mean).square() * rule.variances.array()).sum();
}

// The nodes of a rule of steps `first` to before `last`, where T is cut off, that are single eigenvalues:
// those at both ends of the spectrum that have converged. Each relative to itself: where a bulk lies far
// below, what is nothing beside the largest eigenvalue is no convergence yet.
template <class = void>
std::vector<Index> single_eigenvalues(const LanczosProcess& process, const Quadrature& rule, Index first,
                                      Index last) {
  const Index m = last - first;
  const auto N = static_cast<double>(process.basis.rows() - first);
  // |A y - theta y| of a Ritz pair: |residual| times the last component of T's eigenvector
  const Eigen::VectorXd components =
      ritz_values(process.diagonal.segment(first, m), process.off_diagonal.segment(first, m), m - 1)
          .components;
  const auto converged = [&](Index i) {
    const double value = std::abs(rule.nodes[i]);
    return process.off_diagonal[last - 1] * std::abs(components[i]) <= 1e-6 * value &&
           value > 4 * process.error * process.size;
  };
  const std::vector<Index> order = extreme_indices(rule.nodes, Extreme::smallest, m);
  auto low = order.begin(), high = order.end();
  while (low != high && converged(*low)) ++low;
  while (high != low && converged(*(high - 1))) --high;
  // A single eigenvalue's N w has the chi-square distribution of one degree of freedom: beyond 12 it is
  // rather an eigenvalue that repeats, whose weight is all there is to tell how often.
  std::vector<Index> single;
  for (auto i = order.begin(); i != order.end(); ++i)
    if ((i < low || i >= high) && N * rule.weights[*i] <= 12) single.push_back(*i);
  return single;
}

// The Gauss rule of steps `first` to before `last` of a process, which began in a random direction on what
// the steps before have left. Where T is cut off, not decoupled, the weights of single eigenvalues are put
// right.
template <class = void>
Quadrature block_rule(const LanczosProcess& process, Index first, Index last) {
  Quadrature rule = gauss_rule(process, first, last);
  if (process.off_diagonal[last - 1] == 0) return rule;
  const auto N = static_cast<double>(process.basis.rows() - first);
  const std::vector<Index> single = single_eigenvalues(process, rule, first, last);
  const auto count = static_cast<double>(single.size());
  double taken = 0;
  for (const Index i : single) taken += rule.weights[i];
  const double others = 1 - taken;
  // more than that many distinct eigenvalues can account for: some repeat, and the plain rule stays
  if (N * taken > count + 4 * std::sqrt(2 * count) + 4 || !(others > 0)) return rule;
  rule.weights *= (1 - count / N) / others;
  rule.variances *= (1 - count / N) / others;
  for (const Index i : single) {
    rule.weights[i] = 1 / N;
    rule.variances[i] = 0;
  }
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
  Quadrature all{Eigen::VectorXd::Zero(m), Eigen::VectorXd::Zero(m), Eigen::VectorXd::Zero(m)};
  Index first = 0;
  for (Index last = 0; first < m; first = last) {
    last = first + 1;
    while (last < m && process.off_diagonal[last - 1] != 0) ++last;
    // one step that is cut off knows no variance
    if (first > 0 && last - first == 1 && process.off_diagonal[last - 1] != 0) break;
    const Quadrature rule = block_rule(process, first, last);
    const double share = 1 - static_cast<double>(first) / n;
    const double variance = variance_of_sum(rule, (rule.nodes / scale).cwiseAbs().array());
    const double precision = 1 / (std::max)(variance * share * share, epsilon * epsilon);
    all.nodes.segment(first, last - first) = rule.nodes;
    all.weights.head(first).array() += precision / n;
    all.weights.segment(first, last - first) += precision * share * rule.weights;
    all.variances.segment(first, last - first) += std::pow(precision * share, 2) * rule.variances;
  }
  const double total = all.weights.sum();
  return {all.nodes.head(first), all.weights.head(first) / total,
          all.variances.head(first) / (total * total)};
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

// The moduli of all eigenvalues, descending, where such a process came to know them: those of its blocks, and
// that of its last step as often as the rest of the space has dimensions. Empty where it did not.
template <class = void>
Eigen::VectorXd known_moduli(const LanczosProcess& process) {
  const Index n = process.basis.rows(), known = process.steps - 1;
  if (process.off_diagonal[known] != 0 || (known > 0 && process.off_diagonal[known - 1] != 0)) return {};
  Eigen::VectorXd moduli(n);
  moduli.head(known) = ritz_values(process.diagonal.head(known), process.off_diagonal, 0).values.cwiseAbs();
  moduli.tail(n - known).setConstant(std::abs(process.diagonal[known]));
  std::sort(moduli.begin(), moduli.end(), std::greater<>());
  return moduli;
}

inline void check_steps(Index steps, Index least, const char* function) {
  if (steps < least) reject(function, "steps is ", steps, ", expected at least ", least);
}

template <class = void>
SpectralDensity sorted_density(const Quadrature& rule, Index products) {
  const std::vector<Index> order = extreme_indices(rule.nodes, Extreme::smallest, rule.nodes.size());
  return {rule.nodes(order), rule.weights(order), products};
}

// How many of n eigenvalues lead to a share `threshold` of the sum of moduli, a fraction counted as such of a
// node that stands for several; the modulus where that is; and the standard deviations that the random start
// gives, as long as little changes, the share of the values above it and the rank.
struct Crossing {
  double rank = 0, modulus = 0, share_deviation = 0, rank_deviation = 0;
};

template <class = void>
Crossing crossing(const Quadrature& rule, double n, double threshold) {
  const std::vector<Index> order = extreme_indices(rule.nodes, Extreme::modulus, rule.nodes.size());
  if (order.empty()) return {};
  const double largest = std::abs(rule.nodes[order[0]]);
  if (largest == 0) return {};
  const Eigen::ArrayXd values = (rule.nodes / largest).cwiseAbs();
  const double total = values.matrix().dot(rule.weights);
  const double noise = 4 * n * epsilon;
  double sum = 0, rank = 0, modulus = largest;
  Eigen::ArrayXd above = Eigen::ArrayXd::Zero(values.size());  // how much of a node is
  for (const Index i : order) {
    if (values[i] <= noise) break;
    const double part = values[i] * rule.weights[i];
    modulus = std::abs(rule.nodes[i]);
    const bool crossed = threshold < 1 && sum + part > threshold * total;
    above[i] = crossed && n * rule.weights[i] > 1.5 ? (threshold * total - sum) / part : 1;
    rank += above[i] * rule.weights[i];
    sum += part;
    if (crossed) break;
  }
  // The share is sum(above value weight) / total; the rank, n sum(above weight), moves by 1 / modulus for
  // what the sum above lacks of the threshold.
  const double cut = modulus / largest;
  rank *= n;  // the weights of single eigenvalues are 1 / n but for rounding
  if (std::abs(rank - std::round(rank)) < 1e-6) rank = std::round(rank);
  return {std::clamp(rank, 1.0, n), modulus,
          std::sqrt(variance_of_sum(rule, values * (above - threshold))) / total,
          n * std::sqrt(variance_of_sum(rule, above + (threshold - above) * values / cut))};
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
  detail::Quadrature rule{ritz.values, ritz.components.cwiseAbs2(), {}};
  rule.weights /= rule.weights.sum();
  return detail::sorted_density(rule, run.steps());
}

// The distribution of the eigenvalues, by random probes.
//   op: n x n
// Exact, from n products with unit vectors, where n <= steps. Empty for n = 0. Throws std::invalid_argument
// for an op that is not square, steps below 2, no probes, and where a product is not finite. At most steps *
// probes products and 8 n steps^2 operations a probe.
template <SymmetricOperator Op, detail::RandomGenerator Generator>
SpectralDensity spectral_density(const Op& op, Generator&& generator, DensityOptions options = {}) {
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
// for other points or width, and where the width or the grid's steps drown in the rounding of the nodes, the
// nodes in that of the grid, or one leaves the range of double. O(points * nodes).
template <class = void>
DensityCurve density_curve(const SpectralDensity& density, double width, Index points = 512) {
  if (!detail::is_finite(width) || width <= 0)
    detail::reject("density_curve", "width is ", width, ", expected a finite number > 0");
  if (points < 2) detail::reject("density_curve", "points is ", points, ", expected at least 2");
  DensityCurve curve{Eigen::VectorXd::Zero(points), Eigen::VectorXd::Zero(points)};
  if (density.nodes.size() == 0) return curve;
  const double low = density.nodes.minCoeff() - 6 * width, high = density.nodes.maxCoeff() + 6 * width;
  const double step = (high - low) / static_cast<double>(points - 1);
  const double furthest = density.nodes.cwiseAbs().maxCoeff();
  const double least = 4 * epsilon * (std::max)(std::abs(low), std::abs(high));  // that x and nodes can tell
  if (!detail::is_finite((high - low) / width) || !detail::is_finite(1 / step) || step <= least ||
      width <= least || (furthest > 0 && width * epsilon > furthest))
    detail::reject("density_curve", "width is ", width, " and points ", points,
                   ", expected a width and steps of the grid that doubles can tell beside nodes from ",
                   density.nodes.minCoeff(), " to ", density.nodes.maxCoeff());
  curve.x = Eigen::VectorXd::LinSpaced(points, low, high);
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
  double rank = 0;   // a fraction where a node that stands for several eigenvalues holds the cut; 0 for zero
  double drift = 0;  // how far the estimate may be off; 0 where it is exact
  Index products = 0;  // with op
};

// An estimate of the effective rank of |op|, of a Hessian for example. There is no certificate. The drift is
// the largest change of the estimate when it is made from half of the steps or one step less of the same run,
// and when the random start's luck changes by two standard deviations, in the share above the cut and in the
// rank itself. Of 9,936 estimates for 300 eigenvalues by 96 steps, of 276 kinds (outliers over bulks of 1e-2
// to 1e-15, graded, repeated), one was off by more than a tenth and by more than twice its drift. 320 steps
// on Hessians of networks of 1,306 to 3,626 parameters after 0, 1 and 5 tasks were off by 1 % in the median
// and at most 5.4 % (162 estimates, benchmarks/accuracy.cpp, before nodes had to converge relative to
// themselves). With 160 steps, 18 estimates for 3,626 parameters were off by up to 30 %.
//   op: n x n, indefinite or not;  threshold: from 0 to 1, 1 counts values above rounding;  steps: >= 2
// Exact, from n products with unit vectors, where n <= steps, and where few eigenvalues are distinct and all
// but one of them single, which the run finds out. As many products as steps at most, n * steps doubles, 8 n
// steps^2 operations. Throws std::invalid_argument for an op that is not square, a threshold outside [0, 1],
// steps below 2, and where a product is not finite.
template <SymmetricOperator Op, detail::RandomGenerator Generator>
EstimatedRank estimated_effective_rank(const Op& op, double threshold, Generator&& generator,
                                       Index steps = 320) {
  constexpr const char* name = "estimated_effective_rank";
  const Index n = detail::checked_size(op, name);
  detail::check_threshold(threshold, name);
  detail::check_steps(steps, 2, name);
  // In double only a tie leaves the bracket open, and a tie is no doubt: it does not exceed.
  const bool rounded = product_error(op) > 8 * std::sqrt(static_cast<double>(n)) * epsilon;
  const auto exact = [&](const EffectiveRank& known, Index products) {
    const Index drift = rounded ? (std::max)(known.rank - known.lower, known.upper - known.rank) : 0;
    return EstimatedRank{static_cast<double>(known.rank), static_cast<double>(drift), products};
  };
  if (n <= steps) return exact(symmetric_effective_rank(detail::dense_matrix(op, name), threshold), n);
  const detail::LanczosProcess process = detail::random_process(op, steps, generator, name);
  if (Eigen::VectorXd moduli = detail::known_moduli(process); moduli.size() > 0) {
    const int exponent = detail::exponent_of(moduli[0]);
    detail::multiply_by_power_of_two(moduli, -exponent);
    return exact(detail::bracketed_rank(moduli, process.error * moduli[0], threshold, n), process.steps);
  }
  const auto size = static_cast<double>(n);
  const detail::Quadrature rule = detail::spectrum_rule(process, process.steps);
  const detail::Crossing whole = detail::crossing(rule, size, threshold);
  EstimatedRank result{whole.rank, 2 * whole.rank_deviation, process.steps};
  const auto moved = [&](const detail::Crossing& other) {
    result.drift = (std::max)(result.drift, std::abs(other.rank - whole.rank));
  };
  for (const Index fewer : {process.steps - 1, process.steps / 2, (process.steps - 1) / 2})
    if (fewer > 0) moved(detail::crossing(detail::spectrum_rule(process, fewer), size, threshold));
  for (const double sign : {-2.0, 2.0})
    moved(detail::crossing(rule, size, std::clamp(threshold + sign * whole.share_deviation, 0.0, 1.0)));
  return result;
}

// The options of an estimate by name.
struct EstimateOptions {
  double threshold = 0.99;
  Index steps = 320;  // of Lanczos
};
template <SymmetricOperator Op, detail::RandomGenerator Generator>
EstimatedRank estimated_effective_rank(const Op& op, Generator&& generator,
                                       const EstimateOptions& options = {}) {
  return estimated_effective_rank(op, options.threshold, generator, options.steps);
}

}  // namespace sagitta
