#pragma once

#include <atomic>
#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include "data/problem.hpp"
#include "learners/network.hpp"
#include "runs/results.hpp"

namespace paper {

struct PlannedRun {
  Configuration configuration;
  Index tasks;
};

struct RunnerOptions {
  int threads = 1;
  bool progress_bar = false;     // rewrite one line (a terminal) instead of writing a line now and then
  std::string learner = "auto";  // eigen: EigenMlp on the CPU; torch: batched networks by LibTorch
  std::string device = "cpu";    // cuda, cuda:N
  double max_hours = 0;          // stop after so long; 0: never
  double writing_share = .02;    // of a run's time, at most, for writing it down while it goes on

  bool on_cpu() const { return device == "cpu"; }
};

// ---- what a plan costs ----

// of the network for tasks of these dimensions
NetworkSize size_of(const Configuration& configuration, const Dimensions& size);

// Multiply-adds of one task's training, for estimates of time: a Wasserstein regulariser counts for the sort,
// exact curvature for its matrices.
double operations(const Configuration& configuration, const Dimensions& size);

struct Estimate {
  Index runs = 0, tasks = 0, updates = 0;
  double flops = 0;    // of training: six for each multiply-add of an example
  double seconds = 0;  // on this machine, with the options' threads
};
// What is to be trained of these runs, whatever results there are. For the seconds some updates and one
// measurement of each kind of network are timed, a few seconds in all.
Estimate estimate(std::span<const PlannedRun> plan, DataLibrary& data, const RunnerOptions& options);

// ---- how a plan is divided ----

// One of several programs that divide a plan among them.
struct Share {
  Index rank = 0, size = 1;
};
// From RANK and WORLD_SIZE (torchrun), SLURM_PROCID and SLURM_NTASKS (srun), or OMPI_COMM_WORLD_RANK and
// OMPI_COMM_WORLD_SIZE (mpirun), the first pair that is there. std::invalid_argument where one of a pair is
// missing or is no number that makes sense.
Share share_of_environment();
// Every size-th run; the shares of all ranks are the plan, and no run is in two of them.
std::vector<PlannedRun> part(std::span<const PlannedRun> plan, const Share& share);
// "results.rank0.sqlite" of "results.sqlite"; the same file for the only rank
std::string file_of_rank(const std::string& file, const Share& share);

// Runs that are trained as one group.
struct RunGroup {
  std::vector<PlannedRun> runs;  // that need the same number of tasks
  bool torch = false;            // by LibTorch; else a single run
};
// Which runs form a group follows from the plan and the options, not from what is already done, so that a
// plan that was stopped continues with the same groups. std::invalid_argument for a learner or device that is
// not there, or that cannot train a run, and says what was found.
std::vector<RunGroup> groups_of(std::span<const PlannedRun> plan, const RunnerOptions& options);

// "eigen", "torch-cpu" or "torch-cuda": what a run's numbers depend on besides its configuration. Kept with
// the run in the results as the field `learner`, but for eigen.
std::string trained_by(const RunGroup& group, const RunnerOptions& options);

// ---- training ----

// Trains what is not yet in the results, each group of runs by one thread, and commits whole tasks, so that
// a run that was stopped continues where it stood and gives the numbers that it would have given. They do not
// depend on the number of threads. Progress goes to `log`. Returns early, with every finished task committed,
// when `stop` becomes true or options.max_hours are over.
//
// Values and the state to continue from are always written together. The state may be large (some 100 MB for
// a ResNet18), so writing waits until the time since the last is what that took, divided by writing_share;
// the end of a run, and a stop, are always written. A program that is killed loses no more than that time and
// the task in hand. An exception of one run ends the others at their
// next task and is rethrown. True when every run of the plan is complete. std::invalid_argument where a run
// was begun by another learner.
bool run_all(std::span<const PlannedRun> plan, DataLibrary& data, Results& results,
             const RunnerOptions& options, std::ostream& log, const std::atomic<bool>& stop);

}  // namespace paper
