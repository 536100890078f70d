#pragma once

#include <atomic>
#include <iosfwd>
#include <span>
#include <vector>

#include "problem.hpp"
#include "results.hpp"

namespace paper {

struct PlannedRun {
  Configuration configuration;
  Index tasks;
};

// Multiply-adds of one task's training, for estimates of time: a Wasserstein regulariser counts for the sort,
// exact curvature for its matrices.
double operations(const Configuration& configuration, Index inputs, Index classes);

struct RunnerOptions {
  int threads = 1;
  bool progress_bar = false;  // rewrite one line (a terminal) instead of writing a line now and then
};

// Trains what is not yet in the results, each run by one thread, and commits task by task, so that a run that
// was stopped continues where it stood and gives the numbers that it would have given. They do not depend on
// the number of threads. Progress goes to `log`. Returns early, with every finished task committed, when
// `stop` becomes true. An exception of one run ends the others at their next task and is rethrown.
void run_all(std::span<const PlannedRun> plan, DataLibrary& data, Results& results,
             const RunnerOptions& options, std::ostream& log, const std::atomic<bool>& stop);

}  // namespace paper
