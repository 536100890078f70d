#include <sagitta/penalties.hpp>

#include "learners/regularizers/list.hpp"

namespace paper {

namespace {

// |theta - theta_0|^2, the regenerative regulariser
class L2Init : public Penalty {
 public:
  explicit L2Init(const Regularizer::Initial& initial) : penalty_(initial) {}
  void add_gradient(const Eigen::Ref<const Eigen::VectorXf>& theta, double strength, Index,
                    Eigen::Ref<Eigen::VectorXf> gradient) override {
    penalty_.add_gradient(theta, strength, gradient);
  }

 private:
  sagitta::L2InitPenalty<float> penalty_;
};

}  // namespace

Regularizer l2_init() {
  return {.name = "l2_init",
          .label = "L2-init",
          .of_tensor = [](const Regularizer::Initial& initial,
                          const Configuration&) { return std::make_unique<L2Init>(initial); },
          .batched = Regularizer::Batched::towards_initial};
}

}  // namespace paper
