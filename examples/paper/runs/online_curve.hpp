#pragma once

#include <limits>
#include <vector>

#include "learners/learner.hpp"
#include "runs/results.hpp"

namespace paper {

// The online error within a task (Figures 9, 21, 22): rows of the metric `epoch_error`, each the share of the
// examples that were misclassified when their batch came, over the epochs since the row before; its step is
// the number of updates at the end of them. Every epoch of the first 10, then about 20 rows more, so that a
// task of 400 epochs takes no more room than one of 40.
class OnlineCurve {
 public:
  // used: examples an epoch
  OnlineCurve(Index task, Index epochs, Index used)
      : task_(task), epochs_(epochs), every_((epochs + 19) / 20), used_(used) {}

  // after each epoch
  void add(const EpochReport& report, bool diverged, std::vector<Value>& rows) {
    ++epoch_;
    ++summed_;
    errors_ += report.errors;
    updates_ += report.updates;
    if (epoch_ > 10 && epoch_ % every_ != 0 && epoch_ != epochs_) return;
    if (updates_ > last_)  // a network that has diverged makes no more updates
      rows.push_back({task_, updates_, "epoch_error",
                      diverged ? std::numeric_limits<double>::quiet_NaN()
                               : errors_ / static_cast<double>(summed_ * used_)});
    errors_ = 0, summed_ = 0, last_ = updates_;
  }

 private:
  Index task_, epochs_, every_, used_;
  Index epoch_ = 0, summed_ = 0, updates_ = 0, last_ = 0;
  double errors_ = 0;
};

}  // namespace paper
