#include <sagitta/penalties.hpp>

#include "learners/regularizers/list.hpp"

namespace paper {

namespace {

// The squared distance of the order statistics from the initial ones (paper, section 5). Elements are matched
// to them every few updates only; in between the matched values are fixed targets.
class Wasserstein : public Penalty {
 public:
  Wasserstein(const Regularizer::Initial& initial, Index resort_every)
      : penalty_(initial), resort_every_(resort_every) {}

  void add_gradient(const Eigen::Ref<const Eigen::VectorXf>& theta, double strength, Index update,
                    Eigen::Ref<Eigen::VectorXf> gradient) override {
    if (resort_every_ == 1) {
      penalty_.add_gradient(theta, strength, gradient);
      return;
    }
    if (update % resort_every_ == 0) {
      targets_.resize(theta.size());
      penalty_.value_and_gradient(theta, targets_);
      targets_ = theta - targets_ / 2;
    }
    gradient += static_cast<float>(2 * strength) * (theta - targets_);
  }

 private:
  sagitta::WassersteinPenalty<float> penalty_;
  Index resort_every_;
  Eigen::VectorXf targets_;
};

}  // namespace

Regularizer wasserstein() {
  return {.name = "wasserstein",
          .label = "Wasserstein",
          .of_tensor =
              [](const Regularizer::Initial& initial, const Configuration& c) {
                return std::make_unique<Wasserstein>(initial, c.resort_every);
              },
          .batched = Regularizer::Batched::towards_order_statistics,
          .sorts = true};
}

}  // namespace paper
