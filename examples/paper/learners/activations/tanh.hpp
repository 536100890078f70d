#pragma once

namespace paper {

struct Tanh {
  static constexpr const char *name = "tanh", *label = "tanh", *torch = "tanh";
  static constexpr bool from_output = true;
  template <class Values, class Scalar>
  static void apply(Values z, Scalar) {
    z = z.tanh();
  }
  template <class Given, class Values, class Scalar>
  static void times_derivative(Given, Given a, Values x, Scalar) {
    x *= Scalar(1) - a.square();
  }
  template <class Given, class Values, class Scalar>
  static void times_second_derivative(Given, Given a, Values x, Scalar) {
    x *= Scalar(-2) * a * (Scalar(1) - a.square());
  }
};

}  // namespace paper
