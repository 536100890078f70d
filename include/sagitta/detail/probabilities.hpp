#pragma once

#include <sagitta/detail/check.hpp>

namespace sagitta::detail {

// Throws unless every row of p, in memory, is a distribution: no negative entry, and a sum of 1. A softmax in
// float is off by as much as its sum is rounded, 2^-24 a class at worst; 1e-4 at least is allowed, since
// double may hold what was float.
//   sum_error: what else a sum may be off by, because the rows are coarser than their scalar
template <class Derived>
void check_probabilities(const Eigen::MatrixBase<Derived>& p, double sum_error, const char* function) {
  if (!is_finite(sum_error) || sum_error < 0 || sum_error >= 1)
    reject(function, "sum_error is ", sum_error, ", expected a number >= 0 and below 1");
  largest_magnitude(p, function, "probabilities");
  constexpr auto step = static_cast<double>(std::numeric_limits<typename Derived::Scalar>::epsilon());
  const double slack = (std::max)({1e-4, static_cast<double>(p.cols()) * step / 2, sum_error});
  for (Index m = 0; m < p.rows(); ++m) {
    double sum = 0;
    for (Index c = 0; c < p.cols(); ++c) {
      const auto value = static_cast<double>(p(m, c));
      if (value < 0) reject(function, "probabilities(", m, ", ", c, ") is ", value, ", expected values >= 0");
      sum += value;
    }
    if (std::abs(sum - 1) > slack)
      reject(function, "row ", m, " of probabilities sums to ", sum, ", expected 1");
  }
}

}  // namespace sagitta::detail
