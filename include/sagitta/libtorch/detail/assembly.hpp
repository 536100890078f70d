#pragma once

#include <sagitta/libtorch/detail/units.hpp>
#include <sagitta/libtorch/detail/verification.hpp>

namespace sagitta::libtorch::detail {

// Puts a Gram matrix together, a parameter (or a weight with its bias) at a time: by the rules, checked; by
// the rules with the other reading of the batch dimension; by single-sample backward passes.
class GramAssembly {
 public:
  GramAssembly(const Question& question, const Parameters& parameters, const GramOptions& options)
      : question_(question),
        parameters_(parameters),
        options_(options),
        products_{options.chunk_bytes},
        signs_(options.check_seed),
        gradients_(parameters) {}

  GramResult run() {
    check();
    capture_all();
    const at::ScalarType model = parameters_[0].scalar_type();
    result_.product_type = model == at::kDouble || options_.accumulate_in_double ? at::kDouble : at::kFloat;
    result_.parameter_count = parameters_.elements();
    result_.gram =
        at::zeros({rows_, rows_}, parameters_[0].options().dtype(result_.product_type).requires_grad(false));
    if (rows_ > 0) {
      by_rules();
      by_single_samples();
      gradients_.check(question_.function);
      if (!result_.gram.isfinite().all().item<bool>())
        reject(question_.function, "the gradients hold NaN or infinity, or their squares overflow");
      result_.gram = symmetric(result_.gram);
      if (!roundings_.empty()) result_.cancellation = at::stack(roundings_).sum().item<double>();
    }
    if (options_.check) result_.check_error = rows_ > 0 ? signs_.error() : 0;
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
    GeneratorStates generators(parameters_[0].device());
    for (int64_t i = 0; i < question_.batches; ++i) {
      passes_.push_back(capture(question_, i, parameters_, options_, generators, gradients_));
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
        signs_.add(pass, rows_, parameters_, question_.function);
      }
      if (question_.batches > 1) pass.release_graph();
      rows_ += pass.rows();
    }
  }

  void by_rules() {
    const ExactArithmetic exact;
    if (options_.check) signs_.finish(rows_, parameters_);
    const Factors factors(passes_, parameters_, options_, result_.product_type);
    std::set<std::size_t> done = fallback_;
    for (std::size_t p = 0; p < parameters_.size(); ++p) {  // weights with a bias first
      const auto weight = done.contains(p) ? std::nullopt : factors.weight_beside(p);
      if (weight && !done.contains(*weight) && add_unit(factors, {*weight, p})) done.insert({*weight, p});
    }
    for (std::size_t p = 0; p < parameters_.size(); ++p)
      if (!done.contains(p) && !add_unit(factors, {p})) fallback_.insert(p);
  }

  // Adds the Gram matrix of one parameter, or of a weight and its bias. False where no reading of the batch
  // dimension gives one that passes the check.
  bool add_unit(const Factors& factors, const std::vector<std::size_t>& unit) {
    bool last = false;
    for (int attempt = 0; !last; ++attempt) {
      last = true;
      try {
        at::Tensor K;
        std::vector<at::Tensor> roundings;
        std::vector<std::vector<Factor>> of;
        of.reserve(unit.size());
        for (const std::size_t p : unit) of.push_back(factors.of(p, attempt, last));
        if (of[0].empty()) return !options_.check || signs_.silent(unit[0]);  // no influence on the output
        if (unit.size() == 2 && share_products(of[0][0], of[1][0])) {
          K = products_.gram(of[0][0], roundings, /*with_bias=*/true);
        } else {
          for (std::size_t i = 0; i < unit.size(); ++i) {
            const at::Tensor part =
                parameter_gram(of[i], extent(unit[i]), passes_[0].copies, products_, roundings);
            K = K.defined() ? K.add_(part) : part;
          }
        }
        if (add(K, unit, roundings)) return true;
      } catch (const NoAnswer&) {
        return false;
      } catch (const c10::OutOfMemoryError&) {
        throw;
      } catch (const c10::Error&) {  // factors of shapes that do not fit, from a rule that is wrong
        return false;
      }
    }
    return false;
  }

  // whether the gradients by a bias are the backprops of its weight, so that one product serves both
  static bool share_products(const Factor& weight, const Factor& bias) {
    return weight.is_outer() && bias.sums_backprops && weight.backprops.size(1) == 1 && weight.groups == 1 &&
           bias.backprops.numel() == weight.backprops.numel();
  }

  bool add(const at::Tensor& K, const std::vector<std::size_t>& of,
           const std::vector<at::Tensor>& roundings = {}) {
    if (options_.check || !roundings.empty()) {
      const at::Tensor rounding =
          roundings.empty() ? at::zeros({}, K.options().dtype(at::kDouble)) : at::stack(roundings).sum();
      if (options_.check && !signs_.accepts(K, of, rounding)) return false;
      if (!roundings.empty()) roundings_.push_back(rounding);
    }
    result_.gram.add_(K);
    if (options_.per_layer) result_.layers.push_back({of, symmetric(K)});
    return true;
  }

  // Rows are whole gradients here, a backward pass each; parameters share the passes as memory allows.
  void by_single_samples() {
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
      for (std::size_t i = 0; i < group.size(); ++i) {
        const std::string name = parameters_.name(group[i]);
        if (!gradients[i].isfinite().all().item<bool>())
          reject(question_.function, "the gradients by ", name, " hold NaN or infinity");
        const ExactArithmetic exact;
        at::Tensor K = at::zeros_like(result_.gram);
        Products::add_lower(K, gradients[i]);
        if (!add(K, {group[i]}))
          reject(
              question_.function, "the gradients by ", name,
              " do not add up: a backward pass of random signs gives another sum than single-sample backward "
              "passes do, expected a backward pass that is linear and deterministic");
      }
    }
  }

  // [rows, elements] for each of the parameters
  std::vector<at::Tensor> single_sample_gradients(const std::vector<std::size_t>& of) {
    torch::autograd::edge_list edges;
    std::vector<at::Tensor> gradients;
    for (const std::size_t p : of) {
      edges.push_back(torch::autograd::impl::gradient_edge(parameters_[p]));
      gradients.push_back(at::zeros({rows_, parameters_[p].numel()}, result_.gram.options()));
    }
    int64_t row = 0;
    for (std::size_t i = 0; i < passes_.size(); ++i) {
      Pass& pass = passes_[i];
      at::Tensor output = pass.output;
      MovedTensors moved;
      if (question_.batches > 1) {  // its graph has gone
        Recorder recorder(parameters_, [](std::string_view) { return false; });
        GeneratorStates generators = pass.generators;
        output = run_forward(question_, batches_[i], parameters_, recorder, generators, moved);
      }
      const ExactArithmetic exact;
      for (int64_t n = 0; n < pass.rows(); ++n, ++row) {
        at::Tensor one = at::zeros({pass.rows()}, pass.factor.options());
        one[n] = 1;
        const auto rows = backward(output, pass.cotangent(one), edges, question_.function);
        for (std::size_t k = 0; k < rows.size(); ++k)
          if (rows[k].defined()) gradients[k][row].copy_(rows[k].reshape({-1}));
      }
    }
    return gradients;
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
  RandomSigns signs_;
  KeptGradients gradients_;
  std::vector<Pass> passes_;
  std::vector<int64_t> batches_;  // the batch of each pass
  std::set<std::size_t> fallback_;
  std::vector<at::Tensor> roundings_;  // of the positions that cancel
  int64_t rows_ = 0;
  GramResult result_;
};

}  // namespace sagitta::libtorch::detail
