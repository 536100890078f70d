#pragma once

namespace paper {

struct Relu {
  static constexpr const char *name = "relu", *label = "ReLU", *torch = "relu";
  static constexpr bool from_output = true, bends = false;
  template <class Values, class Scalar>
  static void apply(Values z, Scalar) {
    z = z.cwiseMax(Scalar(0));
  }
  template <class Given, class Values, class Scalar>
  static void times_derivative(Given, Given a, Values x, Scalar) {
    x = (a > Scalar(0)).select(x, Scalar(0));
  }
};

}  // namespace paper
