#include <sagitta/effective_rank.hpp>

#include "catch.hpp"
#include "generate.hpp"

// Ranks of larger matrices, next to where they change. What decides at n = 500 is not what decides at 50: the
// bound on an eigenvalue grows with sqrt(n), and the sums take n of them.
using Eigen::MatrixXd;
using Eigen::VectorXd;
using generate::Index;
using sagitta::EffectiveRank;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
constexpr Index smallest = 90, largest = 210, beyond = 240;
#else
constexpr Index smallest = 300, largest = 700, beyond = 900;
#endif

// the moduli of a matrix, in extended precision
struct Truth {
  std::vector<long double> sums{0};  // of the j largest
  double slack = 0;                  // how far the bounds on the eigenvalues move a sum, and some room

  explicit Truth(const VectorXd& eigenvalues) {
    std::vector<double> moduli(eigenvalues.begin(), eigenvalues.end());
    for (double& value : moduli) value = std::abs(value);
    std::sort(moduli.begin(), moduli.end(), std::greater<>());
    for (const double value : moduli) sums.push_back(sums.back() + value);
    const auto n = static_cast<double>(moduli.size());
    slack = 1.25 * n *
            (sagitta::detail::value_error(eigenvalues.size(), moduli[0]) +
             sagitta::detail::sum_noise(1) * static_cast<double>(sums.back()));
  }
  // min { j : S_j > threshold S + shift }, n where there is none
  Index rank(double threshold, double shift = 0) const {
    const long double target = threshold * sums.back() + shift;
    std::size_t j = 0;
    while (j + 1 < sums.size() && sums[j] <= target) ++j;
    return static_cast<Index>(j);
  }
};

}  // namespace

TEST_CASE("ranks of large matrices are certified next to where they change, and their brackets are narrow") {
  using enum generate::Shape;
  constexpr generate::Shape shapes[] = {geometric, raised, power, floor, noisy,     deficient,
                                        clusters,  graded, flat,  tied,  one_large, uniform};
  generate::Generator generator(61);
  int boundaries = 0, compared = 0;
  for (int trial = 0; trial < 14; ++trial) {
    const Index n =
        trial < 12 ? generate::whole(generator, smallest, largest) : beyond + trial;  // two stages
    const double rate = generate::uniform(generator, 0.9, 0.995);
    VectorXd s = generate::spectrum(generator, shapes[trial % 12], n, rate, generate::whole(generator, 1, n),
                                    std::pow(10.0, generate::uniform(generator, -6, -2)));
    if (trial % 2 == 1) s = generate::with_random_signs(generator, s);
    const MatrixXd A = generate::with_spectrum(generator, s);
    const Truth truth(s);
    const auto total = static_cast<double>(truth.sums.back());
    const auto check = [&](double threshold) {
      const EffectiveRank got = sagitta::symmetric_effective_rank(A, threshold);
      INFO("trial " << trial << ", n = " << n << ", threshold " << threshold << ": " << got.lower << ".."
                    << got.upper);
      const Index least = truth.rank(threshold, -truth.slack), most = truth.rank(threshold, truth.slack);
      CHECK(got.lower <= truth.rank(threshold, truth.slack / 1e6));
      CHECK(got.upper >= truth.rank(threshold, -truth.slack / 1e6));
      CHECK(got.lower >= least);  // no wider than the bounds make it
      CHECK(got.upper <= most);
      if (least == most) {
        CHECK(got.certified());
        CHECK(got.rank == truth.rank(threshold));
      }
      return got;
    };
    for (const double threshold : {0.5, 0.9, 0.99, 0.999}) check(threshold);
    // thresholds just outside the bracket of a change of rank, on either side
    for (int draw = 0; draw < 3; ++draw) {
      const auto j = static_cast<std::size_t>(generate::whole(generator, 1, n - 1));
      const auto at = static_cast<double>(truth.sums[j]);
      for (const double side : {-1.0, 1.0}) {
        const double threshold = (at + side * 1.05 * truth.slack) / total;
        if (threshold <= 0 || threshold >= 0.9999) continue;
        // the sums change by more than the bracket holds from j - 1 to j + 1
        if (truth.sums[j] - truth.sums[j - 1] < 4 * truth.slack ||
            truth.sums[j + 1] - truth.sums[j] < 4 * truth.slack)
          continue;
        const EffectiveRank got = check(threshold);
        CHECK(got.certified());
        CHECK(got.rank == static_cast<Index>(j) + (side > 0));
        ++boundaries;
      }
    }
    if (trial % 4 == 0) {
      const VectorXd values =
          Eigen::SelfAdjointEigenSolver<MatrixXd>(A, Eigen::EigenvaluesOnly).eigenvalues();
      const Truth of_solver(values);
      for (const double threshold : {0.5, 0.9, 0.99}) {
        const EffectiveRank got = sagitta::symmetric_effective_rank(A, threshold);
        CHECK(got.lower <= of_solver.rank(threshold, of_solver.slack));
        CHECK(got.upper >= of_solver.rank(threshold, -of_solver.slack));
        if (got.certified() &&
            of_solver.rank(threshold, of_solver.slack) == of_solver.rank(threshold, -of_solver.slack)) {
          CHECK(got.rank == of_solver.rank(threshold));
          ++compared;
        }
      }
    }
  }
  INFO(boundaries << " boundaries, " << compared << " ranks by the solver");
  CHECK(boundaries > 20);
  CHECK(compared > 6);
}
