#include <map>

#include "figures/report.hpp"
#include "runs/values_file.hpp"

namespace paper {

std::vector<std::filesystem::path> publish(const std::string& profile,
                                           const std::vector<PlannedSetting>& settings,
                                           const Archive& archive, const Fields& made_by,
                                           const std::filesystem::path& output) {
  std::map<std::string, std::map<std::string, StoredRun>> by_problem;  // then by the name of the run
  for (const PlannedSetting& setting : settings)
    for (const PlannedRun& run : all_runs({setting})) {
      auto stored = archive.complete_run(run);
      if (!stored) continue;
      if (stored->makers.empty() && !made_by.empty()) stored->makers.emplace_back(0, made_by);
      auto& place = by_problem[run.configuration.problem];
      const std::string name = stored->record.run;
      place.insert_or_assign(name, std::move(*stored));
    }
  std::vector<std::filesystem::path> files;
  for (auto& [problem, runs] : by_problem) {
    const std::filesystem::path file = output / (profile + "-" + problem + ".json.gz");
    if (std::filesystem::exists(file))
      for (StoredRun& before : read_values(file)) {
        const auto place = runs.find(before.record.run);
        if (place == runs.end() || place->second.tasks_done < before.tasks_done)
          runs.insert_or_assign(before.record.run, before);
      }
    std::vector<StoredRun> all;
    for (auto& [name, run] : runs) all.push_back(std::move(run));
    std::filesystem::create_directories(output);
    write_values(file, all);
    files.push_back(file);
  }
  return files;
}

}  // namespace paper
