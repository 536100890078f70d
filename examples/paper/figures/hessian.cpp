#include "figures/parts.hpp"

namespace paper {

using namespace figure_parts;

namespace {

const std::string ef = "empirical_fisher", sampled = "sampled_fisher", newton = "gauss_newton";

std::vector<Line> approximations(const Condition& condition, const std::string& of) {
  return {{condition, ef + of, "empirical Fisher"},
          {condition, sampled + of, "Fisher, sampled labels"},
          {condition, newton + of, "Gauss-Newton"}};
}

Figure figure3() {
  Figure figure{.name = "fig3",
                .title = "Approximations of the rank of the Hessian",
                .settings = {{"projected_mnist", true, "projected MNIST"}},
                .conditions = {relu, leaky},
                .panels = {},
                .claims = {},
                .columns = 2};
  for (const Condition& condition : figure.conditions) {
    figure.panels.push_back({"", label(condition), "|relative rank - that of the Hessian|", 1,
                             approximations(condition, "_rank_difference")});
    figure.claims.push_back({.kind = "early_bound",
                             .condition = condition,
                             .words = "The empirical Fisher approximation to the Hessian rank is highly "
                                      "accurate in the first few tasks",
                             .metric = ef + "_rank_difference",
                             .bound = .1});
    // in the first tasks: those of a network that has died have hardly a rank to compare
    for (const std::string& other : {sampled, newton})
      figure.claims.push_back(
          {.kind = "early_difference",
           .condition = condition,
           .words = "the empirical Fisher is an accurate and efficient approximation [against " +
                    std::string(other == newton ? "Gauss-Newton" : "the Fisher") + "]",
           .metric = ef + "_rank_difference",
           .sign = -1,
           .other_metric = other + "_rank_difference"});
    figure.claims.push_back({.kind = "worsening",
                             .condition = condition,
                             .words = "When plasticity worsens in later tasks, the approximation quality "
                                      "marginally worsens",
                             .metric = ef + "_rank_difference",
                             .other_metric = "hessian_rank_relative"});
  }
  return figure;
}

Figure figure10() {
  const std::string lost = "Neural networks suffer from loss of plasticity with both activations";
  return {.name = "fig10",
          .title = "Loss of plasticity on low-dimensional projected MNIST",
          .settings = {{"projected_mnist", true, "projected MNIST"}},
          .conditions = {relu, leaky},
          .panels = {error},
          .claims = {plasticity(relu, "LOST", lost), plasticity(leaky, "LOST", lost)},
          .columns = 1};
}

// Figures 11 and 12 differ in the activation
Figure dynamics(const std::string& name, const Condition& condition, const std::string& words) {
  std::vector<Line> lines = approximations(condition, "_rank_relative");
  lines.insert(lines.begin(), {condition, "hessian_rank_relative", "Hessian"});
  return {.name = name,
          .title = "The rank of the Hessian and of its approximations, " + label(condition),
          .settings = {{"projected_mnist", true, "projected MNIST"}},
          .conditions = {condition},
          .panels = {error, {"", "Curvature at the start of a task", "relative rank", 1, lines}},
          .claims = {{.kind = "tracking",
                      .condition = condition,
                      .words = words,
                      .metric = ef + "_rank_relative",
                      .other_metric = "hessian_rank_relative"},
                     trend(condition, "hessian_rank_relative", -1, consistent),
                     trend(condition, ef + "_rank_relative", -1, consistent)},
          .columns = 2};
}

}  // namespace

std::vector<Figure> exact_curvature_figures() {
  return {
      figure3(), figure10(),
      dynamics("fig11", relu,
               "the empirical Fisher approximation accurately approximates the normalized rank throughout "
               "continual learning"),
      dynamics("fig12", leaky,
               "the empirical Fisher approximation accurately approximates the normalized rank when "
               "plasticity is being lost")};
}

}  // namespace paper
