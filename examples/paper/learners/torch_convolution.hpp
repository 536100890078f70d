#pragma once

#include <sagitta/libtorch.hpp>
#include <string>

#include "data/problem.hpp"
#include "learners/torch_network.hpp"

// The CNN of appendix B.3 and ResNet18 (He et al. 2016) for K networks at once, by grouped convolutions and
// autograd.
namespace paper {

// What goes from layer to layer: [n, K channels, height, width], or [K, n, channels] when flat. While the
// shapes of a network are listed there is no value.
struct Signal {
  Tensor value;
  int64_t channels, height, width;
};

// The layers of a network, in the order in which it calls them. The same walk through a network lists the
// shapes of its parameters, runs K networks stacked, or runs one of them on tensors of its own.
class Layers {
 public:
  Layers(std::vector<TensorShape>& parameters, std::vector<TensorShape>& statistics)
      : shapes_(&parameters), statistic_shapes_(&statistics) {}
  // parameters, statistics: [K, sizes...], or the sizes alone where K is 0
  Layers(const std::vector<Tensor>& parameters, const std::vector<Tensor>& statistics,
         const Activations& activations, int64_t networks, bool training)
      : parameters_(&parameters),
        statistics_(&statistics),
        activations_(&activations),
        networks_(networks),
        training_(training) {}

  Signal convolve(Signal x, int64_t filters, int64_t kernel, int64_t stride, bool biased) {
    const int64_t padding = kernel / 2, area = kernel * kernel;
    const Tensor weights = parameter({.sizes = {filters, x.channels, kernel, kernel},
                                      .fan_in = x.channels * area,
                                      .fan_out = filters * area});
    const Tensor biases = biased ? parameter({.sizes = {filters}}) : Tensor{};
    if (!listing()) {
      const bool stacked = networks_ > 0;
      x.value = at::conv2d(x.value, stacked ? weights.flatten(0, 1) : weights,
                           biased && stacked ? biases.flatten() : biases, {stride, stride},
                           {padding, padding}, {1, 1}, std::max<int64_t>(1, networks_));
    }
    return {x.value, filters, shrunk(x.height, kernel, stride), shrunk(x.width, kernel, stride)};
  }
  Signal normalize(Signal x) {
    const Tensor scale = parameter({.sizes = {x.channels}, .value = 1}),
                 shift = parameter({.sizes = {x.channels}});
    const Tensor mean = statistic({.sizes = {x.channels}}),
                 variance = statistic({.sizes = {x.channels}, .value = 1});
    if (!listing())
      x.value = at::batch_norm(x.value, whole(scale), whole(shift), whole(mean), whole(variance), training_,
                               .1, 1e-5, true);
    return x;
  }
  Signal activate(Signal x) {
    if (!listing())
      x.value = activations_->apply(x.value,
                                    x.value.dim() == 3 ? 0
                                    : networks_ > 0    ? 1
                                                       : 0,
                                    x.value.dim() == 3 ? 1 : x.channels);
    return x;
  }
  Signal pool_maximum(Signal x) {  // 3x3 of stride 2
    if (!listing()) x.value = at::max_pool2d(x.value, {3, 3}, {2, 2}, {1, 1});
    return {x.value, x.channels, shrunk(x.height, 3, 2), shrunk(x.width, 3, 2)};
  }
  Signal pool_mean(Signal x) {  // over the whole image
    if (!listing()) x.value = x.value.mean({2, 3}, true);
    return {x.value, x.channels, 1, 1};
  }
  Signal flatten(Signal x) {
    const int64_t size = x.channels * x.height * x.width;
    if (!listing())
      x.value = networks_ > 0 ? x.value.reshape({x.value.size(0), networks_, size}).transpose(0, 1)
                              : x.value.flatten(1);
    return {x.value, size, 1, 1};
  }
  Signal connect(Signal x, int64_t outputs) {
    const Tensor weights =
        parameter({.sizes = {x.channels, outputs}, .fan_in = x.channels, .fan_out = outputs});
    const Tensor biases = parameter({.sizes = {outputs}});
    if (!listing())
      x.value = networks_ > 0 ? at::baddbmm(biases.unsqueeze(1), x.value, weights)
                              : at::addmm(biases, x.value, weights);
    return {x.value, outputs, 1, 1};
  }
  Signal add(Signal x, const Signal& other) {
    if (!listing()) x.value = x.value + other.value;
    return x;
  }

 private:
  bool listing() const { return shapes_ != nullptr; }
  static int64_t shrunk(int64_t size, int64_t kernel, int64_t stride) {
    return (size + 2 * (kernel / 2) - kernel) / stride + 1;
  }
  Tensor whole(const Tensor& t) const { return networks_ > 0 ? t.flatten() : t; }
  Tensor parameter(TensorShape shape) {
    if (!listing()) return (*parameters_)[next_++];
    shapes_->push_back(std::move(shape));
    return {};
  }
  Tensor statistic(TensorShape shape) {
    if (!listing()) return (*statistics_)[next_statistic_++];
    statistic_shapes_->push_back(std::move(shape));
    return {};
  }

  std::vector<TensorShape>* shapes_ = nullptr;
  std::vector<TensorShape>* statistic_shapes_ = nullptr;
  const std::vector<Tensor>* parameters_ = nullptr;
  const std::vector<Tensor>* statistics_ = nullptr;
  const Activations* activations_ = nullptr;
  int64_t networks_ = 0;
  bool training_ = false;
  std::size_t next_ = 0, next_statistic_ = 0;
};

// Either network up to its last hidden layer.
struct Architecture {
  std::string name, stem;  // words of Configuration
  bool batch_norm;
  ImageShape image;
  int64_t classes;

  Signal features(Layers& layers, Signal x) const {
    return name == "cnn" ? cnn(layers, std::move(x)) : resnet18(layers, std::move(x));
  }

 private:
  static Signal cnn(Layers& layers, Signal x) {
    for (const int64_t filters : {16, 32, 64, 128})
      x = layers.activate(layers.convolve(x, filters, 3, 2, true));
    return layers.activate(layers.connect(layers.flatten(x), 512));
  }
  Signal convolved(Layers& layers, const Signal& x, int64_t filters, int64_t kernel, int64_t stride) const {
    Signal z = layers.convolve(x, filters, kernel, stride, !batch_norm);
    return batch_norm ? layers.normalize(z) : z;
  }
  Signal resnet18(Layers& layers, Signal x) const {
    const bool small = stem == "cifar";
    x = layers.activate(convolved(layers, x, 64, small ? 3 : 7, small ? 1 : 2));
    if (!small) x = layers.pool_maximum(x);
    for (const int64_t filters : {64, 128, 256, 512})
      for (const int64_t stride : {filters == 64 ? 1 : 2, 1}) {
        Signal z = layers.activate(convolved(layers, x, filters, 3, stride));
        z = convolved(layers, z, filters, 3, 1);
        const bool same = stride == 1 && x.channels == filters;
        x = layers.activate(layers.add(z, same ? x : convolved(layers, x, filters, 1, stride)));
      }
    return layers.flatten(layers.pool_mean(x));
  }
};

class StackedConvolution : public StackedNetwork {
 public:
  StackedConvolution(const Architecture& architecture, const std::vector<Activation>& activations,
                     double leaky_slope, bool rank_of_weights, at::TensorOptions options)
      : StackedConvolution(architecture, shapes(architecture), activations, leaky_slope, rank_of_weights,
                           options) {}

  Tensor forward(const Tensor& x, Pass pass) override {
    const at::AutoGradMode gradients(pass == Pass::train);
    const int64_t K = networks(), n = x.size(1);
    const ImageShape& image = architecture_.image;
    Layers layers(leaves_, running_, activations_, K, pass == Pass::train);
    const Tensor images = x.transpose(0, 1).reshape({n, K * image.channels, image.height, image.width});
    const Signal hidden = architecture_.features(layers, {images, image.channels, image.height, image.width});
    features_ = hidden.value;
    logits_ = layers.connect(hidden, architecture_.classes).value;
    return logits_.detach();
  }

  void backward(const Tensor& by_logits, const Tensor& by_features) override {
    gradient_.flat().zero_();
    std::vector<Tensor> ends{logits_}, slopes{by_logits};
    if (by_features.defined()) {
      ends.push_back(features_);
      slopes.push_back(by_features);
    }
    torch::autograd::backward(ends, slopes);
    logits_ = Tensor{};
    features_ = features_.detach();
  }

  Tensor gram(const Tensor& x, const Tensor& labels) override {
    const int64_t n = x.size(1);
    Tensor grams = at::empty({networks(), n, n}, x.options().dtype(at::kDouble));
    for (int64_t k = 0; k < networks(); ++k) grams[k].copy_(gram_of(k, x[k], labels[k]));
    return grams;
  }

  int64_t examples_at_once() const override {
    const int64_t few = architecture_.name == "cnn" ? 4096 : 512;
    return theta_.flat().is_cuda() ? 16 * few : few;
  }

 private:
  struct Shapes {
    std::vector<TensorShape> parameters, statistics;
  };
  static Shapes shapes(const Architecture& architecture) {
    Shapes result;
    Layers layers(result.parameters, result.statistics);
    const ImageShape& image = architecture.image;
    layers.connect(architecture.features(layers, {{}, image.channels, image.height, image.width}),
                   architecture.classes);
    return result;
  }
  StackedConvolution(const Architecture& architecture, Shapes shapes,
                     const std::vector<Activation>& activations, double leaky_slope, bool rank_of_weights,
                     at::TensorOptions options)
      : StackedNetwork(std::move(shapes.parameters), std::move(shapes.statistics),
                       static_cast<int64_t>(activations.size()), options),
        architecture_(architecture),
        activations_(activations, leaky_slope),
        rank_of_weights_(rank_of_weights) {
    for (const Activation activation : activations)
      own_activation_.emplace_back(std::vector{activation}, leaky_slope);
    for (std::size_t t = 0; t < theta_.tensors(); ++t) {
      leaves_.push_back(theta_.stacked(t).detach().requires_grad_());
      leaves_.back().mutable_grad() = gradient_.stacked(t);  // autograd adds to it in place
    }
    for (std::size_t t = 0; t < statistics_.tensors(); ++t) running_.push_back(statistics_.stacked(t));
  }

  // through the adapter, with the running statistics
  Tensor gram_of(int64_t k, const Tensor& x, const Tensor& labels) const {
    const at::AutoGradMode gradients(true);
    const ImageShape& image = architecture_.image;
    const Tensor images = x.view({x.size(0), image.channels, image.height, image.width});
    std::vector<Tensor> parameters, running, measured;
    for (const Tensor& leaf : leaves_) {
      parameters.push_back(leaf.detach().select(0, k));
      if (rank_of_weights_ && parameters.back().dim() < 2) continue;
      measured.push_back(parameters.back().requires_grad_());
    }
    for (const Tensor& statistic : running_) running.push_back(statistic.select(0, k));
    const auto losses = [&] {
      Layers layers(parameters, running, own_activation_[static_cast<std::size_t>(k)], 0, false);
      const Signal hidden =
          architecture_.features(layers, {images, image.channels, image.height, image.width});
      const Tensor logits = layers.connect(hidden, architecture_.classes).value;
      return at::nll_loss(at::log_softmax(logits, 1), labels, {}, at::Reduction::None);
    };
    {
      const at::NoGradGuard no_grad;
      if (!losses().isfinite().all().item<bool>())  // it has diverged
        return at::full({x.size(0), x.size(0)}, std::numeric_limits<double>::quiet_NaN(),
                        x.options().dtype(at::kDouble));
    }
    sagitta::libtorch::GramOptions options;
    options.accumulate_in_double = true;
    return sagitta::libtorch::empirical_fisher_gram(losses, measured, options).gram;
  }

  Architecture architecture_;
  Activations activations_;
  std::vector<Activations> own_activation_;  // of each network by itself
  bool rank_of_weights_;
  std::vector<Tensor> leaves_, running_;
  Tensor logits_;
};

}  // namespace paper
