#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runs/condition.hpp"
#include "runs/fields.hpp"
#include "runs/runner.hpp"
#include "verdicts/claim.hpp"

// The figures of the paper as data: which runs they need, which panels show them, and what the paper claims.
namespace paper {

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

// One problem of a figure at one size.
struct Setting {
  std::string problem;
  bool subset = false;  // the 1280 images of section 3; only the profile `paper` tells them apart
  std::string title;
  std::string architecture = "mlp";
  Index longer = 1;              // times the profile's tasks
  std::optional<Profile> own{};  // of experiments of one's own: their size, whatever profile is asked for
};

struct Figure {
  std::string name;   // "fig1"
  std::string title;  // what it shows
  std::vector<Setting> settings;
  std::vector<Condition> conditions;
  std::vector<Panel> panels;  // for each setting
  std::vector<Claim> claims;  // for each setting
  int columns = 3;            // of panels

  bool has_own_size() const { return !settings.empty() && settings.front().own.has_value(); }
};

const std::vector<Figure>& figures();
const Figure& find_figure(const std::string& name);  // std::invalid_argument that lists the names

// of a swept condition: its values, and their name in Profile::sweeps
const Sweep& sweep_of(const Condition& condition, const Profile& profile);
std::string sweep_name(const Condition& condition);
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
