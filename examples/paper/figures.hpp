#pragma once

#include "figure.hpp"

// The parts that the files with the figures share.
namespace paper {

std::vector<Figure> exact_curvature_figures();  // 3, 10 to 12

namespace figure_parts {

const Condition relu{"relu", "none"}, leaky{"leaky_relu", "none"}, tanh_{"tanh", "none"},
    identity{"identity", "none"};
const Condition wasserstein{"leaky_relu", "wasserstein"}, l2_init{"leaky_relu", "l2_init"},
    l2{"leaky_relu", "l2"};

const Panel error{"error", "Error at the end of a task", "error"};
const Panel h_rank{"ef_rank_relative", "Curvature at the start of a task", "relative rank"};

const std::string consistent =
    "A reduction in the directions of curvature co-occurs with loss of plasticity.";
const std::string regularized =
    "Wasserstein and regenerative regularizers are effective at preserving "
    "plasticity and curvature.";

inline Claim plasticity(const Condition& condition, const std::string& expected, const std::string& words) {
  return {.kind = ClaimKind::plasticity, .condition = condition, .words = words, .expected = expected};
}
inline Claim curvature(const Condition& condition, const std::string& words) {
  return {.kind = ClaimKind::curvature, .condition = condition, .words = words};
}
inline Claim trend(const Condition& condition, const std::string& metric, int sign,
                   const std::string& words) {
  return {.kind = ClaimKind::trend, .condition = condition, .words = words, .metric = metric, .sign = sign};
}

}  // namespace figure_parts

}  // namespace paper
