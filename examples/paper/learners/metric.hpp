#pragma once

#include <Eigen/Core>
#include <functional>
#include <sagitta/effective_rank.hpp>
#include <string>
#include <variant>
#include <vector>

#include "data/registry.hpp"
#include "learners/configuration.hpp"

// What is measured of a network, whichever learner trained it.
namespace paper {

// At the start of a task, on its data, before the first update.
struct TaskStart {
  Eigen::MatrixXd K;         // M x M, Gram matrix of the per-sample gradients of the rank samples
  Eigen::MatrixXf features;  // n x width, of all examples, all finite
  double threshold;
  sagitta::EffectiveRank rank, feature_rank;  // of the empirical Fisher (from K), and of the features
};

// At the end of a task.
struct TaskEnd {
  Index examples;
  double errors, cross_entropy;  // sums over the examples
  Index updates;
  double update_l1;                // sum over the updates of the L1 norm of the change
  Eigen::VectorXd theta, initial;  // the parameters, now and before training
  double weight_l1, weight_l2, distance_l2, distance_wasserstein;
};

// At the start of a task, where Configuration::curvature is exact, over all of its examples: the relative
// effective ranks that Figures 3, 11 and 12 compare.
struct ExactRanks {
  sagitta::EffectiveRank hessian;
  double empirical_fisher, sampled_fisher, gauss_newton;
};

// A quantity by its name in results files.
struct Metric {
  std::string name, unit;
  // of what it is the value; std::monostate: the runner's own, from the errors while it trains
  std::variant<std::monostate, std::function<double(const TaskStart&)>, std::function<double(const TaskEnd&)>,
               std::function<double(const ExactRanks&)>>
      value{};
};

// A metric of one's own: a line in the list of metric.cpp, or add() before anything is planned. Runs have
// the metrics that were there when they were trained.
Registry<Metric>& metrics();

// A metric's value.
struct Measured {
  std::string name;
  double value;
};

// the values of all metrics of this moment: TaskStart, TaskEnd or ExactRanks
template <class Moment>
std::vector<Measured> measured(const Moment& moment) {
  std::vector<Measured> result;
  for (const Metric& metric : metrics())
    if (const auto* value = std::get_if<std::function<double(const Moment&)>>(&metric.value))
      result.push_back({metric.name, (*value)(moment)});
  return result;
}
// all of them NaN: of a network that has diverged
template <class Moment>
std::vector<Measured> undefined() {
  std::vector<Measured> result;
  for (const Metric& metric : metrics())
    if (std::holds_alternative<std::function<double(const Moment&)>>(metric.value))
      result.push_back({metric.name, std::numeric_limits<double>::quiet_NaN()});
  return result;
}

}  // namespace paper
