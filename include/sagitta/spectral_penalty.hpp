#pragma once

#include <sagitta/detail/language.hpp>

#include <sagitta/penalties.hpp>

namespace sagitta {

// Spectral regularisation of one weight matrix W (Lewandowski et al. 2024, Learning Continually by Spectral
// Regularization, arXiv 2406.06811), which holds its largest singular value near one:
//   (s_1(W)^k - 1)^2, gradient 2 (s_1^k - 1) k s_1^(k-1) u_1 v_1^T
// with the members, and the errors, of the other penalties (penalties.hpp); a network's is the sum over its
// layers. The kernel of a convolution is taken as channels_out x (channels_in * height * width). Where
// several singular values are the largest the gradient is a subgradient, by one of them; that of W = 0 is 0.
// The penalty of an empty matrix is 0. The singular value is exact to rounding (the authors take one step of
// the power iteration). n^2 max(m, n) + 4/3 n^3 operations for n = min(rows, cols).
class SpectralPenalty {
 public:
  explicit SpectralPenalty(int power = 2) : power_(power) {
    if (power < 1) detail::reject("SpectralPenalty", "power is ", power, ", expected 1 or more");
  }
  int power() const { return power_; }

  template <class Weights>
  double value(const Eigen::MatrixBase<Weights>& weights) const {
    return penalty(leading(weights));
  }
  template <class Weights, class Gradient>
  double value_and_gradient(const Eigen::MatrixBase<Weights>& weights, Gradient&& gradient) {
    detail::check_shape(gradient, weights, "SpectralPenalty", "gradient");
    const Triplet top = leading(weights);
    const double result = penalty(top);
    gradient = slope(top).template cast<typename Weights::Scalar>();
    return result;
  }
  template <class Weights, class Gradient>
  double add_gradient(const Eigen::MatrixBase<Weights>& weights, double strength, Gradient&& gradient) {
    detail::check_strength(strength, "SpectralPenalty");
    detail::check_shape(gradient, weights, "SpectralPenalty", "gradient");
    const Triplet top = leading(weights);
    const double result = penalty(top);
    gradient += (strength * slope(top)).template cast<typename Weights::Scalar>();
    return result;
  }

 private:
  struct Triplet {
    double s = 0;          // the largest singular value
    Eigen::VectorXd u, v;  // of unit length; 0 where s is
  };

  template <class Weights>
  static Triplet leading(const Eigen::MatrixBase<Weights>& weights) {
    const detail::Scaled scaled = detail::scaled(weights, "SpectralPenalty", "weights");
    return leading(scaled.matrix, scaled.exponent);
  }
  template <class = void>
  static Triplet leading(const MatrixOf<double>& W, int exponent) {
    Triplet top{0, Eigen::VectorXd::Zero(W.rows()), Eigen::VectorXd::Zero(W.cols())};
    if (W.size() == 0 || W.isZero(0)) return top;
    const bool wide = W.rows() < W.cols();
    const Eigen::Tridiagonalization<MatrixOf<double>> reduction(wide ? detail::row_gram(W)
                                                                     : detail::row_gram(W.transpose()));
    const detail::Tridiagonal T{reduction.diagonal(), reduction.subDiagonal()};
    detail::Tridiagonal values = T;
    if (!detail::diagonalize(values)) {
      top.s = std::numeric_limits<double>::quiet_NaN();
      return top;
    }
    const Eigen::VectorXd vector = reduction.matrixQ() * detail::eigenvector(T, values.diagonal.maxCoeff());
    Eigen::VectorXd &from = wide ? top.u : top.v, &to = wide ? top.v : top.u;
    from = vector.normalized();
    if (wide)
      to.noalias() = W.transpose() * from;
    else
      to.noalias() = W * from;
    const double length = to.norm();
    to /= length;
    top.s = std::ldexp(length, exponent);
    return top;
  }
  double penalty(const Triplet& top) const {
    if (top.u.size() == 0 || top.v.size() == 0) return 0;
    if (!detail::is_finite(top.s)) return top.s;  // an iteration that did not converge
    const double distance = std::pow(top.s, power_) - 1, result = distance * distance;
    if (!detail::is_finite(result))
      detail::reject("SpectralPenalty", "the largest singular value is ", top.s,
                     ", whose penalty no double holds");
    return result;
  }
  template <class = void>
  MatrixOf<double> slope(const Triplet& top) const {
    return 2 * (std::pow(top.s, power_) - 1) * power_ * std::pow(top.s, power_ - 1) * top.u *
           top.v.transpose();
  }

  int power_;
};

}  // namespace sagitta
