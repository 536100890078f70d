#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "figures/figure.hpp"
#include "runs/results.hpp"
#include "verdicts/judge.hpp"

namespace paper {

// Finished and unfinished runs of several results files, found by their configuration. Which data set they
// were trained on is not asked for but found, so that pictures and verdicts need no data.
class Archive {
 public:
  explicit Archive(std::vector<std::unique_ptr<Results>> files);

  // For each problem of these runs, takes the data set with the most tasks of them as the one that the other
  // members look at. False when there is no task of them on any.
  bool choose_data(const std::vector<PlannedRun>& runs);
  // "mnist-7c49fa09"; empty where there is nothing of the problem
  std::string data(const std::string& problem) const;

  Index tasks_done(const Configuration& configuration) const;
  bool complete(const PlannedRun& run) const { return tasks_done(run.configuration) >= run.tasks; }
  // the metric of the runs' seeds, for tasks 0 to tasks - 1; without complete_only also what is there of
  // others
  Curves curves(const Series& series, const std::string& metric, bool complete_only) const;
  // the online error within the first (late: the last) fifth of the tasks but task 0, a mean of them
  Within within(const Series& series, bool late, bool complete_only) const;

  const std::vector<std::unique_ptr<Results>>& files() const { return files_; }

  // all that is kept of a run; nothing where it is not complete
  std::optional<StoredRun> complete_run(const PlannedRun& run) const;
  // The numerics of the programs that made these runs: values of several are not to be mixed.
  std::set<std::string> numerics_used(const PlannedSetting& setting) const;
  // of these profiles those at which the figure has any results
  std::vector<std::string> profiles_of(const Figure& figure, const Choice& choice);

 private:
  struct Stored {
    const Results* file;
    std::string run;
    Index tasks;
    std::set<std::string> numerics;
  };
  const Stored* find(const Configuration& configuration) const;

  std::vector<std::unique_ptr<Results>> files_;
  std::map<std::string, std::map<std::string, Stored>>
      stored_;                               // by fields but data and learner, then by data
  std::map<std::string, std::string> data_;  // by problem
};

// The series that stands for its condition: of several strengths the one with the lowest mean error over the
// tasks after the first, among those with a complete run; of a swept condition that with its value. Null when
// there is none.
const Series* best_series(const Archive& archive, const PlannedSetting& setting, const Condition& condition);

// All series of a swept condition, by value, the smallest first.
std::vector<const Series*> swept_series(const PlannedSetting& setting, const Condition& condition);

}  // namespace paper
