#include "runs/runner.hpp"

#include <cmath>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <numeric>
#include <ostream>
#include <thread>

#include "data/random.hpp"
#include "runs/fields.hpp"
#include "runs/online_curve.hpp"
#include "runs/progress.hpp"
#include "runs/training_threads.hpp"

namespace paper {

namespace {

// The networks of a group, with what each learns.
class Training {
 public:
  Training(const RunGroup& group, Index next, DataLibrary& data, const Results& results,
           const RunnerOptions& options)
      : group_(group), next_(next) {
    for (const PlannedRun& run : group.runs) {
      configurations_.push_back(run.configuration);
      // the problem depends on no field that a group varies but the seed
      auto& problem = problems_[run.configuration.seed];
      if (!problem) problem = make_problem(run.configuration, data);
    }
    const Task task = problems_.at(configurations_[0].seed)->task(next);
    learner_ = make_learner_of(group_, configurations_, task, options);
    for (std::size_t k = 0; k < configurations_.size(); ++k) {
      const std::string run = run_name(configurations_[k]);
      const auto checkpoint = results.checkpoint(run);
      if (!checkpoint) continue;
      try {
        learner_->restore(static_cast<Index>(k), checkpoint->state);
      } catch (const std::exception& error) {
        throw std::runtime_error(results.file().string() + ": run " + run +
                                 " cannot be continued: " + error.what());
      }
    }
  }

  // The next task of every network; nothing when it was stopped on the way.
  std::vector<FinishedTask> learn(const std::function<bool()>& stopped) {
    std::map<std::uint64_t, Task> by_seed;
    for (const auto& [seed, problem] : problems_) by_seed.emplace(seed, problem->task(next_));
    std::vector<Task> tasks;
    for (const Configuration& c : configurations_) tasks.push_back(by_seed.at(c.seed));
    const Configuration& common = configurations_[0];
    const Index size = tasks[0].size();
    const Index used = common.keeps_last_batch() ? size : size - size % common.batch;
    if (used == 0)
      throw std::invalid_argument("run_all: a task of " + std::to_string(size) +
                                  " images has no whole batch of " + std::to_string(common.batch) +
                                  ", expected one where the last is dropped");

    std::vector<FinishedTask> done;
    std::vector<OnlineCurve> curves;
    std::vector<Generator> generators;
    std::vector<std::vector<Index>> orders, batches;
    const auto started = learner_->measure_start(tasks);
    learner_->begin_task();
    for (std::size_t k = 0; k < tasks.size(); ++k) {
      done.push_back({run_name(configurations_[k]), next_, {}, {}});
      add(started[k], 0, done[k].values);
      curves.emplace_back(next_, common.epochs, used);
      generators.push_back(stream(configurations_[k].seed, "batches", static_cast<std::uint64_t>(next_)));
      orders.emplace_back(static_cast<std::size_t>(size));
      std::iota(orders[k].begin(), orders[k].end(), Index{0});
    }
    std::vector<EpochReport> sums(tasks.size());
    for (Index epoch = 0; epoch < common.epochs; ++epoch) {
      if (stopped()) return {};
      batches.clear();
      for (std::size_t k = 0; k < tasks.size(); ++k) {
        shuffle(orders[k], generators[k]);
        batches.emplace_back(orders[k].begin(), orders[k].begin() + used);
      }
      const auto reports = learner_->train_epoch(tasks, batches);
      for (std::size_t k = 0; k < tasks.size(); ++k) {
        sums[k].updates += reports[k].updates;
        sums[k].errors += reports[k].errors;
        curves[k].add(reports[k], learner_->diverged(static_cast<Index>(k)), done[k].values);
      }
    }
    for (std::size_t k = 0; k < tasks.size(); ++k) {
      // "average online error" (appendix C.1): of each batch before the update that it leads to
      const double online = learner_->diverged(static_cast<Index>(k))
                                ? std::nan("")
                                : sums[k].errors / static_cast<double>(used * common.epochs);
      done[k].values.push_back({next_, sums[k].updates, "online_error", online});
    }
    const auto ended = learner_->measure_end(tasks);
    for (std::size_t k = 0; k < tasks.size(); ++k) {
      add(ended[k], sums[k].updates, done[k].values);
      done[k].checkpoint = learner_->state(static_cast<Index>(k));
    }
    ++next_;
    return done;
  }

 private:
  void add(const std::vector<Measured>& metrics, Index step, std::vector<Value>& values) const {
    for (const Measured& metric : metrics) values.push_back({next_, step, metric.name, metric.value});
  }

  const RunGroup& group_;
  Index next_;
  std::vector<Configuration> configurations_;
  std::map<std::uint64_t, std::unique_ptr<Problem>> problems_;  // by seed
  std::unique_ptr<LearnerGroup> learner_;
};

// Finished tasks of a group that wait to be written, the last of them with its state.
class Pending {
 public:
  Pending(Results& results, double share) : results_(results), share_(share) {}

  void add(std::vector<FinishedTask> done) {
    for (FinishedTask& earlier : tasks_) earlier.checkpoint = std::vector<std::byte>();
    for (FinishedTask& one : done) tasks_.push_back(std::move(one));
    if (seconds(written_, Clock::now()) >= cost_ / share_) write();  // the first at once: what does it cost?
  }
  void write() {
    const auto start = Clock::now();
    results_.commit(tasks_);
    tasks_.clear();
    written_ = Clock::now();
    cost_ = seconds(start, written_);
  }

 private:
  Results& results_;
  double share_, cost_ = 0;
  Clock::time_point written_ = Clock::now();
  std::vector<FinishedTask> tasks_;
};

void train(const RunGroup& group, DataLibrary& data, Results& results, const RunnerOptions& options,
           Progress& progress, const std::function<bool()>& stopped) {
  const PlannedRun& first = group.runs[0];
  Index next = results.tasks_done(run_name(first.configuration));
  if (next >= first.tasks || stopped()) return;
  Training training(group, next, data, results, options);
  const double work = operations(first.configuration, dimensions(first.configuration, data)) *
                      static_cast<double>(group.runs.size());
  Pending pending(results, options.writing_share);
  for (; next < first.tasks && !stopped(); ++next) {
    std::vector<FinishedTask> done = training.learn(stopped);
    if (done.empty()) break;
    pending.add(std::move(done));
    progress.add(work, std::ssize(group.runs), next + 1 == first.tasks ? group.runs.size() : 0);
  }
  pending.write();
}

// The runs of a group that stand at the same task, group by group; those that are complete are left out.
std::vector<RunGroup> unfinished(const std::vector<RunGroup>& groups, const Results& results) {
  std::vector<RunGroup> open;
  for (const RunGroup& group : groups) {
    std::map<Index, RunGroup> by_task;
    for (const PlannedRun& run : group.runs) {
      const Index done = results.tasks_done(run_name(run.configuration));
      if (done >= run.tasks) continue;
      by_task[done].torch = group.torch;
      by_task[done].runs.push_back(run);
    }
    for (auto& [task, part] : by_task) open.push_back(std::move(part));
  }
  return open;
}

// Enters the runs with what trains them; throws where another learner has begun one.
void add_runs(const std::vector<RunGroup>& groups, Results& results, const RunnerOptions& options) {
  std::map<std::string, std::string> begun;
  for (const RunRecord& record : results.runs()) {
    std::string learner = "eigen";
    for (const auto& [name, value] : record.fields)
      if (name == "learner") learner = value;
    begun[record.run] = learner;
  }
  for (const RunGroup& group : groups)
    for (const PlannedRun& run : group.runs) {
      RunRecord record{run_name(run.configuration), fields(run.configuration)};
      const std::string learner = trained_by(group, options);
      const auto entry = begun.find(record.run);
      if (entry != begun.end() && entry->second != learner) {
        if (const Index done = results.tasks_done(record.run); done > 0 && done < run.tasks)
          throw std::invalid_argument(results.file().string() + ": run " + record.run + " was begun by " +
                                      entry->second + " and cannot be continued by " + learner +
                                      "; choose --learner and --device as then, or --no-resume");
        else if (done == 0)
          results.forget_run(record.run);
      }
      if (learner != "eigen") record.fields.emplace_back("learner", learner);
      results.add_run(record);
    }
}

}  // namespace

bool run_all(std::span<const PlannedRun> plan, DataLibrary& data, Results& results,
             const RunnerOptions& options, std::ostream& log, const std::atomic<bool>& stop) {
  const auto started = Clock::now();
  const std::vector<RunGroup> groups = groups_of(plan, options);
  results.made_by(this_program());
  add_runs(groups, results, options);
  std::vector<RunGroup> open = unfinished(groups, results);
  std::size_t runs = 0;
  double work = 0;
  const auto cost = [&](const RunGroup& group, Index tasks) {
    const Configuration& c = group.runs[0].configuration;
    return static_cast<double>(tasks) * static_cast<double>(group.runs.size()) *
           operations(c, dimensions(c, data));
  };
  Index tasks = 0;
  for (const RunGroup& group : open) {
    const Index left = group.runs[0].tasks - results.tasks_done(run_name(group.runs[0].configuration));
    runs += group.runs.size();
    tasks += left * std::ssize(group.runs);
    work += cost(group, left);
  }
  log << plan.size() << " runs, " << plan.size() - runs << " of them done before" << std::endl;
  if (open.empty()) return true;
  // the dearest groups first, so that no thread is left alone with one at the end
  std::stable_sort(open.begin(), open.end(), [&](const RunGroup& a, const RunGroup& b) {
    return cost(a, a.runs[0].tasks) > cost(b, b.runs[0].tasks);
  });

  Progress progress(runs, tasks, work, options.progress_bar, log);
  std::atomic<std::size_t> next{0};
  std::atomic<bool> halt{false};
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto stopped = [&] {
    const bool late = options.max_hours > 0 && seconds(started, Clock::now()) > 3600 * options.max_hours;
    return stop || halt || late;
  };
  const auto worker = [&] {
    flush_denormals();
    for (std::size_t i = next++; i < open.size() && !stopped(); i = next++) {
      try {
        train(open[i], data, results, options, progress, stopped);
      } catch (...) {
        const std::scoped_lock lock(failure_mutex);
        if (!failure) failure = std::current_exception();
        halt = true;
      }
    }
  };
  std::vector<std::jthread> threads;
  for (std::size_t t = 0; t < workers(open.size(), options); ++t) threads.emplace_back(worker);
  threads.clear();
  const bool complete = unfinished(groups, results).empty();
  progress.finish(!complete && !failure);
  if (failure) std::rethrow_exception(failure);
  return complete;
}

}  // namespace paper
