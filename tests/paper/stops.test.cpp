#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <ostream>
#include <streambuf>

#include "catch.hpp"
#include "tiny_runs.hpp"

// What is left when training stops, by itself or not.
using namespace tiny_runs;

namespace {

// a log that acts when the first finished task shows in it
class Acting : public std::streambuf {
 public:
  explicit Acting(std::function<void()> act) : act_(std::move(act)) {}

 private:
  int overflow(int letter) override {
    if (letter == '%') act_();
    return letter;
  }
  std::function<void()> act_;
};

constexpr Index endless = 1000000;  // tasks

// one run, which writes only where it must
bool run_one(const fs::path& file, Index tasks, std::ostream& log, const std::atomic<bool>& stop) {
  Choice choice = tiny();
  choice.tasks = tasks;
  const auto runs =
      all_runs(plan(find_figure("fig1"), choice, digits().identity(data_set_of("random_label_mnist"))));
  Results results(file, Results::Access::write);
  return run_all(std::span(runs).first(1), digits(), results, {.progress_bar = true, .writing_share = 0}, log,
                 stop);
}

bool run_one(const fs::path& file, Index tasks) {
  std::ostringstream log;
  return run_one(file, tasks, log, {false});
}

// the tasks that are done and have values; the state must be that after them
Index tasks_in(const fs::path& file) {
  const Results results(file, Results::Access::read);
  const std::string run = results.runs().at(0).run;
  const Index tasks = results.tasks_done(run);
  CHECK(static_cast<Index>(results.curve(run, "error", endless).size()) == tasks);
  CHECK(results.checkpoint(run).has_value() == (tasks > 0));
  return tasks;
}

}  // namespace

TEST_CASE("run_all: a stop writes all that was finished and has not been written", "[paper]") {
  const Folder folder;
  std::atomic<bool> stop{false};
  Acting act([&] { stop = true; });
  std::ostream log(&act);
  CHECK_FALSE(run_one(folder.path / "stopped", endless, log, stop));
  const Index tasks = tasks_in(folder.path / "stopped");
  CHECK(tasks > 0);
  CHECK(run_one(folder.path / "stopped", tasks + 3));
  CHECK(run_one(folder.path / "whole", tasks + 3));
  CHECK(exported(folder.path / "stopped") == exported(folder.path / "whole"));
}

TEST_CASE("run_all: a kill loses what was not written, and nothing is there twice", "[paper]") {
  const Folder folder;
  const fs::path file = folder.path / "killed";
  CHECK(run_one(file, 2));
  const pid_t child = fork();
  if (child == 0) {  // has finished more tasks when it ends
    Acting act([] { std::raise(SIGKILL); });
    std::ostream log(&act);
    run_one(file, endless, log, {false});
    _exit(0);
  }
  REQUIRE(child > 0);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
  CHECK(tasks_in(file) == 2);
  CHECK(run_one(file, 7));
  CHECK(tasks_in(file) == 7);
  CHECK(run_one(folder.path / "whole", 7));
  CHECK(exported(file) == exported(folder.path / "whole"));
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

TEST_CASE("run_all: max_hours stops as a signal does, and the next run goes on", "[paper]") {
  const Folder folder;
  std::ostringstream log;
  const std::atomic<bool> stop{false};
  Choice choice = tiny();
  choice.tasks = 2;
  const auto runs =
      all_runs(plan(find_figure("fig1"), choice, digits().identity(data_set_of("random_label_mnist"))));
  {
    Results results(folder.path / "part", Results::Access::write);
    CHECK_FALSE(run_all(runs, digits(), results, {.threads = 1, .max_hours = 1e-9}, log, stop));
  }
  CHECK(log.str().find("stopped") != std::string::npos);
  CHECK(exported(folder.path / "part").find(",error,") == std::string::npos);
  run(folder.path / "part", 1, choice);
  run(folder.path / "whole", 1, choice);
  CHECK(exported(folder.path / "part") == exported(folder.path / "whole"));
}
