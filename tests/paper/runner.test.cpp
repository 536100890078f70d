#include "runner.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "archive.hpp"
#include "catch.hpp"
#include "report.hpp"

using namespace paper;
namespace fs = std::filesystem;

namespace {

struct Folder {
  fs::path path;
  Folder() {
    std::string name = (fs::temp_directory_path() / "sagitta-runner-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() { fs::remove_all(path); }
};

DataLibrary& digits() {
  static DataLibrary library;
  return library;
}

Choice tiny() {
  Choice choice;
  choice.profile = "smoke";
  choice.tasks = 6, choice.seeds = 2;
  choice.problems = {"random_label_mnist"};
  choice.overrides = {{"images", "40"}, {"width", "8"}, {"epochs", "4"}};
  return choice;
}

std::string exported(const fs::path& file) {
  std::ostringstream text;
  export_csv(text, Results(file, Results::Access::read));
  return text.str();
}

std::string run(const fs::path& file, int threads, Choice choice, const std::string& figure = "fig1") {
  std::ostringstream log;
  const std::atomic<bool> stop{false};
  const auto runs = all_runs(plan(find_figure(figure), choice, digits().identity("random_label_mnist")));
  {
    Results results(file, Results::Access::write);
    run_all(runs, digits(), results, {threads, false}, log, stop);
  }
  return log.str();
}

}  // namespace

TEST_CASE("run_all: the numbers do not depend on the number of threads", "[paper]") {
  const Folder folder;
  run(folder.path / "one", 1, tiny());
  run(folder.path / "three", 3, tiny());
  const std::string one = exported(folder.path / "one");
  CHECK(one == exported(folder.path / "three"));
  // 4 activations, 2 seeds, 6 tasks, 20 metrics, and the header
  CHECK(std::count(one.begin(), one.end(), '\n') == 4 * 2 * 6 * (20 + 4) + 1);
}

TEST_CASE("run_all: a run in parts, and a longer run after a shorter one, are one run", "[paper]") {
  const Folder folder;
  run(folder.path / "whole", 2, tiny());
  Choice part = tiny();
  for (const Index tasks : {1, 2, 6}) {
    part.tasks = tasks;
    run(folder.path / "parts", 2, part);
  }
  CHECK(exported(folder.path / "whole") == exported(folder.path / "parts"));
  CHECK(run(folder.path / "parts", 2, tiny()).find("8 of them done before") != std::string::npos);
}

TEST_CASE("run_all: what is stopped at once leaves no half task", "[paper]") {
  const Folder folder;
  std::ostringstream log;
  const std::atomic<bool> stop{true};
  Results results(folder.path / "stopped", Results::Access::write);
  run_all(all_runs(plan(find_figure("fig1"), tiny(), "any")), digits(), results, {2, false}, log, stop);
  Index values = 0;
  results.for_each_value([&](const std::string&, const Value&) { ++values; });
  CHECK(values == 0);
  CHECK(log.str().find("stopped") != std::string::npos);
}

TEST_CASE("run_all: an error in one run reaches the caller", "[paper]") {
  const Folder folder;
  Choice choice = tiny();
  choice.overrides = {{"images", "60001"}};
  CHECK_THROWS_AS(run(folder.path / "failing", 2, choice), std::invalid_argument);
}

TEST_CASE("operations: twice the epochs cost twice as much, and a sorting regulariser more", "[paper]") {
  Configuration c;
  const double once = operations(c, 784, 10);
  c.epochs *= 2;
  CHECK(operations(c, 784, 10) == 2 * once);
  c.regularizer = "wasserstein";
  CHECK(operations(c, 784, 10) > 2 * once);
}

TEST_CASE("check and status: judged are complete runs, and the rest is said", "[paper]") {
  const Folder folder;
  Choice choice = tiny();
  const fs::path file = folder.path / "results";
  run(file, 2, choice);
  choice.seeds = 3;  // the third was not run
  const auto settings = plan(find_figure("fig1"), choice, "any");
  std::vector<std::unique_ptr<Results>> files;
  files.push_back(std::make_unique<Results>(file, Results::Access::read));
  Archive archive(std::move(files));
  REQUIRE(archive.choose_data(all_runs(settings)));
  CHECK(archive.data("random_label_mnist") == digits().identity("random_label_mnist"));
  std::ostringstream claims, lines;
  CHECK(check(find_figure("fig1"), settings, archive, claims));
  CHECK(claims.str().find("(8 of 12 runs are complete; the others are not judged)") != std::string::npos);
  for (const Claim& claim : find_figure("fig1").claims)
    CHECK(claims.str().find(claim.words) != std::string::npos);
  status(find_figure("fig1"), settings, archive, lines);
  CHECK(lines.str().find("2 of 3 runs,    12 of 18 tasks") != std::string::npos);

  choice.overrides = {{"epochs", "5"}};  // other runs, of which there are none
  CHECK_FALSE(archive.choose_data(all_runs(plan(find_figure("fig1"), choice, "any"))));
}

TEST_CASE("best_series: of several strengths the one with the lowest error", "[paper]") {
  const Folder folder;
  Configuration c;
  PlannedSetting setting{find_figure("fig6").settings[0], 3, {}};
  {
    Results results(folder.path / "r", Results::Access::write);
    for (const double strength : {.1, .2, .3}) {
      c.regularizer = "l2", c.activation = "leaky_relu", c.strength = strength;
      const std::string name = run_name(c);
      results.add_run({name, fields(c)});
      for (Index task = 0; task < 3; ++task) {
        // the first task does not count; .2 is best after it
        const double error = task == 0 ? strength : std::abs(strength - .2);
        const std::vector<Value> values{{task, 1, "error", error}};
        results.commit_task(name, task, values, {});
      }
      setting.series.push_back({{"leaky_relu", "l2"}, strength, {{c, 3}}});
    }
  }
  std::vector<std::unique_ptr<Results>> files;
  files.push_back(std::make_unique<Results>(folder.path / "r", Results::Access::read));
  Archive archive(std::move(files));
  REQUIRE(archive.choose_data(all_runs({setting})));
  const Series* best = best_series(archive, setting, {"leaky_relu", "l2"});
  REQUIRE(best != nullptr);
  CHECK(best->strength == .2);
  CHECK(best_series(archive, setting, {"tanh", "none"}) == nullptr);
}
