#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/problem.hpp"
#include "learners/configuration.hpp"
#include "learners/metric.hpp"

namespace paper {

// One pass over a task's examples.
struct EpochReport {
  Index updates = 0;
  double errors = 0;         // examples that were misclassified when their batch came, before its update
  double cross_entropy = 0;  // sum over the examples, likewise
  double update_l1 = 0;      // sum over the updates of the L1 norm of the change of the parameters
};

// A network that learns one task after another and remembers nothing but its parameters and the state of its
// optimiser. A network that has diverged (loss or parameters that are not finite) learns no more and measures
// NaN.
class Learner {
 public:
  virtual ~Learner() = default;

  // "the rank at the beginning of the task": curvature, features and gradient on the new task's data before
  // the first update, of the objective without regulariser
  virtual std::vector<Measured> measure_start(const Task& task) = 0;
  virtual void begin_task() = 0;
  // order: the examples in the order in which the batches take them
  virtual EpochReport train_epoch(const Task& task, std::span<const Index> order) = 0;
  // error, norms of the parameters and distances from initialisation
  virtual std::vector<Measured> measure_end(const Task& task) = 0;

  virtual bool diverged() const = 0;
  virtual Index parameters() const = 0;

  // All that the next task depends on, as bytes for the same program on the same kind of machine; restore
  // throws std::runtime_error for bytes that are not of a learner of this configuration.
  virtual std::vector<std::byte> state() const = 0;
  virtual void restore(std::span<const std::byte> state) = 0;
};

// Whether this program has a learner for the network; where not, make_learner's error says how to get it.
bool has_learner(const Configuration& configuration);

// inputs: features of an example; classes: logits
std::unique_ptr<Learner> make_learner(const Configuration& configuration, Index inputs, Index classes);

// Networks that learn side by side, each its own tasks: Learner, with a task, an order and an answer for each
// network. The tasks have the same size and number, the orders the same length. A network that diverges does
// not disturb the others.
class LearnerGroup {
 public:
  virtual ~LearnerGroup() = default;

  virtual std::vector<std::vector<Measured>> measure_start(std::span<const Task> tasks) = 0;
  virtual void begin_task() = 0;
  virtual std::vector<EpochReport> train_epoch(std::span<const Task> tasks,
                                               std::span<const std::vector<Index>> orders) = 0;
  virtual std::vector<std::vector<Measured>> measure_end(std::span<const Task> tasks) = 0;

  virtual Index size() const = 0;        // networks
  virtual Index parameters() const = 0;  // of one network
  virtual bool diverged(Index network) const = 0;
  virtual std::vector<std::byte> state(Index network) const = 0;
  virtual void restore(Index network, std::span<const std::byte> state) = 0;
};

// one learner as a group
std::unique_ptr<LearnerGroup> make_group(std::unique_ptr<Learner> learner);

}  // namespace paper
