#pragma once

namespace paper {

struct Identity {
  static constexpr const char *name = "identity", *label = "identity", *torch = "";
  static constexpr bool from_output = true, bends = false;
  template <class Values, class Scalar>
  static void apply(Values, Scalar) {}
  template <class Given, class Values, class Scalar>
  static void times_derivative(Given, Given, Values, Scalar) {}
};

}  // namespace paper
