#pragma once

#include <ATen/ops/maximum.h>
#include <ATen/ops/stack.h>
#include <torch/csrc/api/include/torch/version.h>

#include <sagitta/libtorch/detail/backward.hpp>
#include <sagitta/libtorch/detail/colours.hpp>
#include <sagitta/libtorch/detail/coverage.hpp>
#include <sagitta/libtorch/detail/isolation.hpp>
#include <sagitta/libtorch/options.hpp>

namespace sagitta::libtorch::detail {

// One forward pass, and what it takes to know its per-sample gradients. The rows whose Gram matrix is wanted
// are n = (m, k): the gradients of sum_c factor[m, c, k] output[m, c].
struct Pass {
  at::Tensor output;                // [M, ...]
  at::Tensor factor;                // [M, elements of a sample's output, copies]
  int64_t samples = 0, copies = 1;  // M; rows a sample
  std::vector<OperatorCall> calls;
  std::vector<at::Tensor> backprops;  // by each call's output, [copies, its shape]; undefined: no influence
  std::vector<std::optional<Batch>>
      layouts;  // how each call's output belongs to samples; none: it mixes them
  // The backprops are those of losses times 2^exponents: all zero, or so that samples far apart have
  // gradients of about one size.
  Exponents exponents;
  Exponents scales;                 // 2^-scale is about the size of a sample's own gradient
  std::set<std::size_t> uncovered;  // parameters that the calls do not account for
  std::map<std::size_t, at::Tensor>
      computed;                // [rows, numel]: gradients by parameters behind computed tensors
  bool coupled = false;        // batch norm normalised by the statistics of the batch
  GeneratorStates generators;  // before the forward pass
  MovedTensors moved;          // by the forward pass; put back when the graph has been used

  int64_t rows() const { return samples * copies; }
  // powers of two that cotangents may reach
  int limit() const {
    const at::ScalarType type = output.scalar_type();
    return type == at::kDouble ? 800 : type == at::kHalf ? 8 : 112;
  }
  // a number for each sample -> the same for all of its rows
  at::Tensor of_rows(const at::Tensor& of_samples) const { return of_samples.repeat_interleave(copies); }
  // the cotangent of the output that gives sum_n weights_n (row n); weights: [rows()]
  at::Tensor cotangent(const at::Tensor& weights) const {
    return factor.matmul(weights.to(factor.options()).view({samples, copies, 1}));
  }
  // lets the graph go, where only what was captured is needed any more
  void release_graph() {
    moved.put_back();
    output = output.detach();
    for (OperatorCall& call : calls) {
      call.edge = {};
      for (c10::IValue& input : call.inputs) {
        if (input.isTensor() && input.toTensor().defined()) {
          input = input.toTensor().detach();
        } else if (input.isTensorList()) {
          auto tensors = input.toTensorVector();
          for (at::Tensor& tensor : tensors) tensor = tensor.detach();
          input = tensors;
        }
      }
    }
  }
};

// What a Gram function asks of its forward pass.
struct Question {
  const char* function;
  std::function<at::Tensor(int64_t batch)> forward;            // the output
  std::function<at::Tensor(const at::Tensor& output)> factor;  // checks the output, gives Pass::factor
  int64_t batches = 1;
};

inline const Rule* find_rule(const GramOptions& options, std::string_view name) {
  const std::string key(name);
  if (const auto own = options.rules.find(key); own != options.rules.end()) return &own->second;
  const auto standard = standard_rules().find(key);
  return standard == standard_rules().end() ? nullptr : &standard->second;
}

// The forward pass alone, watched.
//   generators: where its random numbers begin, if known; then where they ended
//   moved: what it wrote to, for the caller to put back
inline at::Tensor run_forward(const Question& question, int64_t batch, const Parameters& parameters,
                              Recorder& recorder, GeneratorStates& generators, MovedTensors& moved) {
  Isolation isolation(generators, moved, parameters[0].device());
  at::Tensor output = recorder.watch([&] { return question.forward(batch); });
  recorder.coupled = isolation.coupled();
  return output;
}

inline void keep_gradients(const Coverage& coverage, KeptGradients& gradients) {
  const bool harmless = TORCH_VERSION_MAJOR < 2 && coverage.slices && !coverage.custom;
  if (coverage.custom || harmless) gradients.keep(harmless);
}

// The largest element of each sample, [M] in double on the CPU, in a tensor [M, ...].
inline at::Tensor largest_of_samples(const at::Tensor& x) {
  std::vector<int64_t> others;
  for (int64_t d = 1; d < x.dim(); ++d) others.push_back(d);
  at::Tensor largest = x.detach();
  if (!others.empty())
    largest = at::linalg_vector_norm(largest, std::numeric_limits<double>::infinity(), others);
  return largest.abs().to(at::kDouble).cpu();
}

// Exponents e with 2^-e about each size; where there is none, those of `otherwise`, or the middle of the
// others.
//   grain: exponents are multiples of it
inline Exponents exponents_of(const at::Tensor& sizes, int grain, const Exponents& otherwise) {
  const auto M = static_cast<std::size_t>(sizes.size(0));
  Exponents result(M, 0), known;
  const auto usable = [&](std::size_t n) {
    const double size = sizes.data_ptr<double>()[n];
    return size > 0 && std::isfinite(size);
  };
  for (std::size_t n = 0; n < M; ++n)
    if (usable(n)) {
      const double rounded = std::round(std::log2(sizes.data_ptr<double>()[n]) / grain) * grain;
      result[n] = std::clamp(-static_cast<int>(rounded), -112, 112);
      known.push_back(result[n]);
    }
  if (!known.empty())
    std::nth_element(known.begin(), known.begin() + static_cast<std::ptrdiff_t>(known.size() / 2),
                     known.end());
  for (std::size_t n = 0; n < M; ++n)
    if (!usable(n))
      result[n] = !otherwise.empty() ? otherwise[n] : known.empty() ? 0 : known[known.size() / 2];
  return result;
}

// in which products are formed and summed
inline at::ScalarType product_type(const Parameters& parameters, const GramOptions& options) {
  return parameters[0].scalar_type() == at::kDouble || options.accumulate_in_double ? at::kDouble
                                                                                    : at::kFloat;
}

// What captures one pass after another.
class Capture {
 public:
  Capture(const Question& question, const Parameters& parameters, const GramOptions& options,
          KeptGradients& gradients)
      : question_(question), parameters_(parameters), options_(options), gradients_(gradients) {
    if (parameters.size() > 0) generators_ = GeneratorStates(parameters[0].device());
  }

  // Runs the forward pass and the backward passes that collect the backprops of what it recorded and tell to
  // which sample each of their rows belongs.
  Pass run(int64_t batch) {
    Recorder recorder(parameters_,
                      [&](std::string_view name) { return find_rule(options_, name) != nullptr; });
    recorder.with_leaves = true;
    Pass pass;
    pass.generators = generators_;
    pass.output = run_forward(question_, batch, parameters_, recorder, generators_, pass.moved);
    const ExactArithmetic exact;
    pass.factor = question_.factor(pass.output);
    pass.samples = pass.factor.size(0);
    pass.copies = pass.factor.size(2);
    if (pass.rows() == 0) return pass;
    if (!pass.output.requires_grad())
      reject(question_.function,
             "the output of the forward pass does not require grad, expected one that depends on the "
             "parameters");
    if (!recorder.failed) pass.calls = std::move(recorder.calls);
    pass.coupled = recorder.coupled;
    CoverageWalk graph(pass.output, parameters_);
    if (!graph.reaches_parameters())
      reject(
          question_.function,
          "no parameter influences the output of the forward pass, expected parameters of the model that it "
          "runs (not of a copy)");
    Coverage coverage = graph.coverage(parameters_.size(), pass.calls);
    pass.uncovered = std::move(coverage.uncovered);
    keep_gradients(coverage, gradients_);
    slices_ = coverage.slices;
    collect(pass);
    through_leaves(pass, graph, recorder.leaves);
    return pass;
  }

 private:
  // the derivatives by the outputs of all calls under one cotangent
  std::vector<at::Tensor> backprops(const Pass& pass, const at::Tensor& cotangent) const {
    torch::autograd::edge_list edges;
    for (const OperatorCall& call : pass.calls) edges.push_back(call.edge);
    // LibTorch 1.13 then goes on to parameters, and must know them
    if (TORCH_VERSION_MAJOR < 2 && slices_)
      for (const auto& edge : parameter_edges(parameters_)) edges.push_back(edge);
    auto parts = backward(pass.output, cotangent, edges, question_.function);
    parts.resize(pass.calls.size());
    return parts;
  }

  // Backprops of samples far apart are taken again, all of about one size, so that none is lost in another.
  // How large a sample is shows after one pass near the output, and better where all its rows are known.
  void collect(Pass& pass) const {
    pass.exponents.assign(static_cast<std::size_t>(pass.samples), 0);
    std::vector<at::Tensor> plain = backprops_of_copies(pass);
    pass.scales = first_scales(pass, plain);
    // samples very far apart leave colours less room at first
    int largest = spread(pass.scales, pass.exponents) ? pass.limit() - 24 : 0;
    for (int attempt = 0; attempt < 6; ++attempt) {
      tell_samples_apart(pass, plain, largest);
      const at::Tensor sizes = sample_sizes(pass);
      pass.scales = exponents_of(sizes, 1, pass.scales);
      const bool hidden = find_hidden(pass, sizes);
      if (!hidden && (attempt > 2 || !spread(pass.scales, pass.exponents))) return;
      pass.exponents = pass.scales;
      largest = 0;
      for (int& e : pass.exponents)
        largest = std::max(largest, std::abs(e = std::clamp(e, -pass.limit(), pass.limit())));
      plain = backprops_of_copies(pass);
    }
    // samples that go on hiding each other are taken one by one
    pass.layouts.assign(pass.calls.size(), {});
  }

  // Samples of no size: either they have no gradient, or it is lost in that of another. Whether one was lost;
  // its scale is put right.
  bool find_hidden(Pass& pass, const at::Tensor& sizes) const {
    const bool any_layout =
        std::any_of(pass.layouts.begin(), pass.layouts.end(), [](const auto& l) { return l.has_value(); });
    const at::Tensor silent = sizes.eq(0);
    if (!any_layout || !silent.any().item<bool>()) return false;
    const at::Tensor alone =
        combined(pass, pass.factor) * silent.to(pass.factor.options()).view({pass.samples, 1});
    for (const int lift : {0, 90}) {  // where they would underflow
      const auto parts = backprops(
          pass,
          lift == 0 ? alone : alone * std::ldexp(1.0, pass.output.scalar_type() == at::kHalf ? 10 : lift));
      const bool found = std::any_of(parts.begin(), parts.end(), [](const at::Tensor& part) {
        return part.defined() && part.ne(0).logical_and(part.isfinite()).any().item<bool>();
      });
      if (!found) continue;
      const Exponents own = first_scales(pass, parts);
      for (std::size_t n = 0; n < own.size(); ++n)
        if (silent.data_ptr<bool>()[n])
          pass.scales[n] = std::clamp(own[n] + lift, -pass.limit(), pass.limit());
      return true;
    }
    for (std::size_t n = 0; n < pass.scales.size(); ++n)  // they have none
      if (silent.data_ptr<bool>()[n]) pass.scales[n] = 0;
    return false;
  }

  // Whether sizes 2^-scale differ by so much after multiplication by 2^exponents that float would lose one
  // beside the other, or lose their squares.
  static bool spread(const Exponents& scales, const Exponents& exponents) {
    int least = std::numeric_limits<int>::max(), most = std::numeric_limits<int>::min();
    for (std::size_t n = 0; n < scales.size(); ++n) {
      least = std::min(least, scales[n] - exponents[n]);
      most = std::max(most, scales[n] - exponents[n]);
    }
    return most - least > 12 || std::max(std::abs(least), std::abs(most)) > 40;
  }

  // Fills pass.backprops; returns those of one combination of the copies by each call's output.
  std::vector<at::Tensor> backprops_of_copies(Pass& pass) const {
    const at::Tensor factor = scaled_factor(pass);
    std::vector<std::vector<at::Tensor>> copies(pass.calls.size());
    for (int64_t k = 0; k < pass.copies; ++k) {
      const auto parts = backprops(pass, factor.select(2, k));
      for (std::size_t c = 0; c < copies.size(); ++c)
        if (parts[c].defined()) copies[c].push_back(parts[c]);
    }
    pass.backprops.assign(copies.size(), {});
    for (std::size_t c = 0; c < copies.size(); ++c)
      if (!copies[c].empty())
        pass.backprops[c] = pass.copies == 1 ? copies[c][0].unsqueeze(0) : at::stack(copies[c]);
    if (pass.copies > 1) return backprops(pass, combined(pass, factor));
    std::vector<at::Tensor> plain(copies.size());
    for (std::size_t c = 0; c < plain.size(); ++c)
      if (!copies[c].empty()) plain[c] = copies[c][0];
    return plain;
  }

  static at::Tensor scaled_factor(const Pass& pass) {
    if (std::all_of(pass.exponents.begin(), pass.exponents.end(), [](int e) { return e == 0; }))
      return pass.factor;
    return pass.factor * powers_of_two(pass.exponents).to(pass.factor.options()).view({pass.samples, 1, 1});
  }

  // all copies of a sample at once, with weights that do not cancel in passing: [M, elements]
  at::Tensor combined(const Pass& pass, const at::Tensor& factor) const {
    if (pass.copies == 1) return factor.select(2, 0);
    at::Tensor weights = at::ones({pass.copies}, at::kDouble);
    for (int64_t k = 0; k < pass.copies; ++k)
      weights.data_ptr<double>()[k] += std::ldexp(
          static_cast<double>(mixed_bits(options_.check_seed, static_cast<uint64_t>(k)) >> 40), -24);
    return factor.matmul(weights.to(factor.options()));
  }

  //   largest: |exponent| of the cotangents
  void tell_samples_apart(Pass& pass, const std::vector<at::Tensor>& plain, int largest) const {
    at::ScalarType narrowest = pass.output.scalar_type();
    for (const at::Tensor& b : plain)
      if (b.defined() && c10::elementSize(b.scalar_type()) <= c10::elementSize(narrowest) &&
          narrowest != at::kHalf)
        narrowest = b.scalar_type();
    const Colours colours(pass.samples, narrowest, largest, options_.check_seed);
    const at::Tensor one = combined(pass, scaled_factor(pass));
    std::vector<std::vector<at::Tensor>> coloured(plain.size());
    for (std::size_t d = 0; d < colours.draws(); ++d) {
      const auto parts = backprops(pass, one * colours.weights(d).to(one.options()).view({pass.samples, 1}));
      for (std::size_t i = 0; i < parts.size(); ++i) coloured[i].push_back(parts[i]);
    }
    pass.layouts.assign(plain.size(), {});
    for (std::size_t c = 0; c < plain.size(); ++c) {
      if (!plain[c].defined()) continue;
      pass.layouts[c] = colours.find(plain[c], coloured[c]);
      coloured[c].clear();
      if (pass.layouts[c]) pass.layouts[c]->copies = pass.copies;
      if (pass.layouts[c] && pass.copies > 1 && unnamed(pass.backprops[c], plain[c])) pass.layouts[c].reset();
    }
  }

  // whether copies are not zero where their sum is, so that no colour was seen there
  static bool unnamed(const at::Tensor& copies, const at::Tensor& sum) {
    const at::Tensor largest = copies.abs().amax(0);
    return largest.masked_fill(sum.ne(0), 0).gt(1e-9 * largest.max()).any().item<bool>();
  }

  // From the call nearest to the output, whose samples are where sizes say in most cases: this is only a
  // scale.
  static Exponents first_scales(const Pass& pass, const std::vector<at::Tensor>& plain) {
    const int64_t M = pass.samples;
    for (std::size_t c = plain.size(); c-- > 0;) {
      if (!plain[c].defined() || plain[c].numel() == 0) continue;
      for (int64_t d = 0; d < plain[c].dim(); ++d)
        if (plain[c].size(d) == M) return exponents_of(largest_of_samples(plain[c].movedim(d, 0)), 8, {});
      return exponents_of(plain[c].abs().max().to(at::kDouble).cpu().expand({M}).contiguous(), 8, {});
    }
    return Exponents(static_cast<std::size_t>(M), 0);
  }

  // The sizes of the samples' gradients, [M], from backprops and inputs of some of the calls; 0 where nothing
  // is seen.
  at::Tensor sample_sizes(const Pass& pass) const {
    at::Tensor sizes = at::zeros({pass.samples}, at::kDouble);
    const std::size_t step = std::max<std::size_t>(1, pass.calls.size() / 8);
    for (std::size_t i = 0; i < pass.calls.size(); i += step) {
      const std::size_t c = pass.calls.size() - 1 - i;
      if (!pass.layouts[c]) continue;
      Batch batch = *pass.layouts[c];
      batch.copies = 1;
      const at::Tensor& b = pass.backprops[c];
      at::Tensor size = largest_of_samples(batch.backprops(pass.copies == 1 ? b : b.abs().amax(0, true)));
      const auto& uses = pass.calls[c].uses;
      for (std::size_t k = 0; k < pass.calls[c].inputs.size(); ++k) {
        const c10::IValue& input = pass.calls[c].inputs[k];
        if (!input.isTensor() || !input.toTensor().defined() || !input.toTensor().is_floating_point() ||
            std::any_of(uses.begin(), uses.end(),
                        [&](const ParameterUse& use) { return use.argument == static_cast<int64_t>(k); }))
          continue;
        try {
          size = at::maximum(size, size * largest_of_samples(batch.inputs(input.toTensor())));
        } catch (const NoAnswer&) {  // not laid out like the output: the backprop will do
        } catch (const c10::Error&) {
        }
        break;
      }
      sizes = at::maximum(sizes, size);
    }
    return sizes / powers_of_two(pass.exponents);
  }

  void through_leaves(Pass& pass, const CoverageWalk& graph, const std::vector<Leaf>& leaves) const;

  const Question& question_;
  const Parameters& parameters_;
  const GramOptions& options_;
  KeptGradients& gradients_;
  GeneratorStates generators_;
  bool slices_ = false;
};

}  // namespace sagitta::libtorch::detail
