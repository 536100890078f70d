#pragma once

#include <ATen/core/ivalue.h>  // first: clang 14 needs it before 1.13's other headers

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "learners/configuration.hpp"

// K networks of one architecture as one network.
namespace paper {

using at::Tensor;

// A tensor of a network's parameters, or of its running statistics.
struct TensorShape {
  std::vector<int64_t> sizes;       // weights of a linear layer: [inputs, outputs]
  int64_t fan_in = 0, fan_out = 0;  // of the initial distribution; 0: every element is `value`
  double value = 0;

  int64_t elements() const {
    int64_t product = 1;
    for (const int64_t size : sizes) product *= size;
    return product;
  }
};

// Tensors of K networks in one flat buffer, tensor by tensor: element i of tensor t of network k lies at
// K starts[t] + k elements(t) + i, so that each tensor of all networks is contiguous, [K, sizes...].
class Stack {
 public:
  Stack(std::vector<TensorShape> shapes, int64_t networks, at::TensorOptions options)
      : shapes_(std::move(shapes)), networks_(networks) {
    for (const TensorShape& shape : shapes_) {
      starts_.push_back(size_);
      size_ += shape.elements();
    }
    flat_ = at::zeros({networks * size_}, options);
  }
  Stack like() const { return {shapes_, networks_, flat_.options()}; }  // zeros

  const std::vector<TensorShape>& shapes() const { return shapes_; }
  int64_t networks() const { return networks_; }
  std::size_t tensors() const { return shapes_.size(); }
  int64_t size() const { return size_; }  // elements of one network
  const Tensor& flat() const { return flat_; }

  // tensor t of all networks as [K, elements]
  Tensor rows(std::size_t t) const {
    const int64_t length = shapes_[t].elements();
    return flat_.narrow(0, networks_ * starts_[t], networks_ * length).view({networks_, length});
  }
  // the same as [K, sizes...]
  Tensor stacked(std::size_t t) const {
    std::vector<int64_t> sizes{networks_};
    sizes.insert(sizes.end(), shapes_[t].sizes.begin(), shapes_[t].sizes.end());
    return rows(t).view(sizes);
  }
  // all of network k, tensor after tensor, on the host
  Tensor network(int64_t k) const {
    std::vector<Tensor> parts{at::empty({0}, flat_.options())};
    for (std::size_t t = 0; t < tensors(); ++t) parts.push_back(rows(t).select(0, k));
    return at::cat(parts).cpu();
  }
  void set_network(int64_t k, const Tensor& values) const {
    for (std::size_t t = 0; t < tensors(); ++t)
      rows(t).select(0, k).copy_(values.narrow(0, starts_[t], shapes_[t].elements()));
  }

 private:
  std::vector<TensorShape> shapes_;
  std::vector<int64_t> starts_;
  int64_t networks_, size_ = 0;
  Tensor flat_;
};

// Consecutive networks that have something in common.
struct Range {
  int64_t start, count;
};

// The ranges of networks for which same(k - 1, k) holds, and has(k).
inline std::vector<Range> ranges(int64_t networks, const std::function<bool(int64_t)>& has,
                                 const std::function<bool(int64_t, int64_t)>& same) {
  std::vector<Range> result;
  for (int64_t k = 0; k < networks; ++k) {
    if (!has(k)) continue;
    if (!result.empty() && result.back().start + result.back().count == k && same(k - 1, k))
      ++result.back().count;
    else
      result.push_back({k, 1});
  }
  return result;
}

// What a pass through K networks is for: training (batch norm with the statistics of the batch, which move
// the running ones), or measurement of what has been learnt.
enum class Pass { train, measure };

// softmax - onehot: the derivative of the summed cross-entropy by the logits [K, n, classes]
inline Tensor cross_entropy_slope(const Tensor& logits, const Tensor& labels) {
  Tensor slope = at::softmax(logits, 2);
  const Tensor index = labels.unsqueeze(2);
  return slope.scatter_add_(2, index, at::full({}, -1, slope.options()).expand(index.sizes()));
}

// The cross-entropy of the examples, [K, n], and its derivative by the logits, [K, n, classes].
struct Loss {
  Tensor values, slope;
};

// The mathematics of K networks. forward leaves behind what backward needs.
class StackedNetwork {
 public:
  StackedNetwork(std::vector<TensorShape> parameters, std::vector<TensorShape> statistics, int64_t networks,
                 at::TensorOptions options)
      : theta_(std::move(parameters), networks, options),
        gradient_(theta_.like()),
        statistics_(std::move(statistics), networks, options) {
    for (Stack* stack : {&theta_, &statistics_})
      for (std::size_t t = 0; t < stack->tensors(); ++t) stack->rows(t).fill_(stack->shapes()[t].value);
  }
  virtual ~StackedNetwork() = default;

  const Stack& theta() const { return theta_; }
  const Stack& gradient() const { return gradient_; }
  const Stack& statistics() const { return statistics_; }  // running ones, of batch norm
  int64_t networks() const { return theta_.networks(); }

  // x: [K, n, inputs]. Returns the logits, [K, n, classes]; features(): [K, n, width], after the activation.
  virtual Tensor forward(const Tensor& x, Pass pass) = 0;
  const Tensor& features() const { return features_; }
  virtual Loss loss(const Tensor& logits, const Tensor& labels) const {
    const Tensor of_label = logits.gather(2, labels.unsqueeze(2)).squeeze(2);
    return {at::logsumexp(logits, {2}) - of_label, cross_entropy_slope(logits, labels)};
  }
  // Back-propagates the derivative of a summed loss by the logits of the last forward pass in training, and
  // by the features where that is defined, and overwrites gradient().
  virtual void backward(const Tensor& by_logits, const Tensor& by_features) = 0;
  // K Gram matrices of the gradients of the losses' sums for each example, [K, n, n] in double, for
  // examples x with labels [K, n]
  virtual Tensor gram(const Tensor& x, const Tensor& labels) = 0;
  // summands of an entry of such a matrix, at most, for a layer without positions
  int64_t widest_product() const {
    int64_t widest = 1;
    for (const TensorShape& shape : theta_.shapes()) widest = std::max(widest, shape.fan_in + shape.fan_out);
    return widest;
  }
  // examples of all networks together that a pass without gradients should take at once
  virtual int64_t examples_at_once() const = 0;

 protected:
  Stack theta_, gradient_, statistics_;
  Tensor features_;
};

}  // namespace paper
