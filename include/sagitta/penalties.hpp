#pragma once

#include <sagitta/detail/language.hpp>

#include <Eigen/Eigenvalues>
#include <cmath>
#include <sagitta/detail/inverse_iteration.hpp>
#include <sagitta/detail/order_statistics.hpp>
#include <sagitta/detail/row_products.hpp>
#include <sagitta/norms.hpp>

// The regularisers that the paper compares (sections 3, 5 and 6.3), each for one tensor of parameters: sums
// of squares, without 1/2. All have the same three members:
//   double value(theta) const
//   double value_and_gradient(theta, gradient)        overwrites gradient, returns the value
//   double add_gradient(theta, strength, gradient)    gradient += strength * d value; returns the value
// theta and gradient are vectors or matrices of float or double, any Eigen expression (gradient one that can
// be written to), of the same shape. Values are summed in double. The gradients
// of the first three are exact up to one rounding to the scalar; add_gradient rounds the product and the sum
// too. Throws std::invalid_argument for another shape than the initialisation's, NaN or infinity (in strength
// too), and where the value leaves the range of double or an element of the gradient that of its scalar,
// before anything is written. value is safe from several threads; the other two may reuse scratch memory.
namespace sagitta {

namespace detail {

template <class A, class B>
void check_shape(const Eigen::DenseBase<A>& a, const Eigen::DenseBase<B>& expected, const char* function,
                 const char* argument) {
  if (a.rows() != expected.rows() || a.cols() != expected.cols())
    reject(function, argument, " is ", a.rows(), " x ", a.cols(), ", expected ", expected.rows(), " x ",
           expected.cols());
}

inline void check_strength(double strength, const char* function) {
  if (!is_finite(strength)) reject(function, "strength is ", strength, ", expected a finite number");
}

// a sum of squares that is to be returned
inline double checked_value(double value, const char* function) {
  if (!is_finite(value)) reject(function, "the value exceeds the range of double; scale theta down");
  return value;
}

template <class Derived>
double sum_of_squares(const Eigen::DenseBase<Derived>& A, const char* function) {
  const auto& a = in_memory(A);
  const double sum = blocked_sum(a, 1, square_sum);
  if (!is_finite(sum)) largest_magnitude(a, function, "theta");
  return checked_value(sum, function);
}

// Whether `strength` times slopes of at most `largest_slope` can be formed in Scalar, and added to any finite
// number there, without leaving its range: it then is too little to carry the largest number over.
template <class Scalar>
bool fits(double strength, double largest_slope) {
  constexpr double most = (std::numeric_limits<Scalar>::max)(), step = std::numeric_limits<Scalar>::epsilon();
  constexpr double least = (std::numeric_limits<Scalar>::min)() / step;
  const double factor = 2 * std::abs(strength), change = std::abs(strength) * largest_slope;
  return is_finite(factor) && is_finite(change) && factor <= most && (factor == 0 || factor >= least) &&
         change <= most * step / 8;
}

// gradient = scale gradient + strength slopes in double, for what does not fit: right to one rounding, or an
// error
//   slopes: of double, the shape of gradient;  scale: 0 or 1
template <class Slopes, class Gradient>
void add_with_care(const Eigen::DenseBase<Slopes>& slopes, double strength, double scale, Gradient& gradient,
                   const char* function) {
  using Scalar = typename std::remove_cvref_t<Gradient>::Scalar;
  MatrixOf<Scalar> next(gradient.rows(), gradient.cols());
  for (Index j = 0; j < next.cols(); ++j)
    for (Index i = 0; i < next.rows(); ++i) {
      const auto before = scale == 0 ? 0.0 : static_cast<double>(gradient.derived().coeff(i, j));
      const double value = before + strength * slopes.derived().coeff(i, j);
      if (!is_finite(value) || std::abs(value) > static_cast<double>((std::numeric_limits<Scalar>::max)()))
        reject(function, "gradient(", i, ", ", j, ") exceeds the range of its scalar with strength ",
               strength);
      next(i, j) = static_cast<Scalar>(value);
    }
  gradient.matrix() = next;
}

// sum (a_i - b_i)^2 in double, in as many parts as a packet has strands
template <class Scalar>
double sum_of_squared_differences(const Scalar* a, const Scalar* b, Index n) {
  constexpr Index strands = 8;
  double sums[strands] = {};
  Index i = 0;
  for (; i + strands <= n; i += strands)
    for (Index strand = 0; strand < strands; ++strand) {
      const double difference = static_cast<double>(a[i + strand]) - static_cast<double>(b[i + strand]);
      sums[strand] += difference * difference;
    }
  for (; i < n; ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sums[0] += difference * difference;
  }
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

// gradient as a vector of contiguous memory in column-major order, written back at the end where it is not
// one
template <class Scalar, class Gradient>
class FlatGradient {
 public:
  explicit FlatGradient(Gradient& gradient) : gradient_(gradient) {
    if (!in_place()) copy_ = gradient.reshaped();
  }
  Scalar* data() {
    if constexpr (has_direct_access<Gradient>)
      if (in_place()) return gradient_.data();
    return copy_.data();
  }
  void finish() {
    if (!in_place()) gradient_.reshaped() = copy_;
  }

 private:
  bool in_place() const {
    if constexpr (has_direct_access<Gradient>)
      return gradient_.innerStride() == 1 && (!Gradient::IsRowMajor || gradient_.rows() == 1) &&
             (gradient_.outerSize() <= 1 || gradient_.outerStride() == gradient_.innerSize());
    return false;
  }
  Gradient& gradient_;
  Eigen::Matrix<Scalar, Eigen::Dynamic, 1> copy_;
};

}  // namespace detail

// Weight decay in the loss: sum theta_i^2, gradient 2 theta. O(d).
class L2Penalty {
 public:
  template <class Theta>
  double value(const Eigen::DenseBase<Theta>& theta) const {
    return detail::sum_of_squares(theta, "L2Penalty");
  }
  template <class Theta, class Gradient>
  double value_and_gradient(const Eigen::DenseBase<Theta>& theta, Gradient&& gradient) {
    detail::check_shape(gradient, theta, "L2Penalty", "gradient");
    const double result = value(theta);
    if (detail::fits<typename Theta::Scalar>(1, 2 * std::sqrt(result)))
      gradient = theta.derived() * typename Theta::Scalar(2);
    else
      detail::add_with_care(2 * theta.derived().template cast<double>(), 1, 0, gradient, "L2Penalty");
    return result;
  }
  template <class Theta, class Gradient>
  double add_gradient(const Eigen::DenseBase<Theta>& theta, double strength, Gradient&& gradient) {
    detail::check_strength(strength, "L2Penalty");
    detail::check_shape(gradient, theta, "L2Penalty", "gradient");
    const double result = value(theta);
    if (detail::fits<typename Theta::Scalar>(strength, 2 * std::sqrt(result)))
      gradient += theta.derived() * static_cast<typename Theta::Scalar>(2 * strength);
    else
      detail::add_with_care(2 * theta.derived().template cast<double>(), strength, 1, gradient, "L2Penalty");
    return result;
  }
};

// Regenerative regularisation (Kumar et al. 2023), towards the initialisation theta0:
//   sum (theta_i - theta0_i)^2, gradient 2 (theta - theta0). O(d). Keeps a copy of theta0.
template <class Scalar>
class L2InitPenalty {
 public:
  template <class Theta>
  explicit L2InitPenalty(const Eigen::DenseBase<Theta>& theta0) : initial_(theta0.derived()) {
    detail::largest_magnitude(initial_, "L2InitPenalty", "theta0");
  }
  template <class Theta>
  double value(const Eigen::DenseBase<Theta>& theta) const {
    detail::check_shape(theta, initial_, "L2InitPenalty", "theta");
    const auto& t = detail::in_memory(theta);
    const double sum = detail::blocked_sum_of_difference(t, initial_, detail::square_sum);
    if (!detail::is_finite(sum)) detail::largest_magnitude(t, "L2InitPenalty", "theta");
    return detail::checked_value(sum, "L2InitPenalty");
  }
  template <class Theta, class Gradient>
  double value_and_gradient(const Eigen::DenseBase<Theta>& theta, Gradient&& gradient) {
    detail::check_shape(gradient, initial_, "L2InitPenalty", "gradient");
    const double result = value(theta);
    if (detail::fits<Scalar>(1, 2 * std::sqrt(result)))
      gradient = (theta.derived().matrix() - initial_) * Scalar(2);
    else
      detail::add_with_care(2 * detail::difference(theta, initial_), 1, 0, gradient, "L2InitPenalty");
    return result;
  }
  template <class Theta, class Gradient>
  double add_gradient(const Eigen::DenseBase<Theta>& theta, double strength, Gradient&& gradient) {
    detail::check_strength(strength, "L2InitPenalty");
    detail::check_shape(gradient, initial_, "L2InitPenalty", "gradient");
    const double result = value(theta);
    if (detail::fits<Scalar>(strength, 2 * std::sqrt(result)))
      gradient.matrix() += (theta.derived().matrix() - initial_) * static_cast<Scalar>(2 * strength);
    else
      detail::add_with_care(2 * detail::difference(theta, initial_), strength, 1, gradient, "L2InitPenalty");
    return result;
  }

 private:
  MatrixOf<Scalar> initial_;
};
template <class Theta>
L2InitPenalty(const Eigen::DenseBase<Theta>&) -> L2InitPenalty<typename Theta::Scalar>;

// The paper's Wasserstein regulariser (section 5): the squared 2-Wasserstein distance between the empirical
// distributions of the parameters now and at initialisation,
//   sum (theta_(i) - theta0_(i))^2 over the order statistics, gradient 2 (theta_(i) - theta0_(i)) at the
// element that is i-th smallest. Equal elements are matched in the order of their indices (column by column
// in a matrix), which is an optimal matching and gives a subgradient; -0 equals +0. Never more than the
// regenerative penalty. Keeps theta0 sorted. O(d) where the values have anything like a density, O(d log d)
// at worst; 8 bytes of scratch an element (12 for double), kept for the next call.
template <class Scalar>
class WassersteinPenalty {
  using Vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;

 public:
  template <class Theta>
  explicit WassersteinPenalty(const Eigen::DenseBase<Theta>& theta0)
      : rows_(theta0.rows()), cols_(theta0.cols()), sorted_(theta0.derived().reshaped()) {
    detail::largest_magnitude(sorted_, "WassersteinPenalty", "theta0");
    std::sort(sorted_.begin(), sorted_.end(), detail::OrderStatistics<Scalar>::less);
  }
  template <class Theta>
  double value(const Eigen::DenseBase<Theta>& theta) const {
    detail::OrderStatistics<Scalar> scratch;
    return match(theta, scratch, [](Index, Index, const Scalar*, const Scalar*) {});
  }
  template <class Theta, class Gradient>
  double value_and_gradient(const Eigen::DenseBase<Theta>& theta, Gradient&& gradient) {
    return write(theta, 1, 0, gradient, [](Scalar& g, Scalar slope) { g = slope; });
  }
  template <class Theta, class Gradient>
  double add_gradient(const Eigen::DenseBase<Theta>& theta, double strength, Gradient&& gradient) {
    detail::check_strength(strength, "WassersteinPenalty");
    return write(theta, strength, 1, gradient,
                 [factor = static_cast<Scalar>(strength)](Scalar& g, Scalar slope) { g += factor * slope; });
  }

 private:
  // calls matched(first, count, theta_i, theta0_(rank of i)) for blocks of elements; returns the value
  template <class Theta, class Matched>
  double match(const Eigen::DenseBase<Theta>& theta, detail::OrderStatistics<Scalar>& scratch,
               Matched matched) const {
    static_assert(std::is_same_v<typename Theta::Scalar, Scalar>, "theta must have the scalar of theta0");
    if (theta.rows() != rows_ || theta.cols() != cols_)
      detail::reject("WassersteinPenalty", "theta is ", theta.rows(), " x ", theta.cols(), ", expected ",
                     rows_, " x ", cols_);
    const Eigen::Ref<const Vector> flat = theta.derived().reshaped().matrix();
    const Scalar* const values = flat.data();
    double total = 0;  // of the sums of blocks, so that rounding does not grow with the number of elements
    scratch.match(values, flat.size(), sorted_.data(), "WassersteinPenalty",
                  [&](Index first, Index count, const Scalar* initial) {
                    total += detail::sum_of_squared_differences(values + first, initial, count);
                    matched(first, count, values + first, initial);
                  });
    return detail::checked_value(total, "WassersteinPenalty");
  }
  // no element of theta can be further from its match
  template <class Theta>
  double furthest(const Eigen::DenseBase<Theta>& theta) const {
    if (sorted_.size() == 0) return 0;
    const auto& t = detail::in_memory(theta);
    return (std::max)(static_cast<double>(t.maxCoeff()) - static_cast<double>(sorted_[0]),
                      static_cast<double>(sorted_[sorted_.size() - 1]) - static_cast<double>(t.minCoeff()));
  }
  template <class Theta, class Gradient, class Store>
  double write(const Eigen::DenseBase<Theta>& theta, double strength, double scale, Gradient& gradient,
               Store store) {
    if (gradient.rows() != rows_ || gradient.cols() != cols_)
      detail::reject("WassersteinPenalty", "gradient is ", gradient.rows(), " x ", gradient.cols(),
                     ", expected ", rows_, " x ", cols_);
    if (!detail::fits<Scalar>(strength, 2 * furthest(theta))) {
      Eigen::VectorXd slopes(sorted_.size());
      const double result =
          match(theta, scratch_, [&](Index first, Index count, const Scalar* values, const Scalar* initial) {
            for (Index i = 0; i < count; ++i)
              slopes[first + i] = 2 * (static_cast<double>(values[i]) - static_cast<double>(initial[i]));
          });
      detail::add_with_care(slopes.reshaped(rows_, cols_), strength, scale, gradient, "WassersteinPenalty");
      return result;
    }
    detail::FlatGradient<Scalar, Gradient> flat(gradient);
    Scalar* const data = flat.data();
    const double result =
        match(theta, scratch_, [&](Index first, Index count, const Scalar* values, const Scalar* initial) {
          for (Index i = 0; i < count; ++i) store(data[first + i], 2 * (values[i] - initial[i]));
        });
    flat.finish();
    return result;
  }

  Index rows_, cols_;
  Vector sorted_;
  detail::OrderStatistics<Scalar> scratch_;
};
template <class Theta>
WassersteinPenalty(const Eigen::DenseBase<Theta>&) -> WassersteinPenalty<typename Theta::Scalar>;

// The feature-rank regulariser (Kumar et al. 2021; the paper, section 3 and Figure 2): s_1^2 - s_d^2 of the
// features Phi, n x d, with s_d = 0 where n < d; gradient 2 Phi (v_1 v_1^T - v_d v_d^T), n x d. Where s_1 or
// s_d is multiple the gradient is one of several. A quiet NaN with gradient 0 where the iteration does not
// converge. From the smaller Gram matrix, in double for float features too: n d min(n, d) + 4/3 min(n, d)^3
// operations.
class FeatureRankPenalty {
 public:
  template <class Features>
  double value(const Eigen::MatrixBase<Features>& features) const {
    Scratch scratch;
    return decompose(features, scratch);
  }
  template <class Features, class Gradient>
  double value_and_gradient(const Eigen::MatrixBase<Features>& features, Gradient&& gradient) {
    detail::check_shape(gradient, features, "FeatureRankPenalty", "gradient");
    const double result = slope(features);
    detail::add_with_care(scratch_.gradient, 1, 0, gradient, "FeatureRankPenalty");
    return result;
  }
  template <class Features, class Gradient>
  double add_gradient(const Eigen::MatrixBase<Features>& features, double strength, Gradient&& gradient) {
    detail::check_strength(strength, "FeatureRankPenalty");
    detail::check_shape(gradient, features, "FeatureRankPenalty", "gradient");
    const double result = slope(features);
    detail::add_with_care(scratch_.gradient, strength, 1, gradient, "FeatureRankPenalty");
    return result;
  }

 private:
  struct Scratch {
    MatrixOf<double> features, gradient;
    int exponent = 0;                                       // of the scaling of features
    Eigen::Tridiagonalization<MatrixOf<double>> reduction;  // of the smaller Gram matrix, Q T Q^T
    double smallest = 0, largest = 0;                       // eigenvalues of it
  };

  template <class Features>
  static double decompose(const Eigen::MatrixBase<Features>& features, Scratch& scratch) {
    detail::Scaled scaled = detail::scaled(features, "FeatureRankPenalty", "features");
    scratch.features.swap(scaled.matrix);
    scratch.exponent = scaled.exponent;
    const MatrixOf<double>& phi = scratch.features;
    if (phi.size() == 0) return 0;
    const bool wide = phi.rows() < phi.cols();
    scratch.reduction.compute(wide ? detail::row_gram(phi) : detail::row_gram(phi.transpose()));
    detail::Tridiagonal T = tridiagonal(scratch);
    if (!detail::diagonalize(T)) return std::numeric_limits<double>::quiet_NaN();
    scratch.smallest = T.diagonal.minCoeff();
    scratch.largest = T.diagonal.maxCoeff();
    const double last = wide ? 0 : (std::max)(scratch.smallest, 0.0);
    return detail::checked_value(std::ldexp(scratch.largest - last, 2 * scratch.exponent),
                                 "FeatureRankPenalty");
  }
  static detail::Tridiagonal tridiagonal(const Scratch& scratch) {
    return {scratch.reduction.diagonal(), scratch.reduction.subDiagonal()};
  }
  template <class Features>
  double slope(const Eigen::MatrixBase<Features>& features) {
    const double result = decompose(features, scratch_);
    const MatrixOf<double>& phi = scratch_.features;
    MatrixOf<double>& gradient = scratch_.gradient;
    gradient.setZero(phi.rows(), phi.cols());
    if (phi.size() == 0 || !detail::is_finite(result)) return result;
    const detail::Tridiagonal T = tridiagonal(scratch_);
    const auto vector = [&](double value) {
      return Eigen::VectorXd(scratch_.reduction.matrixQ() * detail::eigenvector(T, value));
    };
    const Eigen::VectorXd top = vector(scratch_.largest);
    if (phi.rows() < phi.cols()) {
      gradient.noalias() += 2 * top * (top.transpose() * phi);  // Phi v v^T = u u^T Phi
    } else {
      const Eigen::VectorXd bottom = vector(scratch_.smallest);
      gradient.noalias() += 2 * (phi * top) * top.transpose();
      gradient.noalias() -= 2 * (phi * bottom) * bottom.transpose();
    }
    detail::multiply_by_power_of_two(gradient, scratch_.exponent);
    return result;
  }

  Scratch scratch_;
};

}  // namespace sagitta
