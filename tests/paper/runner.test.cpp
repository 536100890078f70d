#include "runs/runner.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <set>
#include <sstream>

#include "catch.hpp"
#include "figures/archive.hpp"
#include "figures/report.hpp"
#include "learners/learner.hpp"
#include "tiny_runs.hpp"

using namespace tiny_runs;

TEST_CASE("run_all: the numbers do not depend on the number of threads", "[paper]") {
  const Folder folder;
  run(folder.path / "one", 1, tiny());
  run(folder.path / "three", 3, tiny());
  const std::string one = exported(folder.path / "one");
  CHECK(one == exported(folder.path / "three"));
  // 4 activations, 2 seeds, 6 tasks, the metrics and the error of 4 epochs, and the header
  const auto values = std::ssize(undefined<TaskStart>()) + std::ssize(undefined<TaskEnd>()) + 1 + 4;
  CHECK(values >= 24);  // a test of the registries may have added one
  CHECK(std::count(one.begin(), one.end(), '\n') == 4 * 2 * 6 * values + 1);
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

TEST_CASE("run_all: an error in one run reaches the caller", "[paper]") {
  const Folder folder;
  Choice choice = tiny();
  choice.overrides = {{"images", "60001"}};
  CHECK_THROWS_AS(run(folder.path / "failing", 2, choice), std::invalid_argument);
}

TEST_CASE("run_all: a task without a whole batch is an error, not a run that learned nothing", "[paper]") {
  const Folder folder;
  Choice choice = tiny();
  choice.overrides.emplace_back("batch", "41");
  choice.overrides.emplace_back("last_batch", "drop");
  CHECK_THROWS_AS(run(folder.path / "none.sqlite", 1, choice), std::invalid_argument);
  CHECK(exported(folder.path / "none.sqlite").find("online_error") == std::string::npos);
}

TEST_CASE("operations: twice the epochs cost twice as much, and a sorting regulariser more", "[paper]") {
  Configuration c;
  const Dimensions size{784, 10, c.images, {1, 28, 28}};
  const double once = operations(c, size);
  c.epochs *= 2;
  CHECK(operations(c, size) == 2 * once);
  c.regularizer = "wasserstein";
  CHECK(operations(c, size) > 2 * once);
}

TEST_CASE("size_of: multiply-adds of published networks", "[paper]") {
  Configuration c;
  CHECK(size_of(c, Dimensions{784, 10, 1, {1, 28, 28}}).multiply_adds ==
        784 * 256 + 2 * 256 * 256 + 256 * 10);
  c.architecture = "resnet18";  // 1.8e9 with every implementation at 224 x 224
  CHECK(size_of(c, Dimensions{3 * 224 * 224, 1000, 1, {3, 224, 224}}).multiply_adds == 1814073344);
  c.architecture = "cnn";
  CHECK(size_of(c, Dimensions{3 * 32 * 32, 10, 1, {3, 32, 32}}).multiply_adds ==
        256 * 3 * 9 * 16 + 64 * 16 * 9 * 32 + 16 * 32 * 9 * 64 + 4 * 64 * 9 * 128 + 512 * 512 + 512 * 10);
}

TEST_CASE("estimate: counts what is asked for and takes time", "[paper]") {
  const auto runs =
      all_runs(plan(find_figure("fig1"), tiny(), digits().identity(data_set_of("random_label_mnist"))));
  const Estimate cost = estimate(runs, digits(), {.threads = 2});
  CHECK(cost.runs == 8);
  CHECK(cost.tasks == 48);
  CHECK(cost.updates == 48 * 4 * 2);  // 40 images in batches of 32
  CHECK(cost.flops == 6. * (196 * 8 + 2 * 8 * 8 + 8 * 10) * 48 * 4 * 40);
  CHECK(cost.seconds > 0);
  CHECK(estimate({}, digits(), {}).seconds == 0);
  volatile double least = std::numeric_limits<double>::min();
  CHECK(least / 2 > 0);  // the arithmetic of training does not stay behind
}

TEST_CASE("part: the shares of all ranks are the plan, disjoint and of nearly equal size", "[paper]") {
  const auto runs = all_runs(plan(find_figure("fig6"), tiny(), "any"));
  for (const Index size : {1, 2, 3, 100}) {
    std::set<std::string> names;
    std::size_t count = 0;
    for (Index rank = 0; rank < size; ++rank) {
      const auto mine = part(runs, {rank, size});
      count += mine.size();
      CHECK(mine.size() <= runs.size() / static_cast<std::size_t>(size) + 1);
      for (const PlannedRun& run : mine) names.insert(run_name(run.configuration));
    }
    CHECK(count == runs.size());
    CHECK(names.size() == runs.size());
  }
  CHECK(file_of_rank("a/results.sqlite", {0, 1}) == "a/results.sqlite");
  CHECK(file_of_rank("a/results.sqlite", {3, 8}) == "a/results.rank3.sqlite");
  CHECK(file_of_rank("a.b/results", {0, 2}) == "a.b/results.rank0");
}

TEST_CASE("share_of_environment: torchrun, srun and mpirun, and what they would never set", "[paper]") {
  const std::vector<const char*> names{"RANK",         "WORLD_SIZE",           "SLURM_PROCID",
                                       "SLURM_NTASKS", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"};
  const auto with = [&](std::vector<std::pair<const char*, const char*>> variables) {
    for (const char* name : names) unsetenv(name);
    for (const auto& [name, value] : variables) setenv(name, value, 1);
    const Share share = share_of_environment();
    return std::pair(share.rank, share.size);
  };
  using Pair = std::pair<Index, Index>;
  CHECK(with({}) == Pair(0, 1));
  CHECK(with({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "1"}}) ==
        Pair(1, 2));
  CHECK(with({{"SLURM_PROCID", "3"}, {"SLURM_NTASKS", "4"}}) == Pair(3, 4));
  CHECK(with({{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "2"}}) == Pair(0, 2));
  CHECK_THROWS_AS(with({{"RANK", "1"}}), std::invalid_argument);
  CHECK_THROWS_AS(with({{"WORLD_SIZE", "2"}}), std::invalid_argument);
  CHECK_THROWS_AS(with({{"RANK", "2"}, {"WORLD_SIZE", "2"}}), std::invalid_argument);
  CHECK_THROWS_AS(with({{"RANK", "-1"}, {"WORLD_SIZE", "2"}}), std::invalid_argument);
  CHECK_THROWS_AS(with({{"RANK", "0"}, {"WORLD_SIZE", "two"}}), std::invalid_argument);
  for (const char* name : names) unsetenv(name);
}

TEST_CASE("groups_of: what is not there is refused and said", "[paper]") {
  const auto runs = all_runs(plan(find_figure("fig1"), tiny(), "any"));
  const auto message = [&](RunnerOptions options) -> std::string {
    try {
      groups_of(runs, options);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  };
  CHECK(groups_of(runs, {}).size() == runs.size());
  CHECK(message({.learner = "best"}).find("eigen, torch, auto") != std::string::npos);
  CHECK(message({.device = "cuda:77"}).find("cuda:77") != std::string::npos);
  CHECK(message({.learner = "eigen", .device = "cuda"}).find("CPU only") != std::string::npos);
#ifndef SAGITTA_PAPER_TORCH
  CHECK(message({.learner = "torch"}).find("built without LibTorch") != std::string::npos);
#endif
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
  CHECK(archive.data("random_label_mnist") == digits().identity(data_set_of("random_label_mnist")));
  std::ostringstream claims, lines;
  CHECK(check(find_figure("fig1"), settings, archive, true, claims));
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
