#pragma once

#include <ATen/Context.h>
#include <ATen/core/Generator.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/variable.h>

#include <mutex>
#include <sagitta/libtorch/parameters.hpp>

namespace sagitta::libtorch::detail {

// While it lives, tensors are computed without a graph, without autocast and without TF32.
struct ExactArithmetic {
  at::NoGradGuard no_grad;
  c10::impl::ExcludeDispatchKeyGuard no_autocast{c10::autocast_dispatch_keyset};
  at::NoTF32Guard no_tf32;
};

// Puts the default generators back as they were, which dropout in a forward pass moves.
class GeneratorState {
 public:
  explicit GeneratorState(at::Device device) {
    save(at::Device(at::kCPU));
    if (!device.is_cpu()) save(device);
  }
  GeneratorState(const GeneratorState&) = delete;
  GeneratorState& operator=(const GeneratorState&) = delete;
  ~GeneratorState() {
    for (auto& [generator, state] : saved_) {
      const std::lock_guard<std::mutex> lock(generator.mutex());
      generator.set_state(state);
    }
  }

 private:
  void save(at::Device device) {
    at::Generator generator = at::globalContext().defaultGenerator(device);
    const std::lock_guard<std::mutex> lock(generator.mutex());
    at::Tensor state = generator.get_state();
    saved_.emplace_back(std::move(generator), std::move(state));
  }
  std::vector<std::pair<at::Generator, at::Tensor>> saved_;
};

inline void check_grad_mode(const char* function) {
  if (!at::GradMode::is_enabled() || c10::InferenceMode::is_enabled())
    reject(function,
           "called in no-grad or inference mode, expected grad mode: the forward pass is differentiated");
}

// Derivatives of sum(output * cotangent) by what flows along `edges`; undefined where nothing does. Leaves
// the graph and all gradients as they are.
//   cotangent: as many elements as output
inline torch::autograd::variable_list backward(const at::Tensor& output, const at::Tensor& cotangent,
                                               const torch::autograd::edge_list& edges,
                                               const char* function) {
  if (edges.empty()) return {};
  try {
    return torch::autograd::Engine::get_default_engine().execute(
        {torch::autograd::impl::gradient_edge(output)},
        {cotangent.to(output.scalar_type()).reshape(output.sizes()).contiguous()}, true, false, false, edges);
  } catch (const c10::Error& error) {
    if (std::string_view(error.what()).find("backward through the graph a second time") !=
        std::string_view::npos)
      reject(function,
             "the autograd graph of the forward pass was freed, expected one that no backward pass "
             "has used up (retain_graph)");
    throw;
  }
}

inline torch::autograd::edge_list parameter_edges(const Parameters& parameters) {
  torch::autograd::edge_list edges;
  for (const at::Tensor& p : parameters.tensors()) edges.push_back(torch::autograd::impl::gradient_edge(p));
  return edges;
}

}  // namespace sagitta::libtorch::detail
