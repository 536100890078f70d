#pragma once

#include <sagitta/libtorch/parameters.hpp>  // first: see there

#include <ATen/ops/from_blob.h>
#include <torch/csrc/autograd/autograd.h>

#include <sagitta/libtorch/gram.hpp>

// Curvature matrices as products with a vector, for eigenvalue methods (SymmetricOperator): the forward pass
// and the first backward pass happen once, at construction; each product takes one more backward pass or two.
// Vectors are the parameters one after the other, [d]. An operator is a snapshot: where a parameter has been
// changed since, a product throws std::invalid_argument.
namespace sagitta::libtorch {

namespace detail {

using TensorList = std::vector<at::Tensor>;

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
    const at::Tensor& first = parameters_[0];
    if (!v.defined() || v.dim() != 1 || v.size(0) != elements_ || v.device() != first.device() ||
        v.scalar_type() != first.scalar_type()) {
      std::ostringstream got;
      if (v.defined()) got << v.scalar_type() << " " << v.sizes() << " on " << v.device();
      reject(function_, "v is ", v.defined() ? got.str() : "undefined", ", expected ", first.scalar_type(),
             " [", elements_, "] on ", first.device());
    }
    const at::AutoGradMode no_graph(false);
    KeptGradients kept(parameters_);
    if (guard_) kept.keep(true);
    return product(v.detach());
  }

  // out = H in, both of d doubles in host memory; rounded to the parameters' type on the way.
  void perform_op(const double* in, double* out) const {
    const at::Tensor v = at::from_blob(const_cast<double*>(in), {elements_}, at::kDouble)
                             .to(parameters_[0].device(), parameters_[0].scalar_type());
    at::from_blob(out, {elements_}, at::kDouble).copy_(apply(v));
  }

 protected:
  CurvatureOperator(const char* function, const Parameters& parameters)
      : function_(function), parameters_(parameters) {
    check_parameters(parameters_, function_);
    check_grad_mode(function_);
    elements_ = parameters_.elements();
    for (const at::Tensor& p : parameters_.tensors()) {
      versions_.push_back(static_cast<int64_t>(p._version()));
      addresses_.push_back(p.data_ptr());
    }
  }
  CurvatureOperator(const CurvatureOperator&) = default;
  CurvatureOperator& operator=(const CurvatureOperator&) = default;
  ~CurvatureOperator() = default;

  // runs a forward pass with the same care as the Gram functions do
  at::Tensor run(const std::function<at::Tensor()>& forward) {
    Recorder recorder(parameters_, [](std::string_view) { return false; });
    const Question question{function_, [&](int64_t) { return forward(); }, {}};
    GeneratorStates generators;
    at::Tensor output = run_forward(question, 0, parameters_, recorder, generators);
    check_defined(output, function_, "the output of the forward pass");
    if (output.numel() > 0) check_finite(output.reshape({1, -1}), function_, "the output");
    if (!output.requires_grad())
      reject(function_,
             "the output of the forward pass does not require grad, expected one that depends on the "
             "parameters");
    const Coverage coverage = CoverageWalk(output, parameters_).coverage(parameters_.size(), {});
    guard_ = coverage.custom || coverage.slices;
    if (coverage.custom) {
      KeptGradients kept(parameters_);
      keep_gradients(coverage, kept);
      (void)backward(output, at::zeros_like(output), parameter_edges(parameters_), function_);
      kept.check(function_);
    }
    return output;
  }

  // gradients of <output, cotangent> by the parameters, zeros where there is no influence
  TensorList gradients(const at::Tensor& output, const at::Tensor& cotangent, bool with_graph) const {
    const at::AutoGradMode mode(with_graph);
    KeptGradients kept(parameters_);
    if (guard_) kept.keep(true);
    TensorList result;
    if (output.requires_grad())
      result = torch::autograd::grad({output}, parameters_.tensors(), {cotangent}, true, with_graph, true);
    result.resize(parameters_.size());
    for (std::size_t p = 0; p < result.size(); ++p)
      if (!result[p].defined()) result[p] = at::zeros_like(parameters_[p]);
    return result;
  }

  at::Tensor flat(const TensorList& tensors) const {
    TensorList parts;
    for (const at::Tensor& tensor : tensors) parts.push_back(tensor.detach().reshape({-1}));
    return at::cat(parts);
  }
  // v cut into the shapes of the parameters, for those that `of` has a graph for
  std::pair<TensorList, TensorList> with_graph(const TensorList& of, const at::Tensor& v) const {
    std::pair<TensorList, TensorList> result;
    int64_t first = 0;
    for (std::size_t p = 0; p < of.size(); ++p) {
      const int64_t count = parameters_[p].numel();
      if (of[p].requires_grad()) {
        result.first.push_back(of[p]);
        result.second.push_back(v.narrow(0, first, count).view(parameters_[p].sizes()));
      }
      first += count;
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

  virtual at::Tensor product(const at::Tensor& v) const = 0;

  const char* function_;
  Parameters parameters_;
  int64_t elements_ = 0;

 private:
  std::vector<int64_t> versions_;
  std::vector<const void*> addresses_;
  bool guard_ = false;  // of the gradients, see KeptGradients
};

}  // namespace detail

// The Hessian of a loss. `loss` computes a tensor of one element. A product takes one backward pass through
// the first one.
class HessianOperator : public detail::CurvatureOperator {
 public:
  HessianOperator(const std::function<at::Tensor()>& loss, const Parameters& parameters)
      : CurvatureOperator("HessianOperator", parameters) {
    const at::Tensor value = run(loss);
    if (value.numel() != 1)
      reject(function_, "loss is of shape ", value.sizes(), ", expected one element (the mean over samples)");
    gradient_ = gradients(value, at::ones_like(value), true);
  }

  // the gradient of the loss, [d]
  at::Tensor gradient() const { return flat(gradient_); }

 private:
  at::Tensor product(const at::Tensor& v) const override {
    const auto [outputs, cotangents] = with_graph(gradient_, v);
    detail::TensorList result;
    if (!outputs.empty())
      result = torch::autograd::grad(outputs, parameters_.tensors(), cotangents, true, false, true);
    result.resize(parameters_.size());
    for (std::size_t p = 0; p < result.size(); ++p)
      if (!result[p].defined()) result[p] = at::zeros_like(parameters_[p]);
    return flat(result);
  }

  detail::TensorList gradient_;
};

// The Gauss-Newton matrix of the mean loss, (1/M) sum_m J_m^T H_m J_m. `logits` computes [M, C]; see
// OutputLoss for H. A product takes three backward passes.
class GaussNewtonOperator : public detail::CurvatureOperator {
 public:
  GaussNewtonOperator(const std::function<at::Tensor()>& logits, const Parameters& parameters,
                      OutputLoss loss = OutputLoss::softmax_cross_entropy)
      : CurvatureOperator("GaussNewtonOperator", parameters), loss_(loss), logits_(run(logits)) {
    detail::check_logits(logits_, function_);
    if (logits_.size(0) == 0) reject(function_, "logits has no rows, expected at least one sample");
    probabilities_ = at::softmax(logits_.detach(), 1);
    w_ = at::zeros_like(logits_).detach().requires_grad_();
    transposed_product_ = gradients(logits_, w_, true);
  }

 private:
  at::Tensor product(const at::Tensor& v) const override {
    const at::Tensor u = push_forward(transposed_product_, w_, v);  // J v
    at::Tensor Hu = u * 2;
    if (loss_ == OutputLoss::softmax_cross_entropy)
      Hu = probabilities_ * (u - (probabilities_ * u).sum(1, true));
    return flat(gradients(logits_, Hu / static_cast<double>(logits_.size(0)), false));
  }

  OutputLoss loss_;
  at::Tensor logits_, probabilities_, w_;
  detail::TensorList transposed_product_;
};

// The empirical Fisher of the mean loss, (1/M) sum_m g_m g_m^T. `losses` computes [M]. A product takes three
// backward passes.
class EmpiricalFisherOperator : public detail::CurvatureOperator {
 public:
  EmpiricalFisherOperator(const std::function<at::Tensor()>& losses, const Parameters& parameters)
      : CurvatureOperator("EmpiricalFisherOperator", parameters), losses_(run(losses)) {
    (void)detail::losses_factor(losses_, function_);
    if (losses_.size(0) == 0) reject(function_, "losses is empty, expected at least one sample");
    w_ = at::zeros_like(losses_).detach().requires_grad_();
    transposed_product_ = gradients(losses_, w_, true);
  }

 private:
  at::Tensor product(const at::Tensor& v) const override {
    const at::Tensor u = push_forward(transposed_product_, w_, v);  // the samples' g_m . v
    return flat(gradients(losses_, u / static_cast<double>(losses_.size(0)), false));
  }

  at::Tensor losses_, w_;
  detail::TensorList transposed_product_;
};

// The Hessian of a loss of few parameters, [d, d] in the parameters' type: d products. Row i is the
// derivative of element i of the gradient; symmetric to rounding.
inline at::Tensor exact_hessian(const std::function<at::Tensor()>& loss, const Parameters& parameters) {
  const HessianOperator hessian(loss, parameters);
  const int64_t d = hessian.rows();
  const auto options = parameters[0].options().requires_grad(false);
  at::Tensor H = at::empty({d, d}, options), unit = at::zeros({d}, options);
  for (int64_t i = 0; i < d; ++i) {
    unit[i] = 1;
    H[i].copy_(hessian.apply(unit));
    unit[i] = 0;
  }
  return H;
}

}  // namespace sagitta::libtorch
