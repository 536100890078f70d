#include "figures/parts.hpp"

#include <algorithm>
#include <map>
#include <sstream>
#include <stdexcept>

#include "learners/regularizer.hpp"

namespace paper {

using namespace figure_parts;

namespace {

std::string text_of(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

// the conditions with a value each
std::vector<Condition> expand(const std::vector<Condition>& conditions, const Profile& profile) {
  std::vector<Condition> result;
  for (const Condition& condition : conditions) {
    if (condition.sweep.empty()) {
      result.push_back(condition);
      continue;
    }
    for (const double value : sweep_of(condition, profile).values) {
      result.push_back(condition);
      result.back().value = value;
    }
  }
  return result;
}

}  // namespace

// the strengths of a penalty of features are of another size
std::string sweep_name(const Condition& condition) {
  const bool features = regularizers().at(condition.regularizer).of_features != nullptr;
  return condition.sweeps_strength() && features ? condition.regularizer : condition.sweep;
}

const Sweep& sweep_of(const Condition& condition, const Profile& profile) {
  return profile.sweeps.at(sweep_name(condition));
}

const std::vector<Figure>& figures() {
  static const std::vector<Figure> all = [] {
    std::vector<Figure> joined;
    for (const auto& part :
         {activation_figures(), regularizer_figures(), scale_figures(), exact_curvature_figures()})
      joined.insert(joined.end(), part.begin(), part.end());
    std::stable_sort(joined.begin(), joined.end(), [](const Figure& a, const Figure& b) {
      return std::stoi(a.name.substr(3)) < std::stoi(b.name.substr(3));
    });
    return joined;
  }();
  return all;
}

const Figure& find_figure(const std::string& name) {
  std::string names;
  for (const Figure& figure : figures()) {
    if (figure.name == name) return figure;
    names += (names.empty() ? "" : ", ") + figure.name;
  }
  throw std::invalid_argument("there is no figure \"" + name + "\", expected one of " + names);
}

std::vector<PlannedSetting> plan(const Figure& figure, const Choice& choice, const std::string& data) {
  return plan(figure, choice, [&](const std::string&) { return data; });
}

std::vector<PlannedSetting> plan(const Figure& figure, const Choice& choice, const DataOf& data) {
  for (const Condition& condition : figure.conditions)
    for (const auto& [name, text] : choice.overrides)
      if (name == condition.sweep)
        throw std::invalid_argument("plan: " + name + " is " + text + ", but " + figure.name +
                                    " varies it itself");
  std::vector<PlannedSetting> result;
  for (const Setting& setting : figure.settings) {
    if (!choice.problems.empty() &&
        std::find(choice.problems.begin(), choice.problems.end(), setting.problem) == choice.problems.end())
      continue;
    Profile profile = profile_of(choice.profile, setting);
    if (choice.tasks > 0) profile.tasks = choice.tasks;
    if (choice.seeds > 0) profile.seeds = choice.seeds;
    PlannedSetting planned{setting, profile.tasks, {}};
    profile.configuration.data = data(setting.problem);
    for (const Condition& condition : expand(figure.conditions, profile)) {
      std::vector<double> strengths = profile.strengths;
      if (!condition.is_regularized()) strengths = {0};
      if (condition.sweeps_strength()) strengths = {condition.value};
      for (const double strength : strengths) {
        Series series{condition, strength, {}};
        for (Index seed = 0; seed < profile.seeds; ++seed) {
          Configuration configuration = profile.configuration;
          configuration.activation = condition.activation;
          configuration.regularizer = condition.regularizer;
          configuration.strength = strength;
          configuration.seed = static_cast<std::uint64_t>(seed);
          if (!condition.sweep.empty() && !condition.sweeps_strength()) {
            for (const auto& [name, text] : sweep_of(condition, profile).fixed)
              set_field(configuration, name, text);
            set_field(configuration, condition.sweep, text_of(condition.value));
          }
          for (const auto& [name, text] : choice.overrides) set_field(configuration, name, text);
          validate(configuration);
          series.runs.push_back({configuration, profile.tasks});
        }
        planned.series.push_back(std::move(series));
      }
    }
    result.push_back(std::move(planned));
  }
  return result;
}

std::vector<PlannedRun> all_runs(const std::vector<PlannedSetting>& settings) {
  std::map<std::string, std::size_t> place;
  std::vector<PlannedRun> runs;
  for (const PlannedSetting& setting : settings)
    for (const Series& series : setting.series)
      for (const PlannedRun& run : series.runs) {
        const auto [entry, is_new] = place.emplace(run_name(run.configuration), runs.size());
        if (is_new)
          runs.push_back(run);
        else  // two figures share the run: the longer one serves both
          runs[entry->second].tasks = std::max(runs[entry->second].tasks, run.tasks);
      }
  return runs;
}

}  // namespace paper
