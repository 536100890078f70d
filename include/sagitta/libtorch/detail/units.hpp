#pragma once

#include <sagitta/libtorch/detail/capture.hpp>
#include <sagitta/libtorch/detail/products.hpp>

namespace sagitta::libtorch::detail {

// The readings of the batch dimension that an output's sizes allow, the usual ones first.
inline std::vector<BatchReading> batch_readings(const std::vector<int64_t>& sizes, int64_t samples) {
  std::vector<BatchReading> readings;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    if (sizes[i] == samples) readings.push_back({BatchReading::dimension, static_cast<int64_t>(i)});
  if (!sizes.empty() && sizes[0] > samples && sizes[0] % samples == 0) {
    readings.push_back({BatchReading::sample_major, 0});
    readings.push_back({BatchReading::position_major, 0});
  }
  return readings;
}

// Where the factors of one parameter come from: its uses, in the order of the forward pass.
struct Occurrence {
  std::size_t call, use;
};

// Turns what passes have captured into factors, parameter by parameter.
class Factors {
 public:
  Factors(const std::vector<Pass>& passes, const Parameters& parameters, const GramOptions& options,
          at::ScalarType type)
      : passes_(passes), options_(options), type_(type), occurrences_(passes.size()) {
    for (std::size_t i = 0; i < passes.size(); ++i) {
      occurrences_[i].resize(parameters.size());
      for (std::size_t c = 0; c < passes[i].calls.size(); ++c)
        for (std::size_t u = 0; u < passes[i].calls[c].uses.size(); ++u)
          if (passes[i].backprops[c].defined())
            occurrences_[i][passes[i].calls[c].uses[u].view.parameter].push_back({c, u});
    }
  }

  // The factors of all uses of a parameter; over several passes their samples one after the other. `attempt`
  // counts the readings of the batch dimension; `last` is set where there are no more.
  // Throws NoAnswer where a use has none.
  std::vector<Factor> of(std::size_t parameter, int attempt, bool& last) const {
    std::vector<Factor> factors;
    for (std::size_t i = 0; i < passes_.size(); ++i) {
      const std::vector<Occurrence>& uses = occurrences_[i][parameter];
      if (i > 0 && uses.size() != factors.size()) throw NoAnswer{};
      for (std::size_t k = 0; k < uses.size(); ++k) {
        Factor factor = answer(passes_[i], uses[k], attempt, last);
        if (i == 0)
          factors.push_back(std::move(factor));
        else
          append(factors[k], factor);
      }
    }
    return factors;
  }

  // The call whose bias `parameter` is and nothing else, and the weight beside it.
  std::optional<std::size_t> weight_beside(std::size_t parameter) const {
    std::optional<std::size_t> weight;
    for (std::size_t i = 0; i < passes_.size(); ++i) {
      if (occurrences_[i][parameter].size() != 1) return {};
      const OperatorCall& call = passes_[i].calls[occurrences_[i][parameter][0].call];
      if (call.uses.size() != 2) return {};
      const std::size_t other = call.uses[1 - occurrences_[i][parameter][0].use].view.parameter;
      if (other == parameter || occurrences_[i][other].size() != 1 || (i > 0 && other != weight)) return {};
      weight = other;
    }
    return weight;
  }

 private:
  Factor answer(const Pass& pass, const Occurrence& where, int attempt, bool& last) const {
    const OperatorCall& call = pass.calls[where.call];
    const Rule& rule = *find_rule(options_, call.name);
    std::optional<Factor> found;
    int valid = 0;
    for (const BatchReading& reading : batch_readings(call.output_sizes, pass.samples)) {
      if (found && valid > attempt) {
        last = false;
        break;
      }
      try {
        Factor factor = rule(call, call.uses[where.use], pass.backprops[where.call],
                             Batch{pass.samples, pass.copies, reading});
        if (!factor.view.one_to_one()) throw NoAnswer{};
        found = std::move(factor);
        ++valid;
      } catch (const NoAnswer&) {
      }
    }
    if (!found) throw NoAnswer{};
    if (found->lengths.defined()) {  // what was summed in another type is as right as that is
      const double coarser = unit_of(found->backprops.scalar_type()) / unit_of(type_);
      found->lengths = found->lengths.detach().to(type_) * std::max(1.0, coarser);
    }
    found->backprops = found->backprops.detach().to(type_);
    if (found->inputs.defined()) found->inputs = found->inputs.detach().to(type_);
    return std::move(*found);
  }

  static void append(Factor& whole, const Factor& part) {
    const auto join = [](at::Tensor& a, const at::Tensor& b) {
      if (a.defined() != b.defined() || (a.defined() && a.sizes().slice(1) != b.sizes().slice(1)))
        throw NoAnswer{};
      if (a.defined()) a = at::cat({a, b});
    };
    if (whole.view != part.view || whole.groups != part.groups || whole.flipped != part.flipped)
      throw NoAnswer{};
    join(whole.backprops, part.backprops);
    join(whole.inputs, part.inputs);
    join(whole.indices, part.indices);
    join(whole.lengths, part.lengths);
  }

  const std::vector<Pass>& passes_;
  const GramOptions& options_;
  at::ScalarType type_;
  std::vector<std::vector<std::vector<Occurrence>>> occurrences_;  // [pass][parameter]
};

// A matrix window that lies transposed in memory is turned, so that both ways of using a weight meet.
inline void canonicalise(Factor& factor) {
  auto& [parameter, offset, sizes, strides] = factor.view;
  if (!factor.is_outer() || sizes.size() != 2 || strides[0] >= strides[1]) return;
  std::swap(sizes[0], sizes[1]);
  std::swap(strides[0], strides[1]);
  factor.flipped = !factor.flipped;
}

// The Gram matrix (lower triangle) of the gradients by one parameter, from the factors of all its uses.
//   extent: elements of memory that the parameter spans;  roundings: as in Products::gram
inline at::Tensor parameter_gram(std::vector<Factor> factors, int64_t extent, int64_t copies,
                                 const Products& products, std::vector<at::Tensor>& roundings) {
  std::vector<std::vector<Factor>> windows;  // uses of the same window
  for (Factor& factor : factors) {
    canonicalise(factor);
    const auto same = std::find_if(windows.begin(), windows.end(), [&](const std::vector<Factor>& window) {
      const Factor& first = window[0];
      return first.view == factor.view && first.groups == factor.groups &&
             first.is_outer() == factor.is_outer();
    });
    if (same == windows.end())
      windows.push_back({factor});
    else
      same->push_back(factor);
  }
  bool overlap = false;
  for (std::size_t i = 0; i < windows.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      const ParameterView &a = windows[i][0].view, &b = windows[j][0].view;
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
  for (const auto& window : windows) {
    const at::Tensor part = products.gram(merged(window, copies), roundings);
    K = K.defined() ? K.add_(part) : part;
  }
  return K;
}

}  // namespace sagitta::libtorch::detail
