#include <unistd.h>

#include <filesystem>
#include <set>
#include <sstream>

#include "catch.hpp"
#include "figures/figure.hpp"
#include "folder.hpp"
#include "learners/learner.hpp"
#include "runs/runner.hpp"

// run_all with the learner of LibTorch
using namespace paper;
namespace fs = std::filesystem;

namespace {

DataLibrary& digits() {
  static DataLibrary library;
  return library;
}

std::vector<PlannedRun> runs(Index tasks) {
  Choice choice;
  choice.profile = "smoke";
  choice.tasks = tasks, choice.seeds = 4;
  choice.problems = {"random_label_mnist"};
  choice.overrides = {{"images", "40"}, {"width", "8"}, {"epochs", "3"}};
  return all_runs(plan(find_figure("fig1"), choice, digits().identity(data_set_of("random_label_mnist"))));
}

std::string train(const fs::path& file, const std::vector<PlannedRun>& plan, const RunnerOptions& options) {
  std::ostringstream log, text;
  const std::atomic<bool> stop{false};
  Results results(file, Results::Access::write);
  run_all(plan, digits(), results, options, log, stop);
  export_csv(text, results);
  return text.str();
}

}  // namespace

TEST_CASE("groups_of: runs of one kind are grouped, up to what a group holds", "[paper][torch]") {
  const auto plan = runs(2);  // 4 activations, 4 seeds
  const auto groups = groups_of(plan, {.learner = "torch"});
  std::set<std::string> names;
  for (const RunGroup& group : groups) {
    CHECK(group.torch);
    CHECK(trained_by(group, {}) == "torch-cpu");
    for (const PlannedRun& run : group.runs) {
      CHECK(group_key(run.configuration) == group_key(group.runs[0].configuration));
      names.insert(run_name(run.configuration));
    }
  }
  CHECK(names.size() == plan.size());
  CHECK(groups.size() < plan.size());
  CHECK(groups[0].runs.size() > 1);
  std::vector<PlannedRun> cnn = plan;
  for (PlannedRun& run : cnn) run.configuration.architecture = "cnn";
  CHECK(groups_of(cnn, {})[0].torch);
  CHECK_THROWS_AS(groups_of(cnn, {.learner = "eigen"}), std::invalid_argument);
  for (PlannedRun& run : cnn) run.configuration.architecture = "mlp";
  CHECK_FALSE(groups_of(cnn, {})[0].torch);
}

TEST_CASE("run_all: groups in parts, and with any number of threads, give the same numbers",
          "[paper][torch]") {
  const Folder folder;
  const RunnerOptions one{.threads = 1, .learner = "torch"}, two{.threads = 2, .learner = "torch"};
  const std::string whole = train(folder.path / "whole", runs(3), one);
  CHECK(train(folder.path / "threads", runs(3), two) == whole);
  train(folder.path / "parts", runs(1), two);
  CHECK(train(folder.path / "parts", runs(3), one) == whole);
}

TEST_CASE("run_all: results tell which learner trained a run, which must go on with it", "[paper][torch]") {
  const Folder folder;
  train(folder.path / "eigen", runs(1), {});
  train(folder.path / "torch", runs(1), {.learner = "torch"});
  const auto learner = [&](const char* file) {
    std::set<std::string> words, names;
    for (const RunRecord& record : Results(folder.path / file, Results::Access::read).runs()) {
      names.insert(record.run);
      std::string word;
      for (const auto& [name, value] : record.fields)
        if (name == "learner") word = value;
      words.insert(word);
    }
    return std::pair(words, names);
  };
  CHECK(learner("eigen").first == std::set<std::string>{""});
  CHECK(learner("torch").first == std::set<std::string>{"torch-cpu"});
  CHECK(learner("eigen").second == learner("torch").second);
  const auto message = [&](const char* file, const RunnerOptions& options) -> std::string {
    try {
      train(folder.path / file, runs(2), options);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  };
  CHECK(message("eigen", {.learner = "torch"}).find("begun by eigen and cannot be continued by torch-cpu") !=
        std::string::npos);
  CHECK(message("torch", {}).find("begun by torch-cpu and cannot be continued by eigen") !=
        std::string::npos);
  CHECK_NOTHROW(train(folder.path / "torch", runs(1), {}));  // complete
}
