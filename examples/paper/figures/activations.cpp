#include "figures/parts.hpp"

// What the activation changes: Figures 1, 4, 5, 13, 14, 21.
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
              {.kind = "change_difference",
               .condition = leaky,
               .words = "leaky-ReLU experiences plasticity loss [without the rise in dormancy that ReLU has]",
               .metric = "dormancy",
               .sign = -1,
               .other = relu},
              {.kind = "plateau",
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
          .settings = four_problems,
          .conditions = {relu, leaky, tanh_, identity},
          .panels = {error, h_rank},
          .claims = {curvature(relu, consistent),
                     curvature(leaky, consistent),
                     curvature(tanh_, consistent),
                     curvature(identity, consistent),
                     {.kind = "onset",
                      .condition = leaky,
                      .words = "leaky-ReLU preserves plasticity for longer",
                      .other = relu},
                     trend(leaky, "ef_rank_relative", -1,
                           "[leaky-ReLU] is unable to recover its directions of curvature")},
          .columns = 2};
}

Figure figure5() {
  const std::string norms =
      "leaky-ReLU has an increasing average update norm despite a decrease in the gradient norm at the "
      "beginning of a task";
  const auto less = [](const Condition& other) {
    return difference(leaky, "overlap", -1, other,
                      "gradients with leaky-ReLU have less overlap with the low-rank Hessian");
  };
  return {.name = "fig5",
          .title = "Gradients, updates and the directions of curvature",
          .settings = {random_labels},
          .conditions = {leaky, relu, tanh_},
          .panels = {{"gradient_norm", "Gradient at the start of a task", "L2 norm"},
                     {"update_l1", "Update norm", "mean L1 norm of an update"},
                     {"overlap", "Gradient overlap (empirical Fisher)", "g'Hg / (|g| |Hg|)"}},
          .claims = {trend(leaky, "gradient_norm", -1, norms), trend(leaky, "update_l1", +1, norms),
                     less(relu), less(tanh_)}};
}

Figure figure13() {
  const std::string words =
      "If we run the experiment in Section 3 for more tasks, tanh eventually loses plasticity";
  return {.name = "fig13",
          .title = "tanh in the long run",
          .settings = {{"random_label_mnist", true, "random-label MNIST (subset)", "mlp", 3}},
          .conditions = {tanh_},
          .panels = {error, h_rank, feature_rank},
          .claims = {plasticity(tanh_, "LOST", words),
                     curvature(tanh_, "the Hessian rank accurately predicts this"),
                     {.kind = "steady",
                      .condition = tanh_,
                      .words = "whereas the feature rank remains constant",
                      .metric = "feature_rank_relative"}}};
}

Figure figure14() {
  const std::string lost = "All non-linear activation functions lose plasticity",
                    explained = "which the Hessian rank correctly explains";
  const std::string high =
      "the deep linear network does not have enough capacity to learn and it's error remains high but "
      "constant";
  return {.name = "fig14",
          .title = "All activations on the full random-label MNIST",
          .settings = {random_labels},
          .conditions = {relu, leaky, tanh_, identity},
          .panels = {error, h_rank},
          .claims =
              {plasticity(relu, "LOST", lost),
               plasticity(leaky, "LOST", lost),
               plasticity(tanh_, "LOST", lost),
               curvature(relu, explained),
               curvature(leaky, explained),
               curvature(tanh_, explained),
               plasticity(identity, "PRESERVED", high),
               {.kind = "early_above", .condition = identity, .words = high, .metric = "error", .bound = .1}},
          .columns = 2};
}

Figure figure21() {
  const std::string words =
      "the neural network is struggling to learn from the new experience given by the subsequent task";
  return {.name = "fig21",
          .title = "Online error within a task, without regularisation",
          .settings = {random_labels, random_cifar},
          .conditions = {relu, leaky, tanh_, identity},
          .panels = {within_task, online},
          .claims = {trend(relu, "online_error", +1, words), trend(leaky, "online_error", +1, words)},
          .columns = 2};
}

}  // namespace

std::vector<Figure> activation_figures() {
  return {figure1(), figure4(), figure5(), figure13(), figure14(), figure21()};
}

}  // namespace paper
