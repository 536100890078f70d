#include <sagitta/penalties.hpp>

#include "learners/regularizers/list.hpp"

namespace paper {

namespace {

// s_1^2 - s_d^2 of the features of a batch (Figure 2)
class FeatureRank : public FeaturePenalty {
 public:
  void gradient(const Eigen::MatrixXf& features, Eigen::MatrixXf& gradient) override {
    gradient.resizeLike(features);
    auto transposed = gradient.transpose();
    penalty_.value_and_gradient(features.transpose(), transposed);
  }

 private:
  sagitta::FeatureRankPenalty penalty_;
};

}  // namespace

Regularizer feature_rank() {
  return {.name = "feature_rank",
          .label = "feature rank",
          .of_features = [](const Configuration&) { return std::make_unique<FeatureRank>(); },
          .batched = Regularizer::Batched::feature_rank};
}

}  // namespace paper
