#include "learners/measurements.hpp"

#include <cmath>
#include <numeric>
#include <sagitta/sagitta.hpp>

#include "data/random.hpp"
#include "learners/exact_curvature.hpp"
#include "learners/network.hpp"

namespace paper {

std::vector<Index> rank_examples(const Configuration& configuration, Index n) {
  std::vector<Index> examples(static_cast<std::size_t>(n));
  std::iota(examples.begin(), examples.end(), Index{0});
  if (configuration.rank_samples >= n) return examples;
  Generator generator = stream(configuration.seed, "rank samples");
  shuffle(examples, generator);
  examples.resize(static_cast<std::size_t>(configuration.rank_samples));
  return examples;
}

std::vector<Measured> start_values(Eigen::MatrixXd K, Index widest, Index counted, Eigen::MatrixXf features,
                                   double threshold) {
  auto rank = sagitta::symmetric_effective_rank(K, threshold, sagitta::gram_error(K, widest));
  rank.max_rank = std::min(K.rows(), counted);
  const auto represented = sagitta::feature_rank(features, threshold);
  return measured(TaskStart{std::move(K), std::move(features), threshold, rank, represented});
}

std::vector<Measured> end_values(const TaskSums& sums, Eigen::VectorXd theta, Eigen::VectorXd initial,
                                 double wasserstein) {
  TaskEnd end{.examples = sums.examples,
              .errors = sums.errors,
              .cross_entropy = sums.cross_entropy,
              .updates = sums.updates,
              .update_l1 = sums.update_l1,
              .theta = std::move(theta),
              .initial = std::move(initial),
              .weight_l1 = 0,
              .weight_l2 = 0,
              .distance_l2 = 0,
              .distance_wasserstein = std::sqrt(wasserstein)};
  end.weight_l1 = sagitta::l1_norm(end.theta);
  end.weight_l2 = sagitta::l2_norm(end.theta);
  end.distance_l2 = sagitta::l2_distance(end.theta, end.initial);
  return measured(end);
}

std::vector<Measured> exact_values(const Configuration& configuration, const Task& task, bool diverged,
                                   const Eigen::VectorXd& theta) {
  if (diverged) return undefined<ExactRanks>();
  EigenMlp<double> network(network_widths(configuration, task.inputs->rows(), task.classes),
                           activations().at(configuration.activation), configuration.leaky_slope);
  network.theta() = theta;
  Generator generator = stream(configuration.seed, "sampled labels", static_cast<std::uint64_t>(task.number));
  return measured(exact_curvature(network, task, configuration.threshold, generator));
}

}  // namespace paper
