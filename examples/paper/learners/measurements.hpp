#pragma once

#include <cmath>
#include <limits>
#include <sagitta/sagitta.hpp>

#include "learners/learner.hpp"

// What is measured of a network, whichever learner trained it. Names are those of results files.
namespace paper {

// curvature, gradient and features at the start of a task; norms, distances and errors at its end
const std::vector<std::string>& start_names();
const std::vector<std::string>& end_names();

std::vector<Metric> named(const std::vector<std::string>& names, const std::vector<double>& values);
// all of them NaN: of a network that has diverged
std::vector<Metric> undefined(const std::vector<std::string>& names);

// inputs, hidden widths, classes
std::vector<Index> network_widths(const Configuration& configuration, Index inputs, Index classes);

// the examples whose gradients tell the curvature, of n: the same few in every task, or all
std::vector<Index> rank_examples(const Configuration& configuration, Index n);

// The exact curvature of an MLP with these parameters (exact_curvature.hpp); NaN where it has diverged.
std::vector<Metric> exact_metrics(const Configuration& configuration, const Task& task, bool diverged,
                                  const Eigen::VectorXd& theta);

// start_names() of a network:
//   K: M x M, the Gram matrix of per-sample gradients by `counted` parameters, sums of `widest` products
//   features: n x width, all finite
template <class Gram, class Features>
std::vector<Metric> start_metrics(const Eigen::MatrixBase<Gram>& K, Index widest, Index counted,
                                  const Eigen::MatrixBase<Features>& features, double threshold) {
  const auto rank = sagitta::symmetric_effective_rank(K, threshold, sagitta::gram_error(K, widest));
  const auto represented = sagitta::feature_rank(features, threshold);
  const auto value = static_cast<double>(rank.rank);
  return named(start_names(),
               {value, value / static_cast<double>(std::min(K.rows(), counted)), rank.certified() ? 0.0 : 1.0,
                std::sqrt(std::max(K.sum(), 0.0)) / static_cast<double>(K.rows()),
                sagitta::gradient_gram_overlap(K, threshold).value, static_cast<double>(represented.rank),
                represented.relative(), sagitta::dormancy(features), sagitta::per_sample_dormancy(features),
                sagitta::dormant_fraction(features)});
}

// Of a task that was learned: examples, and sums over them; updates, and the sum of their L1 norms.
struct TaskSums {
  Index examples;
  double errors, cross_entropy;
  Index updates;
  double update_l1;
};

// end_names() of a network with parameters theta, initially `initial`; wasserstein: their squared distance,
// tensor by tensor
template <class Theta, class Initial>
std::vector<Metric> end_metrics(const TaskSums& sums, const Eigen::MatrixBase<Theta>& theta,
                                const Eigen::MatrixBase<Initial>& initial, double wasserstein) {
  const auto n = static_cast<double>(sums.examples), d = static_cast<double>(theta.size());
  const double weight = sagitta::l1_norm(theta);
  const double update = sums.updates == 0 ? std::numeric_limits<double>::quiet_NaN()
                                          : sums.update_l1 / static_cast<double>(sums.updates);
  return named(end_names(),
               {sums.errors / n, sums.cross_entropy / n, update, update / d, weight, weight / d,
                sagitta::l2_norm(theta), sagitta::l2_distance(theta, initial), std::sqrt(wasserstein)});
}

}  // namespace paper
