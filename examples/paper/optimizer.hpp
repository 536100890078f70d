#pragma once

#include <Eigen/Core>
#include <cmath>
#include <span>

#include "configuration.hpp"

namespace paper {

// the elements of a vector, const or not
template <class Vector>
auto elements(Vector& vector) {
  return std::span(vector.data(), static_cast<std::size_t>(vector.size()));
}

// Adam (Kingma and Ba 2015), or gradient descent with momentum, on one vector of parameters.
template <class Scalar>
class Optimizer {
 public:
  using Vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;

  Optimizer(const Configuration& configuration, Index parameters)
      : adam_(configuration.optimizer == "adam"),
        rate_(configuration.learning_rate),
        beta1_(configuration.beta1),
        beta2_(configuration.beta2),
        epsilon_(configuration.adam_epsilon),
        momentum_(configuration.momentum) {
    first_ = Vector::Zero(parameters);
    second_ = Vector::Zero(adam_ ? parameters : 0);
  }

  void reset() {
    first_.setZero();
    second_.setZero();
    step_ = 0;
  }

  // One update of theta. Returns the L1 norm of the change.
  double update(const Vector& gradient, Vector& theta) {
    ++step_;
    const double correction1 = 1 - std::pow(beta1_, static_cast<double>(step_));
    const double correction2 = 1 - std::pow(beta2_, static_cast<double>(step_));
    const auto rate = static_cast<Scalar>(adam_ ? rate_ / correction1 : rate_);
    const auto root = static_cast<Scalar>(1 / std::sqrt(correction2));
    const auto beta1 = static_cast<Scalar>(beta1_), beta2 = static_cast<Scalar>(beta2_);
    const auto epsilon = static_cast<Scalar>(epsilon_), momentum = static_cast<Scalar>(momentum_);
    constexpr Index block = 1024;  // four or five vectors of it stay in the first cache
    Eigen::Array<Scalar, Eigen::Dynamic, 1, 0, block, 1> change;
    double l1 = 0;
    for (Index first = 0; first < theta.size(); first += block) {
      const Index count = std::min(block, theta.size() - first);
      const auto g = gradient.segment(first, count).array();
      auto m = first_.segment(first, count).array();
      if (adam_) {
        auto v = second_.segment(first, count).array();
        m = beta1 * m + (1 - beta1) * g;
        v = beta2 * v + (1 - beta2) * g.square();
        change = rate * m / (v.sqrt() * root + epsilon);
      } else {
        m = momentum * m + g;
        change = rate * m;
      }
      theta.segment(first, count).array() -= change;
      l1 += static_cast<double>(change.abs().sum());
    }
    return l1;
  }

  // what a checkpoint has to keep
  template <class Self, class Archive>
  static void exchange(Self& self, Archive& archive) {
    archive(self.step_);
    archive(elements(self.first_));
    archive(elements(self.second_));
  }

 private:
  bool adam_;
  double rate_, beta1_, beta2_, epsilon_, momentum_;
  std::int64_t step_ = 0;
  Vector first_, second_;  // moments; for gradient descent the first is the velocity
};

}  // namespace paper
