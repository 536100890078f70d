#include "figures/archive.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace paper {

namespace {

std::string key_of(const Fields& fields) {
  std::string key;
  for (const auto& [name, value] : fields)
    if (name != "data" && name != "learner") key += name + "=" + value + "\n";
  return key;
}

std::string data_of(const Fields& fields) {
  for (const auto& [name, value] : fields)
    if (name == "data") return value;
  return "";
}

}  // namespace

Archive::Archive(std::vector<std::unique_ptr<Results>> files) : files_(std::move(files)) {
  for (const auto& file : files_)
    for (const RunRecord& record : file->runs()) {
      Stored stored{file.get(), record.run, file->tasks_done(record.run), {}};
      for (const auto& [task, maker] : file->makers(record.run)) stored.numerics.insert(numerics_of(maker));
      if (stored.numerics.empty()) stored.numerics.insert(numerics_of({}));
      auto& place = stored_[key_of(record.fields)];
      const auto [entry, is_new] = place.emplace(data_of(record.fields), stored);
      const auto rank =
          [](const Stored& one) {  // of two with as many tasks the one by this program's numerics
            return std::pair{one.tasks, one.numerics == std::set{std::to_string(numerics)}};
          };
      if (!is_new && rank(stored) > rank(entry->second)) entry->second = stored;
    }
}

bool Archive::choose_data(const std::vector<PlannedRun>& runs) {
  std::map<std::string, std::map<std::string, Index>> tasks;  // by problem, then by data
  for (const PlannedRun& run : runs) {
    const auto place = stored_.find(key_of(fields(run.configuration)));
    if (place == stored_.end()) continue;
    for (const auto& [data, stored] : place->second)
      tasks[run.configuration.problem][data] += std::min(stored.tasks, run.tasks);
  }
  bool any = false;
  for (const auto& [problem, counts] : tasks) {
    Index most = 0;
    for (const auto& [data, count] : counts)
      if (count > most) most = count, data_[problem] = data;
    any = any || most > 0;
  }
  return any;
}

std::string Archive::data(const std::string& problem) const {
  const auto entry = data_.find(problem);
  return entry == data_.end() ? "" : entry->second;
}

const Archive::Stored* Archive::find(const Configuration& configuration) const {
  const auto place = stored_.find(key_of(fields(configuration)));
  if (place == stored_.end()) return nullptr;
  const auto entry = place->second.find(data(configuration.problem));
  return entry == place->second.end() ? nullptr : &entry->second;
}

std::optional<StoredRun> Archive::complete_run(const PlannedRun& run) const {
  const Stored* stored = find(run.configuration);
  if (stored == nullptr || stored->tasks < run.tasks) return std::nullopt;
  for (const RunRecord& record : stored->file->runs())
    if (record.run == stored->run) return stored->file->stored(record);
  return std::nullopt;
}

std::set<std::string> Archive::numerics_used(const PlannedSetting& setting) const {
  std::set<std::string> all;
  for (const Series& series : setting.series)
    for (const PlannedRun& run : series.runs)
      if (const Stored* stored = find(run.configuration))
        all.insert(stored->numerics.begin(), stored->numerics.end());
  return all;
}

std::vector<std::string> Archive::profiles_of(const Figure& figure, const Choice& choice) {
  std::vector<std::string> result;
  for (const std::string& profile : profile_names) {
    Choice at = choice;
    at.profile = profile;
    if (choose_data(all_runs(plan(figure, at, "any")))) result.push_back(profile);
  }
  return result;
}

Index Archive::tasks_done(const Configuration& configuration) const {
  const Stored* stored = find(configuration);
  return stored == nullptr ? 0 : stored->tasks;
}

Curves Archive::curves(const Series& series, const std::string& metric, bool complete_only) const {
  Curves curves;
  for (const PlannedRun& run : series.runs) {
    const Stored* stored = find(run.configuration);
    if (stored == nullptr || stored->tasks == 0 || (complete_only && stored->tasks < run.tasks)) continue;
    curves[run.configuration.seed] = stored->file->curve(stored->run, metric, run.tasks);
  }
  return curves;
}

Within Archive::within(const Series& series, bool late, bool complete_only) const {
  Within result;
  for (const PlannedRun& run : series.runs) {
    const Stored* stored = find(run.configuration);
    if (stored == nullptr || (complete_only && stored->tasks < run.tasks)) continue;
    const Index tasks = std::min(stored->tasks, run.tasks), window = tasks / 5;
    const Index first = late ? tasks - window : 1;
    if (window == 0) continue;
    std::map<Index, double> sums;  // by update; a task in which the network diverges lacks some
    std::map<Index, Index> counts;
    for (const Value& value : stored->file->rows(stored->run, "epoch_error")) {
      if (value.task < first || value.task >= first + window) continue;
      sums[value.step] += value.value;
      ++counts[value.step];
    }
    std::vector<Index> steps;
    std::vector<double> means;
    for (const auto& [step, sum] : sums) {
      steps.push_back(step);
      means.push_back(counts[step] == window ? sum / static_cast<double>(window) : std::nan(""));
    }
    if (steps.size() > result.steps.size()) result.steps = std::move(steps);
    result.errors[run.configuration.seed] = std::move(means);
  }
  for (auto& [seed, errors] : result.errors) errors.resize(result.steps.size(), std::nan(""));
  return result;
}

std::vector<const Series*> swept_series(const PlannedSetting& setting, const Condition& condition) {
  std::vector<const Series*> result;
  for (const Series& series : setting.series)
    if (series.condition.same_but_value(condition)) result.push_back(&series);
  std::stable_sort(result.begin(), result.end(),
                   [](const Series* a, const Series* b) { return a->condition.value < b->condition.value; });
  return result;
}

const Series* best_series(const Archive& archive, const PlannedSetting& setting, const Condition& condition) {
  std::vector<const Series*> candidates = swept_series(setting, condition);
  if (!condition.sweep.empty() && !candidates.empty()) {
    if (condition.value == smallest)
      candidates.erase(candidates.begin() + 1, candidates.end());
    else if (condition.value == largest)
      candidates.erase(candidates.begin(), candidates.end() - 1);
    else
      std::erase_if(candidates,
                    [&](const Series* series) { return series->condition.value != condition.value; });
  }
  const Series* best = nullptr;
  double lowest = std::numeric_limits<double>::infinity();
  for (const Series* series : candidates) {
    double sum = 0, count = 0;
    for (const auto& [seed, curve] : archive.curves(*series, "error", true))
      for (std::size_t task = 1; task < curve.size(); ++task) {
        sum += std::isfinite(curve[task]) ? curve[task] : 1;  // a diverged run gets everything wrong
        ++count;
      }
    if (count == 0 || sum / count >= lowest) continue;
    lowest = sum / count;
    best = series;
  }
  return best;
}

}  // namespace paper
