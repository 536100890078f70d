#pragma once

#include <ATen/ops/constant_pad_nd.h>

#include <sagitta/libtorch/detail/capture.hpp>
#include <sagitta/libtorch/detail/products.hpp>

namespace sagitta::libtorch::detail {

// Where the factors of one parameter come from: its uses, in the order of the forward pass.
struct Occurrence {
  std::size_t call, use;
};

// The factor of one use, in the type of the products. Throws NoAnswer where there is none.
inline Factor factor_of(const Pass& pass, const Occurrence& where, const GramOptions& options,
                        at::ScalarType type) {
  const OperatorCall& call = pass.calls[where.call];
  const std::optional<Batch>& layout = pass.layouts[where.call];
  if (!layout) throw NoAnswer{};
  Factor factor =
      (*find_rule(options, call.name))(call, call.uses[where.use], pass.backprops[where.call], *layout);
  if (!factor.view.one_to_one()) throw NoAnswer{};
  if (factor.lengths.defined()) {  // what was summed in another type is as right as that is
    const double coarser = unit_of(factor.backprops.scalar_type()) / unit_of(type);
    factor.lengths = factor.lengths.detach().to(type) * std::max(1.0, coarser);
  }
  factor.backprops = factor.backprops.detach().to(type);
  if (factor.inputs.defined()) factor.inputs = factor.inputs.detach().to(type);
  return factor;
}

// A matrix window that lies transposed in memory is turned, so that both ways of using a weight meet.
inline void canonicalise(Factor& factor) {
  auto& [parameter, offset, sizes, strides] = factor.view;
  if (!factor.is_outer() || sizes.size() != 2 || strides[0] >= strides[1]) return;
  std::swap(sizes[0], sizes[1]);
  std::swap(strides[0], strides[1]);
  factor.flipped = !factor.flipped;
}

// whether two factors stand for gradients by the same window in the same form
inline bool same_window(const Factor& a, const Factor& b) {
  return a.view == b.view && a.groups == b.groups && a.is_outer() == b.is_outer();
}

// Turns what passes have captured into factors, parameter by parameter.
class Factors {
 public:
  Factors(const std::vector<Pass>& passes, const Parameters& parameters, const GramOptions& options,
          at::ScalarType type)
      : passes_(passes),
        parameters_(parameters),
        options_(options),
        type_(type),
        occurrences_(passes.size()) {
    for (std::size_t i = 0; i < passes.size(); ++i) {
      occurrences_[i].resize(parameters.size());
      for (std::size_t c = 0; c < passes[i].calls.size(); ++c)
        for (std::size_t u = 0; u < passes[i].calls[c].uses.size(); ++u) {
          const std::size_t p = passes[i].calls[c].uses[u].view.parameter;
          // a computed tensor takes the place of a call that mixes samples
          if (p >= parameters.size() || !passes[i].backprops[c].defined() ||
              (!passes[i].layouts[c] && passes[i].computed.contains(p)))
            continue;
          occurrences_[i][p].push_back({c, u});
        }
    }
  }

  // The factors of all uses of a parameter, one for each window that is used; over several passes their
  // samples one after the other. Throws NoAnswer where a use has none.
  std::vector<Factor> of(std::size_t parameter) const {
    std::vector<Factor> whole;
    int64_t before = 0;
    for (std::size_t i = 0; i < passes_.size(); ++i) {
      std::vector<Factor> part = of(parameter, i);
      for (Factor& factor : part) {
        const auto same = std::find_if(whole.begin(), whole.end(),
                                       [&](const Factor& other) { return same_window(other, factor); });
        if (same != whole.end()) {
          append(*same, std::move(factor));
        } else {  // the passes before did not use it
          if (before > 0) factor = after_zeros(std::move(factor), before, passes_[0].copies);
          whole.push_back(std::move(factor));
        }
      }
      before += passes_[i].samples;
      for (Factor& factor : whole) fill(factor, before, passes_[0].copies);
    }
    return whole;
  }

  // The call whose bias `parameter` is and nothing else, and the weight beside it.
  std::optional<std::size_t> weight_beside(std::size_t parameter) const {
    std::optional<std::size_t> weight;
    for (std::size_t i = 0; i < passes_.size(); ++i) {
      if (occurrences_[i][parameter].size() != 1 || passes_[i].computed.contains(parameter)) return {};
      const OperatorCall& call = passes_[i].calls[occurrences_[i][parameter][0].call];
      if (call.uses.size() != 2) return {};
      const std::size_t other = call.uses[1 - occurrences_[i][parameter][0].use].view.parameter;
      if (other == parameter || other >= parameters_.size() || occurrences_[i][other].size() != 1 ||
          passes_[i].computed.contains(other) || (i > 0 && other != weight))
        return {};
      weight = other;
    }
    return weight;
  }

 private:
  std::vector<Factor> of(std::size_t parameter, std::size_t i) const {
    const Pass& pass = passes_[i];
    std::vector<std::vector<Factor>> windows;
    const auto add = [&](Factor factor) {
      canonicalise(factor);
      const auto same = std::find_if(windows.begin(), windows.end(), [&](const std::vector<Factor>& window) {
        return same_window(window[0], factor);
      });
      if (same == windows.end())
        windows.push_back({std::move(factor)});
      else
        same->push_back(std::move(factor));
    };
    for (const Occurrence& use : occurrences_[i][parameter]) add(factor_of(pass, use, options_, type_));
    if (const auto computed = pass.computed.find(parameter); computed != pass.computed.end()) {
      const at::Tensor& p = parameters_[parameter];
      std::vector<int64_t> sizes{pass.rows()};
      sizes.insert(sizes.end(), p.sizes().begin(), p.sizes().end());
      Factor factor;
      factor.view = {parameter, 0, p.sizes().vec(), p.strides().vec()};
      factor.backprops = computed->second.to(type_).view(sizes);
      add(std::move(factor));
    }
    std::vector<Factor> result;
    for (const auto& window : windows) result.push_back(merged(window, pass.copies));
    return result;
  }

  // zeros for samples that do not use a window
  static Factor zeros_like(const Factor& like, int64_t samples, int64_t copies) {
    const auto zeros = [&](const at::Tensor& t, int64_t rows) {
      if (!t.defined()) return at::Tensor();
      std::vector<int64_t> sizes = t.sizes().vec();
      sizes[0] = rows;
      return at::zeros(sizes, t.options());
    };
    Factor result = like;
    result.backprops = zeros(like.backprops, samples * copies);
    result.lengths = zeros(like.lengths, samples * copies);
    const int64_t inputs_copies =
        like.inputs.defined() && like.inputs.size(0) == like.backprops.size(0) ? copies : 1;
    result.inputs = zeros(like.inputs, samples * inputs_copies);
    result.indices = zeros(like.indices, samples);
    return result;
  }
  static Factor after_zeros(Factor factor, int64_t samples, int64_t copies) {
    Factor whole = zeros_like(factor, samples, copies);
    append(whole, std::move(factor));
    return whole;
  }
  static void fill(Factor& factor, int64_t samples, int64_t copies) {
    const int64_t missing = samples - factor.backprops.size(0) / copies;
    if (missing > 0) append(factor, zeros_like(factor, missing, copies));
  }

  static void append(Factor& whole, Factor part) {
    if (whole.flipped != part.flipped || whole.indices.defined() != part.indices.defined()) throw NoAnswer{};
    const bool outer = whole.is_outer();
    const auto join = [&](at::Tensor& a, at::Tensor b, bool pad) {
      if (a.defined() != b.defined()) throw NoAnswer{};
      if (!a.defined()) return;
      if (pad && a.size(1) != b.size(1)) {  // as many positions, with zeros
        at::Tensor& shorter = a.size(1) < b.size(1) ? a : b;
        const int64_t more = std::max(a.size(1), b.size(1)) - shorter.size(1);
        std::vector<int64_t> padding(static_cast<std::size_t>(2 * (a.dim() - 1)), 0);
        padding.back() = more;
        shorter = at::constant_pad_nd(shorter, padding);
      }
      if (a.sizes().slice(1) != b.sizes().slice(1)) throw NoAnswer{};
      a = at::cat({a, b});
    };
    if (whole.lengths.defined() != part.lengths.defined()) {
      whole.lengths = uncancelled_lengths(whole);
      part.lengths = uncancelled_lengths(part);
    }
    join(whole.backprops, part.backprops, outer);
    join(whole.inputs, part.inputs, outer);
    join(whole.indices, part.indices, outer);
    join(whole.lengths, part.lengths, false);
  }

  const std::vector<Pass>& passes_;
  const Parameters& parameters_;
  const GramOptions& options_;
  at::ScalarType type_;
  std::vector<std::vector<std::vector<Occurrence>>> occurrences_;  // [pass][parameter]
};

// The Gram matrix (lower triangle) of the gradients by one parameter, from its factors.
//   extent: elements of memory that the parameter spans;  roundings: as in Products::gram
inline at::Tensor parameter_gram(const std::vector<Factor>& factors, int64_t extent, const Products& products,
                                 std::vector<at::Tensor>& roundings) {
  bool overlap = false;
  for (std::size_t i = 0; i < factors.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      const ParameterView &a = factors[i].view, &b = factors[j].view;
      overlap = overlap || (a.offset < b.end() && b.offset < a.end());
    }
  if (overlap) {
    const at::Tensor& like = factors[0].backprops;
    at::Tensor G = at::zeros({like.size(0), extent}, like.options());
    Factor whole;
    whole.backprops = G;
    for (const Factor& factor : factors) {
      products.add_gradients(G, factor);
      const at::Tensor lengths = uncancelled_lengths(factor);
      whole.lengths = whole.lengths.defined() ? whole.lengths + lengths : lengths;
    }
    return products.gram(whole, roundings);
  }
  at::Tensor K;
  for (const Factor& factor : factors) {
    const at::Tensor part = products.gram(factor, roundings);
    K = K.defined() ? K.add_(part) : part;
  }
  return K;
}

}  // namespace sagitta::libtorch::detail
