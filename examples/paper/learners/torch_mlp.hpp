#pragma once

#include <array>

#include "learners/torch_activation.hpp"

namespace paper {

// Fully connected layers with hand-written back-propagation by batched products. A network's part of theta
// is laid out as that of EigenMlp.
class StackedMlp : public StackedNetwork {
 public:
  // rank_of_weights: gradients of biases are left out of gram
  StackedMlp(const std::vector<int64_t>& widths, const std::vector<const Activation*>& activations,
             double leaky_slope, bool rank_of_weights, at::TensorOptions options)
      : StackedNetwork(shapes(widths), {}, static_cast<int64_t>(activations.size()), options),
        activations_(activations, leaky_slope),
        rank_of_weights_(rank_of_weights),
        inputs_of_activations_(layers()),
        kept_outputs_(layers()),
        kept_slopes_(layers()) {}

  // The outputs of a pass in training last until the next.
  Tensor forward(const Tensor& x, Pass pass) override {
    const at::NoGradGuard no_grad;
    outputs_ = {x};
    for (std::size_t layer = 0; layer < layers(); ++layer) {
      const Tensor weights = theta_.stacked(2 * layer), biases = theta_.stacked(2 * layer + 1);
      Tensor fresh;
      Tensor& z = sized(pass == Pass::train ? kept_outputs_[layer] : fresh, x, weights.size(2));
      at::bmm_out(z, outputs_.back(), weights);
      z.add_(biases.unsqueeze(1));
      if (layer + 1 < layers()) {
        if (activations_.needs_inputs()) sized(inputs_of_activations_[layer], x, weights.size(2)).copy_(z);
        activations_.apply_(z);
      }
      outputs_.push_back(z);
    }
    features_ = outputs_[layers() - 1];
    return outputs_.back();
  }

  // LibTorch's softmax takes some 15 ns an element where there are few classes: as long as a small layer.
  Loss loss(const Tensor& logits, const Tensor& labels) const override {
    const Tensor index = labels.unsqueeze(2);
    Tensor p = logits - at::amax(logits, {2}, true);
    const Tensor of_label = p.gather(2, index);
    const Tensor sum = p.exp_().sum({2}, true);
    p.div_(sum).scatter_add_(2, index, at::full({}, -1, p.options()).expand(index.sizes()));
    return {(sum.log() - of_label).squeeze(2), p};
  }

  void backward(const Tensor& by_logits, const Tensor& by_features) override {
    const at::NoGradGuard no_grad;
    back_propagate(by_logits, by_features, kept_slopes_, [this](std::size_t layer, const Tensor& d) {
      Tensor weights = gradient_.stacked(2 * layer), biases = gradient_.stacked(2 * layer + 1);
      at::bmm_out(weights, outputs_[layer].transpose(1, 2), d);
      at::sum_out(biases, d, at::IntArrayRef{1});
    });
  }

  Tensor gram(const Tensor& x, const Tensor& labels) override {
    const at::NoGradGuard no_grad;
    const Tensor slope = cross_entropy_slope(forward(x, Pass::measure), labels);
    Tensor sum = at::zeros({x.size(0), x.size(1), x.size(1)}, x.options().dtype(at::kDouble));
    std::vector<Tensor> slopes(layers());  // recorded updates need the kept ones where they are
    back_propagate(slope, {}, slopes, [&](std::size_t layer, const Tensor& d) {
      const Tensor a = outputs_[layer].to(at::kDouble), e = d.to(at::kDouble);
      sum.addcmul_(at::bmm(a, a.transpose(1, 2)).add_(rank_of_weights_ ? 0 : 1),
                   at::bmm(e, e.transpose(1, 2)));
    });
    return sum;
  }

  int64_t examples_at_once() const override { return 16384; }

 private:
  static std::vector<TensorShape> shapes(const std::vector<int64_t>& widths) {
    std::vector<TensorShape> result;
    for (std::size_t layer = 0; layer + 1 < widths.size(); ++layer) {
      const int64_t in = widths[layer], out = widths[layer + 1];
      result.push_back({.sizes = {in, out}, .fan_in = in, .fan_out = out});
      result.push_back({.sizes = {out}});
    }
    return result;
  }
  // the buffer as [K, n, width], for K and n of the tensor `like`; anew only where it is too small
  static Tensor& sized(Tensor& buffer, const Tensor& like, int64_t width) {
    const std::array<int64_t, 3> sizes{like.size(0), like.size(1), width};
    if (!buffer.defined())
      buffer = at::empty(sizes, like.options());
    else
      buffer.resize_(sizes);
    return buffer;
  }
  std::size_t layers() const { return theta_.tensors() / 2; }

  // slopes: memory for the derivatives, a layer each. visit(layer, d): d is the derivative by the layer's
  // output before its activation, [K, n, out]
  template <class Visit>
  void back_propagate(const Tensor& by_logits, const Tensor& by_features, std::vector<Tensor>& slopes,
                      Visit visit) {
    Tensor d = by_logits;
    for (std::size_t layer = layers(); layer-- > 0;) {
      visit(layer, d);
      if (layer == 0) break;
      const Tensor weights = theta_.stacked(2 * layer);
      Tensor& before = sized(slopes[layer], d, weights.size(1));
      d = at::bmm_out(before, d, weights.transpose(1, 2));
      if (by_features.defined() && layer + 1 == layers()) d.add_(by_features);
      activations_.times_derivative_(inputs_of_activations_[layer - 1], outputs_[layer], d);
    }
  }

  Activations activations_;
  bool rank_of_weights_;
  std::vector<Tensor> outputs_;                     // inputs, then what each layer puts out; logits last
  std::vector<Tensor> inputs_of_activations_;       // of each hidden layer, where derivatives need them
  std::vector<Tensor> kept_outputs_, kept_slopes_;  // memory, a layer each, that updates use again
};

}  // namespace paper
