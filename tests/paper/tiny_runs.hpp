#pragma once

#include <atomic>
#include <filesystem>
#include <sstream>

#include "catch.hpp"
#include "figures/figure.hpp"
#include "folder.hpp"
#include "runs/runner.hpp"

// Runs of a fraction of a second.
namespace tiny_runs {

using namespace paper;
namespace fs = std::filesystem;

inline DataLibrary& digits() {
  static DataLibrary library;
  return library;
}

inline Choice tiny() {
  Choice choice;
  choice.profile = "smoke";
  choice.tasks = 6, choice.seeds = 2;
  choice.problems = {"random_label_mnist"};
  choice.overrides = {{"images", "40"}, {"width", "8"}, {"epochs", "4"}};
  return choice;
}

inline std::string exported(const fs::path& file) {
  std::ostringstream text;
  export_csv(text, Results(file, Results::Access::read));
  return text.str();
}

// trains the figure; what the log says
inline std::string run(const fs::path& file, int threads, Choice choice, const std::string& figure = "fig1") {
  std::ostringstream log;
  const std::atomic<bool> stop{false};
  const auto runs =
      all_runs(plan(find_figure(figure), choice, digits().identity(data_set_of("random_label_mnist"))));
  {
    Results results(file, Results::Access::write);
    run_all(runs, digits(), results, {threads, false}, log, stop);
  }
  return log.str();
}

}  // namespace tiny_runs
