#pragma once

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
// deflation of the outer spectrum that costs no product.
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

// An unordered Gauss rule of the first m steps of a process, weights that sum to 1.
struct Quadrature {
  Eigen::VectorXd nodes, weights;
};

inline Quadrature gauss_rule(const LanczosProcess& process, Index m) {
  const RitzValues ritz = ritz_values(process.diagonal.head(m), process.off_diagonal.head(m), 0);
  Quadrature rule{ritz.values, ritz.components.cwiseAbs2()};
  rule.weights /= rule.weights.sum();
  return rule;
}

// The Gauss rule of a random start, with the outer eigenvalues' weights put right.
inline Quadrature deflated_rule(const LanczosProcess& process, Index m) {
  const auto n = static_cast<double>(process.basis.rows());
  Quadrature rule = gauss_rule(process, m);
  // |A y - theta y| of a Ritz pair: |residual| times the last component of T's eigenvector
  const Eigen::VectorXd last =
      ritz_values(process.diagonal.head(m), process.off_diagonal.head(m), m - 1).components;
  const Eigen::VectorXd residuals = process.off_diagonal[m - 1] * last.cwiseAbs();
  const double converged = 1e-6 * process.size;
  // A single eigenvalue's n w has the chi-square distribution of one degree of freedom: beyond 12 it is
  // rather an eigenvalue that repeats, whose weight is all there is to tell how often.
  const auto single = [&](Index i) { return residuals[i] <= converged && n * rule.weights[i] <= 12; };
  const std::vector<Index> order = extreme_indices(rule.nodes, Extreme::smallest, m);
  std::size_t low = 0, high = order.size();
  while (low < high && single(order[low])) ++low;
  while (high > low && single(order[high - 1])) --high;
  std::vector<Index> outer(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(low));
  outer.insert(outer.end(), order.begin() + static_cast<std::ptrdiff_t>(high), order.end());

  const auto count = static_cast<double>(outer.size());
  const double theirs = rule.weights(outer).sum(), others = 1 - theirs;
  // more than that many distinct eigenvalues can account for: some repeat, and the plain rule stays
  if (count == 0 || n * theirs > count + 4 * std::sqrt(2 * count) + 4) return rule;
  const double left = 1 - count / n;
  if (high > low && others <= 0) return rule;
  if (high > low) rule.weights *= left / others;
  for (const Index i : outer) rule.weights[i] = high > low ? 1 / n : 1 / count;
  return rule;
}

inline void check_steps(Index steps, Index least, const char* function) {
  if (steps < least) reject(function, "steps is ", steps, ", expected at least ", least);
}

inline SpectralDensity sorted_density(const Quadrature& rule, Index products) {
  const std::vector<Index> order = extreme_indices(rule.nodes, Extreme::smallest, rule.nodes.size());
  return {rule.nodes(order), rule.weights(order), products};
}

// How many of n eigenvalues lead to a share `threshold` of the sum of moduli, a fraction of a node's weight
// counted as such; and the modulus where that is.
struct Crossing {
  double rank = 0, modulus = 0;
};

inline Crossing crossing(const Quadrature& rule, double n, double threshold) {
  const std::vector<Index> order = extreme_indices(rule.nodes, Extreme::modulus, rule.nodes.size());
  if (order.empty()) return {};
  const double largest = std::abs(rule.nodes[order[0]]);
  if (largest == 0) return {};
  const double total = (rule.nodes / largest).cwiseAbs().dot(rule.weights);
  const double noise = 4 * n * epsilon;
  double sum = 0, rank = 0, modulus = largest;
  for (const Index i : order) {
    const double value = std::abs(rule.nodes[i]) / largest;
    if (value <= noise) break;
    const double part = value * rule.weights[i];
    modulus = std::abs(rule.nodes[i]);
    if (threshold < 1 && sum + part > threshold * total) {
      rank += (threshold * total - sum) / value;
      break;
    }
    sum += part;
    rank += rule.weights[i];
  }
  return {std::clamp(n * rank, 1.0, n), modulus};
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
// for an op that is not square, steps below 2, no probes, and where a product is not finite. steps * probes
// products and 8 n steps^2 operations a probe.
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
    detail::LanczosProcess process(detail::normal_vector(n, generator), options.steps);
    process.extend(op, options.steps, name);
    const detail::Quadrature rule = detail::deflated_rule(process, process.steps);
    const Index before = all.nodes.size();
    all.nodes.conservativeResize(before + process.steps);
    all.weights.conservativeResize(before + process.steps);
    all.nodes.tail(process.steps) = rule.nodes;
    all.weights.tail(process.steps) = rule.weights / static_cast<double>(options.probes);
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
// Each y is the mean of the smoothed density over its cell, the tails beyond the grid (6 widths past the
// outer nodes) counted to the end cells, so that sum y dx = 1 whatever the width; the mean is that of the
// nodes to dx^2 and the variance larger by width^2. Throws std::invalid_argument for other points or width.
// O(points * nodes).
inline DensityCurve density_curve(const SpectralDensity& density, double width, Index points = 512) {
  if (!detail::is_finite(width) || width <= 0)
    detail::reject("density_curve", "width is ", width, ", expected a finite number > 0");
  if (points < 2) detail::reject("density_curve", "points is ", points, ", expected at least 2");
  DensityCurve curve{Eigen::VectorXd::Zero(points), Eigen::VectorXd::Zero(points)};
  if (density.nodes.size() == 0) return curve;
  const double low = density.nodes.minCoeff() - 6 * width, high = density.nodes.maxCoeff() + 6 * width;
  curve.x = Eigen::VectorXd::LinSpaced(points, low, high);
  const double step = (high - low) / static_cast<double>(points - 1);
  for (Index k = 0; k < density.nodes.size(); ++k) {
    double before = 0;  // the Gaussian's mass up to the cell
    for (Index i = 0; i < points; ++i) {
      const double edge = (curve.x[i] + step / 2 - density.nodes[k]) / width;
      const double until = i + 1 == points ? 1 : std::erfc(-edge * std::numbers::sqrt2 / 2) / 2;
      curve.y[i] += density.weights[k] * (until - before) / step;
      before = until;
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
// says how far the estimate still moves; what the one random probe contributes it does not see. On Hessians
// of networks of 3,626 parameters after 0, 1 and 8 tasks, 320 steps were off by at most 5 % (median 1 %, 18
// runs) and 160 steps by up to 30 %.
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
  detail::LanczosProcess process(detail::normal_vector(n, generator), steps);
  process.extend(op, steps, name);
  const auto rank = [&](Index m) {
    return detail::crossing(detail::deflated_rule(process, m), static_cast<double>(n), threshold).rank;
  };
  const double estimate = rank(process.steps);
  return {estimate, std::abs(estimate - rank(std::max<Index>(1, process.steps / 2))), process.steps};
}

}  // namespace sagitta
