#pragma once

#include <ATen/ops/zeros.h>

#include <sagitta/libtorch/rule.hpp>

// The rule of convolutions: over patches of the input they are linear layers.
namespace sagitta::libtorch::detail {

// Cuts a tensor [N, C, spatial...] into the windows that a convolution sees.
struct Windows {
  std::vector<int64_t> window, stride, padding, dilation, positions;

  // [N, C * window, positions]
  at::Tensor channels_first(const at::Tensor& x) const {
    const int64_t dims = spatial();
    const at::Tensor wide = padded(x, 2);
    std::vector<int64_t> sizes{x.size(0), x.size(1)}, strides{wide.stride(0), wide.stride(1)};
    add_window(sizes, strides, wide, 2);
    add_positions(sizes, strides, wide, 2);
    return wide.as_strided(sizes, strides, wide.storage_offset()).flatten(2 + dims).flatten(1, 1 + dims);
  }
  // [N, positions, groups * window * (C / groups)]
  at::Tensor channels_last(const at::Tensor& x, int64_t groups) const {
    const int64_t dims = spatial(), channels = x.size(1) / groups;
    const at::Tensor wide = padded(x.movedim(1, -1), 1);
    std::vector<int64_t> sizes{x.size(0)}, strides{wide.stride(0)};
    add_positions(sizes, strides, wide, 1);
    sizes.push_back(groups);
    strides.push_back(channels);
    add_window(sizes, strides, wide, 1);
    sizes.push_back(channels);
    strides.push_back(1);
    return wide.as_strided(sizes, strides, wide.storage_offset()).flatten(1 + dims).flatten(1, dims);
  }
  // whether the copy moves longer runs of memory with the channels last
  bool prefers_channels_last(int64_t channels, int64_t groups) const {
    return (groups == 1 && dilation.back() == 1 ? channels * window.back() : channels / groups) >=
           positions.back();
  }

 private:
  int64_t spatial() const { return static_cast<int64_t>(window.size()); }

  // x with zeros around its spatial dimensions, which begin at dimension `first`; dense
  at::Tensor padded(const at::Tensor& x, int64_t first) const {
    std::vector<int64_t> sizes = x.sizes().vec();
    bool wider = false;
    for (std::size_t i = 0; i < window.size(); ++i) {
      const int64_t reach = (positions[i] - 1) * stride[i] + (window[i] - 1) * dilation[i] + 1;
      int64_t& size = sizes[static_cast<std::size_t>(first) + i];
      const int64_t width = std::max(reach, padding[i] + size);
      wider = wider || width != size;
      size = width;
    }
    if (!wider) return x.contiguous();
    at::Tensor wide = at::zeros(sizes, x.options().memory_format(at::MemoryFormat::Contiguous)), inner = wide;
    for (std::size_t i = 0; i < window.size(); ++i) {
      const int64_t dim = first + static_cast<int64_t>(i);
      inner = inner.narrow(dim, padding[i], x.size(dim));
    }
    inner.copy_(x);
    return wide;
  }
  void add_window(std::vector<int64_t>& sizes, std::vector<int64_t>& strides, const at::Tensor& wide,
                  int64_t first) const {
    for (std::size_t i = 0; i < window.size(); ++i) {
      sizes.push_back(window[i]);
      strides.push_back(wide.stride(first + static_cast<int64_t>(i)) * dilation[i]);
    }
  }
  void add_positions(std::vector<int64_t>& sizes, std::vector<int64_t>& strides, const at::Tensor& wide,
                     int64_t first) const {
    for (std::size_t i = 0; i < window.size(); ++i) {
      sizes.push_back(positions[i]);
      strides.push_back(wide.stride(first + static_cast<int64_t>(i)) * stride[i]);
    }
  }
};

// convolution(x, W, b, stride, padding, dilation, transposed, output_padding, groups)
inline Factor convolution(const OperatorCall& call, const ParameterUse& use, const at::Tensor& backprop,
                          const Batch& batch) {
  const at::Tensor& x = call.tensor(0);
  const int64_t spatial = backprop.dim() - 3;
  if (use.argument == 0 || spatial < 1 || x.dim() != spatial + 2) throw NoAnswer{};
  batch.require_before(1);
  if (use.argument == 2) {
    Factor bias = channel_factor(backprop, use.view, 1, batch);
    bias.sums_backprops = true;
    return bias;
  }
  const auto geometry = [&](std::size_t argument) {
    std::vector<int64_t> list = call.inputs[argument].toIntVector();
    if (list.size() == 1) list.resize(static_cast<std::size_t>(spatial), list[0]);
    return list;
  };
  const bool transposed = call.inputs[6].toBool();
  const Windows windows{{use.view.sizes.begin() + 2, use.view.sizes.end()},
                        geometry(3),
                        geometry(4),
                        geometry(5),
                        transposed ? x.sizes().slice(2).vec() : backprop.sizes().slice(3).vec()};
  Factor factor;
  factor.view = use.view;
  factor.groups = call.inputs[8].toInt();
  // [M, (T,) C, positions] -> [M, T * positions, C]
  const auto positions_first = [](const at::Tensor& t) {
    return t.dim() == 3 ? t.transpose(1, 2) : t.transpose(2, 3).flatten(1, 2);
  };
  if (transposed) {  // input and output change places, W is [inputs x outputs / groups x window]
    const at::Tensor patches = windows.channels_first(backprop.flatten(0, 1));
    factor.inputs = positions_first(batch.inputs(x.flatten(2)));
    factor.backprops =
        positions_first(batch.backprops(patches.unflatten(0, {backprop.size(0), backprop.size(1)})));
    factor.flipped = true;
    return factor;
  }
  factor.backprops = positions_first(batch.backprops(backprop.flatten(3)));
  if (windows.prefers_channels_last(x.size(1), factor.groups)) {
    const at::Tensor inputs = batch.inputs(windows.channels_last(x.detach(), factor.groups));
    factor.inputs = inputs.dim() == 3 ? inputs : inputs.flatten(1, 2);
    for (auto* list : {&factor.view.sizes, &factor.view.strides})  // [out, C, window...] in their order
      std::rotate(list->begin() + 1, list->begin() + 2, list->end());
  } else {
    factor.inputs = positions_first(batch.inputs(windows.channels_first(x.detach())));
  }
  return factor;
}

}  // namespace sagitta::libtorch::detail
