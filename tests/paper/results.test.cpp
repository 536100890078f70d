#include "catch.hpp"

#include "runs/results.hpp"

#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "stored.hpp"

using namespace stored;

TEST_CASE("values come back bit for bit", "[results]") {
  const Folder folder;
  const std::vector<double> hard = {0.,
                                    -0.,
                                    1.,
                                    -1.,
                                    .1,
                                    1. / 3,
                                    5e-324,
                                    -2.2250738585072014e-308,
                                    1e308,
                                    -1e308,
                                    3e15,
                                    1e15 + 1,
                                    42,
                                    1 - 1e-16,
                                    9007199254740993.,
                                    std::numeric_limits<double>::infinity(),
                                    -std::numeric_limits<double>::infinity()};
  {
    Results results(folder / "r.db", Access::write);
    results.add_run({"a", {}});
    for (std::size_t i = 0; i < hard.size(); ++i) commit(results, "a", static_cast<Index>(i), hard[i]);
    commit(results, "a", static_cast<Index>(hard.size()), not_a_number);
  }
  const Results results(folder / "r.db", Access::read);
  const auto curve = results.curve("a", "error", 1000);
  REQUIRE(curve.size() == hard.size() + 1);
  for (std::size_t i = 0; i < hard.size(); ++i)
    CHECK(std::bit_cast<std::uint64_t>(curve[i]) == std::bit_cast<std::uint64_t>(hard[i]));
  CHECK(std::isnan(curve.back()));
  CHECK(results.curve("a", "error", 3).size() == 3);
  CHECK(results.curve("a", "error", 0).empty());
  CHECK(results.curve("a", "rank", 10).empty());
  CHECK(results.curve("b", "error", 10).empty());
}

TEST_CASE("a curve is the last step of each task", "[results]") {
  const Folder folder;
  Results results(folder / "r.db", Access::write);
  results.add_run({"a", {}});
  const std::vector<Value> first = {{0, 20, "error", .2}, {0, 3, "error", .3}, {0, 100, "error", .1}};
  const std::vector<Value> second = {{1, 5, "other", 1}}, third = {{2, 0, "error", .7}};
  results.commit_task("a", 0, first, {});
  results.commit_task("a", 1, second, {});
  results.commit_task("a", 2, third, {});
  const auto curve = results.curve("a", "error", 10);
  REQUIRE(curve.size() == 3);
  CHECK(curve[0] == .1);
  CHECK(std::isnan(curve[1]));
  CHECK(curve[2] == .7);
  std::string steps;
  results.for_each_value([&](const std::string& run, const Value& value) {
    steps += run + std::to_string(results.tasks_done(run)) + ":" + std::to_string(value.task) + "." +
             std::to_string(value.step) + value.metric + " ";
  });
  CHECK(steps == "a3:0.3error a3:0.20error a3:0.100error a3:1.5other a3:2.0error ");
}

TEST_CASE("runs, their fields and their checkpoints are kept", "[results]") {
  const Folder folder;
  const auto large = bytes(3000000, 7);
  {
    Results results(folder / "r.db", Access::write);
    results.add_run({"b", {{"seed", "1"}, {"activation", "relu"}, {"empty", ""}}});
    results.add_run({"a", {}});
    results.add_run({"b", {{"seed", "2"}}});  // is there already
    CHECK(results.tasks_done("b") == 0);
    CHECK(!results.checkpoint("b"));
    commit(results, "b", 0, .5);
    results.commit_task("b", 1, {}, large);
    results.add_run({"b", {}});
    CHECK(results.tasks_done("b") == 2);
  }
  Results results(folder / "r.db", Access::write);
  const auto runs = results.runs();
  REQUIRE(runs.size() == 2);
  CHECK(runs[0].run == "a");
  CHECK(runs[0].fields.empty());
  CHECK(runs[1].fields == paper::Fields{{"seed", "1"}, {"activation", "relu"}, {"empty", ""}});
  REQUIRE(results.checkpoint("b").has_value());
  CHECK(results.checkpoint("b")->tasks_done == 2);
  CHECK((results.checkpoint("b")->state == large));  // in brackets: not to be printed
  CHECK(!results.checkpoint("absent"));
  CHECK(results.tasks_done("absent") == 0);

  results.commit_task("b", 2, {}, {});  // a finished run needs no state
  CHECK(results.checkpoint("b")->tasks_done == 3);
  CHECK(results.checkpoint("b")->state.empty());

  results.forget_run("b");
  results.forget_run("b");
  CHECK(results.runs().size() == 1);
  CHECK(results.tasks_done("b") == 0);
  CHECK(results.curve("b", "error", 9).empty());
  results.add_run({"b", {}});
  commit(results, "b", 0, .25);
  CHECK(results.curve("b", "error", 9) == std::vector<double>{.25});
}

TEST_CASE("tasks are committed in order, whole or not at all", "[results]") {
  const Folder folder;
  Results results(folder / "r.db", Access::write);
  results.add_run({"a", {}});
  CHECK_THROWS_AS(commit(results, "a", 1, .5), std::logic_error);
  commit(results, "a", 0, .5);
  CHECK_THROWS_AS(commit(results, "a", 0, .5), std::logic_error);
  CHECK_THROWS_AS(commit(results, "absent", 0, .5), std::logic_error);
  const std::vector<Value> of_another = {{1, 0, "error", .1}, {0, 0, "rank", .1}};
  CHECK_THROWS_AS(results.commit_task("a", 1, of_another, {}), std::logic_error);
  const std::vector<Value> twice = {{1, 0, "error", .1}, {1, 0, "error", .2}};
  CHECK(contains(message([&] { results.commit_task("a", 1, twice, {}); }), "cannot write task 1 of run a"));
  CHECK(results.tasks_done("a") == 1);
  CHECK(results.values("a").size() == 1);
  CHECK(results.checkpoint("a")->tasks_done == 1);
  commit(results, "a", 1, .6);
  CHECK(results.tasks_done("a") == 2);
}

TEST_CASE("tasks of several runs are committed together, or none of them", "[results]") {
  const Folder folder;
  Results results(folder / "r.db", Access::write);
  for (const char* run : {"a", "b"}) results.add_run({run, {}});
  const auto of = [](const char* run, Index task, int state) {
    return paper::FinishedTask{
        run, task, {{task, 0, "error", .5 + static_cast<double>(task)}}, bytes(3, state)};
  };
  results.commit(std::vector{of("a", 0, 1), of("b", 0, 2), of("a", 1, 3), of("b", 1, 4)});
  for (const char* run : {"a", "b"}) {
    CHECK(results.tasks_done(run) == 2);
    CHECK(results.curve(run, "error", 9) == std::vector<double>{.5, 1.5});
  }
  CHECK((results.checkpoint("a")->state == bytes(3, 3)));
  CHECK((results.checkpoint("b")->state == bytes(3, 4)));
  CHECK_THROWS_AS(results.commit(std::vector{of("a", 2, 5), of("b", 2, 5), of("b", 4, 5)}), std::logic_error);
  CHECK(results.tasks_done("a") == 2);
  CHECK(results.values("b").size() == 2);
  CHECK((results.checkpoint("a")->state == bytes(3, 3)));
  results.commit({});
  CHECK(results.tasks_done("b") == 2);
}

TEST_CASE("one program writes at a time, others read meanwhile", "[results]") {
  const Folder folder;
  {
    Results writer(folder / "r.db", Access::write);
    writer.add_run({"a", {}});
    const std::string refused = message([&] { Results(folder / "r.db", Access::write); });
    CHECK(contains(refused, (folder / "r.db").string()));
    CHECK(contains(refused, "another program (process " + std::to_string(getpid()) + ") is writing it"));
    fs::create_symlink(folder / "r.db", folder / "link.db");
    CHECK(contains(message([&] { Results(folder / "link.db", Access::write); }), "another program"));
    const Results reader(folder / "r.db", Access::read);
    CHECK(reader.tasks_done("a") == 0);
    commit(writer, "a", 0, .5);
    CHECK(reader.tasks_done("a") == 1);
  }
  fs::remove(folder / "link.db");
  CHECK(names(folder) == std::vector<std::string>{"r.db"});  // nothing else is needed to read it
  Results again(folder / "r.db", Access::write);
  CHECK(again.tasks_done("a") == 1);
}

TEST_CASE("several threads may use one file", "[results]") {
  const Folder folder;
  Results results(folder / "r.db", Access::write);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([&results, run = std::to_string(thread)] {
      results.add_run({run, {{"seed", run}}});
      for (Index task = 0; task < 20; ++task) {
        commit(results, run, task, static_cast<double>(task));
        results.curve(run, "error", task);
      }
    });
  for (auto& thread : threads) thread.join();
  for (const auto& record : results.runs()) CHECK(results.tasks_done(record.run) == 20);
  CHECK(results.runs().size() == 4);
}
