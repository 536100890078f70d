#pragma once

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/variable.h>

#include <sagitta/libtorch/detail/errors.hpp>
#include <sagitta/libtorch/parameters.hpp>

namespace sagitta::libtorch::detail {

// While it lives, tensors are computed without a graph, without autocast and without TF32.
struct ExactArithmetic {
  at::NoGradGuard no_grad;
  c10::impl::ExcludeDispatchKeyGuard no_autocast{c10::autocast_dispatch_keyset};
  at::NoTF32Guard no_tf32;
};

// Guards the gradients of parameters. A custom function may add to them in its backward pass, as
// checkpointing does that calls backward() there: autograd does not see such a gradient, so that no result
// can hold it. And LibTorch 1.13 adds to them by itself where a graph has a write into a part of a tensor.
class KeptGradients {
 public:
  explicit KeptGradients(const Parameters& parameters) : parameters_(parameters) {}
  KeptGradients(const KeptGradients&) = delete;
  KeptGradients& operator=(const KeptGradients&) = delete;
  ~KeptGradients() {
    if (!touched()) return;
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < kept_.size(); ++i) {
      if (kept_[i].gradient.defined()) kept_[i].gradient.copy_(kept_[i].copy);
      parameters_[i].mutable_grad() = kept_[i].gradient;
    }
  }

  // before the first backward pass through such a graph: costs a copy
  //   harmless: what is added is known, and taken back in silence
  void keep(bool harmless) {
    harmless_ = harmless_ || harmless;
    if (!kept_.empty()) return;
    for (const at::Tensor& p : parameters_.tensors()) {
      const at::Tensor& g = p.grad();
      kept_.push_back(g.defined() ? Kept{g, g.detach().clone(), g._version()} : Kept{});
    }
  }
  void check(const char* function) const {
    if (!harmless_ && touched())
      reject(function,
             "a custom function of the model adds to the gradients of parameters in its backward pass (as "
             "checkpointing does that calls backward()), expected one that returns its gradients");
  }

 private:
  struct Kept {
    at::Tensor gradient, copy;
    decltype(std::declval<at::Tensor>()._version()) version = 0;
  };
  bool touched() const {
    for (std::size_t i = 0; i < kept_.size(); ++i) {
      const at::Tensor now = parameters_[i].grad();
      if (!now.is_same(kept_[i].gradient) || (now.defined() && now._version() != kept_[i].version))
        return true;
    }
    return false;
  }

  const Parameters& parameters_;
  std::vector<Kept> kept_;
  bool harmless_ = false;
};

inline void check_grad_mode(const char* function) {
  if (!at::GradMode::is_enabled() || c10::InferenceMode::is_enabled())
    reject(function,
           "called in no-grad or inference mode, expected grad mode: the forward pass is differentiated");
}

// Derivatives of sum(output * cotangent) by what flows along `edges`, dense; undefined where nothing does.
// Leaves the graph and all gradients as they are.
//   cotangent: as many elements as output
inline torch::autograd::variable_list backward(const at::Tensor& output, const at::Tensor& cotangent,
                                               const torch::autograd::edge_list& edges,
                                               const char* function) {
  if (edges.empty()) return {};
  return explained(function, [&] {
    auto gradients = torch::autograd::Engine::get_default_engine().execute(
        {torch::autograd::impl::gradient_edge(output)},
        {cotangent.to(output.scalar_type()).reshape(output.sizes()).contiguous()}, true, false, false, edges);
    for (at::Tensor& gradient : gradients)
      if (gradient.defined() && gradient.is_sparse()) gradient = gradient.to_dense();
    return gradients;
  });
}

inline torch::autograd::edge_list parameter_edges(const Parameters& parameters) {
  torch::autograd::edge_list edges;
  for (const at::Tensor& p : parameters.tensors()) edges.push_back(torch::autograd::impl::gradient_edge(p));
  return edges;
}

}  // namespace sagitta::libtorch::detail
