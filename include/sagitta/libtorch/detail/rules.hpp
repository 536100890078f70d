#pragma once

#include <ATen/ops/group_norm.h>
#include <ATen/ops/instance_norm.h>
#include <ATen/ops/layer_norm.h>

#include <sagitta/libtorch/detail/convolution.hpp>

// The rules of the operators that networks are made of. Arguments are in the order of the operator's schema,
// which the comments give.
namespace sagitta::libtorch {

namespace detail {

// [M, rest..., d] -> [M, T, d]
inline at::Tensor positions_between(const at::Tensor& x) {
  if (x.dim() < 2) throw NoAnswer{};
  if (x.dim() == 2) return x.unsqueeze(1);
  return x.dim() == 3 ? x : x.flatten(1, -2);
}

// y = x W or, where the parameter comes first, y = W x; both on the last two dimensions
inline Factor product(const OperatorCall& call, const ParameterUse& use, std::size_t left, std::size_t right,
                      double scale, const at::Tensor& backprop, Batch batch) {
  Factor factor;
  factor.view = use.view;
  const std::size_t dims = use.view.sizes.size();
  at::Tensor d = scale == 1 ? backprop : backprop * scale, x;
  if (static_cast<std::size_t>(use.argument) == right) {
    x = call.tensor(left);
    if (dims == 1) d = d.unsqueeze(-1);
    factor.flipped = true;  // W is [inputs x outputs]
  } else if (static_cast<std::size_t>(use.argument) == left && call.tensor(right).dim() >= 2 && dims == 2) {
    x = call.tensor(right).transpose(-1, -2);
    d = d.transpose(-1, -2);
    batch = batch.exchanged(x.dim() - 2, x.dim() - 1);
  } else {
    throw NoAnswer{};
  }
  if (dims > 2 || x.dim() < 2 || x.dim() + 1 != d.dim()) throw NoAnswer{};
  batch.require_before(x.dim() - 1);
  factor.backprops = positions_between(batch.backprops(d));
  factor.inputs = positions_between(batch.inputs(x));
  return factor;
}

inline Factor linear(const OperatorCall& call, const ParameterUse& use, const at::Tensor& backprop,
                     const Batch& batch) {
  const at::Tensor& x = call.tensor(0);
  if (use.argument == 0) throw NoAnswer{};
  batch.require_before(x.dim() - 1);
  if (use.argument == 2) {
    Factor bias = broadcast_factor(backprop, use.view, batch);
    bias.sums_backprops = true;
    return bias;
  }
  Factor factor;
  factor.view = use.view;
  factor.backprops = positions_between(batch.backprops(backprop));
  factor.inputs = positions_between(batch.inputs(x));
  return factor;
}

// addmm(self, A, B, beta, alpha) = beta self + alpha A B
inline Factor addmm(const OperatorCall& call, const ParameterUse& use, const at::Tensor& backprop,
                    const Batch& batch) {
  if (use.argument != 0) return product(call, use, 1, 2, call.number(4), backprop, batch);
  const double beta = call.number(3);
  Factor factor = broadcast_factor(beta == 1 ? backprop : backprop * beta, use.view, batch);
  factor.sums_backprops = beta == 1 && call.number(4) == 1 && factor.view.sizes.size() == 1;
  return factor;
}

// weight * normalised + bias
inline Factor affine(const at::Tensor& normalised, const ParameterUse& use, int64_t weight,
                     const at::Tensor& backprop, int64_t channel, const Batch& batch) {
  if (use.argument != weight && use.argument != weight + 1) throw NoAnswer{};
  const at::Tensor elementwise = use.argument == weight ? backprop * normalised : backprop;
  return channel < 0 ? broadcast_factor(elementwise, use.view, batch)
                     : channel_factor(elementwise, use.view, channel, batch);
}

// batch_norm(x, weight, bias, mean, variance, training, momentum, eps, ...) in eval mode
inline Factor batch_norm(const OperatorCall& call, const ParameterUse& use, const at::Tensor& backprop,
                         const Batch& batch) {
  const at::Tensor& x = call.tensor(0);
  std::vector<int64_t> shape(static_cast<std::size_t>(x.dim()), 1);
  shape[1] = x.size(1);
  // not call.tensor(): instance norm writes its statistics anew even where they stay the same
  const at::Tensor mean = call.inputs[3].toTensor(), variance = call.inputs[4].toTensor();
  if (!mean.defined() || !variance.defined()) throw NoAnswer{};
  const at::Tensor scale = (variance + call.number(7)).rsqrt().reshape(shape);
  return affine((x - mean.reshape(shape)) * scale, use, 1, backprop, 1, batch);
}

// instance_norm(x, weight, bias, mean, variance, use_input_stats, momentum, eps, ...)
inline Factor instance_norm(const OperatorCall& call, const ParameterUse& use, const at::Tensor& backprop,
                            const Batch& batch) {
  if (!call.inputs[5].toBool()) return batch_norm(call, use, backprop, batch);
  const at::Tensor normalised =
      at::instance_norm(call.tensor(0), {}, {}, {}, {}, true, 0, call.number(7), false);
  return affine(normalised, use, 1, backprop, 1, batch);
}

// layer_norm(x, normalized_shape, weight, bias, eps, ...)
inline Factor layer_norm(const OperatorCall& call, const ParameterUse& use, const at::Tensor& backprop,
                         const Batch& batch) {
  const auto shape = call.inputs[1].toIntVector();
  const at::Tensor normalised = at::layer_norm(call.tensor(0), shape, {}, {}, call.number(4), false);
  return affine(normalised, use, 2, backprop, -1, batch);
}

// group_norm(x, groups, weight, bias, eps, ...)
inline Factor group_norm(const OperatorCall& call, const ParameterUse& use, const at::Tensor& backprop,
                         const Batch& batch) {
  const at::Tensor normalised =
      at::group_norm(call.tensor(0), call.inputs[1].toInt(), {}, {}, call.number(4), false);
  return affine(normalised, use, 2, backprop, 1, batch);
}

// embedding(weight, indices, padding_idx, scale_grad_by_freq, sparse)
inline Factor embedding(const OperatorCall& call, const ParameterUse& use, const at::Tensor& backprop,
                        const Batch& batch) {
  const at::Tensor& indices = call.tensor(1);
  if (use.argument != 0 || call.inputs[3].toBool()) throw NoAnswer{};
  batch.require_before(indices.dim());
  const int64_t padding = call.inputs[2].toInt();
  const at::Tensor counted =
      padding < 0 ? backprop : backprop * indices.ne(padding).unsqueeze(-1).to(backprop.scalar_type());
  Factor factor;
  factor.view = use.view;
  factor.flipped = true;
  factor.classes = use.view.sizes[0];
  const at::Tensor rows = batch.inputs(indices);
  factor.indices = rows.reshape({rows.size(0), rows.dim() == 1 ? 1 : rows.flatten(1).size(1)});
  factor.backprops = positions_between(batch.backprops(counted));
  return factor;
}

// add(x, y, alpha), sub(x, y, alpha): `sign` is that of y
inline Rule sum(double sign) {
  return [sign](const OperatorCall& call, const ParameterUse& use, const at::Tensor& backprop,
                const Batch& batch) {
    const double scale = use.argument == 0 ? 1 : sign * call.number(2);
    return broadcast_factor(scale == 1 ? backprop : backprop * scale, use.view, batch);
  };
}

inline Factor elementwise_product(const OperatorCall& call, const ParameterUse& use,
                                  const at::Tensor& backprop, const Batch& batch) {
  const std::size_t other = use.argument == 0 ? 1 : 0;
  if (!call.inputs[other].isTensor()) return broadcast_factor(backprop * call.number(other), use.view, batch);
  return broadcast_factor(backprop * call.tensor(other).detach(), use.view, batch);
}

// prelu(x, weight): one slope, or one a channel
inline Factor prelu(const OperatorCall& call, const ParameterUse& use, const at::Tensor& backprop,
                    const Batch& batch) {
  if (use.argument != 1) throw NoAnswer{};
  const at::Tensor elementwise = backprop * call.tensor(0).clamp_max(0);
  if (use.view.sizes.empty() || use.view.sizes[0] == 1) return broadcast_factor(elementwise, use.view, batch);
  return channel_factor(elementwise, use.view, 1, batch);
}

// cat(tensors, dim): a token that is the same for every sample, joined to the others
inline Factor cat(const OperatorCall& call, const ParameterUse& use, const at::Tensor& backprop,
                  const Batch& batch) {
  const auto tensors = call.inputs[0].toTensorVector();
  const int64_t dims = backprop.dim() - 1;
  int64_t dim = call.inputs[1].toInt(), first = 0;
  if (dim < 0) dim += dims;
  // a parameter of shape [0] may be joined to anything
  if (batch.tells(dim) || static_cast<int64_t>(use.view.sizes.size()) != dims) throw NoAnswer{};
  for (int64_t k = 0; k < use.element; ++k) first += tensors[static_cast<std::size_t>(k)].size(dim);
  const int64_t length = use.view.sizes[static_cast<std::size_t>(dim)];
  return broadcast_factor(backprop.narrow(dim + 1, first, length), use.view, batch);
}

}  // namespace detail

// The rules that come with the library, by the operator's name.
inline const Rules& standard_rules() {
  static const Rules rules = [] {
    using namespace detail;
    const auto products = [](std::size_t left, std::size_t right) -> Rule {
      return [=](const OperatorCall& call, const ParameterUse& use, const at::Tensor& backprop,
                 const Batch& batch) { return product(call, use, left, right, 1, backprop, batch); };
    };
    return Rules{{"aten::linear", linear},
                 {"aten::addmm", addmm},
                 {"aten::mm", products(0, 1)},
                 {"aten::matmul", products(0, 1)},
                 {"aten::mv", products(0, 1)},
                 {"aten::convolution", convolution},
                 {"aten::batch_norm", batch_norm},
                 {"aten::native_batch_norm", batch_norm},
                 {"aten::instance_norm", instance_norm},
                 {"aten::layer_norm", layer_norm},
                 {"aten::group_norm", group_norm},
                 {"aten::embedding", embedding},
                 {"aten::add", sum(1)},
                 {"aten::add_", sum(1)},
                 {"aten::sub", sum(-1)},
                 {"aten::sub_", sum(-1)},
                 {"aten::mul", elementwise_product},
                 {"aten::mul_", elementwise_product},
                 {"aten::prelu", prelu},
                 {"aten::cat", cat}};
  }();
  return rules;
}

}  // namespace sagitta::libtorch
