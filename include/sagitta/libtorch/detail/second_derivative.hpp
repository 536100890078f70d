#pragma once

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>

#include <sagitta/libtorch/detail/coverage.hpp>

// What tells that the derivative of a gradient is wrong. LibTorch's own operators have right ones or none;
// custom functions may have anything.
namespace sagitta::libtorch::detail {

// Watches the custom functions of a graph during a backward pass that is differentiated: where the gradient
// that goes into one requires grad, what comes out depends on it, as a backward pass is linear, and must
// require grad too. One that does not has computed its backward pass without a graph.
class CutGradients {
 public:
  explicit CutGradients(const at::Tensor& output) {
    std::vector<torch::autograd::Node*> open{torch::autograd::impl::gradient_edge(output).function.get()};
    std::unordered_set<const torch::autograd::Node*> seen;
    while (!open.empty()) {
      torch::autograd::Node* const node = open.back();
      open.pop_back();
      if (node == nullptr || !seen.insert(node).second) continue;
      if (is_custom(*node)) {
        auto hook = std::make_unique<Hook>(*this, node->name());
        hooks_.emplace_back(node, node->add_post_hook(std::move(hook)));
      }
      for (const auto& edge : node->next_edges()) open.push_back(edge.function.get());
    }
  }
  CutGradients(const CutGradients&) = delete;
  CutGradients& operator=(const CutGradients&) = delete;
  ~CutGradients() {
    for (const auto& [node, key] : hooks_) node->del_post_hook(key);
  }

  const std::string& by() const { return by_; }  // the function, empty where there is none

 private:
  using TensorList = torch::autograd::variable_list;
  struct Hook : torch::autograd::FunctionPostHook {
    Hook(CutGradients& watch, std::string function) : cut(watch), name(std::move(function)) {}
    TensorList operator()(const TensorList& outputs, const TensorList& inputs) override {
      const auto requires_grad = [](const at::Tensor& t) { return t.defined() && t.requires_grad(); };
      if (std::any_of(inputs.begin(), inputs.end(), requires_grad))
        for (const at::Tensor& output : outputs)
          if (output.defined() && !output.requires_grad() && output.count_nonzero().item<int64_t>() > 0)
            cut.by_ = name;
      return outputs;
    }
    CutGradients& cut;
    const std::string name;
  };

  std::vector<std::pair<torch::autograd::Node*, uintptr_t>> hooks_;
  std::string by_;
};

// Parameters moved along a direction for as long as it lives, unnoticed by autograd.
class MovedParameters {
 public:
  MovedParameters(const Parameters& parameters, const std::vector<at::Tensor>& direction, double step)
      : parameters_(parameters) {
    const at::NoGradGuard no_grad;
    const at::AutoDispatchBelowADInplaceOrView unnoticed;
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      values_.push_back(parameters[p].detach().clone());
      at::Tensor(parameters[p].detach()).add_(direction[p], step);
    }
  }
  MovedParameters(const MovedParameters&) = delete;
  MovedParameters& operator=(const MovedParameters&) = delete;
  ~MovedParameters() {
    const at::NoGradGuard no_grad;
    const at::AutoDispatchBelowADInplaceOrView unnoticed;
    for (std::size_t p = 0; p < values_.size(); ++p) at::Tensor(parameters_[p].detach()).copy_(values_[p]);
  }

 private:
  const Parameters& parameters_;
  std::vector<at::Tensor> values_;
};

// Compares the derivative of a gradient g along v with differences of g, parameter by parameter.
//   gradient(step): g at theta + step v, empty where it cannot be had
// Differences err too: by rounding at small steps, by higher derivatives at large ones, and at the kinks of
// ReLU. So a parameter is called wrong only where two steps in a row agree with each other, and with no step
// the product. One kink on the way, whose jump is divided by the step, lets no two steps agree; thousands do.
// Returns the parameter's place in the list, or -1.
inline int64_t disagreement(const Parameters& parameters, const std::vector<at::Tensor>& g,
                            const std::vector<at::Tensor>& product, double unit,
                            const std::function<std::vector<at::Tensor>(double step)>& gradient) {
  constexpr int steps = 3;
  const double allowed = unit < 1e-10 ? 1e-5 : 0.005;
  const double first = unit < 1e-10 ? 0x1p-16 : 0x1p-7, ratio = unit < 1e-10 ? 0x1p-4 : 0x1p-3;
  const auto norm = [](const at::Tensor& t) { return t.to(at::kDouble).norm().item<double>(); };
  std::vector<std::vector<at::Tensor>> quotients;
  double step = first;
  for (int k = 0; k < steps; ++k, step *= ratio) {
    const auto ahead = gradient(step), behind = gradient(-step);
    if (ahead.empty() || behind.empty()) return -1;
    std::vector<at::Tensor>& quotient = quotients.emplace_back();
    for (std::size_t p = 0; p < ahead.size(); ++p)
      quotient.push_back((ahead[p].to(at::kDouble) - behind[p].to(at::kDouble)) / (2 * step));
  }
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    bool right = false, agreed = false;
    double size = first;
    for (std::size_t k = 0; k < steps && !right; ++k, size *= ratio) {
      const double noise = 8 * unit * norm(g[p]) / size, error = norm(quotients[k][p] - product[p]);
      right = error <= allowed * (norm(product[p]) + norm(quotients[k][p])) + noise;
      if (k > 0)
        agreed = agreed || (norm(quotients[k][p] - quotients[k - 1][p]) <= 0.1 * error && 4 * noise <= error);
    }
    if (!right && agreed) return static_cast<int64_t>(p);
  }
  return -1;
}

}  // namespace sagitta::libtorch::detail
