#pragma once

#include <Eigen/Core>
#include <functional>
#include <memory>
#include <string>

#include "data/registry.hpp"
#include "learners/configuration.hpp"

namespace paper {

// What is added to the loss for one tensor of the parameters.
class Penalty {
 public:
  virtual ~Penalty() = default;
  // Adds strength x the penalty's gradient at theta. update: the number of the update within its task.
  virtual void add_gradient(const Eigen::Ref<const Eigen::VectorXf>& theta, double strength, Index update,
                            Eigen::Ref<Eigen::VectorXf> gradient) = 0;
};

// What is added for the features of a batch.
class FeaturePenalty {
 public:
  virtual ~FeaturePenalty() = default;
  // the penalty's gradient at the features of the last hidden layer; both width x n, a column an example
  virtual void gradient(const Eigen::MatrixXf& features, Eigen::MatrixXf& gradient) = 0;
};

struct Regularizer {
  std::string name, label;  // "l2_init", "L2-init"
  // One of the two, or none. initial: the tensor's values before training.
  using Initial = Eigen::Ref<const Eigen::VectorXf>;
  std::function<std::unique_ptr<Penalty>(const Initial& initial, const Configuration&)> of_tensor{};
  std::function<std::unique_ptr<FeaturePenalty>(const Configuration&)> of_features{};
  // How networks batched by LibTorch have it at once: a pull towards a target, 2 strength (theta - target),
  // or the penalty of the feature rank. alone: by the functions above, network by network, on the CPU only.
  enum class Batched { alone, towards_zero, towards_initial, towards_order_statistics, feature_rank };
  Batched batched = Batched::alone;
  bool decays = false;  // Configuration::weight_decay may take it out of the loss
  bool sorts = false;   // costs a sort of the parameters
};

// A regulariser of one's own: a file beside regularizers/l2_init.cpp and a line in the list of
// regularizer.cpp, or add() before anything is planned.
Registry<Regularizer>& regularizers();
inline const Regularizer& regularizer_of(const Configuration& configuration) {
  return regularizers().at(configuration.regularizer);
}

}  // namespace paper
