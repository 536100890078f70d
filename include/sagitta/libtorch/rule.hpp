#pragma once

#include <sagitta/libtorch/parameters.hpp>  // first: see there

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <torch/csrc/autograd/edge.h>

#include <algorithm>
#include <functional>
#include <unordered_map>

// What a rule is made of. A rule tells how the gradient of one sample by a parameter follows from what the
// operator saw (its inputs) and the derivative of the losses by its output (its backprop).
namespace sagitta::libtorch {

// A window on the memory of a parameter: the parameter itself, its transpose, a slice, an expanded copy.
struct ParameterView {
  std::size_t parameter = 0;  // its place in the list
  int64_t offset = 0;         // elements from the parameter's first
  std::vector<int64_t> sizes, strides;

  // the elements that it may touch, [offset, end())
  int64_t end() const {
    int64_t last = offset;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (sizes[i] == 0) return offset;
      last += (sizes[i] - 1) * strides[i];
    }
    return last + 1;
  }
  // whether no two places of the view are the same element (in an expanded or unfolded view they may be)
  bool one_to_one() const {
    std::vector<std::pair<int64_t, int64_t>> steps;
    for (std::size_t i = 0; i < sizes.size(); ++i)
      if (sizes[i] > 1) steps.emplace_back(strides[i], sizes[i]);
    std::sort(steps.begin(), steps.end());
    int64_t reach = 0;
    for (const auto& [stride, size] : steps) {
      if (stride <= reach) return false;
      reach += (size - 1) * stride;
    }
    return true;
  }
  bool operator==(const ParameterView&) const = default;
};

// One parameter in one call of an operator.
struct ParameterUse {
  int64_t argument = 0;  // which argument it is,
  int64_t element = -1;  // and which element of that, where the argument is a list
  ParameterView view;
};

// thrown by a rule's helpers where it cannot answer; the parameter then goes to the fallback
struct NoAnswer {};

// One call of an operator that consumed parameters.
struct OperatorCall {
  std::string name;  // "aten::linear"
  std::vector<c10::IValue> inputs;
  std::vector<int64_t> output_sizes;  // of the first output
  std::vector<ParameterUse> uses;
  torch::autograd::Edge edge;                     // the first output in the autograd graph
  uint64_t first_sequence = 0, end_sequence = 0;  // numbers of the graph nodes made inside
  std::vector<int64_t> versions;                  // of the input tensors when they were read

  // Input tensor i, with the values that the operator saw.
  const at::Tensor& tensor(std::size_t i) const {
    if (i >= inputs.size() || !inputs[i].isTensor()) throw NoAnswer{};
    const at::Tensor& x = inputs[i].toTensor();
    if (!x.defined() || (!x.is_inference() && x._version() != versions[i])) throw NoAnswer{};
    return x;
  }
  bool has_tensor(std::size_t i) const {
    return i < inputs.size() && inputs[i].isTensor() && inputs[i].toTensor().defined();
  }
  double number(std::size_t i, double fallback = 1) const {
    return i < inputs.size() && inputs[i].isScalar() ? inputs[i].toScalar().to<double>() : fallback;
  }
};

// Which elements of an operator's output belong to which sample, found from two backward passes and never
// from sizes (detail/colours.hpp), and the way to one form: samples first.
struct Batch {
  int64_t samples = 0;           // M
  int64_t copies = 1;            // backward passes a sample: 1 for a Fisher, C - 1 for Gauss-Newton
  std::vector<int64_t> dims{0};  // the dimensions of the output that tell samples apart, ascending
  // Where one dimension counts the samples in their order, T is 0. Otherwise each sample has up to T places
  // along `dims`, which are taken as one dimension, in row-major order.
  int64_t positions = 0;  // T
  enum Order { sample_major, position_major, listed } order = listed;
  at::Tensor places;  // [M * T] for `listed`: the places of each sample, then zeros
  at::Tensor absent;  // [M, T]: which of them stand for nothing; undefined: none

  bool has_positions() const { return positions > 0; }
  bool tells(int64_t dim) const { return std::find(dims.begin(), dims.end(), dim) != dims.end(); }
  // NoAnswer where a dimension from `dim` on tells samples apart, which the operator sums over or mixes
  void require_before(int64_t dim) const {
    if (dims.back() >= dim) throw NoAnswer{};
  }
  // the same for an output with two dimensions exchanged
  Batch exchanged(int64_t a, int64_t b) const {
    Batch other = *this;
    for (int64_t& dim : other.dims) dim = dim == a ? b : dim == b ? a : dim;
    // another order of the dimensions is another order of their places
    if (!std::is_sorted(other.dims.begin(), other.dims.end())) throw NoAnswer{};
    return other;
  }

  // x, shaped like the operator's output in its leading dimensions -> [M, (T,) rest...]. What stands in
  // absent places is arbitrary: their backprops are zero.
  at::Tensor inputs(const at::Tensor& x) const {
    if (x.dim() <= dims.back()) throw NoAnswer{};
    at::Tensor rows = x;
    for (std::size_t i = 0; i < dims.size(); ++i) rows = rows.movedim(dims[i], static_cast<int64_t>(i));
    if (dims.size() > 1) rows = rows.flatten(0, static_cast<int64_t>(dims.size()) - 1);
    if (!has_positions()) {
      if (rows.size(0) != samples) throw NoAnswer{};
      return rows;
    }
    if (order == listed) return rows.index_select(0, places).unflatten(0, {samples, positions});
    if (rows.size(0) != samples * positions) throw NoAnswer{};
    if (order == sample_major) return rows.unflatten(0, {samples, positions});
    return rows.unflatten(0, {positions, samples}).transpose(0, 1);
  }

  // d, [copies, shape of the output] -> [M * copies, (T,) rest...], the copies of a sample one after the
  // other
  at::Tensor backprops(const at::Tensor& d) const {
    const auto one = [&](int64_t k) {
      at::Tensor rows = inputs(d[k]);
      if (!absent.defined()) return rows;
      std::vector<int64_t> sizes(static_cast<std::size_t>(rows.dim()), 1);
      sizes[0] = samples;
      sizes[1] = positions;
      return rows.masked_fill(absent.view(sizes), 0);
    };
    if (copies == 1) return one(0);
    std::vector<at::Tensor> parts;
    parts.reserve(static_cast<std::size_t>(copies));
    for (int64_t k = 0; k < copies; ++k) parts.push_back(one(k));
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
  std::vector<int64_t> summed, sizes, strides;
  if (batch.has_positions()) summed.push_back(1);
  const int64_t shift = batch.has_positions() ? 1 : 0;
  for (std::size_t i = 0, place = 1; i < view.sizes.size(); ++i) {
    const bool shared = view.sizes[i] == 1 || view.strides[i] == 0;
    if (batch.tells(static_cast<int64_t>(i))) {
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
