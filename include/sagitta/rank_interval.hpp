#pragma once

#include <sagitta/detail/language.hpp>

#include <numbers>
#include <sagitta/detail/random.hpp>
#include <sagitta/effective_rank.hpp>
#include <sagitta/gradient_gram.hpp>
#include <vector>

// How much of a rank is chance: the rank of a Fisher or Gauss-Newton matrix is measured on M samples, and M
// others would have given another one.
namespace sagitta {

struct RankInterval {
  Index rank = 0;   // of K itself
  Index lower = 0;  // the rank of M fresh samples lies from lower to upper
  Index upper = 0;
};

struct IntervalOptions {
  double threshold = 0.99;  // of the rank
  double level = 0.95;      // probability, above 0 and below 1
  Index replicates = 60;    // subsamples of each of three sizes
};

namespace detail {

// z with P(|normal| <= z) = level
inline double normal_bound(double level) {
  double low = 0, high = 40;
  for (int step = 0; step < 80; ++step) {
    const double middle = (low + high) / 2;
    (std::erfc(middle / std::numbers::sqrt2) > 1 - level ? low : high) = middle;
  }
  return high;
}

}  // namespace detail

// An interval for the effective rank that M fresh samples of the same distribution would give, from the Gram
// matrix of M samples alone.
//   K: M x M, positive semidefinite, its lower triangle is read; float or double, any scale
//   threshold: of the rank;  level: probability, above 0 and below 1
//   replicates: subsamples of each of three sizes
// A bootstrap is wrong here, since repeated samples lower the rank, and a jackknife too narrow, since the
// rank of M - 1 of the samples is nearly always the same. So subsamples of m = M/2, 5M/8 and 3M/4 of the
// samples are drawn without replacement. Rank / m has the variance s^2 (1/m - 1/M) over them as long as it is
// a smooth statistic, which gives s^2; the sample and the fresh one vary by s^2 / M each, about one mean,
// whence rank +- z sqrt(2 M s^2), rounded outwards.
// How often it held the rank of fresh samples at levels .8 / .95 (benchmarks/accuracy.cpp, threshold .99):
//   Gaussian gradients, (d, M) = (60, 40), (200, 100), (40, 100)   1.00 / 1.00, the width being 3 to 5 ranks,
//                                                                  of which rounding outwards is 2
//   decaying spectrum, norms spread by a factor e, M = 100         .89 / .95
//   networks trained on random labels, ReLU, M = 64 and 256        .98 / 1.00 and .82 / .96
//   the same, leaky ReLU                                           .94 / 1.00 and .90 / .96
// (40 and 25 intervals each). Below 8 samples the interval is 1 to M (0 for a zero K). Throws
// std::invalid_argument for a matrix that is not square, NaN or infinity, a threshold outside [0, 1], a level
// outside (0, 1), replicates below 2. 3 * replicates ranks of matrices of at most 3M/4.
template <class Derived, detail::RandomGenerator Generator>
RankInterval rank_interval(const Eigen::MatrixBase<Derived>& K, double threshold, double level,
                           Generator&& generator, Index replicates = 60) {
  constexpr const char* name = "rank_interval";
  detail::check_square(K.rows(), K.cols(), name, "K");
  detail::check_threshold(threshold, name);
  if (!detail::is_finite(level) || level <= 0 || level >= 1)
    detail::reject(name, "level is ", level, ", expected a number above 0 and below 1");
  if (replicates < 2) detail::reject(name, "replicates is ", replicates, ", expected at least 2");
  const Index M = K.rows();
  MatrixOf<double> full = detail::scaled(K, name, "K", true).matrix;
  const Index rank = symmetric_effective_rank(full, threshold).rank;
  if (rank == 0) return {};
  if (M < 8) return {rank, 1, M};
  full.triangularView<Eigen::StrictlyUpper>() = full.transpose();

  std::vector<Index> order(static_cast<std::size_t>(M));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<Index>(i);
  double variance = 0;  // of the rank of M samples
  for (const Index m : {M / 2, 5 * M / 8, 3 * M / 4}) {
    double sum = 0, squares = 0;
    for (Index replicate = 0; replicate < replicates; ++replicate) {
      for (Index i = 0; i < m; ++i) {  // the first m of a shuffled order
        const auto other = i + static_cast<Index>(detail::uniform(generator) * static_cast<double>(M - i));
        std::swap(order[static_cast<std::size_t>(i)],
                  order[static_cast<std::size_t>((std::min)(other, M - 1))]);
      }
      const auto chosen = Eigen::Map<const Eigen::Array<Index, Eigen::Dynamic, 1>>(order.data(), m);
      const auto value = static_cast<double>(symmetric_effective_rank(full(chosen, chosen), threshold).rank);
      sum += value;
      squares += value * value;
    }
    const auto count = static_cast<double>(replicates), of = static_cast<double>(m),
               all = static_cast<double>(M);
    variance += (squares - sum * sum / count) / (count - 1) * all / (of * (1 - of / all)) / 3;
  }
  const double half = detail::normal_bound(level) * std::sqrt(2 * (std::max)(variance, 0.0));
  const auto centre = static_cast<double>(rank);
  return {rank, std::max<Index>(1, static_cast<Index>(std::floor(centre - half))),
          (std::min)(M, static_cast<Index>(std::ceil(centre + half)))};
}

template <class Derived, detail::RandomGenerator Generator>
RankInterval rank_interval(const Eigen::MatrixBase<Derived>& K, Generator&& generator,
                           const IntervalOptions& options = {}) {
  return rank_interval(K, options.threshold, options.level, generator, options.replicates);
}

// The same from a Gram matrix that knows its number of parameters, above which no rank is.
template <detail::RandomGenerator Generator>
RankInterval rank_interval(const GradientGram& gram, double threshold, double level, Generator&& generator,
                           Index replicates = 60) {
  RankInterval result = rank_interval(gram.matrix(), threshold, level, generator, replicates);
  for (Index* bound : {&result.rank, &result.lower, &result.upper})
    *bound = (std::min)(*bound, gram.max_rank());
  return result;
}
template <detail::RandomGenerator Generator>
RankInterval rank_interval(const GradientGram& gram, Generator&& generator,
                           const IntervalOptions& options = {}) {
  return rank_interval(gram, options.threshold, options.level, generator, options.replicates);
}

}  // namespace sagitta
