#pragma once

#include <sagitta/libtorch/parameters.hpp>  // first: see there

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/randn.h>
#include <torch/csrc/autograd/autograd.h>

#include <sagitta/libtorch/detail/memory.hpp>
#include <sagitta/libtorch/detail/second_derivative.hpp>
#include <sagitta/libtorch/gram.hpp>

namespace sagitta::libtorch {

struct OperatorOptions {
  bool check = true;  // verify the products at construction: one or two of them; see operators.hpp
  uint64_t check_seed = 20240229;
};

namespace detail {

using TensorList = std::vector<at::Tensor>;

// What operators have in common: a forward pass whose graph is kept, and products that go back through it.
class CurvatureOperator {
 public:
  using Scalar = double;

  int64_t rows() const { return elements_; }
  int64_t cols() const { return elements_; }

  // H v, for v of shape [d] in the parameters' type and on their device.
  at::Tensor apply(const at::Tensor& v) const {
    for (std::size_t p = 0; p < parameters_.size(); ++p)
      if (static_cast<int64_t>(parameters_[p]._version()) != versions_[p] ||
          parameters_[p].data_ptr() != addresses_[p])
        reject(function_, parameters_.name(p),
               " has been changed since the operator was made; make a new one");
    if (!at::equal(lengths(), lengths_))  // changed through p.data(), which has a version of its own
      reject(function_, "a parameter has been changed since the operator was made; make a new one");
    const at::Tensor& first = parameters_[0];
    if (!v.defined() || v.dim() != 1 || v.size(0) != elements_ || v.device() != first.device() ||
        v.scalar_type() != first.scalar_type()) {
      std::ostringstream got;
      if (v.defined()) got << v.scalar_type() << " " << v.sizes() << " on " << v.device();
      reject(function_, "v is ", v.defined() ? got.str() : "undefined", ", expected ", first.scalar_type(),
             " [", elements_, "] on ", first.device());
    }
    struct AsTheGraphKnows {  // the tensors that the forward pass has written to
      MovedTensors& moved;
      explicit AsTheGraphKnows(MovedTensors& tensors) : moved(tensors) { moved.show(true); }
      ~AsTheGraphKnows() { moved.show(false); }
    } const values(*moved_);
    return multiply(v);
  }

  // out = H in, both of d doubles in host memory; rounded to the parameters' type on the way.
  void perform_op(const double* in, double* out) const {
    const at::Tensor v = at::from_blob(const_cast<double*>(in), {elements_}, at::kDouble)
                             .to(parameters_[0].device(), parameters_[0].scalar_type());
    at::from_blob(out, {elements_}, at::kDouble).copy_(apply(v));
  }

  // A bound on the rounding of a product, |y - H x| <= product_error() |H| |x|, from the coarsest type that
  // the model computed in: its parameters', or one that autocast, a cast or TF32 brought in.
  double product_error() const { return error_of_products * unit_; }
  // The relative error that the check at construction found; a quiet NaN where it was off.
  double check_error() const { return check_error_; }

 protected:
  CurvatureOperator(const char* function, const Parameters& parameters, const OperatorOptions& options)
      : function_(function), parameters_(parameters), options_(options) {
    check_parameters(parameters_, function_);
    check_grad_mode(function_);
    elements_ = parameters_.elements();
    unit_ = unit_of(parameters_[0].scalar_type());
  }
  CurvatureOperator(const CurvatureOperator&) = default;
  CurvatureOperator& operator=(const CurvatureOperator&) = default;
  ~CurvatureOperator() = default;

  // Runs the forward pass and looks at its graph.
  //   coupled: whether batch norm may normalise by the batch
  at::Tensor run(const std::function<at::Tensor()>& forward, bool coupled = false) {
    at::Tensor output = isolated(forward, *moved_, coupled);
    check_defined(output, function_, "the output of the forward pass");
    if (output.numel() > 0) check_finite(output.reshape({1, -1}), function_, "the output");
    if (!output.requires_grad())
      reject(function_,
             "the output of the forward pass does not require grad, expected one that depends on the "
             "parameters");
    for (const at::Tensor& p : parameters_.tensors()) {
      versions_.push_back(static_cast<int64_t>(p._version()));
      addresses_.push_back(p.data_ptr());
    }
    lengths_ = lengths();
    CoverageWalk walk(output, parameters_);
    const Coverage coverage = walk.coverage(parameters_.size(), {});
    doubtful_ = coverage.custom || coverage.hooks;
    guard_ = coverage.custom || coverage.slices;
    if (coverage.custom) watch_custom_functions(output, coverage);
    if (!walk.reaches_parameters())
      reject(function_,
             "no parameter influences the output of the forward pass, expected parameters of the model that "
             "it runs (not of a copy)");
    return output;
  }

  // gradients of <output, cotangent> by the parameters, zeros where there is no influence
  TensorList gradients(const at::Tensor& output, const at::Tensor& cotangent, bool with_graph) const {
    return explained(function_, [&] {
      const PlainArithmetic plain;
      const at::AutoGradMode mode(with_graph);
      KeptGradients kept(parameters_);
      if (guard_) kept.keep(true);
      return dense(output.requires_grad() ? torch::autograd::grad({output}, parameters_.tensors(),
                                                                  {cotangent}, true, with_graph, true)
                                          : TensorList{});
    });
  }
  // zeros where there is no influence
  TensorList dense(TensorList tensors) const {
    tensors.resize(parameters_.size());
    for (std::size_t p = 0; p < tensors.size(); ++p) {
      if (!tensors[p].defined()) tensors[p] = at::zeros_like(parameters_[p]);
      if (tensors[p].is_sparse()) tensors[p] = tensors[p].to_dense();
    }
    return tensors;
  }

  static at::Tensor flat(const TensorList& tensors) {
    TensorList parts;
    parts.reserve(tensors.size());
    for (const at::Tensor& tensor : tensors) parts.push_back(tensor.detach().reshape({-1}));
    return at::cat(parts);
  }
  // v cut into the shapes of the parameters
  TensorList cut(const at::Tensor& v) const {
    TensorList parts;
    int64_t first = 0;
    for (const at::Tensor& p : parameters_.tensors()) {
      parts.push_back(v.narrow(0, first, p.numel()).view(p.sizes()));
      first += p.numel();
    }
    return parts;
  }
  // the same for those that `of` has a graph for
  std::pair<TensorList, TensorList> with_graph(const TensorList& of, const at::Tensor& v) const {
    std::pair<TensorList, TensorList> result;
    const TensorList parts = cut(v);
    for (std::size_t p = 0; p < of.size(); ++p)
      if (of[p].requires_grad()) {
        result.first.push_back(of[p]);
        result.second.push_back(parts[p]);
      }
    return result;
  }
  // the product with J, which is linear: the derivative by w of J^T w
  at::Tensor push_forward(const TensorList& transposed_product, const at::Tensor& w,
                          const at::Tensor& v) const {
    const auto [outputs, cotangents] = with_graph(transposed_product, v);
    if (outputs.empty()) return at::zeros_like(w);
    const at::Tensor result = torch::autograd::grad(outputs, {w}, cotangents, true, false, true)[0];
    return result.defined() ? result : at::zeros_like(w);
  }

  // Checks J against J^T: for random u and v, u^T (J v) = (J^T u)^T v. Parameters count alike, whatever the
  // size of their gradients.
  void check_transposed(const at::Tensor& output, const TensorList& transposed_product, const at::Tensor& w) {
    if (!options_.check) return;
    const at::Tensor u = normal_like(output);
    const TensorList gradient = gradients(output, u, false);
    TensorList direction;
    double largest = 0, sum = 0;
    std::vector<double> lengths;
    for (const at::Tensor& g : gradient) {
      lengths.push_back(length(g));
      largest = std::max(largest, lengths.back());
    }
    for (std::size_t p = 0; p < gradient.size(); ++p) {
      const bool narrow = gradient[p].scalar_type() == at::kHalf;  // too short a range for scales
      const double scale = lengths[p] > 1e-12 * largest && !narrow ? std::min(1 / lengths[p], 1e30) : 1;
      direction.push_back((normal_like(gradient[p]) + gradient[p] * scale) * scale);
      sum += dot(direction.back(), gradient[p]);
    }
    const at::Tensor Jv = explained(function_, [&] {
      const at::AutoGradMode no_graph(false);
      const PlainArithmetic plain;
      KeptGradients kept(parameters_);
      if (guard_) kept.keep(true);
      return push_forward(transposed_product, w, flat(direction));
    });
    const double scale = std::sqrt(static_cast<double>(gradient.size())) + length(Jv);
    check_error_ = std::abs(dot(u, Jv) - sum) / scale;
    check_product(Jv);
    if (!(check_error_ <= tolerance()))
      reject(function_, "products with the Jacobian and with its transpose disagree by ", check_error_,
             ", expected at most ", tolerance(), advice);
  }

  // Checks v^T H w = w^T H v for random v and w, and where the model has custom functions or hooks H v
  // against differences of the gradient.
  //   gradient: of the forward pass above;  again: the same forward pass
  void check_symmetric(const TensorList& gradient, const std::function<at::Tensor()>& again,
                       const at::Tensor& output) {
    if (!options_.check) return;
    TensorList v, w;
    std::vector<double> sizes;  // of the elements of v and w: those of the parameter
    for (const at::Tensor& p : parameters_.tensors()) {
      const double size = length(p) / std::sqrt(static_cast<double>(std::max<int64_t>(p.numel(), 1)));
      sizes.push_back(size > 0 ? size : 1);
      for (TensorList* const one : {&v, &w}) one->push_back(normal_like(p).mul_(sizes.back()));
    }
    const TensorList Hv = cut(multiply(flat(v))), Hw = cut(multiply(flat(w)));
    double difference = 0, scale = 0;
    for (std::size_t p = 0; p < v.size(); ++p) {
      check_product(Hv[p]);
      check_product(Hw[p]);
      difference += dot(v[p], Hw[p]) - dot(w[p], Hv[p]);
      scale = std::hypot(scale, sizes[p] * length(Hv[p]), sizes[p] * length(Hw[p]));
    }
    check_error_ = scale > 0 ? std::abs(difference) / scale : 0;
    if (!(check_error_ <= tolerance()))
      reject(function_, "the second derivative is not symmetric: v'Hw and w'Hv differ by ", check_error_,
             ", expected at most ", tolerance(), advice);
    if (doubtful_ && (unit_ < 1e-10 || (unit_ < 1e-4 && kinks_ < many_kinks)))
      check_differences(gradient, v, Hv, again, output);
  }

  // H v without the checks of v
  at::Tensor multiply(const at::Tensor& v) const {
    return explained(function_, [&] {
      const at::AutoGradMode no_graph(false);
      const PlainArithmetic plain;
      KeptGradients kept(parameters_);
      if (guard_) kept.keep(true);
      return product(v.detach());
    });
  }
  // After construction: what the forward pass has written to shows its values from before.
  void rest() { moved_->show(false); }

  virtual at::Tensor product(const at::Tensor& v) const = 0;

  const char* function_;
  Parameters parameters_;
  OperatorOptions options_;
  int64_t elements_ = 0;

 private:
  // Neither autocast nor TF32 has a part in what we compute ourselves.
  struct PlainArithmetic {
    c10::impl::ExcludeDispatchKeyGuard no_autocast{c10::autocast_dispatch_keyset};
    at::NoTF32Guard no_tf32;
  };
  static constexpr double error_of_products = 32;
  static constexpr int64_t many_kinks =
      20000;  // of which dozens lie on the way of the smallest step in float
  static constexpr const char* advice =
      "; a custom function or hook of the model has a wrong second derivative, or a backward pass that is "
      "not linear "
      "or not deterministic (options.check = false takes it as it is)";

  at::Tensor isolated(const std::function<at::Tensor()>& forward, MovedTensors& moved, bool coupled) {
    Isolation isolation(random_, moved, parameters_[0].device(), /*plain=*/true);
    const GeneratorStates first = random_;
    at::Tensor output = forward();
    if (isolation.coupled() && !coupled)
      reject(function_,
             "batch norm in train mode couples the samples of a batch, so that no sample has a gradient of "
             "its own; call model->eval() first (a layer with track_running_stats(false) stays so)");
    kinks_ = isolation.kinks();
    const at::Tensor& p = parameters_[0];
    unit_ = std::max(
        {unit_, isolation.unit(), unit_of_hardware(p.scalar_type(), p.device(), isolation.convolves())});
    if (!first_) first_ = first;
    return output;
  }

  // One backward pass that is differentiated.
  void watch_custom_functions(const at::Tensor& output, const Coverage& coverage) {
    KeptGradients kept(parameters_);
    keep_gradients(coverage, kept);
    const CutGradients cut_gradients(output);
    explained(function_, [&] {
      const PlainArithmetic plain;
      const at::Tensor cotangent = at::ones_like(output).detach().requires_grad_();
      (void)torch::autograd::grad({output}, parameters_.tensors(), {cotangent}, true, true, true);
    });
    kept.check(function_);
    if (options_.check && !cut_gradients.by().empty())
      reject(function_, "the custom function ", cut_gradients.by(),
             " computes its backward pass without a graph, so that it has no second derivative; expected a "
             "backward pass of differentiable operators");
  }

  void check_differences(const TensorList& gradient, const TensorList& v, const TensorList& Hv,
                         const std::function<at::Tensor()>& again, const at::Tensor& output) {
    std::vector<double> values;
    const int64_t wrong = disagreement(parameters_, gradient, Hv, unit_, [&](double step) -> TensorList {
      random_ = *first_;
      const MovedParameters parameters(parameters_, v, step);
      MovedTensors moved;
      const at::Tensor value = isolated(again, moved, true);
      if (!value.defined() || value.is_same(output) || value.numel() != 1) return {};
      values.push_back(value.item<double>());
      if (values.size() == 2 && values[0] == values[1]) return {};  // computed before we were called
      return gradients(value, at::ones_like(value), false);
    });
    if (wrong >= 0)
      reject(function_, "the second derivative by ", parameters_.name(static_cast<std::size_t>(wrong)),
             " is not that of the gradient: products disagree with differences of gradients", advice);
  }

  at::Tensor normal_like(const at::Tensor& t) {
    if (!generator_.defined()) generator_ = at::detail::createCPUGenerator(options_.check_seed);
    const auto type = t.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    return at::randn(t.sizes(), generator_, at::TensorOptions(type)).to(t.device(), t.scalar_type());
  }
  static double length(const at::Tensor& t) {
    return at::linalg_vector_norm(t.detach(), 2, {}, false, at::kDouble).item<double>();
  }
  static double dot(const at::Tensor& a, const at::Tensor& b) {
    const auto type = at::promote_types(a.scalar_type(), at::kFloat);  // for half precision
    return (a.to(type) * b.to(type)).sum(at::kDouble).item<double>();
  }
  // by which a change shows that versions do not tell
  at::Tensor lengths() const {
    const at::NoGradGuard no_grad;
    return at::stack(at::_foreach_norm(parameters_.tensors(), 2)).nan_to_num();  // NaN equals nothing
  }
  void check_product(const at::Tensor& product) const {
    if (!product.isfinite().all().item<bool>())
      reject(function_,
             "a product holds NaN or infinity, expected a derivative that is finite at these parameters");
  }
  double tolerance() const { return std::min(0.3, std::max(1e-9, 1e4 * unit_)); }

  std::vector<int64_t> versions_;
  std::vector<const void*> addresses_;
  at::Tensor lengths_;
  std::shared_ptr<MovedTensors> moved_ = std::make_shared<MovedTensors>();
  GeneratorStates random_;
  std::optional<GeneratorStates> first_;  // where the random numbers of the forward pass began
  at::Generator generator_;
  double unit_ = 0, check_error_ = std::numeric_limits<double>::quiet_NaN();
  int64_t kinks_ = 0;
  bool doubtful_ = false;  // second derivatives may be wrong
  bool guard_ = false;     // guard_: of the gradients, see KeptGradients
};

}  // namespace detail
}  // namespace sagitta::libtorch
