#include <unistd.h>

#include <csignal>
#include <iostream>
#include <set>

#include "commands/commands.hpp"
#include "commands/files.hpp"
#include "data/find_data.hpp"
#include "learners/learner.hpp"
#include "runs/maker.hpp"
#include "runs/training_threads.hpp"

namespace paper {

std::atomic<bool> stop{false};

namespace {

std::atomic<int> stop_signal{0};

void on_signal(int number) {
  stop = true;
  stop_signal = number;
}

// "" where this program has a learner for the runs of a setting
std::string no_learner(const PlannedSetting& setting) {
  const Configuration& configuration = setting.series.front().runs.front().configuration;
  if (has_learner(configuration)) return "";
  return configuration.architecture +
         " needs the LibTorch learner, which this program was built without; build with "
         "-DSAGITTA_WITH_LIBTORCH=ON "
         "and LibTorch on CMAKE_PREFIX_PATH";
}

// The settings of figures that can be run: reason(setting) says why one cannot, or nothing. What is left out
// is said, and is an error where a figure that was named has nothing else.
template <class Reason>
std::vector<PlannedSetting> runnable(const std::vector<const Figure*>& figures, const Options& options,
                                     const DataOf& data, Reason reason, bool say) {
  std::vector<PlannedSetting> all;
  std::set<std::string> reasons;
  bool any = false;
  for (const Figure* figure : figures) {
    std::string why;
    std::size_t kept = 0, planned = 0;
    for (PlannedSetting& setting : plan(*figure, options.choice, data)) {
      ++planned;
      const std::string problem = reason(setting);
      if (problem.empty()) {
        ++kept;
        all.push_back(std::move(setting));
        continue;
      }
      why = problem;
      if (say)
        std::cerr << figure->name << ", " << setting.setting.title << ": left out: " << problem << '\n';
    }
    any = any || planned > 0;
    if (kept == 0 && planned > 0 && !options.named_all()) throw std::runtime_error(figure->name + ": " + why);
  }
  if (!any) throw std::invalid_argument("no figure has the problem that is asked for");
  return all;
}

// The runs that are not complete in files of values by this program's numerics; says how many are.
std::vector<PlannedRun> without_published(const std::vector<PlannedRun>& runs, const Options& options,
                                          const RunnerOptions& how) {
  std::map<std::string, Index> tasks;
  for (const std::string& file : files_of_values(options)) {
    const Results values(file, Results::Access::read);
    for (const RunRecord& record : values.runs()) {
      bool current = true;
      for (const auto& [task, maker] : values.makers(record.run))
        current = current && numerics_of(maker) == std::to_string(numerics);
      std::string learner = "eigen";
      for (const auto& [name, value] : record.fields)
        if (name == "learner") learner = value;
      const bool asked_for = how.learner == "auto" || learner.starts_with(how.learner);
      if (current && asked_for)
        tasks[record.run] = std::max(tasks[record.run], values.tasks_done(record.run));
    }
  }
  std::vector<PlannedRun> left;
  for (const PlannedRun& run : runs)
    if (const auto place = tasks.find(run_name(run.configuration));
        place == tasks.end() || place->second < run.tasks)
      left.push_back(run);
  if (left.size() < runs.size())
    std::cerr << runs.size() - left.size() << " of " << runs.size()
              << " runs are in files of values (--values)\n";
  return left;
}

}  // namespace

int run(Options& options) {
  const std::vector<const Figure*> wanted = chosen(options);
  // a first plan checks the words of the command line before data is looked for
  std::set<std::string> problems;
  const auto any_data = [](const std::string&) { return std::string("any"); };
  for (const PlannedSetting& setting : runnable(wanted, options, any_data, no_learner, false))
    problems.insert(setting.setting.problem);
  const FoundData found = find_data(options.data, problems, std::cerr);
  DataLibrary data(found.folders);
  const auto no_learner_or_data = [&](const PlannedSetting& setting) {
    const auto missing = found.missing.find(data_set_of(setting.setting.problem).name);
    return missing == found.missing.end() ? no_learner(setting) : missing->second;
  };
  const auto data_of = [&](const std::string& problem) {
    const DataSet& set = data_set_of(problem);
    return found.missing.contains(set.name) || !problems.contains(problem) ? "any" : data.identity(set);
  };
  const std::vector<PlannedSetting> settings = runnable(wanted, options, data_of, no_learner_or_data, true);
  std::set<std::string> said;
  for (const PlannedSetting& setting : settings)
    for (const std::string& remark :
         remarks(setting.series.front().runs.front().configuration, setting.tasks, data))
      if (said.insert(remark).second) std::cerr << remark << '\n';
  const std::vector<PlannedRun> runs = all_runs(settings);
  const Share share = share_of_environment();
  const RunnerOptions how{options.threads, isatty(STDERR_FILENO) == 1, options.learner, options.device,
                          options.max_hours};
  std::vector<PlannedRun> mine = part(runs, share);
  if (share.size > 1)
    std::cerr << "rank " << share.rank << " of " << share.size << ": " << mine.size() << " of " << runs.size()
              << " runs\n";
  if (options.resume) mine = without_published(mine, options, how);
  if (options.dry_run) {
    const Estimate cost = estimate(mine, data, how);
    std::cout << cost.runs << " runs, " << cost.tasks << " tasks, " << cost.updates << " updates, "
              << cost.flops << " floating-point operations of training; about " << duration(cost.seconds)
              << " on " << options.device << " with " << options.threads << " threads\n";
    return 0;
  }
  groups_of(mine, how);  // its errors come before there is a file of results
  const std::string file = file_of_rank(options.results.front(), share);
  Results results(file, Results::Access::write);
  if (!options.resume)
    for (const PlannedRun& one : mine) results.forget_run(run_name(one.configuration));
  stop_at_signals();
  const bool complete = run_all(mine, data, results, how, std::cerr, stop);
  std::cerr << "results: " << file << '\n';
  return stop ? signal_status() : complete ? 0 : more_to_train;
}

void stop_at_signals() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}
int signal_status() { return 128 + stop_signal.load(); }

}  // namespace paper
