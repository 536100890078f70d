#include "archive.hpp"

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
      const Stored stored{file.get(), record.run, file->tasks_done(record.run)};
      auto& place = stored_[key_of(record.fields)];
      const auto [entry, is_new] = place.emplace(data_of(record.fields), stored);
      if (!is_new && stored.tasks > entry->second.tasks) entry->second = stored;
    }
}

bool Archive::choose_data(const std::vector<PlannedRun>& runs) {
  std::map<std::string, Index> tasks;
  for (const PlannedRun& run : runs) {
    const auto place = stored_.find(key_of(fields(run.configuration)));
    if (place == stored_.end()) continue;
    for (const auto& [data, stored] : place->second) tasks[data] += std::min(stored.tasks, run.tasks);
  }
  Index most = 0;
  for (const auto& [data, count] : tasks)
    if (count > most) most = count, data_ = data;
  return most > 0;
}

const Archive::Stored* Archive::find(const Configuration& configuration) const {
  const auto place = stored_.find(key_of(fields(configuration)));
  if (place == stored_.end()) return nullptr;
  const auto entry = place->second.find(data_);
  return entry == place->second.end() ? nullptr : &entry->second;
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

const Series* best_series(const Archive& archive, const PlannedSetting& setting, const Condition& condition) {
  const Series* best = nullptr;
  double lowest = std::numeric_limits<double>::infinity();
  for (const Series& series : setting.series) {
    if (series.condition.activation != condition.activation ||
        series.condition.regularizer != condition.regularizer)
      continue;
    double sum = 0, count = 0;
    for (const auto& [seed, curve] : archive.curves(series, "error", true))
      for (std::size_t task = 1; task < curve.size(); ++task) {
        sum += std::isfinite(curve[task]) ? curve[task] : 1;  // a diverged run gets everything wrong
        ++count;
      }
    if (count == 0 || sum / count >= lowest) continue;
    lowest = sum / count;
    best = &series;
  }
  return best;
}

}  // namespace paper
