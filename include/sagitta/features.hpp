#pragma once

#include <sagitta/detail/language.hpp>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <sagitta/detail/layer.hpp>
#include <sagitta/detail/packet.hpp>
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
      for (Index i = first; i < (std::min)(first + block, phi.rows()); ++i) {
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
// packets. u = 2^k m with m from sqrt(1/2) to sqrt(2), and log m = 2 artanh s = 2 s (1 + z P(z)) for
// s = (m - 1) / (m + 1) and z = s^2 < 0.02944, where P is 1/3 + z/5 + z^2/7 + ... interpolated in the seven
// Chebyshev nodes of 0..0.02944, which costs eps / 48 of log m.
inline double log_of_normal(double u) {
  constexpr std::uint64_t half_root = 0x3FE6A09E667F3BCD;  // sqrt(1/2)
  constexpr std::uint64_t bias = std::uint64_t{1024} << 52, mantissa = (std::uint64_t{1} << 52) - 1;
  const std::uint64_t from_root = std::bit_cast<std::uint64_t>(u) - half_root + bias;
  const auto m = std::bit_cast<double>((from_root & mantissa) + half_root);
  // 2^52 + k + 1024, by its bits: not every instruction set turns 64-bit integers into doubles
  const double k = std::bit_cast<double>((from_root >> 52) | 0x4330000000000000) - (0x1p52 + 1024);
  const double s = (m - 1) / (m + 1), z = s * s;
  double P = 0x1.2b584aae78a57p-4;
  for (const double coefficient : {0x1.39fe606542ddep-4, 0x1.7462b4ab2ef6bp-4, 0x1.c71c62e5800a1p-4,
                                   0x1.2492492df148dp-3, 0x1.99999999952e2p-3, 0x1.5555555555558p-2})
    P = P * z + coefficient;
  return k * 0.693147180559945309417 + (2 * s + 2 * s * (z * P));
}

// Entropies of some samples at a time. They lie beside each other, unit by unit, so that all packets are of
// samples. With u_j = |phi_ij| / 2^k, of which the largest is in [1, 2), and T = sum u_j,
//   sum_j p_j log p_j = sum u_j log u_j / T - log T,
// where no term is large, so that little cancels. Powers of two round nothing, and cost no division.
class SampleEntropies {
 public:
  static constexpr Index block = 32;
  explicit SampleEntropies(Index width) : width_(width), values_(block * width) {}

  // phi of `count` samples from `first` on; zeros behind them
  template <class Derived>
  void load(const Eigen::MatrixBase<Derived>& phi, Index first, Index count) {
    double* const values = values_.data();
    if (count < block) values_.setZero();
    if constexpr (!Derived::IsRowMajor) {
      const bool more = first + 2 * block <= phi.rows();
      for (Index j = 0; j < width_; ++j) {
        if (more) {  // no processor foresees a block of every column
          const auto* next = &phi.derived().coeffRef(first + block, j);
          detail::prefetch(next);
          detail::prefetch(next + block / 2);
        }
        copy_as_doubles(phi, j, first, count, values + j * block);
      }
    } else {
      for (Index j = 0; j < width_; ++j)
        for (Index i = 0; i < count; ++i)
          values[j * block + i] = static_cast<double>(phi.derived().coeff(first + i, j));
    }
  }

  // False, and nothing is computed, where a feature is NaN or infinite.
  bool sum() {
    using Bits = FloatBits<double>;
    constexpr double tiny = (std::numeric_limits<double>::min)();  // u log(tiny) is 0 for u = 0
    std::array<std::uint64_t, block> magnitude{};
    double* const values = values_.data();
    for (Index j = 0; j < width_; ++j) {
      const double* const x = values + j * block;
      for (std::size_t i = 0; i < block; ++i) {
        const std::uint64_t of_x = Bits::magnitude(x[i]);
        magnitude[i] = of_x > magnitude[i] ? of_x : magnitude[i];
      }
    }
    Row scale, largest, total{}, weighted{};
    for (std::size_t i = 0; i < block; ++i) {
      if (magnitude[i] >= Bits::infinity) return false;
      largest[i] = std::bit_cast<double>(magnitude[i]);
      if (largest[i] > 0 && largest[i] < 0x1p-1000) {  // 1 / 2^k may be no double
        largest[i] *= 0x1p100;
        for (Index j = 0; j < width_; ++j) values[j * block + static_cast<Index>(i)] *= 0x1p100;
      }
      scale[i] = std::ldexp(1.0, -exponent_of(largest[i]));
      largest[i] *= scale[i];
    }
    for (Index j = 0; j < width_; ++j) {
      const double* const x = values + j * block;
      for (std::size_t i = 0; i < block; ++i) {
        const double u = std::abs(x[i]) * scale[i];
        total[i] += u;
        weighted[i] += u * log_of_normal(u > tiny ? u : tiny);
      }
    }
    largest_ = largest;
    total_ = total;
    weighted_ = weighted;
    return true;
  }
  bool active(Index i) const { return largest_[std::size_t(i)] > 0; }
  double negative_entropy(Index i) const {
    const double total = total_[std::size_t(i)];
    if (total == largest_[std::size_t(i)]) return 0;  // a unit alone, but for rounding
    return (std::min)(weighted_[std::size_t(i)] / total - std::log(total), 0.0);
  }

 private:
  using Row = std::array<double, block>;
  Index width_;
  Eigen::ArrayXd values_;
  Row largest_, total_, weighted_;
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
    const Index count = (std::min)(block, phi.rows() - first);
    entropies.load(phi, first, count);
    if (!entropies.sum()) detail::largest_magnitude(phi, "per_sample_dormancy", "features");
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
  const double bound = tau * activity.mean() * (1 + 4 * epsilon);
  return static_cast<double>((activity <= bound).count()) / static_cast<double>(activity.size());
}

// The activity of the channels of a convolution, whose units they are (Sokar et al. 2023 too average over
// pixels): what dormancy, per_sample_dormancy and dormant_fraction take for its features.
//   maps: (M * positions) x channels, row m * positions + t, a view: nchw(data, M, channels, positions), or a
//     matrix with a row a pixel
// Returns M x channels, the mean of |maps| over the positions of a sample. The rank of such features is that
// of the maps themselves, a row a sample: feature_rank(Eigen::Map<...>(data, M, channels * positions)).
// Throws std::invalid_argument for rows that are no multiple of positions, positions below 1, NaN or
// infinity. O(size).
template <class Scalar>
MatrixOf<double> channel_activity(const MatrixView<Scalar>& maps, Index positions) {
  constexpr const char* name = "channel_activity";
  if (positions < 1 || maps.rows() % positions != 0)
    detail::reject(name, "maps has ", maps.rows(), " rows, expected a multiple of positions, ", positions);
  const detail::Factor factor(maps);
  factor.largest(name, "maps");
  MatrixOf<double> activity(maps.rows() / positions, maps.cols()), values(positions, maps.cols());
  for (Index m = 0; m < activity.rows(); ++m) {
    factor.copy(m * positions, positions, 0, maps.cols(), values.data(), positions);
    activity.row(m) = values.cwiseAbs().colwise().mean();
  }
  return activity;
}
template <class Derived>
MatrixOf<double> channel_activity(const Eigen::MatrixBase<Derived>& maps, Index positions) {
  const auto& rows = detail::in_memory(maps);
  return channel_activity(MatrixView<typename std::decay_t<decltype(rows)>::Scalar>(rows), positions);
}

}  // namespace sagitta
