#include "learners/measurements.hpp"

#include <numeric>

#include "data/random.hpp"
#include "learners/exact_curvature.hpp"

namespace paper {

const std::vector<std::string>& start_names() {
  static const std::vector<std::string> names{"ef_rank",
                                              "ef_rank_relative",
                                              "ef_rank_uncertain",
                                              "gradient_norm",
                                              "overlap",
                                              "feature_rank",
                                              "feature_rank_relative",
                                              "dormancy",
                                              "per_sample_dormancy",
                                              "dormant_fraction"};
  return names;
}

// update_l1: the mean over the task's updates of the L1 norm of the change; *_mean: a parameter
const std::vector<std::string>& end_names() {
  static const std::vector<std::string> names{"error",          "cross_entropy", "update_l1",
                                              "update_l1_mean", "weight_l1",     "weight_l1_mean",
                                              "weight_l2",      "distance_l2",   "distance_wasserstein"};
  return names;
}

std::vector<Metric> named(const std::vector<std::string>& names, const std::vector<double>& values) {
  std::vector<Metric> metrics;
  for (std::size_t i = 0; i < names.size(); ++i) metrics.push_back({names[i], values.at(i)});
  return metrics;
}

std::vector<Metric> undefined(const std::vector<std::string>& names) {
  return named(names, std::vector<double>(names.size(), std::numeric_limits<double>::quiet_NaN()));
}

std::vector<Index> network_widths(const Configuration& configuration, Index inputs, Index classes) {
  std::vector<Index> widths{inputs};
  widths.insert(widths.end(), static_cast<std::size_t>(configuration.depth), configuration.width);
  widths.push_back(classes);
  return widths;
}

std::vector<Index> rank_examples(const Configuration& configuration, Index n) {
  std::vector<Index> examples(static_cast<std::size_t>(n));
  std::iota(examples.begin(), examples.end(), Index{0});
  if (configuration.rank_samples >= n) return examples;
  Generator generator = stream(configuration.seed, "rank samples");
  shuffle(examples, generator);
  examples.resize(static_cast<std::size_t>(configuration.rank_samples));
  return examples;
}

std::vector<Metric> exact_metrics(const Configuration& configuration, const Task& task, bool diverged,
                                  const Eigen::VectorXd& theta) {
  const std::vector<std::string>& names = exact_curvature_names();
  if (diverged) return undefined(names);
  EigenMlp<double> network(network_widths(configuration, task.inputs->rows(), task.classes),
                           activation_of(configuration.activation), configuration.leaky_slope);
  network.theta() = theta;
  Generator generator = stream(configuration.seed, "sampled labels", static_cast<std::uint64_t>(task.number));
  return named(names, exact_curvature(network, task, configuration.threshold, generator));
}

}  // namespace paper
