#pragma once

#include <string>
#include <vector>

#include "configuration.hpp"
#include "runner.hpp"

// The figures of the paper as data: which runs they need, which panels show them, and what the paper claims.
namespace paper {

// A curve of a figure: what differs from the base configuration of its problem.
struct Condition {
  std::string activation = "leaky_relu";
  std::string regularizer = "none";  // its strengths are the profile's; the best one is shown and judged
};
std::string label(const Condition& condition);  // "leaky ReLU", "leaky ReLU + Wasserstein"

// A curve of a panel that compares metrics.
struct Line {
  Condition condition;
  std::string metric, label;
};

struct Panel {
  std::string metric;
  std::string title, axis;
  double factor = 1;          // -1 where the paper plots the negative
  std::vector<Line> lines{};  // these curves instead of `metric` for every condition
};

enum class ClaimKind {
  plasticity,         // whether the condition loses plasticity
  curvature,          // whether curvature goes with plasticity
  trend,              // metric rises (sign +1) or falls (-1) over the tasks
  difference,         // metric is higher (+1) or lower (-1) at the end than with `other`
  change_difference,  // metric rises more (+1) or less (-1) than with `other`
  plateau,            // metric levels off
  about_equal,        // metric ends within .05 of that with `other`
  regularizer,        // the regulariser keeps error low where `other` loses it, and keeps the rank
  onset,              // loses plasticity later than `other`
  early_bound,        // metric is below `bound` in the first tasks
  tracking            // metric goes up and down with `other_metric` over the tasks
};

struct Claim {
  ClaimKind kind;
  Condition condition{};
  std::string words;     // the paper's
  std::string metric{};  // for those about a metric
  int sign = 0;
  Condition other{};           // for those about two conditions
  std::string expected{};      // of plasticity: LOST or PRESERVED
  std::string other_metric{};  // where it is not `metric`
  double bound = 0;            // of early_bound
};

// One problem of a figure at one size.
struct Setting {
  std::string problem;
  bool subset = false;  // the 1280 images of section 3; only the profile `paper` tells them apart
  std::string title;
};

struct Figure {
  std::string name;   // "fig1"
  std::string title;  // what it shows
  std::vector<Setting> settings;
  std::vector<Condition> conditions;
  std::vector<Panel> panels;  // for each setting
  std::vector<Claim> claims;  // for each setting
  int columns = 3;            // of panels
};

const std::vector<Figure>& figures();
const Figure& find_figure(const std::string& name);  // std::invalid_argument that lists the names

// How large a setting is run.
struct Profile {
  Configuration configuration;    // but for the condition and the seed
  std::vector<double> strengths;  // of every regulariser
  Index tasks, seeds;
};
inline const std::vector<std::string> profile_names{"smoke", "demo", "medium", "paper"};

// What the command line asks for beyond figure and profile.
struct Choice {
  std::string profile = "demo";
  Index tasks = 0, seeds = 0;         // 0: the profile's
  std::vector<std::string> problems;  // empty: all
  Fields overrides;                   // fields of Configuration
};

// A condition of a setting at one strength, with the runs of its seeds.
struct Series {
  Condition condition;
  double strength;
  std::vector<PlannedRun> runs;
};
struct PlannedSetting {
  Setting setting;
  Index tasks;
  std::vector<Series> series;  // for each condition in turn, a series a strength
};

// The runs of a figure. data: Configuration::data. std::invalid_argument for an unknown profile or problem,
// or an override that its field refuses.
std::vector<PlannedSetting> plan(const Figure& figure, const Choice& choice, const std::string& data);

// every run of the settings once
std::vector<PlannedRun> all_runs(const std::vector<PlannedSetting>& settings);

}  // namespace paper
