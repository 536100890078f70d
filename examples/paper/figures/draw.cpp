#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "figures/report.hpp"
#include "verdicts/evidence.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX leaves it to the program

namespace paper {

namespace {

using Json = nlohmann::json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

std::string shortest(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

// Runs a program and waits for it; its exit status, 127 where it could not be started.
int run_program(std::vector<std::string> arguments, bool quiet) {
  std::vector<char*> pointers;
  pointers.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (quiet) posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int error = posix_spawnp(&child, pointers[0], &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return 127;
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return 127;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

// The first Python on the path, or else the system's own, whichever has matplotlib.
std::string find_python() {
  for (const char* python : {"python3", "/usr/bin/python3"})
    if (run_program({python, "-c", "import matplotlib"}, true) == 0) return python;
  throw std::runtime_error("plot: no python3 with matplotlib; install python3-matplotlib");
}

// mean and band of what the seeds have; x: where the values lie, else at the tasks
Json curve(const Curves& curves, double factor, const std::vector<Index>* x = nullptr) {
  Json at = Json::array(), mean = Json::array(), low = Json::array(), high = Json::array();
  std::size_t count = 0;
  for (const auto& [seed, values] : curves) count = std::max(count, values.size());
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<double> values;
    for (const auto& [seed, all] : curves)
      if (i < all.size() && std::isfinite(all[i])) values.push_back(factor * all[i]);
    const Interval interval = reach(values);
    at.push_back(x == nullptr ? static_cast<Index>(i) : (*x)[i]);
    mean.push_back(number(interval.mean));
    low.push_back(number(interval.low));
    high.push_back(number(interval.high));
  }
  return {{"x", at}, {"mean", mean}, {"low", low}, {"high", high}};
}

// A curve of a panel before it is drawn.
struct Plotted {
  const Series* series;
  std::string metric, label;
  std::size_t color;
  std::optional<double> shade;  // of a sweep, from 0 to 1
};

// the series of a condition: of one that is swept all, else the best, else what there is of the first
// strength
std::vector<Plotted> plotted(const Line& line, std::size_t color, const PlannedSetting& setting,
                             const Archive& archive) {
  const std::vector<const Series*> all = swept_series(setting, line.condition);
  std::vector<Plotted> result;
  if (line.condition.sweep.empty()) {
    const Series* best = best_series(archive, setting, line.condition);
    if (best == nullptr && !all.empty()) best = all.front();
    if (best != nullptr) result.push_back({best, line.metric, line.label, color, {}});
    return result;
  }
  for (std::size_t i = 0; i < all.size(); ++i)
    result.push_back({all[i], line.metric, line.condition.sweep + " " + shortest(all[i]->condition.value),
                      color,
                      all.size() > 1 ? static_cast<double>(i) / static_cast<double>(all.size() - 1) : 0.0});
  return result;
}

Json curves_of(const Figure& figure, const Panel& panel, const PlannedSetting& setting,
               const Archive& archive) {
  std::vector<Line> lines = panel.lines;
  if (lines.empty())
    for (const Condition& condition : panel.conditions.empty() ? figure.conditions : panel.conditions)
      lines.push_back({condition, panel.metric, label(condition)});
  Json curves = Json::array();
  const auto add = [&](Json one, const Plotted& of, const std::string& label, const char* style) {
    if (one["x"].empty()) return;
    one["label"] = label;
    one["color"] = of.color;
    if (of.shade) one["shade"] = *of.shade;
    one["style"] = style;
    curves.push_back(std::move(one));
  };
  for (std::size_t i = 0; i < lines.size(); ++i) {
    // a figure of regularisers shows the network without any as its reference
    const bool reference = panel.lines.empty() && !lines[i].condition.is_regularized() &&
                           figure.conditions.back().is_regularized();
    for (const Plotted& of : plotted(lines[i], i, setting, archive)) {
      if (!panel.within) {
        add(curve(archive.curves(*of.series, of.metric, false), panel.factor), of, of.label,
            reference ? "dashed" : "solid");
        continue;
      }
      for (const bool late : {false, true}) {
        const Within errors = archive.within(*of.series, late, false);
        add(curve(errors.errors, panel.factor, &errors.steps), of, of.label + (late ? "" : ", first tasks"),
            late ? "solid" : "dotted");
      }
    }
  }
  return curves;
}

Json panels(const Figure& figure, const PlannedSetting& setting, bool name_setting, const Archive& archive) {
  Json result = Json::array();
  for (const Panel& panel : figure.panels)
    result.push_back({{"title", name_setting ? setting.setting.title + ": " + panel.title : panel.title},
                      {"xlabel", panel.within ? "update of the task" : "task"},
                      {"ylabel", panel.axis},
                      {"ylim", nullptr},
                      {"curves", curves_of(figure, panel, setting, archive)}});
  return result;
}

}  // namespace

namespace {

// images of a task: those asked for, or what the data's identity says that there are (see DataLibrary)
Index images_used(const Configuration& c, const std::string& data) {
  const std::size_t at = data.find('_', data.starts_with("synthetic_") ? 10 : 0);
  if (at == std::string::npos) return c.images;
  const char* const end = data.data() + data.size();
  Index first = 0, second = 0;
  const auto [after, error] = std::from_chars(data.data() + at + 1, end, first);
  if (error != std::errc{}) return c.images;
  if (after == end || *after != 'x' || std::from_chars(after + 1, end, second).ec != std::errc{})
    return std::min(c.images, first);
  return std::min(c.images, 2 * (second * 6 / 7));
}

// "width 16, 32, 64 (depth 4)": what the conditions vary, but for strengths
std::vector<std::string> swept_names(const PlannedSetting& setting) {
  std::vector<std::string> result;
  std::string before;
  for (const Series& series : setting.series) {
    const Condition& condition = series.condition;
    if (condition.sweep.empty() || condition.sweeps_strength()) continue;
    if (condition.sweep == before) {
      result.back() += ", " + shortest(condition.value);
      continue;
    }
    before = condition.sweep;
    const Configuration& c = series.runs.front().configuration;
    result.push_back((before == "width"   ? "at depth " + std::to_string(c.depth) + " "
                      : before == "depth" ? "at width " + std::to_string(c.width) + " "
                                          : "") +
                     before + " " + shortest(condition.value));
  }
  return result;
}

}  // namespace

std::string describe(const PlannedSetting& setting, const std::string& data) {
  const Configuration& c = setting.series.front().runs.front().configuration;
  const auto varies = [&](const std::string& what) {
    return std::any_of(setting.series.begin(), setting.series.end(),
                       [&](const Series& series) { return series.condition.sweep == what; });
  };
  std::string text = setting.setting.title + (data.empty() ? "" : " (" + data + ")");
  if (c.pool > 1) text += ", pooled " + std::to_string(c.pool) + "x" + std::to_string(c.pool);
  text += ", " + std::to_string(images_used(c, data)) + " images";
  text += varies("width") || varies("depth") ? ", " + c.architecture : ", " + c.network();
  text += ", " + c.optimizer + " " + shortest(c.learning_rate) + ", batch " + std::to_string(c.batch);
  if (!varies("epochs")) text += ", " + std::to_string(c.epochs) + " epochs a task";
  text += ", " + std::to_string(setting.series.front().runs.size()) + " seeds";
  std::vector<std::string> strengths;
  for (const Series& series : setting.series)
    if (const std::string strength = shortest(series.strength);
        series.condition.is_regularized() &&
        std::find(strengths.begin(), strengths.end(), strength) == strengths.end())
      strengths.push_back(strength);
  for (const std::string& strength : strengths)
    text += (&strength == strengths.data() ? ", strength " : ", ") + strength;
  for (const std::string& swept : swept_names(setting)) text += "; " + swept;
  return text;
}

std::filesystem::path draw(const Figure& figure, const Choice& choice,
                           const std::vector<PlannedSetting>& settings, const Archive& archive,
                           const std::filesystem::path& output) {
  Json document;
  document["title"] = figure.title;
  document["columns"] = figure.columns;
  document["panels"] = Json::array();
  std::string caption;
  bool few = false, many = false;  // seeds, see reach
  for (const PlannedSetting& setting : settings) {
    bool any = false;
    for (Json& panel : panels(figure, setting, settings.size() > 1, archive)) {
      if (panel["curves"].empty()) continue;
      document["panels"].push_back(std::move(panel));
      any = true;
    }
    const Index seeds = std::ssize(archive.curves(setting.series.front(), "error", false));
    (seeds < fewest_for_interval ? few : many) |= any && seeds > 1;
    if (any)
      caption += (caption.empty() ? "" : "; ") + describe(setting, archive.data(setting.setting.problem)) +
                 mixture(setting, archive);
  }
  if (document["panels"].empty())
    throw std::runtime_error("plot: " + figure.name + " has no results yet" +
                             (figure.has_own_size() ? "" : " at profile " + choice.profile));
  const std::string size = figure.has_own_size() ? "" : choice.profile;
  document["caption"] = figure.name + (size.empty() ? "" : ", " + size) + ": " + caption + "." +
                        (many ? " Bands: 95 % t intervals." : "") +
                        (few ? " Bands of fewer than " + std::to_string(fewest_for_interval) +
                                   " seeds: from the least to the greatest."
                             : "");

  std::filesystem::create_directories(output);
  const std::filesystem::path base = output / (figure.name + (size.empty() ? "" : "-" + size));
  const auto with = [&](const char* ending) { return base.string() + ending; };
  document["outputs"] = {with(".png"), with(".svg")};
  const std::string file = with(".json");
  std::ofstream stream(file);
  stream << document.dump(1) << '\n';
  stream.close();
  if (!stream) throw std::runtime_error("plot: cannot write " + file);
  static const std::string python = find_python();  // asked once: matplotlib takes its time
  const int status =
      run_program({python, std::string(SAGITTA_PAPER_SCRIPTS) + "/figures/plot.py", file}, false);
  std::filesystem::remove(file);
  if (status != 0) throw std::runtime_error("plot: plot.py failed with status " + std::to_string(status));
  return with(".png");
}

}  // namespace paper
