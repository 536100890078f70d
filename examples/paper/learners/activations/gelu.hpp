#pragma once

#include <cmath>
#include <numbers>

namespace paper {

// z Phi(z), with the normal distribution Phi and its density phi (Hendrycks and Gimpel 2016); not in the
// paper. f' = Phi + z phi, f'' = (2 - z^2) phi
struct Gelu {
  static constexpr const char *name = "gelu", *label = "GELU", *torch = "gelu";
  template <class Scalar>
  static Scalar distribution(Scalar z) {
    return std::erfc(-z * (std::numbers::sqrt2_v<Scalar> / 2)) / 2;
  }
  template <class Scalar>
  static Scalar density(Scalar z) {
    constexpr Scalar at_zero = std::numbers::inv_sqrtpi_v<Scalar> / std::numbers::sqrt2_v<Scalar>;
    return at_zero * std::exp(-z * z / 2);
  }
  template <class Values, class Scalar>
  static void apply(Values z, Scalar) {
    z *= z.unaryExpr([](Scalar v) { return distribution(v); });
  }
  template <class Given, class Values, class Scalar>
  static void times_derivative(Given z, Given, Values x, Scalar) {
    x *= z.unaryExpr([](Scalar v) { return distribution(v) + v * density(v); });
  }
  template <class Given, class Values, class Scalar>
  static void times_second_derivative(Given z, Given, Values x, Scalar) {
    x *= z.unaryExpr([](Scalar v) { return (2 - v * v) * density(v); });
  }
};

}  // namespace paper
