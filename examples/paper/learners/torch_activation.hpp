#pragma once

#include "learners/activation.hpp"
#include "learners/torch_network.hpp"

#include <ATen/core/dispatch/Dispatcher.h>

#include <map>
#include <optional>
#include <stdexcept>

namespace paper {

// An activation by LibTorch's operator, which is found by its name.
class TorchActivation {
 public:
  TorchActivation(const Activation& activation, double slope) : slope_(slope) {
    if (activation.torch.empty()) return;  // the identity
    takes_slope_ = activation.torch_takes_slope;
    forward_ = find(activation.torch);
    in_place_ = find(activation.torch + "_");
    if (!forward_)
      throw std::invalid_argument("activation \"" + activation.name +
                                  "\": this LibTorch has no operator aten::" + activation.torch +
                                  "; --learner eigen does without");
    const auto derivative = derivatives().find(activation.torch);
    if (derivative != derivatives().end()) derivative_ = derivative->second;
  }

  Tensor apply(const Tensor& z) const { return forward_ ? call(*forward_, z) : z; }
  void apply_(const Tensor& z) const {
    if (in_place_)
      call(*in_place_, z);
    else if (forward_)
      z.copy_(call(*forward_, z));
  }
  bool needs_input() const { return forward_ && derivative_ == nullptr; }
  // x *= derivative, from the output, or from the input where that is needed: by autograd
  void times_derivative_(const Tensor& z, const Tensor& output, Tensor& x) const {
    if (!forward_) return;
    if (derivative_ != nullptr) {
      derivative_(x, output, slope_);
      return;
    }
    const at::AutoGradMode gradients(true);
    const Tensor leaf = z.detach().requires_grad_();
    x.copy_(torch::autograd::grad({call(*forward_, leaf)}, {leaf}, {x})[0]);
  }

 private:
  using Derivative = void (*)(Tensor& x, const Tensor& output, double slope);
  // those that LibTorch computes from the output
  static const std::map<std::string, Derivative>& derivatives() {
    static const std::map<std::string, Derivative> all{
        {"relu", [](Tensor& x, const Tensor& a, double) { at::threshold_backward_out(x, x, a, 0); }},
        {"leaky_relu",
         [](Tensor& x, const Tensor& a, double slope) { at::leaky_relu_backward_out(x, x, a, slope, true); }},
        {"tanh", [](Tensor& x, const Tensor& a, double) { at::tanh_backward_out(x, x, a); }}};
    return all;
  }
  static std::optional<c10::OperatorHandle> find(const std::string& name) {
    return c10::Dispatcher::singleton().findSchema({"aten::" + name, ""});
  }
  Tensor call(const c10::OperatorHandle& operation, const Tensor& z) const {
    std::vector<c10::IValue> stack{z};
    if (takes_slope_) stack.emplace_back(slope_);
    const auto& arguments = operation.schema().arguments();
    for (std::size_t i = stack.size(); i < arguments.size(); ++i) {
      if (!arguments[i].default_value())
        throw std::invalid_argument("activation: " + operation.schema().name() + " needs the argument " +
                                    arguments[i].name());
      stack.push_back(*arguments[i].default_value());
    }
    operation.callBoxed(&stack);
    return stack[0].toTensor();
  }

  double slope_;
  bool takes_slope_ = false;
  std::optional<c10::OperatorHandle> forward_, in_place_;
  Derivative derivative_ = nullptr;
};

// The activations of K networks; each network has its own.
class Activations {
 public:
  Activations(const std::vector<const Activation*>& of_networks, double leaky_slope) {
    const auto at = [&](int64_t k) { return of_networks[static_cast<std::size_t>(k)]; };
    ranges_ = ranges(
        static_cast<int64_t>(of_networks.size()), [](int64_t) { return true; },
        [&](int64_t a, int64_t b) { return at(a) == at(b); });
    for (const Range& range : ranges_) {
      kinds_.emplace_back(*at(range.start), leaky_slope);
      needs_inputs_ = needs_inputs_ || kinds_.back().needs_input();
    }
  }

  // z: the networks lie along `dim`, `channels` for each; for a graph of autograd
  Tensor apply(const Tensor& z, int64_t dim, int64_t channels) const {
    if (ranges_.size() == 1) return kinds_[0].apply(z);
    std::vector<Tensor> parts;
    for (std::size_t i = 0; i < ranges_.size(); ++i)
      parts.push_back(
          kinds_[i].apply(z.narrow(dim, ranges_[i].start * channels, ranges_[i].count * channels)));
    return at::cat(parts, dim);
  }
  // in place, for z [K, ...]
  void apply_(Tensor& z) const {
    for (std::size_t i = 0; i < ranges_.size(); ++i)
      kinds_[i].apply_(z.narrow(0, ranges_[i].start, ranges_[i].count));
  }
  // whether times_derivative_ needs the inputs of a layer's activations
  bool needs_inputs() const { return needs_inputs_; }
  void times_derivative_(const Tensor& inputs, const Tensor& outputs, Tensor& x) const {
    for (std::size_t i = 0; i < ranges_.size(); ++i) {
      const auto part = [&](const Tensor& t) {
        return t.defined() ? t.narrow(0, ranges_[i].start, ranges_[i].count) : t;
      };
      Tensor own = part(x);
      kinds_[i].times_derivative_(part(inputs), part(outputs), own);
    }
  }

 private:
  std::vector<Range> ranges_;
  std::vector<TorchActivation> kinds_;
  bool needs_inputs_ = false;
};

}  // namespace paper
