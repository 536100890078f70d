#include "catch.hpp"

#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "stored.hpp"

using namespace stored;

TEST_CASE("values are exported a row each", "[results]") {
  const Folder folder;
  Results results(folder / "r.db", Access::write);
  results.add_run(
      {"b",
       {{"seed", "3"}, {"problem", "random, \"label\""}, {"activation", "relu"}, {"extra", "line\nline"}}});
  results.add_run({"a",
                   {{"problem", "pm"},
                    {"network", "mlp"},
                    {"activation", "tanh"},
                    {"regularizer", "none"},
                    {"strength", "0.005"},
                    {"seed", "1"}}});
  const std::vector<Value> first = {{0, 10, "error", .1},
                                    {0, 0, "rank", -0.},
                                    {0, 0, "error", std::numeric_limits<double>::quiet_NaN()},
                                    {0, 9, "a,b", 1e308}};
  const std::vector<Value> second = {{1, 0, "error", 5e-324}, {1, 0, "rank", 250}};
  results.commit_task("a", 0, first, {});
  results.commit_task("a", 1, second, {});
  const std::vector<Value> other = {{0, 0, "error", -std::numeric_limits<double>::infinity()}};
  results.commit_task("b", 0, other, {});

  std::ostringstream values, runs;
  paper::export_csv(values, results);
  CHECK(values.str() ==
        "run,problem,network,activation,regularizer,strength,seed,task,step,metric,value\n"
        "a,pm,mlp,tanh,none,0.005,1,0,0,error,nan\n"
        "a,pm,mlp,tanh,none,0.005,1,0,0,rank,-0\n"
        "a,pm,mlp,tanh,none,0.005,1,0,9,\"a,b\",1e+308\n"
        "a,pm,mlp,tanh,none,0.005,1,0,10,error,0.1\n"
        "a,pm,mlp,tanh,none,0.005,1,1,0,error,5e-324\n"
        "a,pm,mlp,tanh,none,0.005,1,1,0,rank,250\n"
        "b,\"random, \"\"label\"\"\",,relu,,,3,0,0,error,-inf\n");
  paper::export_runs_csv(runs, results);
  CHECK(runs.str() ==
        "run,problem,network,activation,regularizer,strength,seed,extra\n"
        "a,pm,mlp,tanh,none,0.005,1,\n"
        "b,\"random, \"\"label\"\"\",,relu,,,3,\"line\nline\"\n");
}

TEST_CASE("a run in several files is exported once, from the one that is farthest", "[results]") {
  const Folder folder;
  Results first(folder / "1.db", Access::write), second(folder / "2.db", Access::write);
  const auto commit = [](Results& results, const std::string& run, Index tasks, double value) {
    results.add_run({run, {{"seed", run}}});
    for (Index task = 0; task < tasks; ++task) {
      const std::vector<Value> values = {{task, 0, "error", value}};
      results.commit_task(run, task, values, {});
    }
  };
  commit(first, "more", 1, 1);
  commit(second, "more", 2, 2);
  commit(first, "same", 1, 1);
  commit(second, "same", 1, 2);
  commit(second, "alone", 1, 2);
  commit(first, "bare", 0, 1);
  const Results* const files[] = {&first, &second};
  std::ostringstream values, runs;
  paper::export_csv(values, files);
  CHECK(values.str() ==
        "run,problem,network,activation,regularizer,strength,seed,task,step,metric,value\n"
        "alone,,,,,,alone,0,0,error,2\n"
        "more,,,,,,more,0,0,error,2\n"
        "more,,,,,,more,1,0,error,2\n"
        "same,,,,,,same,0,0,error,1\n");
  paper::export_runs_csv(runs, files);
  CHECK(runs.str() == "run,seed\nalone,alone\nbare,bare\nmore,more\nsame,same\n");
}

TEST_CASE("an output that fails is an error", "[results]") {
  const Folder folder;
  const Results results(folder / "r.db", Access::write);
  std::ostringstream out;
  out.setstate(std::ios::badbit);
  CHECK_THROWS_AS(paper::export_csv(out, results), std::runtime_error);
  CHECK_THROWS_AS(paper::export_runs_csv(out, results), std::runtime_error);
}
