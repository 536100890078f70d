#pragma once

#include <ATen/ops/allclose.h>

#include <sagitta/libtorch/detail/leaves.hpp>
#include <sagitta/libtorch/detail/verification.hpp>

namespace sagitta::libtorch::detail {

// Puts a Gram matrix together, a parameter (or a weight with its bias) at a time: by the rules, checked; what
// they leave by single-sample backward passes.
class GramAssembly {
 public:
  GramAssembly(const Question& question, const Parameters& parameters, const GramOptions& options)
      : question_(question),
        parameters_(parameters),
        options_(options),
        products_{options.chunk_bytes, {}},
        verification_(options.check_seed),
        gradients_(parameters) {}

  GramResult run() {
    check();
    result_.product_type = product_type(parameters_, options_);
    result_.parameter_count = parameters_.elements();
    capture_all();
    result_.gram =
        at::zeros({rows_, rows_}, parameters_[0].options().dtype(result_.product_type).requires_grad(false));
    if (rows_ > 0) {
      choose_scales();
      by_rules();
      by_single_samples();
      gradients_.check(question_.function);
      if (!result_.gram.isfinite().all().item<bool>())
        reject(question_.function, "the gradients hold NaN or infinity, or their squares overflow");
      finish();
    }
    if (options_.check) result_.check_error = rows_ > 0 ? verification_.error() : 0;
    for (const std::size_t p : fallback_) result_.fallback_parameters.push_back({p, parameters_.name(p)});
    return std::move(result_);
  }

 private:
  void check() const {
    check_parameters(parameters_, question_.function);
    check_grad_mode(question_.function);
    if (options_.chunk_bytes <= 0)
      reject(question_.function, "options.chunk_bytes is ", options_.chunk_bytes,
             ", expected a positive number");
  }

  void capture_all() {
    Capture capture(question_, parameters_, options_, gradients_);
    for (int64_t i = 0; i < question_.batches; ++i) {
      passes_.push_back(capture.run(i));
      Pass& pass = passes_.back();
      if (pass.rows() == 0) {  // an empty batch adds nothing
        passes_.pop_back();
        continue;
      }
      if (pass.copies != passes_[0].copies)
        reject(question_.function, "batch ", i, " gives ", pass.copies, " rows a sample, expected ",
               passes_[0].copies, " as the batches before");
      batches_.push_back(i);
      fallback_.insert(pass.uncovered.begin(), pass.uncovered.end());
      if (options_.check) {
        const ExactArithmetic exact;
        verification_.add(pass, rows_, parameters_, question_.function);
      }
      if (question_.batches > 1) pass.release_graph();
      rows_ += pass.rows();
    }
    for (std::size_t p = 0; p < parameters_.size(); ++p)
      if (parameters_[p].numel() == 0) empty_.insert(p), fallback_.erase(p);
  }

  // How rows are scaled while Gram matrices of float are computed.
  void choose_scales() {
    std::vector<at::Tensor> scales;
    for (const Pass& pass : passes_) scales.push_back(pass.of_rows(powers_of_two(pass.exponents)));
    scales_ = at::cat(scales);
    scaled_ = scales_.ne(1).any().item<bool>();
    scales_ = scales_.to(parameters_[0].device());
    if (scaled_) result_.gram = result_.gram.to(at::kDouble);
    if (!options_.check) return;
    const ExactArithmetic exact;
    verification_.finish(parameters_[0].device());
    products_.weights = verification_.weights() / scales_;
  }

  void by_rules() {
    const ExactArithmetic exact;
    const Factors factors(passes_, parameters_, options_, result_.product_type);
    std::set<std::size_t> done = fallback_;
    done.insert(empty_.begin(), empty_.end());
    for (std::size_t p = 0; p < parameters_.size(); ++p) {  // weights with a bias first
      const auto weight = done.contains(p) ? std::nullopt : factors.weight_beside(p);
      if (weight && !done.contains(*weight) && add_unit(factors, {*weight, p})) done.insert({*weight, p});
    }
    for (std::size_t p = 0; p < parameters_.size(); ++p)
      if (!done.contains(p) && !add_unit(factors, {p})) fallback_.insert(p);
  }

  // Adds the Gram matrix of one parameter, or of a weight and its bias. False where the rules do not give one
  // that passes the check.
  bool add_unit(const Factors& factors, const std::vector<std::size_t>& unit) {
    try {
      at::Tensor K;
      std::vector<at::Tensor> roundings;
      std::vector<std::vector<Factor>> of;
      of.reserve(unit.size());
      for (const std::size_t p : unit) {
        of.push_back(factors.of(p));
      }
      if (of[0].empty())
        return !options_.check || verification_.silent(unit[0]);  // no influence on the output
      if (unit.size() == 2 && share_products(of[0][0], of[1][0])) {
        K = products_.gram(of[0][0], roundings, /*with_bias=*/true);
      } else {
        for (std::size_t i = 0; i < unit.size(); ++i) {
          const at::Tensor part = parameter_gram(of[i], extent(unit[i]), products_, roundings);
          K = K.defined() ? K.add_(part) : part;
        }
      }
      return add_checked(K, unit, roundings);
    } catch (const NoAnswer&) {
      return false;
    } catch (const c10::OutOfMemoryError&) {
      throw;
    } catch (const c10::Error&) {  // factors of shapes that do not fit, from a rule that is wrong
      return false;
    }
  }

  // whether the gradients by a bias are the backprops of its weight, so that one product serves both
  static bool share_products(const Factor& weight, const Factor& bias) {
    return weight.is_outer() && bias.sums_backprops && weight.backprops.size(1) == 1 && weight.groups == 1 &&
           bias.backprops.numel() == weight.backprops.numel();
  }

  // K: of losses times `scales`
  bool add_checked(const at::Tensor& K, const std::vector<std::size_t>& of,
                   const std::vector<at::Tensor>& roundings) {
    double plain = 0, weighted = 0;
    if (!roundings.empty()) {
      const at::Tensor sum = at::stack(roundings).sum(0).cpu();
      plain = sum.data_ptr<double>()[0];
      weighted = sum.data_ptr<double>()[1];
    }
    if (options_.check && !verification_.accepts(K, products_.weights, verification_.square(of), weighted,
                                                 verification_.floor()))
      return false;
    const double smallest = scaled_ ? scales_.min().item<double>() : 1;
    result_.cancellation += plain / (smallest * smallest);
    add(K, of, scales_);
    return true;
  }

  void add(const at::Tensor& K, const std::vector<std::size_t>& of, const at::Tensor& scales) {
    if (scaled_) {
      const at::Tensor unscaled = K.to(at::kDouble) / scales.unsqueeze(1) / scales;
      result_.gram.add_(unscaled);
      if (options_.per_layer) result_.layers.push_back({of, symmetric(unscaled)});
    } else {
      result_.gram.add_(K);
      if (options_.per_layer) result_.layers.push_back({of, symmetric(K)});
    }
  }

  void finish() {
    result_.gram = symmetric(result_.gram);
    if (!scaled_ || result_.product_type == at::kDouble) return;
    // float where it holds every entry, else double
    const at::Tensor narrow = result_.gram.to(at::kFloat), diagonal = result_.gram.diagonal();
    const bool fits = narrow.isfinite().all().item<bool>() &&
                      diagonal.gt(1e-30).logical_or(diagonal.eq(0)).all().item<bool>();
    if (!fits) {
      result_.product_type = at::kDouble;
      return;
    }
    result_.gram = narrow;
    for (LayerGram& layer : result_.layers) layer.gram = layer.gram.to(at::kFloat);
  }

  void check_repeated(const at::Tensor& now, const at::Tensor& before, int64_t batch) const {
    const double slack = std::sqrt(unit_of(before.scalar_type()));
    const at::NoGradGuard no_grad;
    if (now.sizes() == before.sizes() && at::allclose(now.to(at::kDouble), before.to(at::kDouble), slack,
                                                      slack * before.abs().max().item<double>()))
      return;
    reject(question_.function, "the forward pass does not repeat: called again for batch ", batch,
           ", it gives another output than before, expected the same");
  }

  // Rows are whole gradients here, a backward pass each; parameters share the passes as memory allows.
  void by_single_samples() {
    if (fallback_.empty()) return;
    if (std::any_of(passes_.begin(), passes_.end(), [](const Pass& pass) { return pass.coupled; }))
      reject(
          question_.function,
          "batch norm in train mode couples the samples of a batch, so that no sample has a gradient of its "
          "own; call model->eval() first (a layer with track_running_stats(false) stays so)");
    const std::vector<std::size_t> left(fallback_.begin(), fallback_.end());
    for (std::size_t first = 0; first < left.size();) {
      std::vector<std::size_t> group;
      int64_t bytes = 0;
      while (first < left.size()) {
        const int64_t more = rows_ * parameters_[left[first]].numel() *
                             static_cast<int64_t>(c10::elementSize(result_.product_type));
        if (!group.empty() && bytes + more > options_.chunk_bytes) break;
        bytes += more;
        group.push_back(left[first++]);
      }
      const std::vector<at::Tensor> gradients = single_sample_gradients(group);
      double total = 0;
      for (const double square : fallback_squares_) total += square;
      for (std::size_t i = 0; i < group.size(); ++i) {
        const std::string name = parameters_.name(group[i]);
        if (!gradients[i].isfinite().all().item<bool>())
          reject(question_.function, "the gradients by ", name, " hold NaN or infinity");
        const ExactArithmetic exact;
        at::Tensor K = at::zeros({rows_, rows_}, gradients[i].options());
        Products::add_lower(K, gradients[i]);
        if (options_.check && !verification_.accepts(K, fallback_weights_, fallback_squares_[i], 0,
                                                     verification_.floor_of_single_samples(total)))
          reject(question_.function, "the gradients by ", name,
                 " do not add up: one backward pass of all samples gives another sum than single-sample "
                 "backward "
                 "passes do, expected a backward pass that is linear and deterministic");
        add(K, {group[i]}, fallback_scales_);
      }
    }
  }

  // [rows, elements] for each of the parameters, of losses times fallback_scales_
  std::vector<at::Tensor> single_sample_gradients(const std::vector<std::size_t>& of) {
    torch::autograd::edge_list edges;
    std::vector<at::Tensor> gradients;
    for (const std::size_t p : of) {
      edges.push_back(torch::autograd::impl::gradient_edge(parameters_[p]));
      gradients.push_back(
          at::zeros({rows_, parameters_[p].numel()}, scales_.options().dtype(result_.product_type)));
    }
    std::vector<at::Tensor> sums(edges.size()), weights;  // of the check
    at::Tensor scales = scales_.cpu().clone();
    int64_t row = 0;
    for (std::size_t i = 0; i < passes_.size(); ++i) {
      Pass& pass = passes_[i];
      at::Tensor output = pass.output;
      MovedTensors moved;
      if (question_.batches > 1) {  // its graph has gone
        Recorder recorder(parameters_, [](std::string_view) { return false; });
        GeneratorStates generators = pass.generators;
        output = run_forward(question_, batches_[i], parameters_, recorder, generators, moved);
        check_repeated(output, pass.output, batches_[i]);
      }
      const ExactArithmetic exact;
      for (int64_t n = 0; n < pass.rows(); ++n, ++row) {
        double& scale = scales.data_ptr<double>()[row];
        std::vector<at::Tensor> rows;
        for (int attempt = 0; attempt < 4; ++attempt) {
          at::Tensor one = at::zeros({pass.rows()}, at::kDouble);
          one[n] = scale;
          rows = backward(output, pass.cotangent(one), edges, question_.function);
          // the estimate of its size was of little worth where samples are mixed
          const double size = largest(rows);
          const int off = size == 0 ? -100 : std::isfinite(size) ? static_cast<int>(std::log2(size)) : 100;
          const int better = static_cast<int>(std::log2(scale)) - off;
          if (std::abs(off) < 40 || better > 120 || better < -140) break;
          scale = std::ldexp(1.0, better);
          if (!scaled_) result_.gram = result_.gram.to(at::kDouble);
          scaled_ = true;
        }
        for (std::size_t k = 0; k < rows.size(); ++k)
          if (rows[k].defined()) gradients[k][row].copy_(rows[k].reshape({-1}));
      }
      if (!options_.check) continue;
      Exponents exponents;
      for (int64_t n = row - pass.rows(); n < row; ++n)
        exponents.push_back(static_cast<int>(std::log2(scales.data_ptr<double>()[n])));
      const at::Tensor w = verification_.weights(exponents, row - pass.rows(), 200);
      weights.push_back(w / scales.narrow(0, row - pass.rows(), pass.rows()));
      const auto parts = backward(output, pass.cotangent(w), edges, question_.function);
      for (std::size_t k = 0; k < parts.size(); ++k)
        if (parts[k].defined()) sums[k] = sums[k].defined() ? sums[k] + parts[k].to(at::kDouble) : parts[k];
    }
    fallback_scales_ = scales.to(scales_.device());
    if (options_.check) fallback_weights_ = at::cat(weights).to(scales_.device());
    fallback_squares_.assign(sums.size(), 0);
    for (std::size_t k = 0; k < sums.size(); ++k)
      if (sums[k].defined())
        fallback_squares_[k] = at::linalg_vector_norm(sums[k].to(at::kDouble)).square().item<double>();
    return gradients;
  }

  static double largest(const std::vector<at::Tensor>& tensors) {
    double result = 0;
    for (const at::Tensor& t : tensors)
      if (t.defined() && t.numel() > 0) {
        const double size = t.abs().max().item<double>();
        result = std::isnan(size) ? size : std::max(result, size);
      }
    return result;
  }

  int64_t extent(std::size_t p) const {
    const at::Tensor& t = parameters_[p];
    return ParameterView{p, 0, t.sizes().vec(), t.strides().vec()}.end();
  }
  static at::Tensor symmetric(const at::Tensor& lower) { return lower.tril() + lower.tril(-1).t(); }

  const Question& question_;
  const Parameters& parameters_;
  const GramOptions& options_;
  Products products_;
  Verification verification_;
  KeptGradients gradients_;
  std::vector<Pass> passes_;
  std::vector<int64_t> batches_;  // the batch of each pass
  std::set<std::size_t> fallback_, empty_;
  // [N] in double: powers of two by which losses are multiplied, so that squares of gradients keep to float;
  // in the passes, and where single samples are taken
  at::Tensor scales_, fallback_scales_;
  at::Tensor fallback_weights_;           // [N] in double, of the check of what single samples gave
  std::vector<double> fallback_squares_;  // |sum_n w_n g_n|^2 a parameter
  bool scaled_ = false;
  int64_t rows_ = 0;
  GramResult result_;
};

}  // namespace sagitta::libtorch::detail
