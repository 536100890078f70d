#include "figures/experiment.hpp"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>

#include "data/problem.hpp"
#include "figures/document.hpp"
#include "learners/activation.hpp"
#include "learners/metric.hpp"
#include "learners/regularizer.hpp"

namespace paper {

namespace {

std::string text_at(const Node& node, const std::string& key, const std::string& otherwise) {
  return node.has(key) ? node.at(key).text() : otherwise;
}

// a name that the registry knows
template <class Entry>
std::string name_in(const Registry<Entry>& registry, const Node& node) {
  return node.checked([&] { return registry.at(node.text()).name; });
}

std::vector<double> numbers(const Node& node) {
  std::vector<double> result;
  for (const Node& one : node.list()) result.push_back(one.number());
  if (result.empty()) node.expected("at least one number");
  return result;
}

Fields fields_of(const Node& node) {
  Fields result;
  for (const auto& [name, value] : node.members()) {
    Configuration any;
    const std::string text = value.word();
    value.checked([&, name = name] {
      set_field(any, name, text);
      return 0;
    });
    result.emplace_back(name, text);
  }
  return result;
}

Condition condition_of(const Node& node) {
  node.only({"activation", "regularizer", "sweep", "value"});
  Condition condition;
  if (node.has("activation")) condition.activation = name_in(activations(), node.at("activation"));
  if (node.has("regularizer")) condition.regularizer = name_in(regularizers(), node.at("regularizer"));
  condition.sweep = text_at(node, "sweep", "");
  if (!node.has("value")) return condition;
  const Node value = node.at("value");
  if (condition.sweep.empty()) value.fail("is of a sweep, and \"sweep\" is missing");
  if (!value.is_text())
    condition.value = value.number();
  else if (value.text() == "smallest")
    condition.value = smallest;
  else if (value.text() == "largest")
    condition.value = largest;
  else
    value.expected("smallest, largest or a number");
  return condition;
}

// a condition of the figure's
Condition condition_of(const Node& node, const Figure& figure) {
  const Condition condition = condition_of(node);
  for (const Condition& own : figure.conditions)
    if (own.same_but_value(condition)) return condition;
  node.fail("is none of the conditions of the experiment");
}

std::vector<Condition> conditions_of(const Node& node, const Figure& figure) {
  std::vector<Condition> result;
  for (const Node& one : node.list()) result.push_back(condition_of(one, figure));
  return result;
}

// What conditions, strengths, seeds and problems vary is not for the configuration.
void check_free(const Node& configuration) {
  static const std::set<std::string> varied{"activation", "regularizer", "strength",
                                            "seed",       "problem",     "data"};
  for (const auto& [name, value] : configuration.members())
    if (varied.contains(name))
      value.fail("is varied by the experiment: conditions, strengths, seeds and problems have it");
}

Setting setting_of(const Node& node, const std::vector<Condition>& conditions) {
  node.only({"problem", "title", "tasks", "seeds", "configuration", "strengths", "sweeps"});
  const std::string problem = name_in(problem_types(), node.at("problem"));
  Setting setting{.problem = problem, .title = text_at(node, "title", problem_types().at(problem).title)};
  Profile profile{.configuration = {}, .strengths = {.005}, .tasks = 40, .seeds = 5, .sweeps = {}};
  profile.configuration.problem = problem;
  if (node.has("configuration")) {
    const Node configuration = node.at("configuration");
    check_free(configuration);
    for (const auto& [name, text] : fields_of(configuration)) set_field(profile.configuration, name, text);
    configuration.checked([&] {
      validate(profile.configuration);
      return 0;
    });
  }
  setting.architecture = profile.configuration.architecture;
  if (node.has("tasks")) profile.tasks = node.at("tasks").count();
  if (node.has("seeds")) profile.seeds = node.at("seeds").count();
  if (node.has("strengths")) profile.strengths = numbers(node.at("strengths"));
  if (node.has("sweeps"))
    for (const auto& [name, sweep] : node.at("sweeps").members()) {
      sweep.only({"values", "fixed"});
      Sweep& own = profile.sweeps[name];
      own.values = numbers(sweep.at("values"));
      if (!std::is_sorted(own.values.begin(), own.values.end()))
        sweep.at("values").expected("rising numbers");
      if (sweep.has("fixed")) own.fixed = fields_of(sweep.at("fixed"));
    }
  for (const Condition& condition : conditions)
    if (!condition.sweep.empty() && !profile.sweeps.contains(sweep_name(condition)))
      node.fail("has no values for the sweep " + condition.sweep + ": \"sweeps\": {\"" +
                sweep_name(condition) + "\": {\"values\": [...]}} is missing");
  setting.own = std::move(profile);
  return setting;
}

Panel panel_of(const Node& node, const Figure& figure) {
  node.only({"metric", "title", "axis", "factor", "lines", "conditions", "within"});
  Panel panel;
  if (node.has("metric")) panel.metric = name_in(metrics(), node.at("metric"));
  if (node.has("lines"))
    for (const Node& line : node.at("lines").list()) {
      line.only({"condition", "metric", "label"});
      panel.lines.push_back({condition_of(line.at("condition"), figure),
                             name_in(metrics(), line.at("metric")), line.at("label").text()});
    }
  if (panel.metric.empty() == panel.lines.empty()) node.fail("needs either \"metric\" or \"lines\"");
  const std::string& unit = metrics().at(panel.metric.empty() ? panel.lines[0].metric : panel.metric).unit;
  panel.title = text_at(node, "title", panel.metric);
  panel.axis = text_at(node, "axis", unit);
  if (node.has("factor")) panel.factor = node.at("factor").number();
  if (node.has("conditions")) panel.conditions = conditions_of(node.at("conditions"), figure);
  if (node.has("within")) panel.within = node.at("within").flag();
  return panel;
}

Claim claim_of(const Node& node, const Figure& figure) {
  node.only({"claim", "condition", "words", "metric", "sign", "other", "expected", "other_metric", "bound",
             "problems"});
  const ClaimKind& kind = node.at("claim").checked(
      [&]() -> const ClaimKind& { return claim_kinds().at(node.at("claim").text()); });
  for (const std::string& member : kind.needs)
    if (!node.has(member)) node.fail("\"" + member + "\" is missing: " + kind.name + ", " + kind.meaning);
  Claim claim{.kind = kind.name, .condition = condition_of(node.at("condition"), figure), .words = ""};
  claim.words = text_at(node, "words", kind.meaning);
  if (node.has("metric")) claim.metric = name_in(metrics(), node.at("metric"));
  if (node.has("other_metric")) claim.other_metric = name_in(metrics(), node.at("other_metric"));
  if (node.has("other")) claim.other = condition_of(node.at("other"), figure);
  if (node.has("bound")) claim.bound = node.at("bound").number();
  if (node.has("sign")) {
    const double sign = node.at("sign").number();
    if (sign != 1 && sign != -1) node.at("sign").expected("1 or -1");
    claim.sign = static_cast<int>(sign);
  }
  claim.expected = text_at(node, "expected", "");
  if (!claim.expected.empty() && claim.expected != word(Verdict::lost) &&
      claim.expected != word(Verdict::preserved))
    node.at("expected").expected("LOST or PRESERVED");
  if (node.has("problems"))
    for (const Node& problem : node.at("problems").list())
      claim.problems.push_back(name_in(problem_types(), problem));
  return claim;
}

}  // namespace

Figure experiment(const std::string& name, const std::string& text) {
  const Document document(name, text);
  const Node root(document);
  root.only({"name", "title", "problems", "conditions", "panels", "claims", "columns"});
  Figure figure;
  figure.name = text_at(root, "name", std::filesystem::path(name).stem().string());
  if (figure.name.empty() || figure.name.find('/') != std::string::npos)
    root.at("name").expected("a name that a picture's file can have");
  figure.title = text_at(root, "title", figure.name);
  for (const Node& one : root.at("conditions").list()) figure.conditions.push_back(condition_of(one));
  if (figure.conditions.empty()) root.at("conditions").expected("at least one condition");
  for (const Node& one : root.at("problems").list())
    figure.settings.push_back(setting_of(one, figure.conditions));
  if (figure.settings.empty()) root.at("problems").expected("at least one problem");
  if (root.has("panels"))
    for (const Node& one : root.at("panels").list()) figure.panels.push_back(panel_of(one, figure));
  else
    for (const std::string metric : {"error", "ef_rank_relative"})
      figure.panels.push_back({.metric = metric, .title = metric, .axis = metrics().at(metric).unit});
  if (root.has("claims"))
    for (const Node& one : root.at("claims").list()) figure.claims.push_back(claim_of(one, figure));
  if (root.has("columns")) figure.columns = static_cast<int>(root.at("columns").count());
  return figure;
}

Figure read_experiment(const std::filesystem::path& file) {
  std::ifstream stream(file);
  std::ostringstream text;
  if (!stream || !(text << stream.rdbuf())) throw std::runtime_error(file.string() + ": cannot be read");
  return experiment(file.string(), text.str());
}

}  // namespace paper
