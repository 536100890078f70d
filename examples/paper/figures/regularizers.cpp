#include "figures/parts.hpp"
#include "learners/regularizer.hpp"

// What regularisers change: Figures 2, 6, 9, 15 to 20, 22.
namespace paper {

using namespace figure_parts;

namespace {

Condition swept(const Condition& condition) {
  return {condition.activation, condition.regularizer, "strength", every};
}

Figure figure2() {
  const Condition features{"leaky_relu", "feature_rank", "strength", every};
  const Condition weakest{"leaky_relu", "feature_rank", "strength", smallest},
      strongest{"leaky_relu", "feature_rank", "strength", largest};
  const std::string lost = "Loss of plasticity still occurs with leaky-ReLU and feature rank regularization";
  return {.name = "fig2",
          .title = "A regulariser of the feature rank does not keep plasticity",
          .settings = {{"random_label_mnist", true, "random-label MNIST (subset)"}},
          .conditions = {leaky, features},
          .panels = {error, feature_rank},
          .claims = {plasticity(weakest, "LOST", lost), plasticity(strongest, "LOST", lost),
                     difference(strongest, "feature_rank_relative", +1, leaky,
                                "despite the fact that the feature rank remains high")},
          .columns = 2};
}

Figure figure6() {
  const auto helps = [](const Condition& condition) {
    return Claim{.kind = "regularizer", .condition = condition, .words = regularized, .other = leaky};
  };
  const auto lower = [](const Condition& other) {
    return Claim{.kind = "difference",
                 .condition = wasserstein,
                 .words = "On harder problems (bottom), the Wasserstein regularizer achieves a lower error.",
                 .metric = "error",
                 .sign = -1,
                 .other = other,
                 .problems = harder};
  };
  return {.name = "fig6",
          .title = "Regularisation preserves plasticity and directions of curvature",
          .settings = four_problems,
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
                     {.kind = "about_equal",
                      .condition = wasserstein,
                      .words = "achieving similar error to the regenerative regularizer on the easier MNIST "
                               "problems",
                      .metric = "error",
                      .other = l2_init,
                      .problems = easier},
                     lower(l2_init),
                     lower(l2)},
          .columns = 2};
}

Figure figure9() {
  return {.name = "fig9",
          .title = "Error at the end of a task and average online error",
          .settings = {random_labels},
          .conditions = {wasserstein, leaky},
          .panels = {{"",
                      "With regularisation",
                      "error",
                      1,
                      {{wasserstein, "error", "at the end of a task"},
                       {wasserstein, "online_error", "average online"}}},
                     {"",
                      "Without",
                      "error",
                      1,
                      {{leaky, "error", "at the end of a task"}, {leaky, "online_error", "average online"}}}},
          .claims = {{.kind = "online_only",
                      .condition = wasserstein,
                      .words = "the error at the end of the task is constant. The average online error "
                               "increases, because the error at the start increases"}},
          .columns = 2};
}

Figure figure15() {
  Figure figure{.name = "fig15",
                .title = "Regularisation does not always control the feature rank",
                .settings = four_problems,
                .conditions = {leaky, wasserstein, l2_init, l2},
                .panels = {feature_rank},
                .claims = {},
                .columns = 2};
  for (const Condition& condition : {wasserstein, l2_init, l2}) {
    figure.claims.push_back(trend(condition, "feature_rank_relative", -1,
                                  "With regularization, the feature rank sometimes still decreases"));
    figure.claims.back().problems = {"random_label_mnist", "permuted_mnist", "continual_imagenet"};
    figure.claims.push_back(trend(condition, "feature_rank_relative", +1,
                                  "only in the CIFAR problem does the feature rank increase"));
    figure.claims.back().problems = {"random_label_cifar"};
  }
  return figure;
}

Figure figure16() {
  const std::string l2_metric = "distance_l2", w2_metric = "distance_wasserstein";
  const std::string nearer =
      "Regularization generally prevents neural network parameters from deviating from initialization "
      "compared "
      "to the unregularized setting";
  const std::string farther = "allows it to travel further from its initialization";
  const std::string decay =
      "Weight decay, although further from the initialization, is closer to the initialization distribution";
  return {.name = "fig16",
          .title = "Distance from initialisation",
          .settings = four_problems,
          .conditions = {leaky, wasserstein, l2_init, l2},
          .panels = {{l2_metric, "L2 distance from initialisation", "L2 distance"},
                     {w2_metric, "Wasserstein distance from initialisation", "Wasserstein distance"}},
          .claims = {difference(wasserstein, l2_metric, -1, leaky, nearer),
                     difference(l2_init, l2_metric, -1, leaky, nearer),
                     difference(l2, l2_metric, -1, leaky, nearer),
                     difference(wasserstein, l2_metric, +1, l2_init, farther),
                     difference(l2, l2_metric, +1, wasserstein, decay),
                     difference(l2, w2_metric, -1, leaky, decay)},
          .columns = 2};
}

Figure sensitivity(const std::string& name, const Setting& setting) {
  Figure figure{.name = name,
                .title = "Sensitivity to the strength of regularisation",
                .settings = {setting},
                .conditions = {swept(wasserstein), swept(l2_init), swept(l2)},
                .panels = {},
                .claims = {}};
  for (const Condition& condition : figure.conditions) {
    Panel panel = error;
    panel.title = regularizers().at(condition.regularizer).label;
    panel.conditions = {condition};
    figure.panels.push_back(panel);
    if (condition.regularizer != wasserstein.regularizer)
      figure.claims.push_back(
          {.kind = "sensitivity",
           .condition = swept(wasserstein),
           .words = "The Wasserstein regularizer is less sensitive to the regularization strength",
           .other = condition});
  }
  return figure;
}

Figure figure22() {
  Figure figure{.name = "fig22",
                .title = "Online error within a task, with regularisation",
                .settings = {random_labels, random_cifar},
                .conditions = {wasserstein, l2_init, l2},
                .panels = {within_task, online},
                .claims = {},
                .columns = 2};
  for (const Condition& other : {l2_init, l2}) {
    figure.claims.push_back({.kind = "sooner",
                             .condition = wasserstein,
                             .words = "learning with the Wasserstein regularizer requires fewer iterations",
                             .other = other});
    figure.claims.push_back(difference(wasserstein, "online_error", -1, other,
                                       "while achieving a lower error compare to other regularizers"));
  }
  return figure;
}

}  // namespace

std::vector<Figure> regularizer_figures() {
  return {figure2(),
          figure6(),
          figure9(),
          figure15(),
          figure16(),
          sensitivity("fig17", random_labels),
          sensitivity("fig18", permuted_pixels),
          sensitivity("fig19", random_cifar),
          sensitivity("fig20", continual_imagenet),
          figure22()};
}

}  // namespace paper
