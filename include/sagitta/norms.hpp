#pragma once

#include <cmath>
#include <sagitta/detail/scaling.hpp>
#include <utility>

// Norms of parameters, gradients and updates, and distances from the initialisation (the paper, section 2.2,
// Figures 1, 5 and 16). All take vectors or matrices of float or double, any Eigen expression, sum in double
// in blocks (relative error a few eps), are right at any scale, return 0 for an empty argument, throw
// std::invalid_argument for NaN or infinity, and take O(size). Over several tensors L1 norms add up, and L2
// norms by their squares.
namespace sagitta {

namespace detail {

// sum over blocks of `term(elements of A in a row, as doubles times scale)`, along the order of storage; in
// parts, so that rounding does not grow with the number of elements, however short the columns are
template <class Derived, class Term>
double blocked_sum(const Eigen::DenseBase<Derived>& A, double scale, Term term) {
  if constexpr (Derived::IsRowMajor) {
    return blocked_sum(A.derived().transpose(), scale, term);
  } else {
    constexpr Index block = 1024;
    double sum = 0, part = 0;
    Index visited = 0;
    for (Index col = 0; col < A.cols(); ++col)
      for (Index first = 0; first < A.rows(); first += block) {
        const Index count = std::min(block, A.rows() - first);
        part += term(A.derived().col(col).segment(first, count).array().template cast<double>() * scale);
        visited += count;
        if (visited < block) continue;
        sum += std::exchange(part, 0.0);
        visited = 0;
      }
    return sum + part;
  }
}

template <class Derived>
double l1(const Eigen::DenseBase<Derived>& A, const char* function, const char* argument) {
  const auto& a = in_memory(A);
  const int exponent = exponent_of(largest_magnitude(a, function, argument));
  const double scale = std::ldexp(1.0, std::clamp(-exponent, -1000, 1000));
  return blocked_sum(a, scale, [](const auto& x) { return x.abs().sum(); }) / scale;
}

template <class Derived>
double l2(const Eigen::DenseBase<Derived>& A, const char* function, const char* argument) {
  const auto& a = in_memory(A);
  const int exponent = exponent_of(largest_magnitude(a, function, argument));
  const double scale = std::ldexp(1.0, std::clamp(-exponent, -1000, 1000));
  return std::sqrt(blocked_sum(a, scale, [](const auto& x) { return x.square().sum(); })) / scale;
}

template <class A, class B>
Eigen::MatrixXd difference(const Eigen::DenseBase<A>& a, const Eigen::DenseBase<B>& b, const char* function) {
  if (a.rows() != b.rows() || a.cols() != b.cols())
    reject(function, "the arguments are ", a.rows(), " x ", a.cols(), " and ", b.rows(), " x ", b.cols(),
           ", expected the same size");
  return a.derived().template cast<double>().matrix() - b.derived().template cast<double>().matrix();
}

}  // namespace detail

// sum |x_i|
template <class Derived>
double l1_norm(const Eigen::DenseBase<Derived>& x) {
  return detail::l1(x, "l1_norm", "x");
}

// sqrt(sum x_i^2)
template <class Derived>
double l2_norm(const Eigen::DenseBase<Derived>& x) {
  return detail::l2(x, "l2_norm", "x");
}

// sum |x_i - y_i|, of an update for example; also throws where the sizes differ
template <class A, class B>
double l1_distance(const Eigen::DenseBase<A>& x, const Eigen::DenseBase<B>& y) {
  return detail::l1(detail::difference(x, y, "l1_distance"), "l1_distance", "x - y");
}

// sqrt(sum (x_i - y_i)^2), from the initialisation for example; also throws where the sizes differ.
// The Wasserstein distance is sqrt(WassersteinPenalty(theta0).value(theta)).
template <class A, class B>
double l2_distance(const Eigen::DenseBase<A>& x, const Eigen::DenseBase<B>& y) {
  return detail::l2(detail::difference(x, y, "l2_distance"), "l2_distance", "x - y");
}

}  // namespace sagitta
