#pragma once

#include <sagitta/libtorch/parameters.hpp>  // first: see there

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <sagitta/detail/order_statistics.hpp>
#include <sagitta/libtorch/detail/backward.hpp>

// The regularisers that the paper compares (sections 3, 5 and 6.3), on lists of parameters: the sum over the
// tensors of the core's penalties of the same names, without 1/2. Two ways to use one:
//
//   (loss + strength * penalty(model->parameters())).backward();      // a term of the loss
//   loss.backward();  penalty.add_gradient_(model->parameters(), strength);   // the same gradients, no graph
//
// Both cost O(d), a sort for Wasserstein. The term is a tensor without dimensions of the parameters' type, of
// float for half precision; squares are formed in float at least and summed in double. add_gradient_ returns
// the value in double, on the device; a sparse gradient becomes a dense one. All throw
// std::invalid_argument for an empty list, another number of parameters or other shapes than the
// initialisation's, and parameters that differ in device or type.
namespace sagitta::libtorch {

namespace detail {

// sum of (theta - target)^2, where target is what the penalty pulls towards; an undefined one is zero
template <class Derived>
class PenaltyOnParameters {
 public:
  at::Tensor operator()(const Parameters& parameters) const {
    return sum_of_squares(parameters).to(at::promote_types(parameters[0].scalar_type(), at::kFloat));
  }

  // The value alone, in double, without a graph.
  at::Tensor value(const Parameters& parameters) const {
    const at::NoGradGuard no_grad;
    return sum_of_squares(parameters);
  }

  at::Tensor add_gradient_(const Parameters& parameters, double strength) const {
    self().check(parameters);
    const at::NoGradGuard no_grad;
    at::Tensor sum;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const at::Tensor distance = distance_of(parameters, i);
      const at::Tensor pull = distance.to(parameters[i].scalar_type());
      at::Tensor& gradient = parameters[i].mutable_grad();
      if (!gradient.defined()) gradient = at::zeros_like(pull);
      if (gradient.is_sparse()) gradient = gradient.to_dense();  // the penalty's is dense
      gradient.add_(pull, 2 * strength);
      const at::Tensor term = distance.square().sum(at::kDouble);
      sum = sum.defined() ? sum + term : term;
    }
    return sum;
  }

 protected:
  // what the initialisation and the parameters of a call must share
  static void check_like(const Parameters& parameters, const std::vector<at::Tensor>& initial,
                         const char* function) {
    check_parameters(parameters, function);
    if (parameters.size() != initial.size())
      reject(function, "called with ", parameters.size(), " parameters, expected ", initial.size(),
             " as at the initialisation");
    for (std::size_t i = 0; i < initial.size(); ++i)
      if (parameters[i].sizes() != initial[i].sizes() || parameters[i].device() != initial[i].device() ||
          parameters[i].scalar_type() != initial[i].scalar_type())
        reject(function, parameters.name(i), " is ", parameters[i].scalar_type(), " ", parameters[i].sizes(),
               " on ", parameters[i].device(), ", expected ", initial[i].scalar_type(), " ",
               initial[i].sizes(), " on ", initial[i].device(), " as at the initialisation");
  }

 private:
  const Derived& self() const { return static_cast<const Derived&>(*this); }
  // in float at least: a square of half precision overflows above 255
  at::Tensor distance_of(const Parameters& parameters, std::size_t i) const {
    const at::Tensor target = self().target(parameters[i].detach(), i);
    const auto type = at::promote_types(parameters[i].scalar_type(), at::kFloat);
    return target.defined() ? parameters[i].to(type) - target.to(type) : parameters[i].to(type);
  }
  at::Tensor sum_of_squares(const Parameters& parameters) const {
    self().check(parameters);
    at::Tensor sum;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const at::Tensor distance = distance_of(parameters, i);
      const at::Tensor term = (distance * distance).sum(at::kDouble);
      sum = sum.defined() ? sum + term : term;
    }
    return sum;
  }
};

}  // namespace detail

// sum theta_i^2, whose gradient is 2 theta.
class L2Penalty : public detail::PenaltyOnParameters<L2Penalty> {
 private:
  friend class detail::PenaltyOnParameters<L2Penalty>;
  void check(const Parameters& parameters) const { detail::check_parameters(parameters, "L2Penalty"); }
  at::Tensor target(const at::Tensor&, std::size_t) const { return {}; }
};

// Regenerative regularisation (Kumar et al. 2023): sum (theta_i - theta0_i)^2. Keeps a copy of theta0.
class L2InitPenalty : public detail::PenaltyOnParameters<L2InitPenalty> {
 public:
  explicit L2InitPenalty(const Parameters& initial) {
    for (const at::Tensor& theta0 : initial.tensors()) initial_.push_back(theta0.detach().clone());
  }

 private:
  friend class detail::PenaltyOnParameters<L2InitPenalty>;
  void check(const Parameters& parameters) const { check_like(parameters, initial_, "L2InitPenalty"); }
  at::Tensor target(const at::Tensor&, std::size_t i) const { return initial_[i]; }

  std::vector<at::Tensor> initial_;
};

// The paper's Wasserstein regulariser (section 5): sum (theta_(i) - theta0_(i))^2 over the order statistics
// of each tensor. Equal elements are matched in the order of their indices in memory. The initial order
// statistics are sorted once; on the CPU the core ranks the parameters, elsewhere the device
// does. No graph goes through the sort: the matching is constant almost everywhere. NaN or infinity in a
// parameter throws on the CPU and gives NaN elsewhere.
class WassersteinPenalty : public detail::PenaltyOnParameters<WassersteinPenalty> {
 public:
  explicit WassersteinPenalty(const Parameters& initial) {
    for (const at::Tensor& theta0 : initial.tensors()) {
      const at::Tensor flat = theta0.detach().reshape({-1});
      sorted_.push_back(std::get<0>(at::sort(flat, /*stable=*/true, 0, false)).view(theta0.sizes()));
    }
  }

 private:
  friend class detail::PenaltyOnParameters<WassersteinPenalty>;
  void check(const Parameters& parameters) const { check_like(parameters, sorted_, "WassersteinPenalty"); }

  // for each element the initial value of its rank
  at::Tensor target(const at::Tensor& theta, std::size_t i) const {
    const at::Tensor flat = theta.reshape({-1}), sorted = sorted_[i].view({-1});
    at::Tensor target = at::empty_like(flat);
    const bool on_host = theta.device().is_cpu();
    if (on_host && theta.scalar_type() == at::kFloat)
      match<float>(flat, sorted, target);
    else if (on_host && theta.scalar_type() == at::kDouble)
      match<double>(flat, sorted, target);
    else
      target.scatter_(0, std::get<1>(at::sort(flat, /*stable=*/true, 0, false)), sorted);
    return target.view(theta.sizes());
  }

  template <class Scalar>
  static void match(const at::Tensor& theta, const at::Tensor& sorted, at::Tensor& target) {
    const at::Tensor values = theta.contiguous();
    const Scalar* const initial = sorted.data_ptr<Scalar>();
    Scalar* const out = target.data_ptr<Scalar>();
    sagitta::detail::OrderStatistics<Scalar> scratch;
    scratch.match(
        values.data_ptr<Scalar>(), values.numel(), initial, "WassersteinPenalty",
        [out](Index first, Index count, const Scalar* matches) { std::copy_n(matches, count, out + first); });
  }

  std::vector<at::Tensor> sorted_;
};

namespace detail {

// s_1^2 - s_d^2 of the features with its gradient 2 Phi (v_1 v_1^T - v_d v_d^T), from the smaller Gram matrix
// in double. The vectors are not differentiated again: a second derivative is an error, not a wrong number.
struct FeatureRankFunction : torch::autograd::Function<FeatureRankFunction> {
  static std::pair<at::Tensor, at::Tensor> value_and_gradient(const at::Tensor& features) {
    const at::Tensor phi = features.to(at::kDouble);
    const bool wide = phi.size(0) < phi.size(1);
    const auto pairs = at::linalg_eigh(wide ? phi.mm(phi.t()) : phi.t().mm(phi));
    const at::Tensor &values = std::get<0>(pairs), &vectors = std::get<1>(pairs);
    const auto along = [&](int64_t i) {  // Phi v v^T
      const at::Tensor v = vectors.select(1, i).unsqueeze(1);
      return wide ? v.mm(v.t().mm(phi)) : phi.mm(v).mm(v.t());
    };
    at::Tensor value = values[-1], gradient = along(values.size(0) - 1) * 2;
    if (!wide) {
      value = value - values[0].clamp_min(0);
      gradient = gradient - along(0) * 2;
    }
    return {value, gradient.to(features.scalar_type())};
  }
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& features) {
    const auto [value, gradient] = value_and_gradient(features);
    context->save_for_backward({gradient});
    return value.to(at::promote_types(features.scalar_type(), at::kFloat));
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list outer) {
    if (at::GradMode::is_enabled())
      reject("FeatureRankPenalty", "asked for a second derivative, which it does not have");
    return {context->get_saved_variables()[0] * outer[0]};
  }
};

}  // namespace detail

// The feature-rank regulariser (Kumar et al. 2021; the paper, section 3): s_1^2 - s_d^2 of the features Phi,
// [n, d] with a graph, s_d = 0 where n < d. Throws std::invalid_argument for another shape and for NaN or
// infinity. n d min(n, d) + 9 min(n, d)^3 operations in double.
class FeatureRankPenalty {
 public:
  // a term of the loss
  at::Tensor operator()(const at::Tensor& features) const {
    check(features);
    return detail::FeatureRankFunction::apply(features);
  }
  // Adds strength times the gradient to the gradients of the parameters behind the features, whose graph is
  // kept; returns the value in double.
  at::Tensor add_gradient_(const at::Tensor& features, double strength) const {
    check(features);
    const auto [value, gradient] = [&] {
      const at::NoGradGuard no_grad;
      return detail::FeatureRankFunction::value_and_gradient(features.detach());
    }();
    features.backward(gradient * strength, true);
    return value;
  }

 private:
  static void check(const at::Tensor& features) {
    if (!features.defined()) reject("FeatureRankPenalty", "features is an undefined tensor");
    if (features.dim() != 2 || features.numel() == 0)
      reject("FeatureRankPenalty", "features is of shape ", features.sizes(),
             ", expected [n, width], a row a sample");
    if (!features.isfinite().all().item<bool>())
      reject("FeatureRankPenalty", "features holds NaN or infinity, expected finite values");
  }
};

}  // namespace sagitta::libtorch
