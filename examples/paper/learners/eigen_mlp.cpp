#include "learners/eigen_mlp.hpp"

#include <cmath>
#include <stdexcept>

namespace paper {

template <class Scalar>
EigenMlp<Scalar>::EigenMlp(std::vector<Index> widths, const Activation& activation, Scalar leaky_slope)
    : widths_(std::move(widths)), activation_(&activation), leaky_slope_(leaky_slope) {
  if (widths_.size() < 2)
    throw std::invalid_argument("EigenMlp: expected at least an input and an output width");
  starts_ = {0};
  for (std::size_t layer = 0; layer + 1 < widths_.size(); ++layer) {
    starts_.push_back(starts_.back() + widths_[layer + 1] * widths_[layer]);
    starts_.push_back(starts_.back() + widths_[layer + 1]);
  }
  theta_ = Vector::Zero(starts_.back());
  outputs_.resize(widths_.size());
  backprops_.resize(widths_.size() - 1);
  inputs_of_activations_.resize(widths_.size() - 1);
}

template <class Scalar>
void EigenMlp<Scalar>::initialize(const std::string& initialization, Generator& generator) {
  theta_.setZero();
  for (std::size_t layer = 0; layer + 1 < widths_.size(); ++layer) {
    const auto in = static_cast<double>(widths_[layer]), out = static_cast<double>(widths_[layer + 1]);
    const double variance = initialization.starts_with("glorot") ? 2 / (in + out) : 2 / in;
    const double bound = std::sqrt(3 * variance), deviation = std::sqrt(variance);
    for (Scalar& weight : tensor(theta_, static_cast<Index>(2 * layer)))
      weight = static_cast<Scalar>(initialization.ends_with("uniform") ? uniform(generator, -bound, bound)
                                                                       : deviation * normal(generator));
  }
}

template <class Scalar>
const typename EigenMlp<Scalar>::Matrix& EigenMlp<Scalar>::forward(const Eigen::Ref<const Matrix>& inputs) {
  outputs_[0] = inputs;
  for (std::size_t layer = 0; layer < backprops_.size(); ++layer) {
    Matrix& output = outputs_[layer + 1];
    output.noalias() = weights(layer) * outputs_[layer];
    output.colwise() += biases(layer);
    if (layer + 1 == backprops_.size()) break;
    if (!activation_->from_output) inputs_of_activations_[layer] = output;
    activation_->rules(Scalar{}).apply({output.data(), output.size()}, leaky_slope_);
  }
  return outputs_.back();
}

template <class Scalar>
void EigenMlp<Scalar>::multiply(std::size_t layer, Scalar* x, bool second) const {
  const ActivationRules<Scalar>& rules = activation_->rules(Scalar{});
  const Matrix& a = outputs_[layer + 1];
  const Matrix& z = activation_->from_output ? a : inputs_of_activations_[layer];
  (second ? rules.times_second_derivative : rules.times_derivative)(
      {z.data(), z.size()}, {a.data(), a.size()}, {x, a.size()}, leaky_slope_);
}

template <class Scalar>
void EigenMlp<Scalar>::backward(const Matrix& logits_gradient, const Matrix* features_gradient) {
  backprops_.back() = logits_gradient;
  for (std::size_t layer = backprops_.size() - 1; layer > 0; --layer) {
    Matrix& below = backprops_[layer - 1];
    below.noalias() = weights(layer).transpose() * backprops_[layer];
    if (features_gradient != nullptr && layer == backprops_.size() - 1) below += *features_gradient;
    multiply(layer - 1, below.data());
  }
}

template <class Scalar>
void EigenMlp<Scalar>::gradient(Vector& gradient) const {
  gradient.resize(theta_.size());
  for (std::size_t layer = 0; layer < backprops_.size(); ++layer) {
    const Matrix& d = backprops_[layer];
    Eigen::Map<Matrix>(gradient.data() + starts_[2 * layer], widths_[layer + 1], widths_[layer]).noalias() =
        d * outputs_[layer].transpose();
    tensor(gradient, static_cast<Index>(2 * layer + 1)) = d.rowwise().sum();
  }
}

template <class Scalar>
std::vector<sagitta::LayerTrace<Scalar>> EigenMlp<Scalar>::traces() const {
  std::vector<sagitta::LayerTrace<Scalar>> traces;
  for (std::size_t layer = 0; layer < backprops_.size(); ++layer)
    traces.push_back({.inputs = outputs_[layer].transpose(), .backprops = backprops_[layer].transpose()});
  return traces;
}

template class EigenMlp<float>;
template class EigenMlp<double>;

}  // namespace paper
