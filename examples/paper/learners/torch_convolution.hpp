#pragma once

#include <sagitta/libtorch.hpp>
#include <string>

#include "data/problem.hpp"
#include "learners/network.hpp"
#include "learners/torch_activation.hpp"

// The CNN of appendix B.3 and ResNet18 (He et al. 2016) for K networks at once, by grouped convolutions and
// autograd.
namespace paper {

// The layers with LibTorch. A signal's value is a tensor [n, K channels, height, width], or [K, n, channels]
// when flat. While the shapes of a network are listed there is no value.
class TorchLayers : public Layers {
 public:
  TorchLayers(std::vector<TensorShape>& parameters, std::vector<TensorShape>& statistics)
      : shapes_(&parameters), statistic_shapes_(&statistics) {}
  // parameters, statistics: [K, sizes...], or the sizes alone where K is 0
  TorchLayers(const std::vector<Tensor>& parameters, const std::vector<Tensor>& statistics,
              const Activations& activations, int64_t networks, bool training)
      : parameters_(&parameters),
        statistics_(&statistics),
        activations_(&activations),
        networks_(networks),
        training_(training) {}

  static Signal signal(const Tensor& value, Index channels, Index height = 1, Index width = 1) {
    return {channels, height, width, std::make_shared<Tensor>(value)};
  }
  static const Tensor& value(const Signal& x) { return *static_cast<const Tensor*>(x.value.get()); }

  Signal convolve(const Signal& x, Index filters, Index kernel, Index stride, bool biased) override {
    const int64_t padding = kernel / 2, area = kernel * kernel;
    const Tensor weights = parameter({.sizes = {filters, x.channels, kernel, kernel},
                                      .fan_in = x.channels * area,
                                      .fan_out = filters * area});
    const Tensor biases = biased ? parameter({.sizes = {filters}}) : Tensor{};
    const Index height = shrunk(x.height, kernel, stride), width = shrunk(x.width, kernel, stride);
    if (listing()) return {filters, height, width};
    const bool stacked = networks_ > 0;
    return signal(at::conv2d(value(x), stacked ? weights.flatten(0, 1) : weights,
                             biased && stacked ? biases.flatten() : biases, {stride, stride},
                             {padding, padding}, {1, 1}, std::max<int64_t>(1, networks_)),
                  filters, height, width);
  }
  Signal normalize(const Signal& x) override {
    const Tensor scale = parameter({.sizes = {x.channels}, .value = 1}),
                 shift = parameter({.sizes = {x.channels}});
    const Tensor mean = statistic({.sizes = {x.channels}}),
                 variance = statistic({.sizes = {x.channels}, .value = 1});
    if (listing()) return x;
    return like(x, at::batch_norm(value(x), whole(scale), whole(shift), whole(mean), whole(variance),
                                  training_, .1, 1e-5, true));
  }
  Signal activate(const Signal& x) override {
    if (listing()) return x;
    const bool flat = value(x).dim() == 3;
    return like(x, activations_->apply(value(x), flat || networks_ == 0 ? 0 : 1, flat ? 1 : x.channels));
  }
  Signal pool_maximum(const Signal& x) override {
    const Index height = shrunk(x.height, 3, 2), width = shrunk(x.width, 3, 2);
    if (listing()) return {x.channels, height, width};
    return signal(at::max_pool2d(value(x), {3, 3}, {2, 2}, {1, 1}), x.channels, height, width);
  }
  Signal pool_mean(const Signal& x) override {
    if (listing()) return {x.channels};
    return signal(value(x).mean({2, 3}, true), x.channels);
  }
  Signal flatten(const Signal& x) override {
    const Index size = x.channels * x.height * x.width;
    if (listing()) return {size};
    const Tensor& t = value(x);
    return signal(networks_ > 0 ? t.reshape({t.size(0), networks_, size}).transpose(0, 1) : t.flatten(1),
                  size);
  }
  Signal connect(const Signal& x, Index outputs) override {
    const Tensor weights =
        parameter({.sizes = {x.channels, outputs}, .fan_in = x.channels, .fan_out = outputs});
    const Tensor biases = parameter({.sizes = {outputs}});
    if (listing()) return {outputs};
    return signal(networks_ > 0 ? at::baddbmm(biases.unsqueeze(1), value(x), weights)
                                : at::addmm(biases, value(x), weights),
                  outputs);
  }
  Signal add(const Signal& x, const Signal& other) override {
    if (listing()) return x;
    return like(x, value(x) + value(other));
  }

 private:
  bool listing() const { return shapes_ != nullptr; }
  static Signal like(const Signal& x, const Tensor& value) {
    return signal(value, x.channels, x.height, x.width);
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

// K networks of any kind of networks(), by autograd.
class StackedConvolution : public StackedNetwork {
 public:
  // configuration: of any of the networks
  StackedConvolution(const Configuration& configuration, const ImageShape& image, Index classes,
                     const std::vector<const Activation*>& activations, at::TensorOptions options)
      : StackedConvolution(configuration, image, classes, shapes(configuration, image, classes), activations,
                           options) {}

  Tensor forward(const Tensor& x, Pass pass) override {
    const at::AutoGradMode gradients(pass == Pass::train);
    const int64_t K = networks(), n = x.size(1);
    TorchLayers layers(leaves_, running_, activations_, K, pass == Pass::train);
    const Tensor images = x.transpose(0, 1).reshape({n, K * image_.channels, image_.height, image_.width});
    const Signal hidden = features_of(layers, images);
    features_ = TorchLayers::value(hidden);
    logits_ = TorchLayers::value(layers.connect(hidden, classes_));
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
    const int64_t few = network_of(configuration_).at_once.examples;
    return theta_.flat().is_cuda() ? 16 * few : few;
  }

 private:
  struct Shapes {
    std::vector<TensorShape> parameters, statistics;
  };
  static Shapes shapes(const Configuration& configuration, const ImageShape& image, Index classes) {
    Shapes result;
    TorchLayers layers(result.parameters, result.statistics);
    const Signal inputs{image.channels, image.height, image.width};
    layers.connect(network_of(configuration).features(layers, inputs, configuration), classes);
    return result;
  }
  Signal features_of(TorchLayers& layers, const Tensor& images) const {
    return network_of(configuration_)
        .features(layers, TorchLayers::signal(images, image_.channels, image_.height, image_.width),
                  configuration_);
  }
  StackedConvolution(const Configuration& configuration, const ImageShape& image, Index classes,
                     Shapes shapes, const std::vector<const Activation*>& activations,
                     at::TensorOptions options)
      : StackedNetwork(std::move(shapes.parameters), std::move(shapes.statistics),
                       static_cast<int64_t>(activations.size()), options),
        configuration_(configuration),
        image_(image),
        classes_(classes),
        activations_(activations, configuration.leaky_slope) {
    for (const Activation* activation : activations)
      own_activation_.emplace_back(std::vector{activation}, configuration.leaky_slope);
    for (std::size_t t = 0; t < theta_.tensors(); ++t) {
      leaves_.push_back(theta_.stacked(t).detach().requires_grad_());
      leaves_.back().mutable_grad() = gradient_.stacked(t);  // autograd adds to it in place
    }
    for (std::size_t t = 0; t < statistics_.tensors(); ++t) running_.push_back(statistics_.stacked(t));
  }

  // through the adapter, with the running statistics
  Tensor gram_of(int64_t k, const Tensor& x, const Tensor& labels) const {
    const at::AutoGradMode gradients(true);
    const Tensor images = x.view({x.size(0), image_.channels, image_.height, image_.width});
    std::vector<Tensor> parameters, running, measured;
    for (const Tensor& leaf : leaves_) {
      parameters.push_back(leaf.detach().select(0, k));
      if (!configuration_.ranks_biases() && parameters.back().dim() < 2) continue;
      measured.push_back(parameters.back().requires_grad_());
    }
    for (const Tensor& statistic : running_) running.push_back(statistic.select(0, k));
    const auto losses = [&] {
      TorchLayers layers(parameters, running, own_activation_[static_cast<std::size_t>(k)], 0, false);
      const Tensor logits = TorchLayers::value(layers.connect(features_of(layers, images), classes_));
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

  Configuration configuration_;
  ImageShape image_;
  Index classes_;
  Activations activations_;
  std::vector<Activations> own_activation_;  // of each network by itself
  std::vector<Tensor> leaves_, running_;
  Tensor logits_;
};

}  // namespace paper
