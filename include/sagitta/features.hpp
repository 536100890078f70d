#pragma once

#include <cmath>
#include <sagitta/effective_rank.hpp>

// What the last hidden layer still represents (the paper, section 2.2 and appendix A).
// features: n x width, a row a sample, a column a unit, after the activation; float or double, any
// expression.
namespace sagitta {

// The effective rank of the feature matrix, of its singular values; max_rank is min(n, width). Large matrices
// go through a Gram matrix, always in double: one in float gives wrong ranks.
// Cost and errors: those of effective_rank.
template <class Derived>
EffectiveRank feature_rank(const Eigen::MatrixBase<Derived>& features, double threshold = 0.99) {
  return detail::effective_rank(features, threshold, "feature_rank", "features");
}

namespace detail {

// mean_i |phi_ij| for every unit j, times a common power of two; in double, summed in blocks of rows so that
// the rounding of a long column stays near that of a short one
template <class Derived>
Eigen::ArrayXd mean_activity(const Eigen::MatrixBase<Derived>& features, const char* function) {
  const auto& phi = in_memory(features);
  const int exponent = exponent_of(largest_magnitude(phi, function, "features"));
  const double scale = std::ldexp(1.0, std::clamp(-exponent, -1000, 1000));
  constexpr Index block = 256;
  Eigen::ArrayXd sums = Eigen::ArrayXd::Zero(phi.cols());
  for (Index first = 0; first < phi.rows(); first += block)
    sums += (phi.middleRows(first, std::min(block, phi.rows() - first)).template cast<double>() * scale)
                .cwiseAbs()
                .colwise()
                .sum()
                .transpose()
                .array();
  return sums / static_cast<double>(std::max<Index>(phi.rows(), 1));
}

// sum_j p_j log p_j for p = weights / sum(weights), a sum with 0 log 0 = 0; a quiet NaN where all are zero
template <class Weights>
double negative_entropy(const Weights& weights) {
  const double total = weights.sum();
  if (total == 0) return std::numeric_limits<double>::quiet_NaN();
  double sum = 0;
  for (Index j = 0; j < weights.size(); ++j) {
    const double p = weights[j] / total;
    if (p > 0) sum += p * std::log(p);
  }
  return sum;
}

}  // namespace detail

// Neuron dormancy, the negative entropy of the units' share in the activity:
//   sum_j p_j log p_j,  p_j proportional to mean_i |phi_ij|
// in nats, from -log(width) (all units equally active) to 0 (one unit alone). It rises as activity
// concentrates on few units. A quiet NaN where every feature is zero, or there is none. Throws
// std::invalid_argument for NaN or infinity. O(n width).
template <class Derived>
double dormancy(const Eigen::MatrixBase<Derived>& features) {
  return detail::negative_entropy(detail::mean_activity(features, "dormancy"));
}

// The same for each sample by itself, p_ij proportional to |phi_ij|, averaged over the samples that are not
// all zero; a quiet NaN where there is none. Never below `dormancy` for samples of equal total activity: it
// also sees sparse codes whose active units change from sample to sample. Errors and cost as dormancy, a
// logarithm per feature.
template <class Derived>
double per_sample_dormancy(const Eigen::MatrixBase<Derived>& features) {
  const auto& phi = detail::in_memory(features);
  if (detail::largest_magnitude(phi, "per_sample_dormancy", "features") == 0)
    return std::numeric_limits<double>::quiet_NaN();
  double sum = 0;
  Index active = 0;
  Eigen::ArrayXd row(phi.cols());
  for (Index i = 0; i < phi.rows(); ++i) {
    row = phi.row(i).transpose().array().template cast<double>().abs();
    const double largest = row.maxCoeff();
    if (largest == 0) continue;
    row *= std::ldexp(1.0, std::clamp(-detail::exponent_of(largest), -1000, 1000));
    sum += detail::negative_entropy(row);
    ++active;
  }
  return sum / static_cast<double>(active);
}

// The share of dormant units (Sokar et al. 2023): those whose mean |phi_ij| is at most tau times its mean
// over the units. tau = 0 counts the dead ones. From 0 to 1; 1 where every feature is zero; a quiet NaN where
// there is no feature. Throws std::invalid_argument for NaN or infinity and a tau that is not >= 0. O(n
// width).
template <class Derived>
double dormant_fraction(const Eigen::MatrixBase<Derived>& features, double tau = 0.025) {
  if (!detail::is_finite(tau) || tau < 0)
    detail::reject("dormant_fraction", "tau is ", tau, ", expected a finite number >= 0");
  const Eigen::ArrayXd activity = detail::mean_activity(features, "dormant_fraction");
  if (features.size() == 0) return std::numeric_limits<double>::quiet_NaN();
  // the mean of equal activities may round to just below them
  const double bound = tau * activity.mean() * (1 + 4 * detail::epsilon);
  return static_cast<double>((activity <= bound).count()) / static_cast<double>(activity.size());
}

}  // namespace sagitta
