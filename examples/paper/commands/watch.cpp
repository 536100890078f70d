#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <map>
#include <sstream>
#include <thread>

#include "commands/commands.hpp"
#include "learners/activation.hpp"
#include "learners/regularizer.hpp"
#include "runs/results.hpp"

namespace paper {

namespace {

// the seeds of one configuration
struct Watched {
  Index runs = 0, tasks = 0;
  std::vector<std::vector<double>> errors, ranks;
};

std::string field(const RunRecord& record, const std::string& name) {
  for (const auto& [field, value] : record.fields)
    if (field == name) return value;
  return "";
}

// "random_label_mnist mlp-64-64-64: leaky ReLU + L2, strength 0.005"
std::string title(const RunRecord& record) {
  const Activation* activation = activations().find(field(record, "activation"));
  const Regularizer* regularizer = regularizers().find(field(record, "regularizer"));
  std::string text = field(record, "problem") + " " + field(record, "network") + ": " +
                     (activation == nullptr ? field(record, "activation") : activation->label);
  if (regularizer != nullptr && !regularizer->label.empty())
    text += " + " + regularizer->label + ", strength " + field(record, "strength");
  return text;
}

std::vector<double> mean_of(const std::vector<std::vector<double>>& curves) {
  std::vector<double> sums, counts;
  for (const auto& curve : curves)
    for (std::size_t task = 0; task < curve.size(); ++task) {
      if (!std::isfinite(curve[task])) continue;
      sums.resize(std::max(sums.size(), task + 1)), counts.resize(sums.size());
      sums[task] += curve[task], counts[task] += 1;
    }
  for (std::size_t task = 0; task < sums.size(); ++task) sums[task] /= counts[task];
  return sums;
}

// the course of a curve between 0 and 1 in `width` characters, and where it stands
std::string drawn(const std::vector<double>& curve, std::size_t width) {
  static const char* const heights[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::string text;
  const std::size_t columns = std::min(width, curve.size());
  for (std::size_t i = 0; i < columns; ++i) {
    const double value = curve[(i + 1) * curve.size() / columns - 1];
    text += heights[static_cast<std::size_t>(std::clamp(std::isfinite(value) ? value * 8 : 0.0, 0.0, 7.0))];
  }
  for (std::size_t i = columns; i < width; ++i) text += " ";
  std::ostringstream last;
  if (!curve.empty()) last << std::fixed << std::setprecision(3) << curve.back();
  return text + " " + last.str();
}

void print(const Results& results, std::ostream& out) {
  std::map<std::string, Watched> all;
  for (const RunRecord& record : results.runs()) {
    Watched& watched = all[title(record)];
    const Index done = results.tasks_done(record.run);
    ++watched.runs;
    watched.tasks += done;
    watched.errors.push_back(results.curve(record.run, "error", done));
    watched.ranks.push_back(results.curve(record.run, "ef_rank_relative", done));
  }
  for (const auto& [name, watched] : all)
    out << name << "\n  " << watched.runs << " runs, " << watched.tasks << " tasks\n  error     "
        << drawn(mean_of(watched.errors), 50) << "\n  curvature " << drawn(mean_of(watched.ranks), 50)
        << '\n';
  if (all.empty()) out << "no runs yet\n";
}

}  // namespace

// Until a signal, where standard output is a terminal; else once.
int watch(Options& options) {
  const std::filesystem::path file = options.results.front();
  const bool live = isatty(STDOUT_FILENO) == 1;
  stop_at_signals();
  while (true) {
    std::ostringstream screen;
    print(Results(file, Results::Access::read), screen);
    if (live) std::cout << "\x1b[H\x1b[2J";
    std::cout << screen.str() << (live ? "(every 2 s; Ctrl-C ends it)\n" : "") << std::flush;
    for (int i = 0; i < 20 && live && !stop; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (!live || stop) return 0;
  }
}

}  // namespace paper
