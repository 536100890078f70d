#pragma once

#include <sagitta/detail/random.hpp>
#include <sagitta/detail/tridiagonal_form.hpp>
#include <vector>

namespace sagitta::detail {

// A unit eigenvector of T, n x n with n > 0, for an eigenvalue that is known to a few eps |T|; one of several
// where it is multiple.
//
// Inverse iteration: a step with T - value I, which is singular but for rounding, multiplies the part along
// the eigenvector by |T| / eps or so and the others by |T| over their distance. Two steps from a vector that
// has any of it are enough, a third costs nothing. Elimination with row exchanges, by which a row has at most
// two elements right of the diagonal; pivots that vanish are raised to eps |T|, as if rounded to that.
template <class = void>
Eigen::VectorXd eigenvector(const Tridiagonal& T, double value) {
  const Index n = T.diagonal.size();
  Eigen::VectorXd pivot = T.diagonal.array() - value, above = Eigen::VectorXd::Zero(n), above_2 = above;
  Eigen::VectorXd factor = above;
  std::vector<char> exchanged(static_cast<std::size_t>(n), 0);
  above.head(n - 1) = T.off_diagonal;
  const double size = pivot.cwiseAbs().maxCoeff() + above.cwiseAbs().maxCoeff();
  const double least = size > 0 ? epsilon * size : 1;
  const auto raised = [&](double x) { return std::abs(x) < least ? std::copysign(least, x) : x; };
  for (Index k = 0; k + 1 < n; ++k) {
    const double below = T.off_diagonal[k];
    if (std::abs(below) > std::abs(pivot[k])) {
      exchanged[static_cast<std::size_t>(k)] = 1;
      factor[k] = pivot[k] / below;
      pivot[k] = raised(below);
      const double right = above[k];
      above[k] = pivot[k + 1];
      above_2[k] = above[k + 1];
      pivot[k + 1] = right - factor[k] * above[k];
      above[k + 1] = -factor[k] * above_2[k];
    } else {
      pivot[k] = raised(pivot[k]);
      factor[k] = below / pivot[k];
      pivot[k + 1] -= factor[k] * above[k];
    }
  }
  pivot[n - 1] = raised(pivot[n - 1]);

  Eigen::VectorXd x(n);
  std::mt19937_64 generator(1);  // numbers without a pattern, always the same
  for (double& entry : x) entry = 0.5 + uniform(generator);
  for (int step = 0; step < 3; ++step) {
    for (Index k = 0; k + 1 < n; ++k) {
      if (exchanged[static_cast<std::size_t>(k)]) std::swap(x[k], x[k + 1]);
      x[k + 1] -= factor[k] * x[k];
    }
    for (Index k = n - 1; k >= 0; --k) {
      if (k + 1 < n) x[k] -= above[k] * x[k + 1];
      if (k + 2 < n) x[k] -= above_2[k] * x[k + 2];
      x[k] /= pivot[k];
    }
    x /= x.cwiseAbs().maxCoeff();  // then its square neither overflows nor vanishes
    x.normalize();
  }
  return x;
}

}  // namespace sagitta::detail
