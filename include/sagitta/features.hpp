#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <sagitta/effective_rank.hpp>
#include <sagitta/norms.hpp>

// What the last hidden layer still represents (the paper, section 2.2 and appendix A).
// features: n x width, a row a sample, a column a unit, after the activation; float or double, any
// expression.
namespace sagitta {

// The effective rank of the feature matrix, of its singular values; max_rank is min(n, width). Large matrices
// go through a Gram matrix, always in double: one in float gives wrong ranks.
// Cost and errors: those of effective_rank.
template <class Derived>
EffectiveRank feature_rank(const Eigen::MatrixBase<Derived>& features, double threshold = 0.99) {
  return detail::effective_rank(features, threshold, "feature_rank", "features");
}

namespace detail {

// sum_i scale |phi_ij| for every unit j of features in memory; in double, in blocks of rows, so that the
// rounding of a long column stays near that of a short one
template <class Derived>
Eigen::ArrayXd activity_sums(const Eigen::MatrixBase<Derived>& phi, double scale) {
  Eigen::ArrayXd sums = Eigen::ArrayXd::Zero(phi.cols());
  if constexpr (!Derived::IsRowMajor) {
    for (Index j = 0; j < phi.cols(); ++j) sums[j] = blocked_sum(phi.col(j), scale, absolute_sum);
  } else {
    constexpr Index block = 256;
    Eigen::ArrayXd row(phi.cols()), part(phi.cols());
    for (Index first = 0; first < phi.rows(); first += block) {
      part.setZero();
      for (Index i = first; i < std::min(first + block, phi.rows()); ++i) {
        copy_as_doubles(phi, i, 0, phi.cols(), row.data());
        part += (row * scale).abs();
      }
      sums += part;
    }
  }
  return sums;
}

// mean_i |phi_ij| for every unit j, times a common power of two
template <class Derived>
Eigen::ArrayXd mean_activity(const Eigen::MatrixBase<Derived>& features, const char* function) {
  const auto& phi = in_memory(features);
  const double n = static_cast<double>(std::max<Index>(phi.rows(), 1));
  const Eigen::ArrayXd sums = activity_sums(phi, 1);
  if (in_range(sums.sum())) return sums / n;
  const int exponent = exponent_of(largest_magnitude(phi, function, "features"));
  return activity_sums(phi, std::ldexp(1.0, std::clamp(-exponent, -1000, 1000))) / n;
}

// sum_j p_j log p_j for p = weights / sum(weights), a sum with 0 log 0 = 0; a quiet NaN where all are zero
template <class Weights>
double negative_entropy(const Weights& weights) {
  const double total = weights.sum();
  if (total == 0) return std::numeric_limits<double>::quiet_NaN();
  double sum = 0;
  for (Index j = 0; j < weights.size(); ++j) {
    const double p = weights[j] / total;
    if (p > 0) sum += p * std::log(p);
  }
  return sum;
}

// log u for normal u > 0, within 4 eps |log u|: no branch and no table, so that a loop over it becomes
// packets. u = 2^k m with m from sqrt(1/2) to sqrt(2), and log m = 2 artanh s for s = (m - 1) / (m + 1), |s|
// < 0.1716, whose series 2 (s + s^3/3 + s^5/5 + ...) is cut where s^25/25 < eps/1000 s.
inline double log_of_normal(double u) {
  constexpr std::uint64_t half_root = 0x3FE6A09E667F3BCD;  // sqrt(1/2)
  constexpr std::uint64_t bias = std::uint64_t{1024} << 52;
  const auto bits = std::bit_cast<std::uint64_t>(u);
  const std::uint64_t power = (bits - half_root + bias) >> 52;  // k + 1024
  const auto m = std::bit_cast<double>(bits - (power << 52) + bias);
  // 2^52 + power, by its bits: not every instruction set turns 64-bit integers into doubles
  const double k = std::bit_cast<double>(power | 0x4330000000000000) - (0x1p52 + 1024);
  const double s = (m - 1) / (m + 1), square = s * s;
  double series = 1.0 / 23;
  for (int odd = 21; odd >= 3; odd -= 2) series = series * square + 1.0 / odd;
  return k * 0.693147180559945309417 + (2 * s + 2 * s * (square * series));
}

// Entropies of some samples at a time. They lie beside each other, unit by unit, so that all packets are of
// samples. With u_j = |phi_ij| / max_j |phi_ij| and T = sum u_j,
//   sum_j p_j log p_j = sum u_j log u_j / T - log T,
// where both terms are <= 0, so that nothing cancels.
class SampleEntropies {
 public:
  static constexpr Index block = 32;
  explicit SampleEntropies(Index width) : width_(width), values_(block * width) {}

  // |phi| of `count` samples from `first` on; zeros behind them
  template <class Derived>
  void load(const Eigen::MatrixBase<Derived>& phi, Index first, Index count) {
    double* const values = values_.data();
    if (count < block) values_.setZero();
    if constexpr (!Derived::IsRowMajor) {
      const bool more = first + 2 * block <= phi.rows();
      for (Index j = 0; j < width_; ++j) {
        if (more) {  // no processor foresees a block of every column
          const auto* next = &phi.derived().coeffRef(first + block, j);
          Eigen::internal::prefetch(next);
          Eigen::internal::prefetch(next + block / 2);
        }
        copy_as_doubles(phi, j, first, count, values + j * block);
      }
    } else {
      for (Index j = 0; j < width_; ++j)
        for (Index i = 0; i < count; ++i)
          values[j * block + i] = static_cast<double>(phi.derived().coeff(first + i, j));
    }
    for (Index i = 0; i < values_.size(); ++i) values[i] = std::abs(values[i]);
  }
  bool finite() const { return all_finite(values_.data(), values_.size()); }

  void sum() {
    constexpr double tiny = std::numeric_limits<double>::min();  // u log(tiny) is 0 for u = 0
    Row largest{}, inverse, total{}, weighted{};
    for (Index j = 0; j < width_; ++j) {
      const double* const x = values_.data() + j * block;
      for (std::size_t i = 0; i < block; ++i) largest[i] = x[i] > largest[i] ? x[i] : largest[i];
    }
    for (std::size_t i = 0; i < block; ++i) {
      // a power of two first: the reciprocal of a subnormal number would overflow
      exponent_[i] = std::clamp(-exponent_of(largest[i]), -1000, 1000);
      inverse[i] = largest[i] > 0 ? 1 / std::ldexp(largest[i], exponent_[i]) : 0;
      scale_[i] = std::ldexp(1.0, exponent_[i]);
    }
    for (Index j = 0; j < width_; ++j) {
      const double* const x = values_.data() + j * block;
      for (std::size_t i = 0; i < block; ++i) {
        // exactly 1 for the largest, so that a unit alone has entropy 0
        const double u = x[i] == largest[i] ? 1.0 : x[i] * scale_[i] * inverse[i];
        total[i] += u;
        weighted[i] += u * log_of_normal(u > tiny ? u : tiny);
      }
    }
    largest_ = largest;
    total_ = total;
    weighted_ = weighted;
  }
  bool active(Index i) const { return largest_[std::size_t(i)] > 0; }
  double negative_entropy(Index i) const {
    const double total = total_[std::size_t(i)];
    return weighted_[std::size_t(i)] / total - std::log(total);
  }

 private:
  using Row = std::array<double, block>;
  Index width_;
  Eigen::ArrayXd values_;
  std::array<int, block> exponent_;
  Row scale_, largest_, total_, weighted_;
};

}  // namespace detail

// Neuron dormancy, the negative entropy of the units' share in the activity:
//   sum_j p_j log p_j,  p_j proportional to mean_i |phi_ij|
// in nats, from -log(width) (all units equally active) to 0 (one unit alone). It rises as activity
// concentrates on few units. A quiet NaN where every feature is zero, or there is none. Throws
// std::invalid_argument for NaN or infinity. O(n width).
template <class Derived>
double dormancy(const Eigen::MatrixBase<Derived>& features) {
  return detail::negative_entropy(detail::mean_activity(features, "dormancy"));
}

// The same for each sample by itself, p_ij proportional to |phi_ij|, averaged over the samples that are not
// all zero; a quiet NaN where there is none. Never below `dormancy` for samples of equal total activity: it
// also sees sparse codes whose active units change from sample to sample. Errors and cost as dormancy, a
// logarithm per feature.
template <class Derived>
double per_sample_dormancy(const Eigen::MatrixBase<Derived>& features) {
  const auto& phi = detail::in_memory(features);
  constexpr Index block = detail::SampleEntropies::block;
  detail::SampleEntropies entropies(phi.cols());
  double sum = 0;
  Index active = 0;
  for (Index first = 0; first < phi.rows(); first += block) {
    const Index count = std::min(block, phi.rows() - first);
    entropies.load(phi, first, count);
    if (!entropies.finite()) detail::largest_magnitude(phi, "per_sample_dormancy", "features");
    entropies.sum();
    double part = 0;
    for (Index i = 0; i < count; ++i)
      if (entropies.active(i)) {
        part += entropies.negative_entropy(i);
        ++active;
      }
    sum += part;
  }
  return active == 0 ? std::numeric_limits<double>::quiet_NaN() : sum / static_cast<double>(active);
}

// The share of dormant units (Sokar et al. 2023): those whose mean |phi_ij| is at most tau times its mean
// over the units. tau = 0 counts the dead ones. From 0 to 1; 1 where every feature is zero; a quiet NaN where
// there is no feature. Throws std::invalid_argument for NaN or infinity and a tau that is not >= 0. O(n
// width).
template <class Derived>
double dormant_fraction(const Eigen::MatrixBase<Derived>& features, double tau = 0.025) {
  if (!detail::is_finite(tau) || tau < 0)
    detail::reject("dormant_fraction", "tau is ", tau, ", expected a finite number >= 0");
  const Eigen::ArrayXd activity = detail::mean_activity(features, "dormant_fraction");
  if (features.size() == 0) return std::numeric_limits<double>::quiet_NaN();
  // the mean of equal activities may round to just below them
  const double bound = tau * activity.mean() * (1 + 4 * detail::epsilon);
  return static_cast<double>((activity <= bound).count()) / static_cast<double>(activity.size());
}

}  // namespace sagitta
