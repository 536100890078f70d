#include "figures/figure.hpp"
#include "figures/archive.hpp"
#include "learners/metric.hpp"

#include <algorithm>
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
  for (const std::string name :
       {"fig1", "fig4", "fig5", "fig6", "fig9", "fig14", "fig15", "fig16", "fig21", "fig22"})
    for (PlannedSetting& setting : plan(find_figure(name), choice, "data")) all.push_back(setting);
  CHECK(all.size() == 10);
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

TEST_CASE("figures: all 23 are there, in order, each with something to see and to judge", "[paper]") {
  REQUIRE(figures().size() == 23);
  for (std::size_t i = 0; i < 23; ++i) {
    const Figure& figure = figures()[i];
    CHECK(figure.name == "fig" + std::to_string(i + 1));
    CHECK(!figure.panels.empty());
    CHECK(!figure.claims.empty());
    CHECK(!figure.settings.empty());
  }
}

TEST_CASE("figures: a sweep is a series a value, and a figure's own sweep is not for the command line",
          "[paper]") {
  Choice choice;
  for (const std::string& profile : profile_names) {
    choice.profile = profile;
    const auto widths = plan(find_figure("fig7"), choice, "data")[0];
    const auto depths = swept_series(widths, {"leaky_relu", "none", "depth", every});
    REQUIRE(depths.size() >= 3);
    double before = 0;
    for (const Series* series : swept_series(widths, {"leaky_relu", "none", "width", every})) {
      const Configuration& c = series->runs.front().configuration;
      CHECK(c.depth == 4);  // "Varying the width, while keeping the depth fixed at 4"
      CHECK(static_cast<double>(c.width) == series->condition.value);
      CHECK(series->condition.value > before);
      before = series->condition.value;
    }
    for (const Series* series : depths)
      CHECK(series->runs.front().configuration.width == depths.front()->runs.front().configuration.width);
    const auto panels = plan(find_figure("fig17"), choice, "data");
    for (const Series& series : panels[0].series) CHECK(series.strength == series.condition.value);
  }
  choice.profile = "paper";
  const auto wide = plan(find_figure("fig7"), choice, "data")[0];
  const auto depths = swept_series(wide, {"leaky_relu", "none", "depth", every});
  CHECK(depths.front()->runs[0].configuration.width == 800);
  CHECK(depths.back()->runs[0].configuration.depth == 8);
  choice.overrides = {{"width", "64"}};
  CHECK_THROWS_AS(plan(find_figure("fig7"), choice, "data"), std::invalid_argument);
  CHECK_NOTHROW(plan(find_figure("fig23"), choice, "data"));
  choice.overrides = {{"epochs", "2"}};
  CHECK_THROWS_AS(plan(find_figure("fig23"), choice, "data"), std::invalid_argument);
}

TEST_CASE("figures: those that need the same runs name them alike, at every profile", "[paper]") {
  Choice choice;
  const auto names = [&](const std::string& figure, const std::string& problem) {
    choice.problems = {problem};
    std::set<std::string> result;
    for (const PlannedRun& run : all_runs(plan(find_figure(figure), choice, "data")))
      result.insert(run_name(run.configuration));
    return result;
  };
  const auto within = [&](const std::string& part, const std::string& whole, const std::string& problem) {
    const auto all = names(whole, problem);
    for (const std::string& name : names(part, problem))
      if (!all.contains(name)) return false;
    return true;
  };
  for (const std::string& profile : profile_names) {
    choice.profile = profile;
    for (const std::string problem : {"random_label_mnist", "random_label_cifar"}) {
      CHECK(within("fig21", "fig4", problem));
      CHECK(within("fig22", "fig6", problem));
    }
    for (const std::string part : {"fig5", "fig14"}) CHECK(within(part, "fig4", "random_label_mnist"));
    CHECK(within("fig9", "fig6", "random_label_mnist"));
    CHECK(within("fig13", "fig1", "random_label_mnist"));
    for (const std::string problem :
         {"random_label_mnist", "permuted_mnist", "random_label_cifar", "continual_imagenet"}) {
      CHECK(names("fig15", problem) == names("fig6", problem));
      CHECK(names("fig16", problem) == names("fig6", problem));
    }
  }
  choice.profile = "paper";  // where the strengths of the sweeps are those that the best is taken from
  const auto best = names("fig6", "random_label_mnist"), swept = names("fig17", "random_label_mnist");
  for (const std::string& name : swept) CHECK(best.contains(name));
  CHECK(best.size() == swept.size() + 30);  // and the network without regulariser
}

TEST_CASE("figures: the paper's networks, problems and sizes", "[paper]") {
  Choice choice;
  choice.profile = "paper";
  for (const PlannedSetting& setting : plan(find_figure("fig4"), choice, "data")) {
    const Configuration& c = setting.series.front().runs.front().configuration;
    CHECK(c.batch == 256);
    if (c.problem == "continual_imagenet") {
      CHECK((c.architecture == "cnn" && c.images == 1200 && c.epochs == 250 && setting.tasks == 500));
    } else if (c.problem == "random_label_cifar") {
      CHECK((c.architecture == "cnn" && c.images == 38400 && c.epochs == 200));
    } else {
      CHECK((c.architecture == "mlp" && c.images == 51200 && c.epochs == 200));
    }
  }
  const Configuration resnet = plan(find_figure("fig8"), choice, "data")[0].series[1].runs[0].configuration;
  CHECK((resnet.architecture == "resnet18" && resnet.epochs == 20 && resnet.activation == "relu"));
  CHECK((resnet.regularizer == "wasserstein" && resnet.strength == .005 && resnet.resort_every == 1));
  CHECK(plan(find_figure("fig13"), choice, "data")[0].tasks >= 100);
  CHECK(plan(find_figure("fig23"), choice, "data")[0].series.front().runs[0].configuration.epochs == 25);
  CHECK(plan(find_figure("fig20"), choice, "data")[0].series.size() == 3 * 4);
}

TEST_CASE("figures: each claim is about conditions and metrics that the figure has", "[paper]") {
  for (const Figure& figure : figures()) {
    std::set<std::string> conditions;
    const auto name = [](Condition condition) {  // a claim about one value of a sweep is about the sweep
      condition.value = every;
      return label(condition);
    };
    for (const Condition& condition : figure.conditions) conditions.insert(name(condition));
    CHECK(conditions.size() == figure.conditions.size());
    for (const Panel& panel : figure.panels)
      for (const Condition& condition : panel.conditions) CHECK(conditions.contains(name(condition)));
    for (const Claim& claim : figure.claims) {
      CHECK(conditions.contains(name(claim.condition)));
      const std::vector<std::string>& needs = claim_kinds().at(claim.kind).needs;
      const auto needed = [&](const std::string& member) {
        return std::find(needs.begin(), needs.end(), member) != needs.end();
      };
      if (needed("other")) CHECK(conditions.contains(name(claim.other)));
      CHECK(!claim.words.empty());
      CHECK((claim.sign != 0) == needed("sign"));
      CHECK(!claim.metric.empty() == needed("metric"));
      for (const std::string& metric : {claim.metric, claim.other_metric})
        if (!metric.empty()) CHECK_NOTHROW(metrics().at(metric));
      CHECK(!claim.other_metric.empty() == needed("other_metric"));
      CHECK((claim.other_metric.empty() || claim.other_metric != claim.metric));
      CHECK(!claim.expected.empty() == needed("expected"));
      CHECK((claim.bound != 0) == needed("bound"));
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

TEST_CASE("figures: each problem has the data set that it is asked for", "[paper]") {
  for (const PlannedSetting& setting :
       plan(find_figure("fig6"), {}, [](const std::string& problem) { return "of " + problem; }))
    for (const PlannedRun& run : all_runs({setting}))
      CHECK(run.configuration.data == "of " + run.configuration.problem);
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
