#include "figure.hpp"

#include <map>
#include <set>
#include <stdexcept>

#include "catch.hpp"

using namespace paper;

TEST_CASE("configuration: every field has a name, a text, and a say in the run's name", "[paper]") {
  const Configuration standard;
  std::set<std::string> names{run_name(standard)};
  const std::map<std::string, std::string> other{{"problem", "permuted_mnist"},
                                                 {"images", "7"},
                                                 {"pool", "2"},
                                                 {"label_change", "iid"},
                                                 {"first_task", "changed"},
                                                 {"width", "8"},
                                                 {"depth", "5"},
                                                 {"activation", "tanh"},
                                                 {"leaky_slope", "0.2"},
                                                 {"initialization", "he_normal"},
                                                 {"optimizer", "sgd"},
                                                 {"learning_rate", "0.1"},
                                                 {"beta1", "0.8"},
                                                 {"beta2", "0.9"},
                                                 {"adam_epsilon", "1e-6"},
                                                 {"momentum", "0.5"},
                                                 {"optimizer_state", "reset"},
                                                 {"epochs", "3"},
                                                 {"batch", "4"},
                                                 {"last_batch", "drop"},
                                                 {"regularizer", "l2"},
                                                 {"strength", "0.25"},
                                                 {"regularized", "weights"},
                                                 {"resort_every", "9"},
                                                 {"rank_samples", "11"},
                                                 {"threshold", "0.9"},
                                                 {"curvature", "exact"},
                                                 {"scaling", "unit"},
                                                 {"architecture", "resnet18"},
                                                 {"stem", "cifar"},
                                                 {"batch_norm", "none"},
                                                 {"head", "reset"},
                                                 {"weight_decay", "decoupled"},
                                                 {"rank_parameters", "weights"},
                                                 {"seed", "18446744073709551615"}};
  for (const std::string& name : field_names()) {
    REQUIRE(other.contains(name));
    Configuration changed;
    set_field(changed, name, other.at(name));
    CHECK(names.insert(run_name(changed)).second);  // unlike all before
    bool found = false;
    for (const auto& [field, text] : fields(changed))
      if (field == name) found = text == other.at(name) || (name == "adam_epsilon" && text == "1e-06");
    CHECK(found);
  }
  CHECK(field_names().size() == other.size());
  Configuration data;
  data.data = "mnist-1";
  CHECK(names.insert(run_name(data)).second);
}

TEST_CASE("configuration: a field that came later leaves the names of earlier runs alone", "[paper]") {
  const std::set<std::string> later{"curvature",  "scaling", "architecture", "stem",
                                    "batch_norm", "head",    "weight_decay", "rank_parameters"};
  for (const auto& [field, text] : fields({})) CHECK(!later.contains(field));
  Configuration c;
  c.data = "mnist-7c49fa09";
  CHECK(run_name(c) == "b16956c4a90bbd45");  // as before the field `curvature`
}

TEST_CASE("configuration: networks have names, and fields that do not go together are refused", "[paper]") {
  Configuration c;
  CHECK(c.network() == "mlp-256-256-256");
  c.architecture = "cnn";
  CHECK(c.network() == "cnn-16-32-64-128-512");
  CHECK_NOTHROW(validate(c));
  c.curvature = "exact";
  CHECK_THROWS_AS(validate(c), std::invalid_argument);
  c.curvature = "empirical_fisher", c.problem = "projected_mnist";
  CHECK_THROWS_AS(validate(c), std::invalid_argument);
  c.architecture = "mlp";
  CHECK_NOTHROW(validate(c));
  c.architecture = "resnet18";
  CHECK(c.network() == "resnet18");
  c.stem = "cifar", c.batch_norm = "none";
  CHECK(c.network() == "resnet18-cifar-no_batch_norm");
}

TEST_CASE("configuration: a field refuses what it cannot be", "[paper]") {
  Configuration c;
  for (const auto& [name, text] : std::vector<std::pair<std::string, std::string>>{{"activation", "sigmoid"},
                                                                                   {"epochs", "0"},
                                                                                   {"epochs", "1.5"},
                                                                                   {"epochs", ""},
                                                                                   {"width", "-3"},
                                                                                   {"learning_rate", "nan"},
                                                                                   {"learning_rate", "-1"},
                                                                                   {"learning_rate", "1e999"},
                                                                                   {"threshold", "1.01"},
                                                                                   {"seed", "-1"},
                                                                                   {"images", "12x"},
                                                                                   {"colour", "red"},
                                                                                   {"network", "mlp"}})
    CHECK_THROWS_AS(set_field(c, name, text), std::invalid_argument);
  CHECK(run_name(c) == run_name({}));
}

TEST_CASE("figures: what they share is trained once", "[paper]") {
  Choice choice;
  choice.problems = {"random_label_mnist"};
  std::vector<PlannedSetting> all;
  for (const Figure& figure : figures())
    for (PlannedSetting& setting : plan(figure, choice, "data")) all.push_back(setting);
  CHECK(all.size() == 3);
  // at the profile demo: 4 activations and 3 regularisers, 5 seeds
  CHECK(all_runs(all).size() == 35);
  CHECK(all_runs(all).front().tasks == 40);
  choice.profile = "paper";  // where figure 1 has a problem of its own
  const auto subset = plan(find_figure("fig1"), choice, "data"),
             full = plan(find_figure("fig4"), choice, "data");
  CHECK(subset[0].series[0].runs[0].configuration.images == 1280);
  CHECK(full[0].series[0].runs[0].configuration.images == 51200);
  CHECK(subset[0].series[0].runs.size() == 30);
  const Configuration& c = subset[0].series[0].runs[0].configuration;  // section 3 and appendix B.1
  CHECK(c.network() == "mlp-256-256-256");
  CHECK(
      (c.epochs == 200 && c.batch == 256 && c.pool == 1 && c.optimizer == "adam" && c.learning_rate == 1e-3));
  CHECK(plan(find_figure("fig6"), choice, "data")[0].series.size() == 1 + 3 * 3);  // three strengths
}

TEST_CASE("figures: each claim is about conditions and metrics that the figure has", "[paper]") {
  for (const Figure& figure : figures()) {
    std::set<std::string> conditions;
    for (const Condition& condition : figure.conditions) conditions.insert(label(condition));
    CHECK(conditions.size() == figure.conditions.size());
    for (const Claim& claim : figure.claims) {
      CHECK(conditions.contains(label(claim.condition)));
      const bool two = claim.kind == ClaimKind::difference || claim.kind == ClaimKind::change_difference ||
                       claim.kind == ClaimKind::about_equal || claim.kind == ClaimKind::regularizer ||
                       claim.kind == ClaimKind::onset;
      if (two) CHECK(conditions.contains(label(claim.other)));
      CHECK(!claim.words.empty());
      const bool signed_claim = claim.kind == ClaimKind::trend || claim.kind == ClaimKind::difference ||
                                claim.kind == ClaimKind::change_difference;
      CHECK((claim.sign != 0) == signed_claim);
      CHECK((claim.kind == ClaimKind::plasticity) == !claim.expected.empty());
    }
  }
}

TEST_CASE("figures: those of the exact Hessian share their runs, over the whole subset", "[paper]") {
  Choice choice;
  for (const std::string& profile : profile_names) {
    choice.profile = profile;
    std::vector<PlannedSetting> all;
    for (const std::string name : {"fig3", "fig10", "fig11", "fig12"})
      for (PlannedSetting& setting : plan(find_figure(name), choice, "data")) all.push_back(setting);
    const auto runs = all_runs(all);
    CHECK(runs.size() == 2 * static_cast<std::size_t>(profile == "paper" ? 30 : profile == "medium" ? 3 : 5));
    for (const PlannedRun& run : runs) {
      CHECK(run.configuration.curvature == "exact");
      CHECK(run.configuration.rank_samples == run.configuration.images);
    }
  }
}

TEST_CASE("figures: words that are not known and overrides that do not fit are errors", "[paper]") {
  CHECK_THROWS_AS(find_figure("fig99"), std::invalid_argument);
  Choice choice;
  choice.profile = "huge";
  CHECK_THROWS_AS(plan(figures()[0], choice, "data"), std::invalid_argument);
  choice.profile = "demo";
  choice.overrides = {{"epochs", "-1"}};
  CHECK_THROWS_AS(plan(figures()[0], choice, "data"), std::invalid_argument);
  choice.overrides = {{"epochs", "3"}};
  choice.tasks = 7, choice.seeds = 2;
  const auto planned = plan(figures()[0], choice, "data");
  CHECK(planned[0].series[0].runs.size() == 2);
  CHECK(planned[0].series[0].runs[1].configuration.epochs == 3);
  CHECK(planned[0].series[0].runs[1].tasks == 7);
}
