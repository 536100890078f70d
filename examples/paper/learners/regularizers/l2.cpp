#include <sagitta/penalties.hpp>

#include "learners/regularizers/list.hpp"

namespace paper {

namespace {

// |theta|^2, weight decay
class L2 : public Penalty {
 public:
  void add_gradient(const Eigen::Ref<const Eigen::VectorXf>& theta, double strength, Index,
                    Eigen::Ref<Eigen::VectorXf> gradient) override {
    penalty_.add_gradient(theta, strength, gradient);
  }

 private:
  sagitta::L2Penalty penalty_;
};

}  // namespace

Regularizer l2() {
  return {
      .name = "l2",
      .label = "L2",
      .of_tensor = [](const Regularizer::Initial&, const Configuration&) { return std::make_unique<L2>(); },
      .batched = Regularizer::Batched::towards_zero,
      .decays = true};
}

}  // namespace paper
