#pragma once

#include <Eigen/Core>
#include <string>

#include "data/registry.hpp"

namespace paper {

// An activation f on all elements of a matrix at once. z: pre-activations; a: f(z), so that a derivative need
// not compute it again; slope: Configuration::leaky_slope, which most ignore.
template <class Scalar>
struct ActivationRules {
  using Values = Eigen::Map<Eigen::Array<Scalar, Eigen::Dynamic, 1>>;
  using Given = Eigen::Map<const Eigen::Array<Scalar, Eigen::Dynamic, 1>>;
  void (*apply)(Values z, Scalar slope);                                      // z becomes f(z)
  void (*times_derivative)(Given z, Given a, Values x, Scalar slope);         // x becomes x f'(z)
  void (*times_second_derivative)(Given z, Given a, Values x, Scalar slope);  // x becomes x f''(z)
};

struct Activation {
  std::string name, label;  // "leaky_relu", "leaky ReLU"
  // f' and f'' follow from a alone: z is not kept, and both arguments are a
  bool from_output;
  bool bends;  // whether f'' is anything but 0
  // LibTorch's operator of the same function, found by its name (torch_activation.hpp)
  std::string torch;
  bool torch_takes_slope;  // as its second argument
  ActivationRules<float> in_float;
  ActivationRules<double> in_double;

  const ActivationRules<float>& rules(float) const { return in_float; }
  const ActivationRules<double>& rules(double) const { return in_double; }
};

// An entry from a type with static members:
//   name, label, torch: as above
//   from_output, bends, torch_takes_slope: as above; where they are missing, false, true, false
//   void apply(auto z, Scalar slope), void times_derivative(auto z, auto a, auto x, Scalar slope) and, where
//   it bends, times_second_derivative, likewise: templates, called with Eigen arrays of float and of double
template <class Definition>
Activation activation();

// An activation of one's own: a file beside activations/gelu.hpp and a line in the list of activation.cpp, or
// add() before anything is planned.
Registry<Activation>& activations();

// ---- implementation ----

template <class Definition, class Scalar>
ActivationRules<Scalar> activation_rules() {
  using Rules = ActivationRules<Scalar>;
  using Values = typename Rules::Values;
  using Given = typename Rules::Given;
  Rules rules{[](Values z, Scalar slope) { Definition::apply(z, slope); },
              [](Given z, Given a, Values x, Scalar slope) { Definition::times_derivative(z, a, x, slope); },
              [](Given, Given, Values x, Scalar) { x.setZero(); }};
  if constexpr (requires(Given g, Values x) { Definition::times_second_derivative(g, g, x, Scalar(0)); })
    rules.times_second_derivative = [](Given z, Given a, Values x, Scalar slope) {
      Definition::times_second_derivative(z, a, x, slope);
    };
  return rules;
}

template <class Definition>
Activation activation() {
  Activation entry{.name = Definition::name,
                   .label = Definition::label,
                   .from_output = false,
                   .bends = true,
                   .torch = Definition::torch,
                   .torch_takes_slope = false,
                   .in_float = activation_rules<Definition, float>(),
                   .in_double = activation_rules<Definition, double>()};
  if constexpr (requires { Definition::from_output; }) entry.from_output = Definition::from_output;
  if constexpr (requires { Definition::bends; }) entry.bends = Definition::bends;
  if constexpr (requires { Definition::torch_takes_slope; })
    entry.torch_takes_slope = Definition::torch_takes_slope;
  using Given = ActivationRules<double>::Given;
  using Values = ActivationRules<double>::Values;
  if constexpr (!requires(Given g, Values x) { Definition::times_second_derivative(g, g, x, 0.0); })
    if (entry.bends)
      throw std::logic_error("activation \"" + entry.name +
                             "\" has no times_second_derivative, and does not say bends = false");
  return entry;
}

}  // namespace paper
