#pragma once

namespace paper {

struct LeakyRelu {
  static constexpr const char *name = "leaky_relu", *label = "leaky ReLU", *torch = "leaky_relu";
  static constexpr bool from_output = true, bends = false, torch_takes_slope = true;
  template <class Values, class Scalar>
  static void apply(Values z, Scalar slope) {
    z = z.cwiseMax(slope * z);  // slope <= 1
  }
  template <class Given, class Values, class Scalar>
  static void times_derivative(Given, Given a, Values x, Scalar slope) {
    x = (a > Scalar(0)).select(x, slope * x);
  }
};

}  // namespace paper
