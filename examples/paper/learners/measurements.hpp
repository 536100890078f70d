#pragma once

#include "data/problem.hpp"
#include "learners/metric.hpp"

// What both learners measure alike.
namespace paper {

// the examples whose gradients tell the curvature, of n: the same few in every task, or all
std::vector<Index> rank_examples(const Configuration& configuration, Index n);

// Of a network at the start of a task:
//   K: M x M, the Gram matrix of per-sample gradients by `counted` parameters, sums of `widest` products
//   features: n x width, all finite
std::vector<Measured> start_values(Eigen::MatrixXd K, Index widest, Index counted, Eigen::MatrixXf features,
                                   double threshold);

// Of a network at the end of a task that was learned.
//   errors, cross_entropy: sums over the examples; update_l1: over the updates
//   wasserstein: the squared distance of theta from its initial values, tensor by tensor
struct TaskSums {
  Index examples;
  double errors, cross_entropy;
  Index updates;
  double update_l1;
};
std::vector<Measured> end_values(const TaskSums& sums, Eigen::VectorXd theta, Eigen::VectorXd initial,
                                 double wasserstein);

// The exact curvature of an MLP with these parameters (exact_curvature.hpp); NaN where it has diverged.
std::vector<Measured> exact_values(const Configuration& configuration, const Task& task, bool diverged,
                                   const Eigen::VectorXd& theta);

}  // namespace paper
