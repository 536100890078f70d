#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "figures/figure.hpp"

// What the program does, behind its command line.
namespace paper {

struct Options {
  Choice choice;
  bool profile_given = false;
  std::vector<std::string> figures;  // fig1, my.json, all
  std::vector<std::string> results{"results.sqlite"};
  bool results_given = false;
  std::vector<std::string> values;  // files of values; a folder: all that are in it
  std::string data, output = ".";
  std::string learner = "auto", device = "cpu";
  double max_hours = 0;
  int threads = 1;
  bool resume = true, dry_run = false, runs = false, verbose = false;
  std::vector<std::string> made_by;  // name=value

  // experiments of one's own, once they were read
  std::deque<Figure> own{};
  bool named_all() const;
};
std::vector<const Figure*> chosen(Options& options);

// the status of a run that --max-hours ended: EX_TEMPFAIL of sysexits.h, "try again"
constexpr int more_to_train = 75;

// Each returns the status of the program.
int list(Options& options);
int show(Options& options);
int run(Options& options);
int status(Options& options);
int plot(Options& options);
int check(Options& options);
int export_values(Options& options);
int publish(Options& options);
int watch(Options& options);

// "ended by signal": SIGINT and SIGTERM end run and watch
extern std::atomic<bool> stop;
void stop_at_signals();
int signal_status();  // 128 + n

}  // namespace paper
