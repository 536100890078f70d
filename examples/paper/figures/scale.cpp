#include "figures/parts.hpp"

// Larger networks and longer tasks: Figures 7, 8, 23.
namespace paper {

using namespace figure_parts;

namespace {

Condition swept(const std::string& what, double value) { return {"leaky_relu", "none", what, value}; }

Claim delay(const std::string& what, const std::string& words) {
  return {.kind = "delay", .condition = swept(what, every), .words = words};
}

Figure figure7() {
  Figure figure{.name = "fig7",
                .title = "Width and depth delay the loss of plasticity",
                .settings = {random_labels},
                .conditions = {swept("depth", every), swept("width", every)},
                .panels = {},
                .claims = {},
                .columns = 2};
  for (const bool ranks : {false, true})
    for (const Condition& condition : figure.conditions) {
      figure.panels.push_back(ranks ? h_rank : error);
      figure.panels.back().title =
          std::string(ranks ? "Curvature, " : "Error, ") + condition.sweep + " varied";
      figure.panels.back().conditions = {condition};
    }
  for (const std::string what : {"depth", "width"}) {
    const std::string increasing = "Increasing either the width of the hidden layer or the depth ... ";
    figure.claims.push_back(delay(what, increasing + "delays loss of plasticity"));
    figure.claims.push_back(difference(swept(what, largest), "error", -1, swept(what, smallest),
                                       increasing + "marginally lowers the error plateau"));
    figure.claims.push_back(
        plasticity(swept(what, largest), "LOST", increasing + "does not eliminate loss of plasticity"));
    figure.claims.push_back(curvature(swept(what, largest), consistent));
  }
  return figure;
}

Figure figure8() {
  const Condition regularized_relu{"relu", "wasserstein"};
  return {
      .name = "fig8",
      .title = "ResNet18 on random-label CIFAR-10",
      .settings = {{"random_label_cifar", false, "random-label CIFAR-10", "resnet18"}},
      .conditions = {relu, regularized_relu},
      .panels = {error, h_rank},
      .claims = {{.kind = "dip",
                  .condition = relu,
                  .words = "the ResNet is able to decrease the error on the first few tasks despite training "
                           "for only 20 epochs. However, loss of plasticity still occurs without "
                           "regularization",
                  .metric = "error"},
                 plasticity(relu, "LOST", "loss of plasticity still occurs without regularization"),
                 plasticity(
                     regularized_relu, "PRESERVED",
                     "With regularization, the ResNet is able to achieve an error level slightly higher "
                     "than the best error that the unregularized version can achieve"),
                 curvature(relu, consistent),
                 curvature(regularized_relu, consistent)},
      .columns = 2};
}

Figure figure23() {
  const Condition few = swept("epochs", smallest), many = swept("epochs", largest);
  const std::string predictor = "reduction in curvature is a consistent predictor of this phenomenon";
  return {
      .name = "fig23",
      .title = "The number of epochs a task",
      .settings = {random_labels},
      .conditions = {swept("epochs", every)},
      .panels = {error, h_rank},
      .claims = {plasticity(few, "LOST", "Loss of plasticity occurs when the number of epochs is small (25)"),
                 plasticity(
                     many, "LOST",
                     "Loss of plasticity eventually also occurs when the number of epochs is large (400)"),
                 delay("epochs",
                       "increasing the number of epochs only marginally delays the onset of loss of "
                       "plasticity"),
                 difference(many, "error", -1, few, "but reduces the final error plateau"),
                 curvature(few, predictor), curvature(many, predictor)},
      .columns = 2};
}

}  // namespace

std::vector<Figure> scale_figures() { return {figure7(), figure8(), figure23()}; }

}  // namespace paper
