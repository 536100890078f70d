#include "figures.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>

namespace paper {

using namespace figure_parts;

namespace {

Figure figure1() {
  const std::string lost = "for ReLU and leaky-ReLU, the error increases";
  const std::string kept = "there is no loss of plasticity for tanh and identity";
  return {.name = "fig1",
          .title = "Previous explanations for loss of plasticity are inconsistent",
          .settings = {{"random_label_mnist", true, "random-label MNIST (subset)"}},
          .conditions = {relu, leaky, tanh_, identity},
          .panels = {error,
                     {"update_l1", "Update norm", "mean L1 norm of an update"},
                     {"feature_rank_relative", "Representation", "negative relative feature rank", -1},
                     {"dormancy", "Neuron dormancy", "negative entropy (nats)"},
                     {"weight_l1", "Weight norm", "L1 norm of the weights"}},
          .claims = {
              plasticity(relu, "LOST", lost),
              plasticity(leaky, "LOST", lost),
              plasticity(tanh_, "PRESERVED", kept),
              plasticity(identity, "PRESERVED", kept),
              trend(leaky, "update_l1", +1,
                    "the update norm consistently increases for the leaky-ReLU activation function"),
              trend(relu, "update_l1", -1, "the latter [ReLU] is decreasing [its average update norm]"),
              trend(tanh_, "feature_rank_relative", -1,
                    "The rank of the representation ... decreases for the tanh activation despite no loss "
                    "of plasticity"),
              trend(relu, "dormancy", +1, "the ReLU activation has an increase in neuron dormancy"),
              {.kind = ClaimKind::change_difference,
               .condition = leaky,
               .words = "leaky-ReLU experiences plasticity loss [without the rise in dormancy that ReLU has]",
               .metric = "dormancy",
               .sign = -1,
               .other = relu},
              {.kind = ClaimKind::plateau,
               .condition = relu,
               .words = "For ReLU, the weight norm plateaus but loss of plasticity occurs",
               .metric = "weight_l1"},
              trend(identity, "weight_l1", +1,
                    "For identity, the weight norm increases seemingly indefinitely and yet, loss of "
                    "plasticity does not occur")}};
}

Figure figure4() {
  return {.name = "fig4",
          .title = "A reduction in the directions of curvature explains loss of plasticity",
          .settings = {{"random_label_mnist", false, "random-label MNIST"},
                       {"permuted_mnist", false, "permuted MNIST"}},
          .conditions = {relu, leaky, tanh_, identity},
          .panels = {error, h_rank},
          .claims = {curvature(relu, consistent),
                     curvature(leaky, consistent),
                     curvature(tanh_, consistent),
                     curvature(identity, consistent),
                     {.kind = ClaimKind::onset,
                      .condition = leaky,
                      .words = "leaky-ReLU preserves plasticity for longer",
                      .other = relu},
                     trend(leaky, "ef_rank_relative", -1,
                           "[leaky-ReLU] is unable to recover its directions of curvature")},
          .columns = 2};
}

Figure figure6() {
  const auto helps = [](const Condition& condition) {
    return Claim{
        .kind = ClaimKind::regularizer, .condition = condition, .words = regularized, .other = leaky};
  };
  return {.name = "fig6",
          .title = "Regularisation preserves plasticity and directions of curvature",
          .settings = {{"random_label_mnist", false, "random-label MNIST"},
                       {"permuted_mnist", false, "permuted MNIST"}},
          .conditions = {leaky, wasserstein, l2_init, l2},
          .panels = {error, h_rank},
          .claims = {plasticity(wasserstein, "PRESERVED", regularized),
                     plasticity(l2_init, "PRESERVED", regularized),
                     plasticity(l2, "PRESERVED", "weight decay ... can help mitigate loss of plasticity"),
                     curvature(wasserstein, regularized),
                     curvature(l2_init, regularized),
                     curvature(l2, regularized),
                     helps(wasserstein),
                     helps(l2_init),
                     helps(l2),
                     {.kind = ClaimKind::about_equal,
                      .condition = wasserstein,
                      .words = "achieving similar error to the regenerative regularizer on the easier MNIST "
                               "problems",
                      .metric = "error",
                      .other = l2_init}},
          .columns = 2};
}

// The sizes of notes on miniatures that show the claims; the paper's own for `paper` (section 3, appendix B).
Profile profile_of(const std::string& name, const Setting& setting) {
  Profile profile{
      .configuration = {.problem = setting.problem}, .strengths = {.005}, .tasks = 40, .seeds = 5};
  Configuration& c = profile.configuration;
  if (name == "smoke") {
    c.pool = 2, c.images = 128, c.width = 32, c.batch = 32, c.learning_rate = 2e-3, c.epochs = 80;
    profile.tasks = 30;
  } else if (name == "demo") {
    c.pool = 2, c.images = 192, c.width = 64, c.batch = 64, c.epochs = 120;
  } else if (name == "medium") {
    c.pool = 2, c.images = 512, c.width = 128, c.batch = 128, c.epochs = 200;
    profile.strengths = {.001, .005}, profile.tasks = 36, profile.seeds = 3;
  } else if (name == "paper") {
    profile.seeds = 30;
    profile.strengths = {.005, .001, .0005};
    if (!setting.subset) c.images = 51200, profile.tasks = 50;
    if (setting.problem == "permuted_mnist") profile.strengths = {.01, .005, .001, .0005};
  } else {
    throw std::invalid_argument("profile \"" + name + "\", expected one of smoke, demo, medium, paper");
  }
  if (setting.problem == "projected_mnist") {  // appendix C.2: every matrix over the whole subset
    c.pool = 1, c.curvature = "exact", c.rank_samples = c.images;
    c.width = name == "smoke" ? 8 : name == "demo" ? 16 : name == "medium" ? 24 : 32;
  }
  return profile;
}

}  // namespace

std::string label(const Condition& condition) {
  static const std::map<std::string, std::string> words{{"relu", "ReLU"},
                                                        {"leaky_relu", "leaky ReLU"},
                                                        {"tanh", "tanh"},
                                                        {"identity", "identity"},
                                                        {"none", ""},
                                                        {"wasserstein", "Wasserstein"},
                                                        {"l2_init", "L2-init"},
                                                        {"l2", "L2"},
                                                        {"feature_rank", "feature rank"}};
  const std::string activation = words.at(condition.activation);
  return condition.regularizer == "none" ? activation : activation + " + " + words.at(condition.regularizer);
}

const std::vector<Figure>& figures() {
  static const std::vector<Figure> all = [] {
    std::vector<Figure> joined{figure1(), figure4(), figure6()};
    for (Figure& figure : exact_curvature_figures()) joined.push_back(std::move(figure));
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
  std::vector<PlannedSetting> result;
  for (const Setting& setting : figure.settings) {
    if (!choice.problems.empty() &&
        std::find(choice.problems.begin(), choice.problems.end(), setting.problem) == choice.problems.end())
      continue;
    Profile profile = profile_of(choice.profile, setting);
    if (choice.tasks > 0) profile.tasks = choice.tasks;
    if (choice.seeds > 0) profile.seeds = choice.seeds;
    PlannedSetting planned{setting, profile.tasks, {}};
    for (const Condition& condition : figure.conditions) {
      const bool plain = condition.regularizer == "none";
      for (const double strength : plain ? std::vector<double>{0} : profile.strengths) {
        Series series{condition, strength, {}};
        for (Index seed = 0; seed < profile.seeds; ++seed) {
          Configuration configuration = profile.configuration;
          configuration.data = data;
          configuration.activation = condition.activation;
          configuration.regularizer = condition.regularizer;
          configuration.strength = strength;
          configuration.seed = static_cast<std::uint64_t>(seed);
          for (const auto& [name, text] : choice.overrides) set_field(configuration, name, text);
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
