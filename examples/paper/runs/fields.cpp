#include "runs/fields.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <type_traits>

#include "data/problem.hpp"
#include "learners/activation.hpp"
#include "learners/network.hpp"
#include "learners/regularizer.hpp"

namespace paper {

namespace {

// What a field accepts: a word of a list, or a number from low to high.
struct Accepts {
  std::vector<std::string> words{};
  double low = 0, high = std::numeric_limits<double>::max();
  // of a field that came after runs had been named: where it has this value it is left out of the name
  std::string standard{};
};

// of a field that came later: the first word is its default
Accepts later(std::vector<std::string> words) {
  std::string standard = words.front();
  return {.words = std::move(words), .standard = std::move(standard)};
}

// The one list of fields. `visit(name, member, accepts)` is called for each in turn.
template <class Configuration_, class Visit>
void for_each_field(Configuration_& c, Visit visit) {
  const Accepts positive{.low = 1}, share{.low = 0, .high = 1}, any{};
  visit("problem", c.problem, Accepts{problem_types().names()});
  visit("data", c.data, any);
  visit("images", c.images, positive);
  visit("pool", c.pool, positive);
  visit("scaling", c.scaling, later({"default", "unit", "standardized"}));
  visit("label_change", c.label_change, Accepts{{"permute", "iid"}});
  visit("first_task", c.first_task, Accepts{{"default", "changed", "unchanged"}});
  visit("architecture", c.architecture, later(networks().names()));
  visit("stem", c.stem, later({"he", "cifar"}));
  visit("batch_norm", c.batch_norm, later({"running", "none"}));
  visit("head", c.head, later({"keep", "reset"}));
  visit("width", c.width, positive);
  visit("depth", c.depth, positive);
  visit("activation", c.activation, Accepts{activations().names()});
  visit("leaky_slope", c.leaky_slope, share);
  visit("initialization", c.initialization,
        Accepts{{"glorot_uniform", "glorot_normal", "he_uniform", "he_normal"}});
  visit("optimizer", c.optimizer, Accepts{{"adam", "sgd"}});
  visit("learning_rate", c.learning_rate, any);
  visit("beta1", c.beta1, share);
  visit("beta2", c.beta2, share);
  visit("adam_epsilon", c.adam_epsilon, any);
  visit("momentum", c.momentum, share);
  visit("optimizer_state", c.optimizer_state, Accepts{{"keep", "reset"}});
  visit("epochs", c.epochs, positive);
  visit("batch", c.batch, positive);
  visit("last_batch", c.last_batch, Accepts{{"keep", "drop"}});
  visit("regularizer", c.regularizer, Accepts{regularizers().names()});
  visit("strength", c.strength, any);
  visit("regularized", c.regularized, Accepts{{"all", "weights"}});
  visit("weight_decay", c.weight_decay, later({"loss", "decoupled"}));
  visit("resort_every", c.resort_every, positive);
  visit("rank_samples", c.rank_samples, positive);
  visit("threshold", c.threshold, share);
  visit("rank_parameters", c.rank_parameters, later({"all", "weights"}));
  visit("curvature", c.curvature, later({"empirical_fisher", "exact"}));
  visit("seed", c.seed, any);
}

template <class Number>
std::string shortest(Number value) {
  char text[64];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

[[noreturn]] void reject(const std::string& name, const std::string& got, const std::string& expected) {
  throw std::invalid_argument("configuration: " + name + " is \"" + got + "\", expected " + expected);
}

template <class Number>
void parse(const std::string& name, const std::string& text, const Accepts& accepts, Number& member) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  const auto number = static_cast<double>(value);
  if (!whole || !std::isfinite(number) || number < accepts.low || number > accepts.high) {
    std::ostringstream expected;
    expected << (std::is_floating_point_v<Number> ? "a number" : "a whole number") << " of at least "
             << accepts.low;
    if (accepts.high < std::numeric_limits<double>::max()) expected << " and at most " << accepts.high;
    reject(name, text, expected.str());
  }
  member = value;
}

void parse(const std::string& name, const std::string& text, const Accepts& accepts, std::string& member) {
  std::string expected;
  for (const std::string& word : accepts.words) {
    if (word == text) expected.clear();
    if (word == text) break;
    expected += (expected.empty() ? "" : ", ") + word;
  }
  if (!expected.empty()) reject(name, text, "one of " + expected);
  member = text;
}

}  // namespace

Fields fields(const Configuration& configuration) {
  Fields result;
  for_each_field(configuration, [&](const char* name, const auto& member, const Accepts& accepts) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(member)>, std::string>)
      result.emplace_back(name, member);
    else
      result.emplace_back(name, shortest(member));
    if (!accepts.standard.empty() && result.back().second == accepts.standard) result.pop_back();
    if (result.size() == 1) result.emplace_back("network", configuration.network());
  });
  return result;
}

void validate(const Configuration& configuration) {
  const Network& network = network_of(configuration);
  if (network.images && !problem_types().at(configuration.problem).images)
    reject("architecture", configuration.architecture,
           "mlp for " + configuration.problem + ", whose inputs are no images");
  if (!network.fully_connected && configuration.measures_exactly())
    reject("curvature", configuration.curvature,
           "empirical_fisher for " + configuration.architecture + ", whose Hessian is too large");
}

std::string run_name(const Configuration& configuration) {
  std::uint64_t hash = 14695981039346656037ull;  // FNV-1a, then mixed so that close texts differ everywhere
  for (const auto& [name, value] : fields(configuration))
    for (const char c : name + "=" + value + "\n")
      hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  hash = (hash ^ (hash >> 30)) * 0xBF58476D1CE4E5B9ull;
  hash = (hash ^ (hash >> 27)) * 0x94D049BB133111EBull;
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash ^ (hash >> 31)));
  return text;
}

void set_field(Configuration& configuration, const std::string& name, const std::string& text) {
  bool known = false;
  for_each_field(configuration, [&](const char* field, auto& member, const Accepts& accepts) {
    if (name != field) return;
    known = true;
    parse(name, text, accepts, member);
  });
  if (!known) throw std::invalid_argument("configuration: there is no field \"" + name + "\"");
}

std::string group_key(const Configuration& configuration) {
  constexpr std::array own{"activation", "regularizer", "strength", "seed"};
  std::string key;
  for (const auto& [name, value] : fields(configuration))
    if (std::find(own.begin(), own.end(), name) == own.end()) key += name + "=" + value + "\n";
  return key;
}

std::vector<std::string> field_names() {
  std::vector<std::string> names;
  const Configuration any;
  for_each_field(any, [&](const std::string& name, const auto&, const Accepts&) {
    if (name != "data") names.push_back(name);
  });
  return names;
}

}  // namespace paper
