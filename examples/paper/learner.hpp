#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "problem.hpp"

namespace paper {

struct Metric {
  std::string name;
  double value;
};

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
  virtual std::vector<Metric> measure_start(const Task& task) = 0;
  virtual void begin_task() = 0;
  // order: the examples in the order in which the batches take them
  virtual EpochReport train_epoch(const Task& task, std::span<const Index> order) = 0;
  // error, norms of the parameters and distances from initialisation
  virtual std::vector<Metric> measure_end(const Task& task) = 0;

  virtual bool diverged() const = 0;
  virtual Index parameters() const = 0;

  // All that the next task depends on, as bytes for the same program on the same kind of machine; restore
  // throws std::runtime_error for bytes that are not of a learner of this configuration.
  virtual std::vector<std::byte> state() const = 0;
  virtual void restore(std::span<const std::byte> state) = 0;
};

// Whether this program has a learner for the architecture; where not, make_learner's error says how to get
// it.
bool has_learner(const std::string& architecture);

// inputs: features of an example; classes: logits
std::unique_ptr<Learner> make_learner(const Configuration& configuration, Index inputs, Index classes);

}  // namespace paper
