#pragma once

#include <Eigen/Core>
#include <memory>
#include <sagitta/layer_trace.hpp>
#include <span>
#include <string>
#include <vector>

#include "data/index.hpp"
#include "data/random.hpp"
#include "learners/activation.hpp"

namespace paper {

// The second derivative of the summed softmax cross-entropy by the parameters: in full, or without the
// curvature of the network itself, J^T (diag(p) - p p^T) J.
enum class Curvature { hessian, gauss_newton };

// A fully connected network with hand-written back-propagation: the mathematics, no training. Scalar is float
// in experiments and double in tests. Examples are columns: inputs features x n, logits classes x n.
template <class Scalar>
class EigenMlp {
 public:
  using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;
  using Vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;

  // widths: features, hidden layers, classes
  EigenMlp(std::vector<Index> widths, const Activation& activation, Scalar leaky_slope);

  // Draws the weights and zeroes the biases; initialization is a word of Configuration.
  void initialize(const std::string& initialization, Generator& generator);

  Index layers() const { return static_cast<Index>(widths_.size()) - 1; }
  Index parameters() const { return theta_.size(); }
  Vector& theta() { return theta_; }
  const Vector& theta() const { return theta_; }

  // the part of a vector like theta that is tensor 2l (weights of layer l, out x in, column by column) or
  // 2l+1 (its biases)
  Index tensors() const { return 2 * layers(); }
  auto tensor(Vector& flat, Index number) const { return flat.segment(start(number), length(number)); }
  auto tensor(const Vector& flat, Index number) const { return flat.segment(start(number), length(number)); }

  // Leaves the activations of every layer behind for what follows; returns the logits.
  const Matrix& forward(const Eigen::Ref<const Matrix>& inputs);
  // after the activation; width x n
  const Matrix& features() const { return outputs_[outputs_.size() - 2]; }

  // Back-propagates the derivative of a summed loss by the logits of the last forward call, leaving backprops
  // behind. `features_gradient`, where given, is added to the derivative by the features.
  void backward(const Matrix& logits_gradient, const Matrix* features_gradient = nullptr);
  // the gradient of all parameters, from the last backward call
  void gradient(Vector& gradient) const;
  // the layers' inputs and backprops of the last two calls, for the Gram matrix of per-sample gradients;
  // valid until the next of them
  std::vector<sagitta::LayerTrace<Scalar>> traces() const;

  // Curvature times directions, exactly, by the R-operator (Pearlmutter 1994), at the examples of the last
  // forward call, after backward(softmax - onehot).
  //   directions: parameters x n, many at once; returns the same shape
  // A kink of ReLU counts as flat. Per direction about four times the cost of forward and backward.
  Matrix curvature_product(Curvature curvature, const Eigen::Ref<const Matrix>& directions) const;
  // the whole matrix, from products with unit vectors of which zeros and the upper triangle are left out;
  // parameters x parameters, symmetric to the bit
  Matrix curvature_matrix(Curvature curvature) const;

 private:
  // The products of `count` directions that are zero in the layers below `first`, for the parameters from
  // there on. add_forward(layer, k, Rz) adds what direction k changes in the layer's output by its own
  // weights, add_backward(layer, k, Ra) what it changes in the derivative by the layer's input.
  template <class Forward, class Backward>
  Matrix propagate(Curvature curvature, std::size_t first, Index count, Forward add_forward,
                   Backward add_backward) const;
  // x times the derivative (second: the second one) of the activation behind the layer; x: width x n
  void multiply(std::size_t layer, Scalar* x, bool second = false) const;
  Index start(Index tensor) const { return starts_[static_cast<std::size_t>(tensor)]; }
  Index length(Index tensor) const { return start(tensor + 1) - start(tensor); }
  auto weights(std::size_t layer) const {
    return Eigen::Map<const Matrix>(theta_.data() + starts_[2 * layer], widths_[layer + 1], widths_[layer]);
  }
  auto biases(std::size_t layer) const {
    return Eigen::Map<const Vector>(theta_.data() + starts_[2 * layer + 1], widths_[layer + 1]);
  }

  std::vector<Index> widths_, starts_;
  const Activation* activation_;  // an entry of activations()
  Scalar leaky_slope_;
  Vector theta_;
  std::vector<Matrix> outputs_;                // inputs, then what each layer puts out; logits last
  std::vector<Matrix> inputs_of_activations_;  // of each hidden layer, where derivatives need them
  std::vector<Matrix> backprops_;  // of the summed loss, by each layer's output before its activation
};

extern template class EigenMlp<float>;
extern template class EigenMlp<double>;

}  // namespace paper
