#include <sagitta/effective_rank.hpp>

#include <cstdlib>

#include "catch.hpp"
#include "generate.hpp"

// The rank of few directions without a reduction, beside the ranks of spectra that are known.
using Eigen::MatrixXd;
using Eigen::VectorXd;
using generate::Index;
using sagitta::EffectiveRank;
using sagitta::detail::SymmetricBlocks;

namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();

// few large values over a tail of one of several shapes, descending
VectorXd spectrum(generate::Generator& generator, int kind, Index n) {
  using enum generate::Shape;
  constexpr generate::Shape shapes[] = {geometric, floor, noisy, power, deficient, raised};
  const double rate = generate::uniform(generator, 0.3, 0.85),
               low = std::pow(10.0, generate::uniform(generator, -12, -4));
  VectorXd s = generate::spectrum(generator, shapes[kind], n, rate, generate::whole(generator, 1, 23), low);
  std::sort(s.begin(), s.end(), std::greater<>());
  return s;
}

}  // namespace

TEST_CASE("a block of vectors is multiplied by a symmetric matrix") {
  generate::Generator generator(51);
  for (const Index n : {24, 25, 31, 47, 48, 49, 56, 97, 150}) {
    MatrixXd A = generate::matrix(generator, n, n);
    A = (A + A.transpose()).eval();
    const SymmetricBlocks blocks(A);
    sagitta::detail::TallRows X = sagitta::detail::TallRows::Zero(blocks.padded(), 24), Y = X;
    X.topRows(n) = generate::matrix(generator, n, 24);
    sagitta::detail::multiply_tall(blocks, X, Y);
    CHECK((Y.topRows(n) - A * X.topRows(n)).norm() <=
          8 * eps * std::sqrt(static_cast<double>(n)) * A.norm() * 5);
    CHECK(Y.bottomRows(blocks.padded() - n).isZero(0));
  }
}

TEST_CASE("a basis is orthonormal and spans what it is of, also where columns depend on each other") {
  generate::Generator generator(52);
  for (const Index rank : {0, 1, 5, 23, 24})
    for (const Index n : {24, 32, 200}) {
      sagitta::detail::TallRows X =
          generate::matrix(generator, n, rank) * generate::matrix(generator, rank, 24);
      const sagitta::detail::TallRows Q = sagitta::detail::orthonormal_basis(X);
      const MatrixXd overlap = Q.transpose() * Q, inside = Q * (Q.transpose() * X);
      CHECK((overlap - MatrixXd::Identity(24, 24)).cwiseAbs().maxCoeff() <= 32 * eps);
      CHECK((inside - X).norm() <= 64 * eps * (1 + X.norm()));
    }
}

TEST_CASE("a subspace stays orthonormal and holds what it was given, whether that is new or not") {
  generate::Generator generator(55);
  for (const Index n : {192, 195, 200, 256})
    for (const Index rank : {0, 1, 12, 24, 30, 60, 150})
      for (const double decay : {0.0, 0.1, 0.6}) {
        VectorXd s = VectorXd::Zero(n);
        for (Index i = 0; i < rank; ++i) s[i] = std::exp(-decay * static_cast<double>(i));
        const SymmetricBlocks A(generate::with_spectrum(generator, s));
        sagitta::detail::TallRows X = sagitta::detail::TallRows::Zero(A.padded(), 24), AX = X;
        X.topRows(n) = generate::matrix(generator, n, 24);
        sagitta::detail::Subspace known;
        for (int block = 0; block < 3; ++block) {
          if (!known.extend(A, X)) break;  // says so itself
          const Index m = known.dimension();
          MatrixXd Q(A.padded(), m);
          for (Index b = 0; b <= block; ++b) Q.middleCols(24 * b, 24) = known.Q[static_cast<std::size_t>(b)];
          CHECK((Q.transpose() * Q - MatrixXd::Identity(m, m)).cwiseAbs().maxCoeff() <= 72 * eps);
          CHECK((Q * (Q.transpose() * X) - X).norm() <= 128 * eps * X.norm());
          sagitta::detail::multiply_tall(A, known.Q.back(), AX);
          CHECK((known.AQ.back() - AX).norm() == 0);
          X = AX;
        }
        CHECK(known.dimension() >= 24);
      }
}

TEST_CASE("low ranks are certified, and right, with and without the knowledge of semidefiniteness") {
  generate::Generator generator(53);
  int cases = 0, certified = 0;
  for (int trial = 0; trial < 240; ++trial) {
    const Index n = generate::whole(generator, 192, 230);
    VectorXd s = spectrum(generator, trial % 6, n);
    const bool semidefinite = trial % 2 == 0;
    if (!semidefinite)  // small values of either sign
      for (Index i = 8; i < n; ++i) s[i] *= generate::uniform(generator, -1, 1) < 0 ? -1 : 1;
    SymmetricBlocks blocks(generate::with_spectrum(generator, s));
    const int exponent = blocks.scale("test", "A");
    const double threshold = std::vector<double>{0.5, 0.9, 0.99}[static_cast<std::size_t>(trial / 6 % 3)];
    const double input_error = trial % 5 == 0 ? 1e-9 * std::abs(s[0]) : 0;
    const auto got =
        sagitta::detail::low_rank(blocks, threshold, std::ldexp(input_error, -exponent), semidefinite);
    VectorXd moduli = s.cwiseAbs();
    std::sort(moduli.begin(), moduli.end(), std::greater<>());
    // s is known but for the rounding of A
    const EffectiveRank truth = sagitta::detail::bracketed_rank(
        moduli, sagitta::detail::value_error(n, moduli[0]) + input_error, threshold, n);
    ++cases;
    if (!got) continue;
    ++certified;
    INFO("trial " << trial << ", n = " << n << ", threshold " << threshold);
    CHECK(got->certified());
    CHECK(got->max_rank == n);
    CHECK(got->rank >= truth.lower);
    CHECK(got->rank <= truth.upper);
    if (truth.certified()) CHECK(got->rank == truth.rank);
  }
  INFO(certified << " of " << cases << " certified");
  CHECK(certified > cases / 2);
}

TEST_CASE("certificates from bases that are not quite orthonormal take that into account") {
  using sagitta::detail::Subspace;
  using Extended = Eigen::Matrix<long double, Eigen::Dynamic, Eigen::Dynamic>;
  generate::Generator generator(55);
  int certified = 0;
  double sharpest = 0;
  for (int trial = 0; trial < 400; ++trial) {
    const Index n = 192, m = 24;
    const bool semidefinite = trial % 2 == 0;
    // the first `few` hold the threshold's share of all up to `margin`, on either side of it
    const Index few = generate::whole(generator, 1, 12);
    const double threshold = 0.9, margin = std::pow(10.0, generate::uniform(generator, -13, -5)) *
                                           (generate::uniform(generator, -1, 1) < 0 ? -1 : 1);
    VectorXd s = VectorXd::Zero(n);
    s.head(few).setOnes();
    const double head = static_cast<double>(few), rest = head / (threshold + margin) - head;
    const Index small = generate::whole(generator, 3, 10);
    s.segment(few, small).setConstant(rest / static_cast<double>(small));
    const MatrixXd A = s.asDiagonal();
    const SymmetricBlocks blocks(A);

    Subspace known;  // of the leading unit vectors, each turned and stretched a little
    const double size = std::pow(10.0, generate::uniform(generator, -16, -10.5));
    sagitta::detail::TallRows Q = sagitta::detail::TallRows::Zero(blocks.padded(), m);
    Q.topRows(m) =
        MatrixXd::Identity(m, m) +
        size / 24 * (trial % 3 == 0 ? MatrixXd(MatrixXd::Ones(m, m)) : generate::matrix(generator, m, m));
    const Extended overlap =
        Q.cast<long double>().transpose() * Q.cast<long double>() - Extended::Identity(m, m);
    known.overlaps = (Q.transpose() * Q - MatrixXd::Identity(m, m)).squaredNorm();
    known.Q.push_back(Q);
    known.AQ.push_back(Q);
    sagitta::detail::multiply_tall(blocks, known.Q[0], known.AQ[0]);
    known.image = known.AQ[0].squaredNorm();
    known.projected = Q.transpose() * known.AQ[0];
    CHECK(static_cast<double>(overlap.norm()) <= known.defect());
    const auto got = sagitta::detail::certify(known, n, s.sum(), s.squaredNorm(), threshold, 0, semidefinite);
    if (!got) continue;
    ++certified;
    sharpest = std::max(sharpest, known.defect() / std::abs(margin));
    INFO("trial " << trial << ", " << few << " of " << small << ", margin " << margin << ", defect "
                  << known.defect());
    CHECK(got->rank == (margin > 0 ? few : few + 1));
  }
  INFO(certified << " certified; largest defect in units of the margin: " << sharpest);
  CHECK(certified > 100);
}

TEST_CASE("what few directions certify is what the full decomposition finds, at thresholds next to a tie") {
  generate::Generator generator(56);
  using enum generate::Shape;
  constexpr generate::Shape shapes[] = {geometric, raised,   power,     floor, noisy,
                                        deficient, clusters, one_large, tied,  graded};
  const char* const more = std::getenv("SAGITTA_TRIALS");  // as many as one likes
  const int trials = more != nullptr ? std::stoi(more) : 600;
  Index cases = 0, certified = 0, certain = 0;
  for (int trial = 0; trial < trials; ++trial) {
    const Index n = generate::whole(generator, 192, 260), some = generate::whole(generator, 1, 23);
    const double low = std::pow(10.0, generate::uniform(generator, -16, -3)),
                 rate = generate::uniform(generator, .2, .9);
    VectorXd s = generate::spectrum(generator, shapes[trial % 10], n, rate, some, low);
    const bool semidefinite = trial % 3 != 0;
    if (!semidefinite)
      for (Index i = some; i < n; ++i) s[i] *= generate::uniform(generator, -1, 1) < 0 ? -1 : 1;
    // thresholds on either side of a share that some j have exactly
    VectorXd moduli = s.cwiseAbs();
    std::sort(moduli.begin(), moduli.end(), std::greater<>());
    const Index j = generate::whole(generator, 1, 23);
    const double share = moduli.head(j).sum() / moduli.sum(),
                 offset = std::pow(10.0, generate::uniform(generator, -15, -3)) * (trial % 4 < 2 ? 1 : -1);
    const double threshold = trial % 5 == 0 ? 0.99 : std::clamp(share * (1 + offset), 0.01, 0.9999);
    const MatrixXd A = generate::with_spectrum(generator, s);
    SymmetricBlocks blocks(A);
    blocks.scale("test", "A");
    ++cases;
    const auto got = sagitta::detail::low_rank(blocks, threshold, 0, semidefinite);
    if (!got) continue;
    ++certified;
    const Eigen::SelfAdjointEigenSolver<MatrixXd> solver(A, Eigen::EigenvaluesOnly);
    VectorXd full = solver.eigenvalues().cwiseAbs();
    std::sort(full.begin(), full.end(), std::greater<>());
    const EffectiveRank of_solver = sagitta::detail::bracketed_rank(
                            full, sagitta::detail::value_error(n, full[0]), threshold, n),
                        truth = sagitta::detail::bracketed_rank(
                            moduli, eps * moduli[0] * std::sqrt(static_cast<double>(n)), threshold, n);
    certain += truth.certified();
    INFO("trial " << trial << ", n = " << n << ", threshold " << threshold);
    CHECK(got->rank >= of_solver.lower);
    CHECK(got->rank <= of_solver.upper);
    CHECK(got->rank >= truth.lower);
    CHECK(got->rank <= truth.upper);
  }
  INFO(certified << " of " << cases << " certified, " << certain << " of them no close call");
  CHECK(certified > cases / 5);
  CHECK(certain > certified / 2);
}

TEST_CASE("what is not of low rank, or cannot be certified, is left to the full decomposition") {
  generate::Generator generator(54);
  const Index n = 200;
  const auto attempt = [&](const VectorXd& s) {
    SymmetricBlocks blocks(generate::with_spectrum(generator, s));
    blocks.scale("test", "A");
    return sagitta::detail::low_rank(blocks, 0.99, 0, true).has_value();
  };
  CHECK_FALSE(attempt(VectorXd::Ones(n)));
  CHECK_FALSE(attempt(VectorXd::Zero(n)));
  CHECK_FALSE(attempt(VectorXd::LinSpaced(n, -1, 1)));
  VectorXd tied = VectorXd::Zero(n);
  tied[0] = 99;
  tied[1] = 1;
  CHECK_FALSE(attempt(tied));  // an exact tie
  VectorXd long_tail = VectorXd::Constant(n, 0.012);
  long_tail[0] = 10;
  CHECK_FALSE(attempt(long_tail));
  // columns that repeat give a first subspace of one dimension
  const MatrixXd ones = MatrixXd::Ones(n, n);
  CHECK(sagitta::symmetric_effective_rank(ones).rank == 1);
  CHECK(sagitta::symmetric_effective_rank(ones).certified());
  // a subspace that misses what is large: unit vectors between those that are tried
  MatrixXd hidden = MatrixXd::Zero(n, n);
  for (Index i = 1; i < 6; ++i) hidden(i, i) = static_cast<double>(i);
  CHECK(sagitta::symmetric_effective_rank(hidden).rank == 5);
  CHECK(sagitta::symmetric_effective_rank(hidden).certified());
}
