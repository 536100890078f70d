#pragma once

// LibTorch before Catch2: the other way round CHECK would become glog's.
#include <torch/torch.h>

#include <sagitta/libtorch.hpp>

#include "catch.hpp"
#include "rejection.hpp"

// The truth that the adapter is compared with: one backward pass a sample, products in double.
namespace oracle {

namespace nn = torch::nn;
namespace F = torch::nn::functional;
namespace lt = sagitta::libtorch;
using torch::Tensor;

inline double relative_error(const Tensor& got, const Tensor& want) {
  const double scale = want.norm().item<double>();
  return (got.to(torch::kDouble) - want.to(torch::kDouble)).norm().item<double>() / (scale > 0 ? scale : 1);
}

inline Tensor flat(const std::vector<Tensor>& gradients, const std::vector<Tensor>& parameters) {
  std::vector<Tensor> parts;
  for (std::size_t p = 0; p < parameters.size(); ++p)
    parts.push_back((gradients[p].defined() ? gradients[p] : torch::zeros_like(parameters[p]))
                        .reshape({-1})
                        .to(torch::kDouble));
  return torch::cat(parts);
}

// The gradients of each element of `outputs` (flattened), [elements, d], in double.
inline Tensor jacobian(const Tensor& outputs, const std::vector<Tensor>& parameters) {
  std::vector<Tensor> rows, before;
  for (const Tensor& p : parameters) before.push_back(p.grad());
  const Tensor all = outputs.reshape({-1});
  for (int64_t i = 0; i < all.size(0); ++i)
    rows.push_back(flat(torch::autograd::grad({all[i]}, parameters, {}, true, false, true), parameters));
  // LibTorch 1.13 leaves gradients behind where a tensor was written to in part
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (!before[i].defined()) parameters[i].mutable_grad().reset();
  return torch::stack(rows);
}

inline Tensor gram(const Tensor& losses, const std::vector<Tensor>& parameters) {
  const Tensor G = jacobian(losses, parameters);
  return G.mm(G.t());
}

inline Tensor cross_entropy(const Tensor& logits, const Tensor& labels) {
  return F::cross_entropy(logits, labels, F::CrossEntropyFuncOptions().reduction(torch::kNone));
}

// some losses of any output [M, ...]: not symmetric, curved
inline Tensor some_losses(const Tensor& output) {
  const Tensor z = output.flatten(1);
  const Tensor weights = torch::linspace(0.5, 1.5, z.size(1), z.options().requires_grad(false));
  return (z * weights).tanh().sum(1) + 0.1 * z.square().sum(1);
}

inline double tolerance(torch::Dtype type) { return type == torch::kDouble ? 1e-12 : 2e-6; }

// The adapter's Gram of `losses` against the truth; returns its result.
inline lt::GramResult check_gram(const std::function<Tensor()>& losses, const std::vector<Tensor>& parameters,
                                 const lt::GramOptions& options = {}) {
  lt::GramResult result = lt::empirical_fisher_gram(losses, parameters, options);
  const double allowed = tolerance(parameters[0].scalar_type());
  CHECK(relative_error(result.gram, gram(losses(), parameters)) < allowed);
  CHECK(torch::equal(result.gram, result.gram.t()));
  if (options.check) {
    CHECK(result.check_error >= 0);
    CHECK(result.check_error < 10 * allowed);
  }
  for (const Tensor& p : parameters) CHECK(!p.grad().defined());
  return result;
}

// the devices of this machine
inline std::vector<torch::Device> devices() {
  std::vector<torch::Device> all{torch::Device(torch::kCPU)};
  if (torch::cuda::is_available()) {
    setenv("NVIDIA_TF32_OVERRIDE", "0", 1);  // float means float, in the truth too
    all.push_back(torch::Device(torch::kCUDA));
  }
  return all;
}

}  // namespace oracle
