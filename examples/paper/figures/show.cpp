#include <nlohmann/json.hpp>
#include <set>

#include "figures/experiment.hpp"

namespace paper {

namespace {

using Json = nlohmann::ordered_json;

Json json(const Condition& condition) {
  Json result{{"activation", condition.activation}};
  if (condition.is_regularized()) result["regularizer"] = condition.regularizer;
  if (condition.sweep.empty()) return result;
  result["sweep"] = condition.sweep;
  if (condition.value == smallest)
    result["value"] = "smallest";
  else if (condition.value == largest)
    result["value"] = "largest";
  else if (condition.value != every)
    result["value"] = condition.value;
  return result;
}

Json json(const std::vector<Condition>& conditions) {
  Json result = Json::array();
  for (const Condition& condition : conditions) result.push_back(json(condition));
  return result;
}

// numbers as numbers
Json value_of(const std::string& text) {
  const Json value = Json::parse(text, nullptr, false);
  return value.is_number() ? value : Json(text);
}

Json json(const Fields& fields) {
  Json result = Json::object();
  for (const auto& [name, text] : fields) result[name] = value_of(text);
  return result;
}

// what differs from the paper's configuration, but for what conditions and problems vary
Json differences(const Configuration& configuration) {
  const std::set<std::string> varied{"problem",     "data",     "network", "activation",
                                     "regularizer", "strength", "seed"};
  const Configuration of_paper;
  const Fields standard = fields(of_paper);
  Json result = Json::object();
  for (const auto& [name, text] : fields(configuration)) {
    const bool same = std::find(standard.begin(), standard.end(), std::pair{name, text}) != standard.end();
    if (!same && !varied.contains(name)) result[name] = value_of(text);
  }
  return result;
}

Json json(const Setting& setting, const Profile& profile, const std::vector<Condition>& conditions) {
  Json result{{"problem", setting.problem},
              {"title", setting.title},
              {"tasks", profile.tasks},
              {"seeds", profile.seeds},
              {"configuration", differences(profile.configuration)},
              {"strengths", profile.strengths}};
  for (const Condition& condition : conditions) {
    if (condition.sweep.empty()) continue;
    const Sweep& sweep = sweep_of(condition, profile);
    Json& own = result["sweeps"][sweep_name(condition)];
    own["values"] = sweep.values;
    if (!sweep.fixed.empty()) own["fixed"] = json(sweep.fixed);
  }
  return result;
}

Json json(const Panel& panel) {
  Json result = Json::object();
  if (panel.lines.empty()) result["metric"] = panel.metric;
  result["title"] = panel.title;
  result["axis"] = panel.axis;
  if (panel.factor != 1) result["factor"] = panel.factor;
  for (const Line& line : panel.lines)
    result["lines"].push_back(
        {{"condition", json(line.condition)}, {"metric", line.metric}, {"label", line.label}});
  if (!panel.conditions.empty()) result["conditions"] = json(panel.conditions);
  if (panel.within) result["within"] = true;
  return result;
}

Json json(const Claim& claim) {
  Json result{{"claim", claim.kind}, {"condition", json(claim.condition)}, {"words", claim.words}};
  for (const std::string& member : claim_kinds().at(claim.kind).needs)
    if (member == "other") result["other"] = json(claim.other);
  if (!claim.metric.empty()) result["metric"] = claim.metric;
  if (claim.sign != 0) result["sign"] = claim.sign;
  if (!claim.expected.empty()) result["expected"] = claim.expected;
  if (!claim.other_metric.empty()) result["other_metric"] = claim.other_metric;
  if (claim.bound != 0) result["bound"] = claim.bound;
  if (!claim.problems.empty()) result["problems"] = claim.problems;
  return result;
}

}  // namespace

std::string show(const Figure& figure, const std::string& profile) {
  Json document{{"name", figure.name}, {"title", figure.title}};
  document["problems"] = Json::array();
  for (const Setting& setting : figure.settings)
    document["problems"].push_back(json(setting, profile_of(profile, setting), figure.conditions));
  document["conditions"] = json(figure.conditions);
  document["panels"] = Json::array();
  for (const Panel& panel : figure.panels) document["panels"].push_back(json(panel));
  document["claims"] = Json::array();
  for (const Claim& claim : figure.claims) document["claims"].push_back(json(claim));
  document["columns"] = figure.columns;
  return document.dump(2) + "\n";
}

}  // namespace paper
