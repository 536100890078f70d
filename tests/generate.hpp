#pragma once

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <sagitta/detail/random.hpp>
#include <utility>
#include <vector>

// Inputs of the tests, drawn from a literal seed, the same with every standard library.
namespace generate {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using Generator = std::mt19937_64;

inline double uniform(Generator& generator, double low, double high) {
  return low + (high - low) * sagitta::detail::uniform(generator);
}

// a whole number from low to high, both included
inline Index whole(Generator& generator, Index low, Index high) {
  return low + static_cast<Index>(sagitta::detail::uniform(generator) * static_cast<double>(high - low + 1));
}

// m x n, independent entries from -1 to 1
inline MatrixXd matrix(Generator& generator, Index m, Index n) {
  MatrixXd A(m, n);
  for (double& entry : A.reshaped()) entry = uniform(generator, -1, 1);
  return A;
}

inline VectorXd vector(Generator& generator, Index n) { return matrix(generator, n, 1); }

// m x n with orthonormal columns, m >= n
inline MatrixXd orthogonal(Generator& generator, Index m, Index n) {
  if (n == 0) return MatrixXd(m, 0);
  return Eigen::HouseholderQR<MatrixXd>(matrix(generator, m, n)).householderQ() * MatrixXd::Identity(m, n);
}

// a distribution over n classes a row
inline MatrixXd probabilities(Generator& generator, Index m, Index n) {
  MatrixXd p = (3 * matrix(generator, m, n)).array().exp();
  for (Index i = 0; i < m; ++i) p.row(i) /= p.row(i).sum();
  return p;
}

// rows and columns with 0 and 1, tall, wide and square
inline std::vector<std::pair<Index, Index>> shapes() {
  return {{0, 0}, {0, 3}, {3, 0}, {1, 1}, {1, 7}, {7, 1}, {2, 2}, {5, 3}, {3, 5}, {16, 16}, {40, 9}, {9, 40}};
}

// Spectra of whole numbers from 0 to 2^20, in decreasing order: sums of them are exact.
enum class Kind { decaying, clustered, deficient, repeated, flat, tied, random };
inline constexpr Kind kinds[] = {Kind::decaying, Kind::clustered, Kind::deficient, Kind::repeated,
                                 Kind::flat,     Kind::tied,      Kind::random};

inline VectorXd spectrum(Generator& generator, Kind kind, Index n) {
  VectorXd s = VectorXd::Zero(n);
  const double top = 1048576, rate = uniform(generator, 0.5, 0.98);
  const Index rank = whole(generator, 0, n);
  for (Index i = 0; i < n; ++i) {
    const auto at = static_cast<double>(i);
    switch (kind) {
      case Kind::decaying:
        s[i] = std::floor(top * std::pow(rate, at));
        break;
      case Kind::clustered:
        s[i] = std::floor((2 * i < n ? top : 8) - static_cast<double>(i % 3));
        break;
      case Kind::deficient:
        s[i] = i < rank ? static_cast<double>(whole(generator, 1, 1000)) : 0;
        break;
      case Kind::repeated:
        s[i] = std::floor(64 / (1 + std::floor(at / 4)));
        break;
      case Kind::flat:
        s[i] = 1;
        break;
      case Kind::tied:
        s[i] = i == 0 ? 99.0 * static_cast<double>(n - 1) : 1;
        break;  // a tie at 99/100
      case Kind::random:
        s[i] = static_cast<double>(whole(generator, 0, 1048576));
        break;
    }
  }
  std::sort(s.begin(), s.end(), std::greater<>());
  return s;
}

// Spectra of real numbers, n of them, not in order.
enum class Shape {
  geometric,
  raised,
  power,
  floor,
  noisy,
  deficient,
  clusters,
  graded,
  flat,
  tied,
  one_large,
  uniform
};

//   rate: from one value to the next, where they decay;  some: how many are large;  low: those that are not
inline VectorXd spectrum(Generator& generator, Shape shape, Index n, double rate, Index some, double low) {
  VectorXd s(n);
  for (Index i = 0; i < n; ++i) {
    const auto at = static_cast<double>(i);
    const bool large = i < some;
    switch (shape) {
      case Shape::geometric:
        s[i] = std::pow(rate, at);
        break;
      case Shape::raised:
        s[i] = std::pow(rate, at) + low;
        break;
      case Shape::power:
        s[i] = std::pow(1 + at, -uniform(generator, 2.5, 3));
        break;
      case Shape::floor:
        s[i] = large ? 1 : low;
        break;
      case Shape::noisy:
        s[i] = large ? uniform(generator, 0.1, 1) : low * uniform(generator, 0, 1);
        break;
      case Shape::deficient:
        s[i] = large ? uniform(generator, 0.1, 1) : 0;
        break;
      case Shape::clusters:  // gaps of some roundings
        s[i] = (large ? 1 : 1e-3) + 1e-13 * uniform(generator, -1, 1);
        break;
      case Shape::graded:
        s[i] = std::pow(10.0, -30 * at / static_cast<double>(n));
        break;
      case Shape::flat:
        s[i] = 1;
        break;
      case Shape::tied:  // at 99/100
        s[i] = i == 0 ? 99 * static_cast<double>(n - 1) : 1;
        break;
      case Shape::one_large:
        s[i] = i == 0 ? 1e3 : uniform(generator, 0, 1e-3);
        break;
      case Shape::uniform:
        s[i] = uniform(generator, 0, 1);
    }
  }
  return s;
}

// A threshold as a fraction and as the double that a user writes.
struct Threshold {
  std::int64_t numerator, denominator;
  double value() const { return static_cast<double>(numerator) / static_cast<double>(denominator); }
};
inline constexpr Threshold thresholds[] = {{1, 2}, {9, 10}, {95, 100}, {99, 100}, {999, 1000}};

// The effective rank of whole numbers in exact arithmetic: min { j : denominator S_j > numerator S }.
inline Index exact_rank(VectorXd values, Threshold threshold) {
  values = values.cwiseAbs();
  std::sort(values.begin(), values.end(), std::greater<>());
  std::int64_t total = 0, sum = 0;
  for (const double value : values) total += static_cast<std::int64_t>(value);
  for (Index j = 0; j < values.size(); ++j) {
    sum += static_cast<std::int64_t>(values[j]);
    if (threshold.denominator * sum > threshold.numerator * total) return j + 1;
  }
  return 0;
}

// n x n of whole numbers with Q Q^T = c I: a product of two Householder reflections times w^T w. With it, a
// matrix whose spectrum is known exactly is written down without rounding, as long as n <= 100.
inline MatrixXd whole_orthogonal(Generator& generator, Index n) {
  MatrixXd Q = MatrixXd::Identity(n, n);
  if (n == 0) return Q;
  for (int reflection = 0; reflection < 2; ++reflection) {
    VectorXd w(n);
    for (double& entry : w) entry = static_cast<double>(whole(generator, -1, 1));
    w[whole(generator, 0, n - 1)] = 1;
    Q = Q * (w.squaredNorm() * MatrixXd::Identity(n, n) - 2 * w * w.transpose());
  }
  return Q;
}

// symmetric, its eigenvalues c times the given whole numbers of any sign, exactly
inline MatrixXd with_eigenvalues(Generator& generator, const VectorXd& values) {
  const MatrixXd Q = whole_orthogonal(generator, values.size());
  return Q * values.asDiagonal() * Q.transpose();
}

// m x n, its min(m, n) singular values c times the given whole numbers, exactly
inline MatrixXd with_singular_values(Generator& generator, const VectorXd& values, Index m, Index n) {
  const MatrixXd U = whole_orthogonal(generator, m), V = whole_orthogonal(generator, n);
  return U.leftCols(values.size()) * values.asDiagonal() * V.leftCols(values.size()).transpose();
}

// Q diag(values) Q^T by a few reflections, in extended precision up to the last rounding
inline MatrixXd with_spectrum(Generator& generator, const VectorXd& values) {
  using Vector = Eigen::Matrix<long double, Eigen::Dynamic, 1>;
  Eigen::Matrix<long double, Eigen::Dynamic, Eigen::Dynamic> A = values.cast<long double>().asDiagonal();
  for (int reflection = 0; reflection < 3; ++reflection) {
    Vector v = vector(generator, values.size()).cast<long double>();
    v *= std::sqrt(2.0L) / v.norm();
    const Vector q = A * v, w = q - q.dot(v) / 2 * v;
    A -= v * w.transpose() + w * v.transpose();
  }
  return A.cast<double>();
}

inline VectorXd with_random_signs(Generator& generator, VectorXd values) {
  for (double& value : values) value *= uniform(generator, -1, 1) < 0 ? -1 : 1;
  return values;
}

template <class Scalar>
using Tensor = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;

// vectors of every kind that a sort can stumble over
template <class Scalar>
std::vector<Tensor<Scalar>> tensors(Generator& generator, Index n) {
  std::vector<Tensor<Scalar>> all;
  all.push_back(vector(generator, n).cast<Scalar>());
  Tensor<Scalar> few = all[0];  // ties, of both zeros too
  for (Scalar& x : few) x = std::round(2 * x) / 2;
  for (Index i = 0; i < n; i += 3)
    if (few[i] == 0) few[i] = Scalar(-0.0);
  all.push_back(few);
  Tensor<Scalar> scales = all[0];  // all exponents, subnormal ones too
  for (Scalar& x : scales) {
    const int range = sizeof(Scalar) == 4 ? 140 : 500;  // squares of differences stay in range
    x = static_cast<Scalar>(std::ldexp(x, static_cast<int>(whole(generator, -range, range / 4))));
  }
  all.push_back(scales);
  all.push_back(Tensor<Scalar>::Constant(n, Scalar(-0.75)));
  Tensor<Scalar> neighbours = all[0];  // apart in the last bits only
  for (Scalar& x : neighbours)
    x = Scalar(1) + std::numeric_limits<Scalar>::epsilon() * static_cast<Scalar>(whole(generator, 0, 40));
  all.push_back(neighbours);
  Tensor<Scalar> ramp(n);  // in order, and in the opposite order
  for (Index i = 0; i < n; ++i) ramp[i] = static_cast<Scalar>(i) - Scalar(n) / 3;
  all.push_back(ramp);
  all.push_back(ramp.reverse());
  Tensor<Scalar> sparse = all[0];  // nine of ten are a zero of either sign
  for (Index i = 0; i < n; ++i)
    if (i % 10 != 3) sparse[i] = i % 2 == 0 ? Scalar(0) : Scalar(-0.0);
  all.push_back(sparse);
  Tensor<Scalar> two = all[0];  // two values far apart
  for (Scalar& x : two) x = x < 0 ? Scalar(-1e-9) : Scalar(1e12);
  all.push_back(two);
  Tensor<Scalar> subnormal = all[0];
  for (Scalar& x : subnormal)
    x = std::numeric_limits<Scalar>::denorm_min() * static_cast<Scalar>(whole(generator, -300, 300));
  all.push_back(subnormal);
  Tensor<Scalar> outliers = all[0];  // a narrow cluster, and a few values that spread the buckets
  for (Index i = 0; i < n; ++i)
    outliers[i] = i % 97 == 5 ? static_cast<Scalar>(1e9 * outliers[i]) : 1 + Scalar(1e-3) * outliers[i];
  all.push_back(outliers);
  return all;
}

}  // namespace generate
