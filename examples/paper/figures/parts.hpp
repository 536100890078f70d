#pragma once

#include "figures/figure.hpp"

// The parts that the files with the figures share.
namespace paper {

std::vector<Figure> activation_figures();       // 1, 4, 5, 13, 14, 21
std::vector<Figure> regularizer_figures();      // 2, 6, 9, 15 to 20, 22
std::vector<Figure> scale_figures();            // 7, 8, 23
std::vector<Figure> exact_curvature_figures();  // 3, 10 to 12

namespace figure_parts {

const Condition relu{"relu", "none"}, leaky{"leaky_relu", "none"}, tanh_{"tanh", "none"},
    identity{"identity", "none"};
const Condition wasserstein{"leaky_relu", "wasserstein"}, l2_init{"leaky_relu", "l2_init"},
    l2{"leaky_relu", "l2"};

const Panel error{"error", "Error at the end of a task", "error"};
const Panel h_rank{"ef_rank_relative", "Curvature at the start of a task", "relative rank"};

const Panel feature_rank{"feature_rank_relative", "Representation at the start of a task",
                         "relative feature rank"};
const Panel online{"online_error", "Average online error", "error"};
const Panel within_task{
    .metric = "epoch_error", .title = "Online error within a task", .axis = "error", .within = true};

const Setting random_labels{"random_label_mnist", false, "random-label MNIST"},
    permuted_pixels{"permuted_mnist", false, "permuted MNIST"},
    random_cifar{"random_label_cifar", false, "random-label CIFAR-10", "cnn"},
    continual_imagenet{"continual_imagenet", false, "Continual ImageNet", "cnn"};
const std::vector<Setting> four_problems{random_labels, permuted_pixels, random_cifar, continual_imagenet};
const std::vector<std::string> easier{"random_label_mnist", "permuted_mnist"},
    harder{"random_label_cifar", "continual_imagenet"};

const std::string consistent =
    "A reduction in the directions of curvature co-occurs with loss of plasticity.";
const std::string regularized =
    "Wasserstein and regenerative regularizers are effective at preserving "
    "plasticity and curvature.";

inline Claim plasticity(const Condition& condition, const std::string& expected, const std::string& words) {
  return {.kind = "plasticity", .condition = condition, .words = words, .expected = expected};
}
inline Claim curvature(const Condition& condition, const std::string& words) {
  return {.kind = "curvature", .condition = condition, .words = words};
}
inline Claim trend(const Condition& condition, const std::string& metric, int sign,
                   const std::string& words) {
  return {.kind = "trend", .condition = condition, .words = words, .metric = metric, .sign = sign};
}
inline Claim difference(const Condition& condition, const std::string& metric, int sign,
                        const Condition& other, const std::string& words) {
  return {.kind = "difference",
          .condition = condition,
          .words = words,
          .metric = metric,
          .sign = sign,
          .other = other};
}

}  // namespace figure_parts

}  // namespace paper
