#pragma once

#include <Eigen/Core>
#include <stdexcept>
#include <string>

namespace paper {

enum class Activation { relu, leaky_relu, tanh, identity };

inline Activation activation_of(const std::string& word) {
  if (word == "relu") return Activation::relu;
  if (word == "leaky_relu") return Activation::leaky_relu;
  if (word == "tanh") return Activation::tanh;
  if (word == "identity") return Activation::identity;
  throw std::invalid_argument("activation_of: got \"" + word + "\"");
}

template <class Matrix>
void activate(Activation activation, typename Matrix::Scalar slope, Matrix& z) {
  using Scalar = typename Matrix::Scalar;
  switch (activation) {
    case Activation::relu:
      z = z.cwiseMax(Scalar(0));
      break;
    case Activation::leaky_relu:
      z = z.cwiseMax(slope * z);
      break;  // slope <= 1
    case Activation::tanh:
      z = z.array().tanh();
      break;
    case Activation::identity:
      break;
  }
}

// backprops *= derivative, which all four activations give from their output
template <class Matrix>
void multiply_by_derivative(Activation activation, typename Matrix::Scalar slope, const Matrix& output,
                            Matrix& backprops) {
  using Scalar = typename Matrix::Scalar;
  switch (activation) {
    case Activation::relu:
      backprops = (output.array() > Scalar(0)).select(backprops, Scalar(0));
      break;
    case Activation::leaky_relu:
      backprops = (output.array() > Scalar(0)).select(backprops, slope * backprops);
      break;
    case Activation::tanh:
      backprops.array() *= Scalar(1) - output.array().square();
      break;
    case Activation::identity:
      break;
  }
}

}  // namespace paper
