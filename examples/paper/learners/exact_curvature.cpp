#include "learners/exact_curvature.hpp"

#include <cmath>
#include <sagitta/sagitta.hpp>

namespace paper {

ExactRanks exact_curvature(EigenMlp<double>& network, const Task& task, double threshold,
                           Generator& generator) {
  const Eigen::MatrixXd p = sagitta::softmax(network.forward(task.inputs->cast<double>()).transpose());
  const auto fisher = [&](const Eigen::VectorXi& labels) {
    network.backward(sagitta::cross_entropy_backprops(p, labels).transpose());
    return sagitta::fisher_rank(network.traces(), threshold).relative();
  };
  const double sampled = fisher(sagitta::sample_labels(p, generator));
  // last the labels of the data, which the Hessian needs behind it
  const double empirical = fisher(Eigen::Map<const Eigen::VectorXi>(task.labels.data(), task.size()));
  const Index d = network.parameters();
  const auto hessian =
      sagitta::symmetric_effective_rank(network.curvature_matrix(Curvature::hessian), threshold);
  // d or M (C - 1), whichever is smaller, bounds the rank of Gauss-Newton; of the two matrices that have its
  // non-zero eigenvalues the d x d one is at hand
  auto gauss_newton =
      sagitta::symmetric_effective_rank(network.curvature_matrix(Curvature::gauss_newton), threshold);
  gauss_newton.max_rank = std::min(d, task.size() * (task.classes - 1));
  return {hessian, empirical, sampled, gauss_newton.relative()};
}

}  // namespace paper
