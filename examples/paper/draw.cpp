#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "report.hpp"

extern char** environ;

namespace paper {

namespace {

using Json = nlohmann::json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

std::string shortest(double value) { return Json(value).dump(); }

// Runs a program and waits for it; its exit status, 127 where it could not be started.
int run_program(std::vector<std::string> arguments, bool quiet) {
  std::vector<char*> pointers;
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

// mean and band of what the seeds have, task by task
Json curve(const Curves& curves, double factor) {
  Json x = Json::array(), mean = Json::array(), low = Json::array(), high = Json::array();
  std::size_t tasks = 0;
  for (const auto& [seed, values] : curves) tasks = std::max(tasks, values.size());
  for (std::size_t task = 0; task < tasks; ++task) {
    std::vector<double> values;
    for (const auto& [seed, all] : curves)
      if (task < all.size() && std::isfinite(all[task])) values.push_back(factor * all[task]);
    const Interval interval = mean_interval(values);
    x.push_back(task);
    mean.push_back(number(interval.mean));
    low.push_back(number(interval.low));
    high.push_back(number(interval.high));
  }
  return {{"x", x}, {"mean", mean}, {"low", low}, {"high", high}};
}

Json panels(const Figure& figure, const PlannedSetting& setting, bool name_setting, const Archive& archive) {
  Json result = Json::array();
  for (const Panel& panel : figure.panels) {
    Json curves = Json::array();
    std::vector<Line> lines = panel.lines;
    if (lines.empty())
      for (const Condition& condition : figure.conditions)
        lines.push_back({condition, panel.metric, label(condition)});
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const Condition& condition = lines[i].condition;
      const Series* series = best_series(archive, setting, condition);
      for (const Series& any : setting.series)  // nothing complete yet: what there is of the first strength
        if (series == nullptr && any.condition.activation == condition.activation &&
            any.condition.regularizer == condition.regularizer)
          series = &any;
      if (series == nullptr) continue;
      Json one = curve(archive.curves(*series, lines[i].metric, false), panel.factor);
      if (one["x"].empty()) continue;
      one["label"] = lines[i].label;
      one["color"] = i;
      // a figure of regularisers shows the network without any as its reference
      const bool reference =
          condition.regularizer == "none" && figure.conditions.back().regularizer != "none";
      one["style"] = reference ? "dashed" : "solid";
      curves.push_back(one);
    }
    result.push_back({{"title", name_setting ? setting.setting.title + ": " + panel.title : panel.title},
                      {"xlabel", "task"},
                      {"ylabel", panel.axis},
                      {"ylim", nullptr},
                      {"curves", curves}});
  }
  return result;
}

}  // namespace

std::string describe(const PlannedSetting& setting, const std::string& data) {
  const Configuration& c = setting.series.front().runs.front().configuration;
  std::string text = setting.setting.title + " (" + data + ")";
  if (c.pool > 1) text += ", pooled " + std::to_string(c.pool) + "x" + std::to_string(c.pool);
  text += ", " + std::to_string(c.images) + " images, " + c.network() + ", " + c.optimizer + " " +
          shortest(c.learning_rate) + ", batch " + std::to_string(c.batch) + ", " + std::to_string(c.epochs) +
          " epochs a task, " + std::to_string(setting.series.front().runs.size()) + " seeds";
  std::string strengths;
  for (const Series& series : setting.series)
    if (series.condition.regularizer != "none" &&
        strengths.find(shortest(series.strength)) == std::string::npos)
      strengths += (strengths.empty() ? "" : ", ") + shortest(series.strength);
  if (!strengths.empty()) text += ", strength " + strengths;
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
  for (const PlannedSetting& setting : settings) {
    for (Json& panel : panels(figure, setting, settings.size() > 1, archive))
      if (!panel["curves"].empty()) document["panels"].push_back(panel);
    caption += (caption.empty() ? "" : "; ") + describe(setting, archive.data());
  }
  if (document["panels"].empty())
    throw std::runtime_error("plot: " + figure.name + " has no results yet at profile " + choice.profile);
  document["caption"] = figure.name + ", " + choice.profile + ": " + caption + ". Bands: 95 % t intervals.";

  std::filesystem::create_directories(output);
  const std::filesystem::path base = output / (figure.name + "-" + choice.profile);
  const auto with = [&](const char* ending) { return base.string() + ending; };
  document["outputs"] = {with(".png"), with(".svg")};
  const std::string file = with(".json");
  std::ofstream stream(file);
  stream << document.dump(1) << '\n';
  stream.close();
  if (!stream) throw std::runtime_error("plot: cannot write " + file);
  const int status =
      run_program({find_python(), std::string(SAGITTA_PAPER_SCRIPTS) + "/plot.py", file}, false);
  std::filesystem::remove(file);
  if (status != 0) throw std::runtime_error("plot: plot.py failed with status " + std::to_string(status));
  return with(".png");
}

}  // namespace paper
