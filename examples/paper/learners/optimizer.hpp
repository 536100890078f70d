#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

#include "learners/configuration.hpp"

namespace paper {

// the elements of a vector, const or not
template <class Vector>
auto elements(Vector& vector) {
  return std::span(vector.data(), static_cast<std::size_t>(vector.size()));
}

// One update by Adam (Kingma and Ba 2015), or by gradient descent with momentum, as a rule for any part of
// the parameters.
template <class Scalar>
class UpdateRule {
 public:
  explicit UpdateRule(const Configuration& configuration)
      : adam_(configuration.uses_adam()),
        rate_(configuration.learning_rate),
        beta1_(configuration.beta1),
        beta2_(configuration.beta2),
        epsilon_(configuration.adam_epsilon),
        momentum_(configuration.momentum) {}

  bool adam() const { return adam_; }

  // The update number `step`, from 1 on, of `size` parameters; returns the L1 norm of the change.
  //   first, second: moments; for gradient descent the first is the velocity and there is no second
  double operator()(std::int64_t step, const Scalar* gradient, Scalar* first, Scalar* second, Scalar* theta,
                    Index size) const {
    const double correction1 = 1 - std::pow(beta1_, static_cast<double>(step));
    const double correction2 = 1 - std::pow(beta2_, static_cast<double>(step));
    const auto rate = static_cast<Scalar>(adam_ ? rate_ / correction1 : rate_);
    const auto root = static_cast<Scalar>(1 / std::sqrt(correction2));
    const auto beta1 = static_cast<Scalar>(beta1_), beta2 = static_cast<Scalar>(beta2_);
    const auto epsilon = static_cast<Scalar>(epsilon_), momentum = static_cast<Scalar>(momentum_);
    constexpr Index block = 1024;  // four or five vectors of it stay in the first cache
    using Array = Eigen::Array<Scalar, Eigen::Dynamic, 1>;
    Eigen::Array<Scalar, Eigen::Dynamic, 1, 0, block, 1> change;
    double l1 = 0;
    for (Index start = 0; start < size; start += block) {
      const Index count = std::min(block, size - start);
      const Eigen::Map<const Array> g(gradient + start, count);
      Eigen::Map<Array> m(first + start, count);
      if (adam_) {
        Eigen::Map<Array> v(second + start, count);
        m = beta1 * m + (1 - beta1) * g;
        v = beta2 * v + (1 - beta2) * g.square();
        change = rate * m / (v.sqrt() * root + epsilon);
      } else {
        m = momentum * m + g;
        change = rate * m;
      }
      Eigen::Map<Array>(theta + start, count) -= change;
      l1 += static_cast<double>(change.abs().sum());
    }
    return l1;
  }

 private:
  bool adam_;
  double rate_, beta1_, beta2_, epsilon_, momentum_;
};

// The rule with its state, for one vector of parameters.
template <class Scalar>
class Optimizer {
 public:
  using Vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;

  Optimizer(const Configuration& configuration, Index parameters) : rule_(configuration) {
    first_ = Vector::Zero(parameters);
    second_ = Vector::Zero(rule_.adam() ? parameters : 0);
  }

  void reset() {
    first_.setZero();
    second_.setZero();
    step_ = 0;
  }

  // One update of theta. Returns the L1 norm of the change.
  double update(const Vector& gradient, Vector& theta) {
    return rule_(++step_, gradient.data(), first_.data(), second_.data(), theta.data(), theta.size());
  }

  // what a checkpoint has to keep
  template <class Self, class Archive>
  static void exchange(Self& self, Archive& archive) {
    archive(self.step_);
    archive(elements(self.first_));
    archive(elements(self.second_));
  }

 private:
  UpdateRule<Scalar> rule_;
  std::int64_t step_ = 0;
  Vector first_, second_;
};

}  // namespace paper
