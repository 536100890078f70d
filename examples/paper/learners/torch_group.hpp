#pragma once

#include "learners/torch_learner.hpp"

#include <ATen/core/ivalue.h>  // first: clang 14 needs it before 1.13's other headers

#include <array>
#include <map>
#include <optional>

#include "data/random.hpp"
#include "learners/torch_graph.hpp"
#include "learners/torch_network.hpp"
#include "learners/torch_optimizer.hpp"

namespace paper {

// The networks of make_torch_group. torch_learner.cpp trains them, torch_measure.cpp measures them.
class TorchGroup : public LearnerGroup {
 public:
  TorchGroup(std::span<const Configuration> configurations, const Task& task, const TorchOptions& options);

  std::vector<std::vector<Measured>> measure_start(std::span<const Task> tasks) override;
  void begin_task() override {
    update_in_task_ = 0;
    if (common().resets_optimizer()) optimizer_->reset();
    optimizer_->clear_update_l1();
  }
  std::vector<EpochReport> train_epoch(std::span<const Task> tasks,
                                       std::span<const std::vector<Index>> orders) override;
  std::vector<std::vector<Measured>> measure_end(std::span<const Task> tasks) override;

  Index size() const override { return static_cast<Index>(configurations_.size()); }
  Index parameters() const override { return network_->theta().size(); }
  bool diverged(Index network) const override { return diverged_[place(network)] != 0; }
  std::vector<std::byte> state(Index network) const override;
  void restore(Index network, std::span<const std::byte> state) override;

 private:
  static std::size_t place(Index i) { return static_cast<std::size_t>(i); }
  const Configuration& common() const { return configurations_[0]; }

  std::array<const Stack*, 4> changing() const {
    return {&network_->theta(), &optimizer_->first(), &optimizer_->second(), &network_->statistics()};
  }
  void check_images(const Task& task) const;
  Tensor draw(Generator generator) const;
  void initialize();
  void reset_heads(Index task);
  void load(std::span<const Task> tasks);
  // the updates by the examples in `order` [K, length]; returns their number
  Index train(const Tensor& order);
  Tensor examples(const Tensor& chosen) const;  // [K, n] -> [K, n, inputs]
  void step(const Tensor& chosen, bool sorts);
  // calls visit(chosen, features, logits) for all of the tasks' examples, part by part
  template <class Visit>
  void pass_over_all(Index size, Visit visit);

  std::vector<Configuration> configurations_;
  TorchOptions options_;
  at::TensorOptions real_, whole_;
  Index classes_;
  std::unique_ptr<StackedNetwork> network_;
  std::optional<Stack> initial_;
  std::optional<StackedOptimizer> optimizer_;
  std::optional<StackedPenalty> penalty_;
  Tensor feature_strengths_;  // [K, 1, 1]; undefined where no network has that regulariser
  // the tasks' data; images that several networks share are there once
  std::vector<std::shared_ptr<const Eigen::MatrixXf>> loaded_;
  Tensor images_, first_image_, labels_;  // [distinct * n, inputs]; [K, 1], of each network; [K, n]
  Tensor errors_, cross_entropy_;         // [K], sums of the current epoch
  std::unique_ptr<StepGraphs> graphs_;    // on a GPU
  std::map<int64_t, Tensor> chosen_;      // the examples of a recorded step
  Index update_in_task_ = 0;
  bool restored_ = false;
  std::vector<std::uint8_t> diverged_;
};

}  // namespace paper
