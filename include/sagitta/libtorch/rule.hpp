#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>

#include <sagitta/libtorch/detail/recorder.hpp>

// What a rule is made of. A rule tells how the gradient of one sample by a parameter follows from what the
// operator saw (its inputs) and the derivative of the losses by its output (its backprop).
namespace sagitta::libtorch {

// Which dimension of an operator's output counts the samples.
struct BatchReading {
  enum Kind { dimension, sample_major, position_major } kind = dimension;
  int64_t dim = 0;  // for `dimension`; the others are of dimension 0, of samples * positions elements
};

// Brings tensors to one form: samples first.
struct Batch {
  int64_t samples = 0;  // M
  int64_t copies = 1;   // backward passes a sample: 1 for a Fisher, C - 1 for Gauss-Newton
  BatchReading reading;

  // x, shaped like the operator's output in its leading dimensions -> [M, rest...]
  at::Tensor inputs(const at::Tensor& x) const {
    if (x.dim() <= reading.dim) throw NoAnswer{};
    if (reading.kind == BatchReading::dimension) {
      if (x.size(reading.dim) != samples) throw NoAnswer{};
      return x.movedim(reading.dim, 0);
    }
    if (samples == 0 || x.size(0) % samples != 0) throw NoAnswer{};
    std::vector<int64_t> sizes = x.sizes().vec();
    const int64_t positions = sizes[0] / samples;
    const bool samples_lead = reading.kind == BatchReading::sample_major;
    sizes[0] = samples_lead ? positions : samples;
    sizes.insert(sizes.begin(), samples_lead ? samples : positions);
    const at::Tensor split = x.reshape(sizes);
    return samples_lead ? split : split.transpose(0, 1);
  }

  // d, [copies, shape of the output] -> [M * copies, rest...], the copies of a sample one after the other
  at::Tensor backprops(const at::Tensor& d) const {
    if (copies == 1) return inputs(d[0]);
    std::vector<at::Tensor> parts;
    parts.reserve(static_cast<std::size_t>(copies));
    for (int64_t k = 0; k < copies; ++k) parts.push_back(inputs(d[k]));
    return at::stack(parts, 1).flatten(0, 1);
  }
};

// The gradients of all samples by one view of a parameter. Either a sum of outer products over positions t,
//   gradient of sample m = sum_t backprops[m, t] inputs[m, t]^T    ([a x b], or [b x a] where `flipped`),
// or, where neither inputs nor indices are given, the gradients themselves.
struct Factor {
  ParameterView view;
  at::Tensor backprops;  // [M * copies, T, groups * a]; or the gradients, [M * copies, sizes of the view]
  at::Tensor inputs;     // [M, T, groups * b]
  at::Tensor indices;    // [M, T], in the place of one-hot inputs of b = `classes` columns
  int64_t classes = 0;
  int64_t groups = 1;  // a grouped convolution is so many products side by side
  bool flipped = false;
  bool sums_backprops = false;  // gradients that are sum_t backprops: a bias
  // of gradients that are sums over positions, [M * copies]: their lengths if nothing cancelled in the sums
  at::Tensor lengths;

  bool is_outer() const { return inputs.defined() || indices.defined(); }
};

// A rule answers for one use of a parameter, or throws NoAnswer.
//   backprop: [copies, shape of the operator's output]
using Rule =
    std::function<Factor(const OperatorCall&, const ParameterUse&, const at::Tensor& backprop, const Batch&)>;
using Rules = std::unordered_map<std::string, Rule>;

namespace detail {

// [N]: the Frobenius norms of the rows of x, [N, ...]
inline at::Tensor row_lengths(const at::Tensor& x) {
  std::vector<int64_t> dims;
  for (int64_t i = 1; i < x.dim(); ++i) dims.push_back(i);
  return dims.empty() ? x.abs() : at::linalg_vector_norm(x, 2, dims, false);
}

}  // namespace detail

// The gradients by a parameter that met the output elementwise, with broadcasting.
//   elementwise: [copies, shape of the output], the derivative by the expanded parameter
//   view: the parameter's, with sizes that broadcast to the output
inline Factor broadcast_factor(const at::Tensor& elementwise, ParameterView view, const Batch& batch) {
  const int64_t dims = elementwise.dim() - 1, missing = dims - static_cast<int64_t>(view.sizes.size());
  if (missing < 0) throw NoAnswer{};
  view.sizes.insert(view.sizes.begin(), static_cast<std::size_t>(missing), 1);
  view.strides.insert(view.strides.begin(), static_cast<std::size_t>(missing), 0);
  const auto batch_dim = static_cast<std::size_t>(batch.reading.dim);
  std::vector<int64_t> summed, sizes, strides;
  if (batch.reading.kind != BatchReading::dimension) summed.push_back(1);  // the positions
  const int64_t shift = batch.reading.kind == BatchReading::dimension ? 0 : 1;
  for (std::size_t i = 0, place = 1; i < view.sizes.size(); ++i) {
    const bool shared = view.sizes[i] == 1 || view.strides[i] == 0;
    if (i == batch_dim) {
      if (!shared) throw NoAnswer{};  // each sample has its own part of the parameter
      continue;
    }
    const auto at = static_cast<int64_t>(place++) + shift;
    if (shared) {
      summed.push_back(at);
    } else {
      sizes.push_back(view.sizes[i]);
      strides.push_back(view.strides[i]);
    }
  }
  Factor factor;
  factor.backprops = batch.backprops(elementwise);
  if (!summed.empty()) {
    const at::ScalarType type = factor.backprops.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    factor.lengths = detail::row_lengths(factor.backprops.abs().sum(summed, false, type));
    factor.backprops = factor.backprops.sum(summed);
  }
  factor.view = {view.parameter, view.offset, std::move(sizes), std::move(strides)};
  return factor;
}

// The same for a parameter with an element a channel, where channels are dimension `channel` of the output.
inline Factor channel_factor(const at::Tensor& elementwise, ParameterView view, int64_t channel,
                             const Batch& batch) {
  const int64_t dims = elementwise.dim() - 1;
  if (view.sizes.size() != 1 || dims <= channel) throw NoAnswer{};
  view.sizes.resize(static_cast<std::size_t>(dims - channel), 1);
  view.strides.resize(static_cast<std::size_t>(dims - channel), 0);
  return broadcast_factor(elementwise, view, batch);
}

}  // namespace sagitta::libtorch
