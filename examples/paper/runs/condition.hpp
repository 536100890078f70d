#pragma once

#include <limits>
#include <string>

namespace paper {

// A curve of a figure: what differs from the base configuration of its problem. A swept condition stands for
// a curve a value of the profile's list; a claim names the one with the smallest or the largest value.
struct Condition {
  std::string activation = "leaky_relu";
  std::string regularizer = "none";  // its strengths are the profile's; the best one is shown and judged
  std::string sweep{};               // a field of Configuration, of those a profile has values for
  double value = 0;                  // of what is swept

  bool is_regularized() const { return regularizer != "none"; }
  bool sweeps_strength() const { return sweep == "strength"; }
  // whether another condition differs in nothing but the value of the sweep
  bool same_but_value(const Condition& other) const {
    return activation == other.activation && regularizer == other.regularizer && sweep == other.sweep;
  }
};
constexpr double every = 0, smallest = -1, largest = std::numeric_limits<double>::infinity();
std::string label(const Condition& condition);  // "leaky ReLU", "leaky ReLU + Wasserstein, strength 0.005"

}  // namespace paper
