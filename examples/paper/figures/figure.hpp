#pragma once

#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "runs/configuration.hpp"
#include "runs/runner.hpp"

// The figures of the paper as data: which runs they need, which panels show them, and what the paper claims.
namespace paper {

// A curve of a figure: what differs from the base configuration of its problem. A swept condition stands for
// a curve a value of the profile's list; a claim names the one with the smallest or the largest value.
struct Condition {
  std::string activation = "leaky_relu";
  std::string regularizer = "none";  // its strengths are the profile's; the best one is shown and judged
  std::string sweep{};               // width, depth, epochs or strength
  double value = 0;                  // of what is swept
};
constexpr double every = 0, smallest = -1, largest = std::numeric_limits<double>::infinity();
std::string label(const Condition& condition);  // "leaky ReLU", "leaky ReLU + Wasserstein, strength 0.005"

std::string regularizer_label(const std::string& regularizer);  // "Wasserstein"

// A curve of a panel that compares metrics.
struct Line {
  Condition condition;
  std::string metric, label;
};

struct Panel {
  std::string metric;
  std::string title, axis;
  double factor = 1;                    // -1 where the paper plots the negative
  std::vector<Line> lines{};            // these curves instead of `metric` for every condition
  std::vector<Condition> conditions{};  // these of the figure's, where not all
  bool within = false;  // `metric` over the updates of a task, in the first and in the last tasks
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
  early_difference,   // metric is higher (+1) or lower (-1) in the first tasks than `other_metric`
  worsening,          // metric, a distance from the rank `other_metric`, rises over the tasks
  tracking,           // metric goes up and down with `other_metric` over the tasks
  early_above,        // metric is above `bound` in the first tasks
  steady,             // metric ends within 10 % of where it began
  dip,                // metric first falls, then rises
  online_only,        // the average online error rises while that at the end of a task stays
  delay,              // the larger the swept value, the later plasticity is lost
  sensitivity,        // the error depends less on the strength than with `other`
  sooner              // the online error falls within fewer updates than with `other`
};

struct Claim {
  ClaimKind kind;
  Condition condition{};
  std::string words;     // the paper's
  std::string metric{};  // for those about a metric
  int sign = 0;
  Condition other{};                    // for those about two conditions
  std::string expected{};               // of plasticity: LOST or PRESERVED
  std::string other_metric{};           // where it is not `metric`
  double bound = 0;                     // of early_bound and early_above
  std::vector<std::string> problems{};  // for these only; empty: for all of the figure
};

// One problem of a figure at one size.
struct Setting {
  std::string problem;
  bool subset = false;  // the 1280 images of section 3; only the profile `paper` tells them apart
  std::string title;
  std::string architecture = "mlp";
  Index longer = 1;  // times the profile's tasks
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

// The values of a swept condition, the smallest first, and what else differs from the profile's
// configuration.
struct Sweep {
  std::vector<double> values;
  Fields fixed{};
};

// How large a setting is run.
struct Profile {
  Configuration configuration;    // but for the condition and the seed
  std::vector<double> strengths;  // of every regulariser that is not swept
  Index tasks, seeds;
  std::map<std::string, Sweep>
      sweeps;  // width, depth, epochs, strength; feature_rank for the strengths of that
};
const Sweep& sweep_of(const Condition& condition, const Profile& profile);  // of a swept condition
// std::invalid_argument for a name that is not in profile_names
Profile profile_of(const std::string& name, const Setting& setting);
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
  Condition condition;  // with its value
  double strength;
  std::vector<PlannedRun> runs;  // a seed each
};
struct PlannedSetting {
  Setting setting;
  Index tasks;
  std::vector<Series> series;  // for each condition in turn, a series a strength
};

// the data set of a problem, for Configuration::data
using DataOf = std::function<std::string(const std::string& problem)>;

// The runs of a figure. std::invalid_argument for an unknown profile or problem, an override that its field
// refuses or that the figure varies itself, or fields that do not go together.
std::vector<PlannedSetting> plan(const Figure& figure, const Choice& choice, const DataOf& data);
std::vector<PlannedSetting> plan(const Figure& figure, const Choice& choice, const std::string& data);

// every run of the settings once
std::vector<PlannedRun> all_runs(const std::vector<PlannedSetting>& settings);

}  // namespace paper
