#pragma once

#include <sagitta/libtorch/detail/curvature_operator.hpp>

// Curvature matrices as products with a vector, for eigenvalue methods (SymmetricOperator): the forward pass
// and the first backward pass happen once, at construction; each product takes one more backward pass or two.
// Vectors are the parameters one after the other, [d]. An operator is a snapshot: where a parameter has been
// changed since, a product throws std::invalid_argument.
//
// The forward pass leaves the process as it was: random numbers (dropout keeps the masks of that one pass),
// running statistics, buffers. Attention and recurrent layers are computed by the operators that they consist
// of, since fused kernels have no second derivative.
//
// What the check at construction sees. Gauss-Newton and the empirical Fisher are J^T H J with a known H and
// J^T from plain backward passes; their J, the derivative of a backward pass, is checked against J^T with
// random vectors in which all parameters count alike: any error of J shows. The Hessian is checked to be
// symmetric, and where the model has custom functions or hooks (only those can be wrong) products are
// compared with differences of gradients, and backward passes that build no graph are found. What it cannot
// see: errors below its tolerance, 1e-9 in double and 1e-3 in float (of a parameter's differences: 1e-5 and
// .005); wrong second derivatives that are symmetric, in float where 20,000 numbers or more go through ReLU
// and other kinks, and in half precision, where differences of gradients mean nothing; and first derivatives,
// which are taken for what they are.
//
// All throw std::invalid_argument for bad parameters, no-grad mode, outputs of another shape or with NaN or
// infinity, parameters without influence, operators without a second derivative, and where the check fails.
namespace sagitta::libtorch {

// The Hessian of a loss. `loss` computes a tensor of one element; batch norm in train mode is allowed. A
// product takes one backward pass through the first one. The check takes two products, and with custom
// functions six gradients.
class HessianOperator : public detail::CurvatureOperator {
 public:
  HessianOperator(const std::function<at::Tensor()>& loss, const Parameters& parameters,
                  const OperatorOptions& options = {})
      : CurvatureOperator("HessianOperator", parameters, options) {
    const at::Tensor value = run(loss, /*coupled=*/true);
    if (value.numel() != 1)
      reject(function_, "loss is of shape ", value.sizes(), ", expected one element (the mean over samples)");
    gradient_ = gradients(value, at::ones_like(value), true);
    check_symmetric(gradient_, loss, value);
    rest();
  }

  // the gradient of the loss, [d]
  at::Tensor gradient() const { return flat(gradient_); }

 private:
  at::Tensor product(const at::Tensor& v) const override {
    const auto [outputs, cotangents] = with_graph(gradient_, v);
    return flat(dense(outputs.empty() ? detail::TensorList{}
                                      : torch::autograd::grad(outputs, parameters_.tensors(), cotangents,
                                                              true, false, true)));
  }

  detail::TensorList gradient_;
};

// The Gauss-Newton matrix of the mean loss, (1/M) sum_m J_m^T H_m J_m. `logits` computes [M, C]; see
// OutputLoss for H. A product takes three backward passes; the check as much.
class GaussNewtonOperator : public detail::CurvatureOperator {
 public:
  GaussNewtonOperator(const std::function<at::Tensor()>& logits, const Parameters& parameters,
                      OutputLoss loss = OutputLoss::softmax_cross_entropy,
                      const OperatorOptions& options = {})
      : CurvatureOperator("GaussNewtonOperator", parameters, options), loss_(loss), logits_(run(logits)) {
    detail::check_logits(logits_, function_);
    if (logits_.size(0) == 0) reject(function_, "logits has no rows, expected at least one sample");
    std::ostringstream what;
    what << "a product for logits of shape " << logits_.sizes();
    detail::check_fits(8.0 * static_cast<double>(logits_.numel() * logits_.element_size()), logits_.device(),
                       function_, what.str(), "take fewer samples");
    probabilities_ = at::softmax(logits_.detach(), 1);
    w_ = at::zeros_like(logits_).detach().requires_grad_();
    transposed_product_ = gradients(logits_, w_, true);
    check_transposed(logits_, transposed_product_, w_);
    rest();
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
// backward passes; the check as much.
class EmpiricalFisherOperator : public detail::CurvatureOperator {
 public:
  EmpiricalFisherOperator(const std::function<at::Tensor()>& losses, const Parameters& parameters,
                          const OperatorOptions& options = {})
      : CurvatureOperator("EmpiricalFisherOperator", parameters, options), losses_(run(losses)) {
    (void)detail::losses_factor(losses_, function_);
    if (losses_.size(0) == 0) reject(function_, "losses is empty, expected at least one sample");
    w_ = at::zeros_like(losses_).detach().requires_grad_();
    transposed_product_ = gradients(losses_, w_, true);
    check_transposed(losses_, transposed_product_, w_);
    rest();
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
// derivative of element i of the gradient; symmetric to rounding. Refused where it does not fit into memory.
inline at::Tensor exact_hessian(const std::function<at::Tensor()>& loss, const Parameters& parameters) {
  detail::check_parameters(parameters, "exact_hessian");
  const auto options = parameters[0].options().requires_grad(false);
  const int64_t d = parameters.elements();
  const auto elements = static_cast<double>(d);
  std::ostringstream what;
  what << "the Hessian of " << d << " parameters";
  detail::check_fits(
      elements * elements * static_cast<double>(parameters[0].element_size()), parameters[0].device(),
      "exact_hessian", what.str(),
      "take HessianOperator and estimated_effective_rank, extreme_eigenpairs or spectral_density");
  const HessianOperator hessian(loss, parameters);
  at::Tensor H = at::empty({d, d}, options), unit = at::zeros({d}, options);
  for (int64_t i = 0; i < d; ++i) {
    unit[i] = 1;
    H[i].copy_(hessian.apply(unit));
    unit[i] = 0;
  }
  return H;
}

}  // namespace sagitta::libtorch
