#include "learners/learner.hpp"

namespace paper {

namespace {

class SingleLearner : public LearnerGroup {
 public:
  explicit SingleLearner(std::unique_ptr<Learner> learner) : learner_(std::move(learner)) {}

  std::vector<std::vector<Measured>> measure_start(std::span<const Task> tasks) override {
    return {learner_->measure_start(tasks[0])};
  }
  void begin_task() override { learner_->begin_task(); }
  std::vector<EpochReport> train_epoch(std::span<const Task> tasks,
                                       std::span<const std::vector<Index>> orders) override {
    return {learner_->train_epoch(tasks[0], orders[0])};
  }
  std::vector<std::vector<Measured>> measure_end(std::span<const Task> tasks) override {
    return {learner_->measure_end(tasks[0])};
  }
  Index size() const override { return 1; }
  Index parameters() const override { return learner_->parameters(); }
  bool diverged(Index) const override { return learner_->diverged(); }
  std::vector<std::byte> state(Index) const override { return learner_->state(); }
  void restore(Index, std::span<const std::byte> state) override { learner_->restore(state); }

 private:
  std::unique_ptr<Learner> learner_;
};

}  // namespace

std::unique_ptr<LearnerGroup> make_group(std::unique_ptr<Learner> learner) {
  return std::make_unique<SingleLearner>(std::move(learner));
}

}  // namespace paper
