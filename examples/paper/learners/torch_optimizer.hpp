#pragma once

#include <optional>
#include <sagitta/detail/order_statistics.hpp>

#include "learners/optimizer.hpp"
#include "learners/regularizer.hpp"
#include "learners/torch_network.hpp"

// Updates and regularisers of K networks at once. Each has two ways that compute the same: loops on the host,
// which pass over memory once, and batched operations of LibTorch, of which a GPU needs few and which a CUDA
// graph can hold.
namespace paper {

template <class Work>
void dispatch(const Tensor& tensor, Work work) {  // work(Scalar{}) for float or double
  tensor.scalar_type() == at::kDouble ? work(double{}) : work(float{});
}

class StackedOptimizer {
 public:
  StackedOptimizer(const Configuration& configuration, const Stack& theta, bool loops)
      : c_(configuration),
        loops_(loops),
        first_(theta.like()),
        second_(is_adam() ? theta.like() : Stack({}, theta.networks(), theta.flat().options())),
        step_(at::zeros({}, theta.flat().options().dtype(at::kDouble))),
        update_l1_(at::zeros({theta.networks()}, step_.options())) {
    if (!loops_) change_ = at::zeros_like(theta.flat());
  }

  void reset() {
    first_.flat().zero_();
    second_.flat().zero_();
    step_.zero_();
  }

  // One update. Adds the L1 norm of each network's change to update_l1(). shrinkage: where given, this share
  // of the parameters before the update is taken off as well (Loshchilov and Hutter 2019).
  void update(const Stack& gradient, const Stack& theta, const Stack* shrinkage = nullptr) {
    if (shrinkage != nullptr) {
      const Tensor before = theta.flat().clone(), l1 = update_l1_.clone();
      update(gradient, theta);
      theta.flat().addcmul_(before, shrinkage->flat(), -1);
      update_l1_.copy_(l1);
      add_l1(theta.flat() - before, theta);
      return;
    }
    step_.add_(1);
    if (loops_)
      dispatch(theta.flat(), [&](auto scalar) { update_by_loops<decltype(scalar)>(gradient, theta); });
    else
      update_by_operations(gradient.flat(), theta);
  }

  const Tensor& update_l1() const { return update_l1_; }  // [K], in double
  void clear_update_l1() { update_l1_.zero_(); }
  const Stack& first() const { return first_; }
  const Stack& second() const { return second_; }
  const Tensor& step() const { return step_; }

 private:
  bool is_adam() const { return c_.uses_adam(); }

  template <class Scalar>
  void update_by_loops(const Stack& gradient, const Stack& theta) {
    const UpdateRule<Scalar> rule(c_);
    const auto step = static_cast<std::int64_t>(*step_.data_ptr<double>());
    const auto data = [](const Stack& stack) { return stack.flat().template data_ptr<Scalar>(); };
    double* const l1 = update_l1_.data_ptr<double>();
    int64_t start = 0;
    for (const TensorShape& shape : theta.shapes())
      for (int64_t k = 0; k < theta.networks(); ++k, start += shape.elements())
        l1[k] += rule(step, data(gradient) + start, data(first_) + start,
                      is_adam() ? data(second_) + start : nullptr, data(theta) + start, shape.elements());
  }

  void update_by_operations(const Tensor& gradient, const Stack& theta) {
    Tensor m = first_.flat();
    if (is_adam()) {
      const Tensor rate = (at::pow(c_.beta1, step_) - 1).reciprocal_().mul_(c_.learning_rate).to(m.dtype());
      const Tensor root = (1 - at::pow(c_.beta2, step_)).rsqrt_().to(m.dtype());
      Tensor v = second_.flat();
      m.lerp_(gradient, 1 - c_.beta1);
      v.mul_(c_.beta2).addcmul_(gradient, gradient, 1 - c_.beta2);
      at::sqrt_out(change_, v);
      change_.mul_(root).add_(c_.adam_epsilon);
      at::div_out(change_, m, change_);
      change_.mul_(rate);  // of negative sign
    } else {
      m.mul_(c_.momentum).add_(gradient);
      at::mul_out(change_, m, at::scalar_tensor(-c_.learning_rate, m.options()));
    }
    theta.flat().add_(change_);
    add_l1(change_, theta);
  }

  void add_l1(const Tensor& change, const Stack& theta) {
    int64_t start = 0;
    for (const TensorShape& shape : theta.shapes()) {
      const int64_t count = shape.elements() * theta.networks();
      update_l1_.add_(change.narrow(0, start, count)
                          .view({theta.networks(), shape.elements()})
                          .abs()
                          .sum({1}, false, at::kDouble));
      start += count;
    }
  }

  Configuration c_;
  bool loops_;
  Stack first_, second_;  // moments; for gradient descent the first is the velocity
  Tensor step_, update_l1_, change_;
};

// strength x sum of squares of every network, each with its own kind and strength: towards zero, the
// initialisation, or the initial order statistics. (The feature rank goes through the network.)
class StackedPenalty {
 public:
  StackedPenalty(std::span<const Configuration> configurations, const Stack& initial, bool loops)
      : loops_(loops), resort_every_(configurations[0].resort_every) {
    using Batched = Regularizer::Batched;
    const int64_t networks = initial.networks();
    std::vector<const Regularizer*> regularizers;
    for (const Configuration& c : configurations) regularizers.push_back(&regularizer_of(c));
    const auto at = [&](int64_t k) -> const Regularizer& {
      return *regularizers[static_cast<std::size_t>(k)];
    };
    const auto is = [&](int64_t k, Batched way) { return at(k).of_tensor && at(k).batched == way; };
    wasserstein_ = ranges(
        networks, [&](int64_t k) { return is(k, Batched::towards_order_statistics); },
        [](int64_t, int64_t) { return true; });
    const bool decoupled = configurations[0].decouples_weight_decay();
    const auto shrinks = [&](int64_t k) { return decoupled && at(k).decays; };
    const auto pulls = [&](int64_t k) { return at(k).of_tensor && !is(k, Batched::alone) && !shrinks(k); };
    add_those_alone(configurations, initial);
    for (int64_t k = 0; k < networks; ++k) {
      any_ = any_ || pulls(k);
      if (shrinks(k) && !shrinkage_) shrinkage_.emplace(initial.like());
    }
    if (!any_ && !shrinkage_) return;
    factor_.emplace(initial.like());
    target_.emplace(initial.like());
    for (std::size_t t = 0; t < initial.tensors(); ++t) {
      if (!configurations[0].regularizes_biases() && initial.shapes()[t].sizes.size() < 2) continue;
      regularized_.push_back(t);
      for (int64_t k = 0; k < networks; ++k) {
        const Configuration& c = configurations[static_cast<std::size_t>(k)];
        if (pulls(k)) factor_->rows(t).select(0, k).fill_(2 * c.strength);
        if (shrinks(k)) shrinkage_->rows(t).select(0, k).fill_(2 * c.strength * c.learning_rate);
        if (is(k, Batched::towards_initial))
          target_->rows(t).select(0, k).copy_(initial.rows(t).select(0, k));
      }
    }
    if (wasserstein_.empty()) return;
    sorted_.emplace(initial.like());
    for (std::size_t t = 0; t < initial.tensors(); ++t)
      sorted_->rows(t).copy_(std::get<0>(at::sort(initial.rows(t), 1)));
  }

  bool any() const { return any_ || !alone_.empty(); }  // that has a gradient
  // of weight decay that is decoupled from the gradient; null without
  const Stack* shrinkage() const { return shrinkage_ ? &*shrinkage_ : nullptr; }
  // whether the elements are matched anew at the update of this number within its task
  bool sorts(int64_t update) const { return !wasserstein_.empty() && update % resort_every_ == 0; }

  void sort(const Stack& theta) {
    for (const std::size_t t : regularized_)
      for (const Range& range : wasserstein_) {
        const auto part = [&](const Stack& stack) {
          return stack.rows(t).narrow(0, range.start, range.count);
        };
        Tensor target = part(*target_);
        const Tensor values = part(theta), sorted = part(*sorted_);
        if (loops_)
          dispatch(values, [&](auto scalar) { match<decltype(scalar)>(values, sorted, target); });
        else
          target.scatter_(1, std::get<1>(at::sort(values, /*stable=*/true, 1, false)), sorted);
      }
  }

  // update: its number within the task
  void add_gradient(const Stack& theta, const Stack& gradient, int64_t update) const {
    if (any_) gradient.flat().addcmul_(factor_->flat(), theta.flat() - target_->flat());
    for (const Alone& one : alone_) {
      const auto part = [&](const Stack& stack) { return stack.rows(one.tensor).select(0, one.network); };
      const Tensor values = part(theta).to(at::kFloat), slope = at::zeros_like(values);
      one.penalty->add_gradient(vector(values), one.strength, update,
                                Eigen::Map<Eigen::VectorXf>(slope.data_ptr<float>(), slope.size(0)));
      part(gradient).add_(slope);
    }
  }

 private:
  // A penalty that is no pull: one of a tensor of a network, on the host.
  struct Alone {
    std::size_t tensor;
    int64_t network;
    double strength;
    std::unique_ptr<Penalty> penalty;
  };
  static Eigen::Map<const Eigen::VectorXf> vector(const Tensor& values) {
    return {values.data_ptr<float>(), values.size(0)};
  }
  void add_those_alone(std::span<const Configuration> configurations, const Stack& initial) {
    for (std::size_t t = 0; t < initial.tensors(); ++t) {
      if (!configurations[0].regularizes_biases() && initial.shapes()[t].sizes.size() < 2) continue;
      for (int64_t k = 0; k < initial.networks(); ++k) {
        const Configuration& c = configurations[static_cast<std::size_t>(k)];
        const Regularizer& regularizer = regularizer_of(c);
        if (!regularizer.of_tensor || regularizer.batched != Regularizer::Batched::alone) continue;
        if (!initial.flat().is_cpu())
          throw std::invalid_argument("regulariser \"" + regularizer.name + "\": on the CPU only");
        const Tensor values = initial.rows(t).select(0, k).to(at::kFloat);
        alone_.push_back({t, k, c.strength, regularizer.of_tensor(vector(values), c)});
      }
    }
  }

  // A network that has diverged keeps its old targets.
  template <class Scalar>
  void match(const Tensor& values, const Tensor& sorted, Tensor& target) {
    sagitta::detail::OrderStatistics<Scalar> scratch;
    const int64_t length = values.size(1);
    for (int64_t k = 0; k < values.size(0); ++k) {
      const Scalar* const theta = values.data_ptr<Scalar>() + k * length;
      const Scalar* const initial = sorted.data_ptr<Scalar>() + k * length;
      Scalar* const out = target.data_ptr<Scalar>() + k * length;
      if (!Eigen::Map<const Eigen::Array<Scalar, Eigen::Dynamic, 1>>(theta, length).isFinite().all())
        continue;
      scratch.match(theta, length, initial, "StackedPenalty",
                    [out](Index first, Index count, const Scalar* matches) {
                      std::copy_n(matches, count, out + first);
                    });
    }
  }

  bool loops_, any_ = false;
  int64_t resort_every_;
  std::vector<Range> wasserstein_;
  std::vector<Alone> alone_;
  std::vector<std::size_t> regularized_;  // tensors
  std::optional<Stack> shrinkage_, factor_, target_,
      sorted_;  // 2 strength, what pulls, initial order statistics
};

// The derivative of strength x (s_1^2 - s_d^2) by the features [K, n, width], as FeatureRankPenalty of the
// core has it. strengths: [K, 1, 1]. Networks that have diverged get something without meaning.
inline Tensor feature_rank_slope(const Tensor& features, const Tensor& strengths) {
  const Tensor phi = features.to(at::kDouble).nan_to_num(0, 0, 0), transposed = phi.transpose(1, 2);
  const bool wide = phi.size(1) < phi.size(2);
  const auto [values, vectors] = at::linalg_eigh(wide ? at::bmm(phi, transposed) : at::bmm(transposed, phi));
  const auto along = [&, all = vectors](int64_t i) {  // Phi v v^T
    const Tensor v = all.narrow(2, i, 1), row = v.transpose(1, 2);
    return wide ? at::bmm(v, at::bmm(row, phi)) : at::bmm(at::bmm(phi, v), row);
  };
  Tensor slope = along(values.size(1) - 1);
  if (!wide) slope = slope - along(0);
  return (slope * (2 * strengths)).to(features.scalar_type());
}

}  // namespace paper
