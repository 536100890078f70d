#pragma once

#include <sagitta/detail/language.hpp>

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

inline constexpr Index summed_at_once = 1024;

// n numbers of a matrix in memory, along its order of storage, as doubles. A copy, since packets of floats do
// not turn into packets of doubles within an expression.
template <class Derived>
void copy_as_doubles(const Eigen::DenseBase<Derived>& A, Index outer, Index first, Index n, double* out) {
  const Derived& a = A.derived();
  const Index step = a.innerStride();
  const auto* values = a.data() + outer * a.outerStride() + first * step;
  Index i = 0;
  if (step == 1) {
    constexpr Index strands = 16;  // a known length, for packets also at -O2
    for (; i + strands <= n; i += strands)
      for (Index strand = 0; strand < strands; ++strand)
        out[i + strand] = static_cast<double>(values[i + strand]);
  }
  for (; i < n; ++i) out[i] = static_cast<double>(values[i * step]);
}

template <class Derived>
bool is_contiguous(const Eigen::DenseBase<Derived>& A) {
  const Derived& a = A.derived();
  return a.innerStride() == 1 && (a.outerSize() <= 1 || a.outerStride() == a.innerSize());
}

// sum of term(x) over blocks x of `summed_at_once` elements times scale, along the order of storage: in
// parts, so that rounding does not grow with the number of elements, however short the columns are.
//   load(outer, first, n, out): n elements from `first` on of a column (a row in row-major order)
template <class Load, class Term>
double sum_of_blocks(Index outer_size, Index inner_size, double scale, Load load, Term term) {
  alignas(64) double buffer[summed_at_once];
  double sum = 0;
  Index filled = 0;
  const auto finish = [&] {
    Eigen::Map<Eigen::ArrayXd> block(buffer, filled);
    if (scale != 1) block *= scale;
    sum += term(block);
    filled = 0;
  };
  for (Index outer = 0; outer < outer_size; ++outer)
    for (Index first = 0; first < inner_size;) {
      const Index n = (std::min)(summed_at_once - filled, inner_size - first);
      load(outer, first, n, buffer + filled);
      first += n;
      filled += n;
      if (filled == summed_at_once) finish();
    }
  if (filled > 0) finish();
  return sum;
}

// of a matrix in memory
template <class Derived, class Term>
double blocked_sum(const Eigen::DenseBase<Derived>& A, double scale, Term term) {
  const bool one_piece = is_contiguous(A);
  const Index outer_size = one_piece ? 1 : A.outerSize(), inner_size = one_piece ? A.size() : A.innerSize();
  if constexpr (std::is_same_v<typename Derived::Scalar, double>) {
    if (one_piece && scale == 1) {
      double sum = 0;
      for (Index first = 0; first < inner_size; first += summed_at_once)
        sum += term(Eigen::Map<const Eigen::ArrayXd>(A.derived().data() + first,
                                                     (std::min)(summed_at_once, inner_size - first)));
      return sum;
    }
  }
  return sum_of_blocks(
      outer_size, inner_size, scale,
      [&](Index outer, Index first, Index n, double* out) { copy_as_doubles(A, outer, first, n, out); },
      term);
}

template <class A, class B>
MatrixOf<double> difference(const Eigen::DenseBase<A>& a, const Eigen::DenseBase<B>& b) {
  return a.derived().template cast<double>().matrix() - b.derived().template cast<double>().matrix();
}

template <class A, class B>
void subtract(const Eigen::DenseBase<A>& a, const Eigen::DenseBase<B>& b, Index outer, Index first, Index n,
              double* out) {
  const Index a_step = a.derived().innerStride(), b_step = b.derived().innerStride();
  const auto* x = a.derived().data() + outer * a.derived().outerStride() + first * a_step;
  const auto* y = b.derived().data() + outer * b.derived().outerStride() + first * b_step;
  Index i = 0;
  if (a_step == 1 && b_step == 1) {
    constexpr Index strands = 16;
    for (; i + strands <= n; i += strands)
      for (Index strand = 0; strand < strands; ++strand)
        out[i + strand] = static_cast<double>(x[i + strand]) - static_cast<double>(y[i + strand]);
  }
  for (; i < n; ++i) out[i] = static_cast<double>(x[i * a_step]) - static_cast<double>(y[i * b_step]);
}

// of the difference of two matrices of the same size, without a copy of it where they are stored alike
template <class A, class B, class Term>
double blocked_sum_of_difference(const Eigen::DenseBase<A>& a, const Eigen::DenseBase<B>& b, Term term) {
  if constexpr (has_direct_access<A> && has_direct_access<B> && bool(A::IsRowMajor) == bool(B::IsRowMajor)) {
    const bool one_piece = is_contiguous(a) && is_contiguous(b);
    return sum_of_blocks(
        one_piece ? 1 : a.outerSize(), one_piece ? a.size() : a.innerSize(), 1,
        [&](Index outer, Index first, Index n, double* out) { subtract(a, b, outer, first, n, out); }, term);
  } else {
    return blocked_sum(difference(a, b), 1, term);
  }
}

inline constexpr auto absolute_sum = [](const auto& x) { return x.abs().sum(); };
inline constexpr auto square_sum = [](const auto& x) { return x.square().sum(); };

// A sum of magnitudes or squares that neither over- nor underflowed: then all its terms are finite, and what
// was lost to underflow in single ones is far below rounding.
inline bool in_range(double sum) { return is_finite(sum) && sum > 0x1p-900; }

// The norms of what may hold NaN or infinity, or over- or underflow: checked, and scaled.
template <class Derived>
double careful_l1(const Eigen::DenseBase<Derived>& a, const char* function, const char* argument) {
  const int exponent = exponent_of(largest_magnitude(a, function, argument));
  const double scale = std::ldexp(1.0, std::clamp(-exponent, -1000, 1000));
  return blocked_sum(a, scale, absolute_sum) / scale;
}

template <class Derived>
double careful_l2(const Eigen::DenseBase<Derived>& a, const char* function, const char* argument) {
  const int exponent = exponent_of(largest_magnitude(a, function, argument));
  const double scale = std::ldexp(1.0, std::clamp(-exponent, -1000, 1000));
  return std::sqrt(blocked_sum(a, scale, square_sum)) / scale;
}

template <class A, class B>
void check_same_size(const Eigen::DenseBase<A>& a, const Eigen::DenseBase<B>& b, const char* function) {
  if (a.rows() != b.rows() || a.cols() != b.cols())
    reject(function, "the arguments are ", a.rows(), " x ", a.cols(), " and ", b.rows(), " x ", b.cols(),
           ", expected the same size");
}

}  // namespace detail

// sum |x_i|
template <class Derived>
double l1_norm(const Eigen::DenseBase<Derived>& x) {
  const auto& a = detail::in_memory(x);
  const double sum = detail::blocked_sum(a, 1, detail::absolute_sum);
  return detail::in_range(sum) ? sum : detail::careful_l1(a, "l1_norm", "x");
}

// sqrt(sum x_i^2)
template <class Derived>
double l2_norm(const Eigen::DenseBase<Derived>& x) {
  const auto& a = detail::in_memory(x);
  const double sum = detail::blocked_sum(a, 1, detail::square_sum);
  return detail::in_range(sum) ? std::sqrt(sum) : detail::careful_l2(a, "l2_norm", "x");
}

// sum |x_i - y_i|, of an update for example; also throws where the sizes differ
template <class A, class B>
double l1_distance(const Eigen::DenseBase<A>& x, const Eigen::DenseBase<B>& y) {
  detail::check_same_size(x, y, "l1_distance");
  const double sum = detail::blocked_sum_of_difference(x, y, detail::absolute_sum);
  return detail::in_range(sum) ? sum : detail::careful_l1(detail::difference(x, y), "l1_distance", "x - y");
}

// sqrt(sum (x_i - y_i)^2), from the initialisation for example; also throws where the sizes differ.
// The Wasserstein distance is sqrt(WassersteinPenalty(theta0).value(theta)).
template <class A, class B>
double l2_distance(const Eigen::DenseBase<A>& x, const Eigen::DenseBase<B>& y) {
  detail::check_same_size(x, y, "l2_distance");
  const double sum = detail::blocked_sum_of_difference(x, y, detail::square_sum);
  return detail::in_range(sum) ? std::sqrt(sum)
                               : detail::careful_l2(detail::difference(x, y), "l2_distance", "x - y");
}

}  // namespace sagitta
