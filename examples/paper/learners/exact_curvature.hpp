#pragma once

#include "data/problem.hpp"
#include "learners/eigen_mlp.hpp"
#include "learners/metric.hpp"

namespace paper {

// What Figures 3, 11 and 12 compare: the effective ranks of the exact Hessian (of |eigenvalues|) and of its
// three approximations, each over its largest possible rank, over all examples of the task, in double.
//   generator: draws the one label an example of the sampled Fisher
// 8/3 d^3 operations for the eigenvalues of two d x d matrices, d the number of parameters, and about d^2 n
// times 6 for n examples to form them.
ExactRanks exact_curvature(EigenMlp<double>& network, const Task& task, double threshold,
                           Generator& generator);

}  // namespace paper
