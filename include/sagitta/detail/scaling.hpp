#pragma once

#include <cmath>
#include <sagitta/detail/check.hpp>

namespace sagitta::detail {

// A times a power of two that brings its largest magnitude into [1, 2): squares and products of what follows
// can neither overflow nor lose the large values to underflow, and no value that matters is rounded.
struct Scaled {
  MatrixOf<double> matrix;  // A * 2^-exponent, in double
  int exponent = 0;
};

// value * 2^exponent, in two steps where 2^exponent is no double
template <class Derived>
void multiply_by_power_of_two(Eigen::DenseBase<Derived>& A, int exponent) {
  if (exponent == 0) return;
  const int first = std::clamp(exponent, -1000, 1000);
  A.derived() *= std::ldexp(1.0, first);
  if (exponent != first) A.derived() *= std::ldexp(1.0, exponent - first);
}

inline int exponent_of(double largest) { return largest > 0 ? std::ilogb(largest) : 0; }

// Reads only the lower triangle where lower_only is set; the strict upper triangle of the result is then
// zero.
template <class Derived>
Scaled scaled(const Eigen::MatrixBase<Derived>& A, const char* function, const char* argument,
              bool lower_only = false) {
  Scaled result;
  if constexpr (!std::is_same_v<RealOf<Derived>, typename Derived::Scalar>) {
    in_memory(A);  // which says why not
  } else if (lower_only) {
    result.matrix = MatrixOf<double>::Zero(A.rows(), A.cols());
    result.matrix.template triangularView<Eigen::Lower>() = A.derived().template cast<double>();
  } else {
    result.matrix = A.derived().template cast<double>();
  }
  result.exponent = exponent_of(largest_magnitude(result.matrix, function, argument));
  multiply_by_power_of_two(result.matrix, -result.exponent);
  return result;
}

}  // namespace sagitta::detail
