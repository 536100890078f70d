#include <sagitta/effective_rank.hpp>

#include "catch.hpp"
#include "generate.hpp"
#include "rejection.hpp"

using Eigen::MatrixXd;
using Eigen::MatrixXf;
using Eigen::VectorXd;
using generate::Index;
using sagitta::EffectiveRank;

namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();
const double not_a_number = std::numeric_limits<double>::quiet_NaN();
const double infinity = std::numeric_limits<double>::infinity();

VectorXd naive_eigenvalues(const MatrixXd& A) {
  if (A.size() == 0) return VectorXd(0);
  return Eigen::SelfAdjointEigenSolver<MatrixXd>(A, Eigen::EigenvaluesOnly).eigenvalues().reverse();
}

VectorXd naive_singular_values(const MatrixXd& A) {
  if (A.size() == 0) return VectorXd(0);
  return Eigen::JacobiSVD<MatrixXd>(A).singularValues();
}

double largest(const VectorXd& values) { return values.size() == 0 ? 0 : values.cwiseAbs().maxCoeff(); }

bool same(const EffectiveRank& a, const EffectiveRank& b) {
  return a.rank == b.rank && a.lower == b.lower && a.upper == b.upper && a.max_rank == b.max_rank;
}

// what every result promises against the rank that is known
void check_bracket(const EffectiveRank& got, Index truth, Index max_rank) {
  CHECK(got.lower <= truth);
  CHECK(truth <= got.upper);
  CHECK(got.lower <= got.rank);
  CHECK(got.rank <= got.upper);
  CHECK(got.upper <= got.max_rank);
  CHECK(got.max_rank == max_rank);
  CHECK(got.certified() == (got.lower == got.upper));
  if (got.certified()) CHECK(got.rank == truth);
}

}  // namespace

TEST_CASE("eigenvalues and singular values agree with Eigen's solvers") {
  generate::Generator generator(11);
  for (const auto& [m, n] : generate::shapes()) {
    const MatrixXd A = generate::matrix(generator, m, n), S = A + MatrixXd(A).reverse();
    const VectorXd s = naive_singular_values(A), got = sagitta::singular_values(A);
    REQUIRE(got.size() == std::min(m, n));
    // the documented 8 sqrt(n) eps |A|, and as much for the other side
    const double allowed = 16 * std::sqrt(static_cast<double>(got.size())) * eps * largest(s);
    CHECK(largest(got - s) <= allowed);
    CHECK(std::is_sorted(got.begin(), got.end(), std::greater<>()));
    CHECK((got.array() >= 0).all());
    CHECK(largest(sagitta::singular_values(A.transpose()) - got) <= allowed);

    const MatrixXd K = S * S.transpose() - MatrixXd::Identity(m, m);
    const VectorXd values = naive_eigenvalues(K), mine = sagitta::symmetric_eigenvalues(K);
    REQUIRE(mine.size() == m);
    CHECK(largest(mine - values) <= 16 * std::sqrt(static_cast<double>(m)) * eps * largest(values));
    CHECK(std::is_sorted(mine.begin(), mine.end(), std::greater<>()));
  }
}

TEST_CASE("the documented error of eigenvalues and singular values holds where they are known exactly") {
  generate::Generator generator(12);
  double worst_eigenvalue = 0, worst_singular_value = 0;  // in units of the bound
  for (const generate::Kind kind : generate::kinds)
    for (const Index n : {1, 2, 3, 8, 21, 60}) {
      VectorXd values = generate::with_random_signs(generator, generate::spectrum(generator, kind, n));
      const MatrixXd Q = generate::whole_orthogonal(generator, n);
      const double scale = Q.row(0).squaredNorm(), bound = 8 * std::sqrt(static_cast<double>(n)) * eps;
      const MatrixXd A = Q * values.asDiagonal() * Q.transpose(), B = Q * values.asDiagonal();
      std::sort(values.begin(), values.end(), std::greater<>());
      const VectorXd error = sagitta::symmetric_eigenvalues(A) / scale - values;
      CHECK(largest(error) <= bound * largest(values));
      values = values.cwiseAbs();
      std::sort(values.begin(), values.end(), std::greater<>());
      const VectorXd singular_error = sagitta::singular_values(B) / std::sqrt(scale) - values;
      CHECK(largest(singular_error) <= bound * largest(values));
      if (largest(values) == 0) continue;
      worst_eigenvalue = std::max(worst_eigenvalue, largest(error) / (bound * largest(values)));
      worst_singular_value =
          std::max(worst_singular_value, largest(singular_error) / (bound * largest(values)));
    }
  INFO("largest errors in units of the bound: " << worst_eigenvalue << ", " << worst_singular_value);
  CHECK(worst_eigenvalue <= 0.5);  // room to spare, so that the certificates are safe
  CHECK(worst_singular_value <= 0.5);
}

TEST_CASE("a certified rank is the true one, and the bracket always holds it") {
  generate::Generator generator(13);
  int decided = 0, certified = 0;
  const auto look = [&](const EffectiveRank& got, const VectorXd& spectrum, generate::Threshold threshold,
                        Index max_rank) {
    const Index truth = generate::exact_rank(spectrum, threshold);
    INFO("n = " << spectrum.size() << ", threshold " << threshold.value());
    check_bracket(got, truth, max_rank);
    CHECK(got.rank == truth);
    certified += got.certified();
    ++decided;
  };
  // whole numbers: the matrices hold exactly the spectra below, ties included
  for (const generate::Kind kind : generate::kinds)
    for (const Index n : {1, 2, 3, 7, 20, 33, 64, 90}) {
      const VectorXd s = generate::spectrum(generator, kind, n);
      const VectorXd signs = generate::with_random_signs(generator, s);
      const MatrixXd positive = generate::with_eigenvalues(generator, s);
      const MatrixXd indefinite = generate::with_eigenvalues(generator, signs);
      const Index wide = std::min<Index>(100, 2 * n);
      const MatrixXd general = generate::with_singular_values(generator, s, n, wide);
      for (const generate::Threshold threshold : generate::thresholds) {
        const double t = threshold.value();
        look(sagitta::symmetric_effective_rank(positive, t), s, threshold, n);
        look(sagitta::symmetric_effective_rank(indefinite, t), s, threshold, n);
        look(sagitta::effective_rank(general, t), s, threshold, n);
        look(sagitta::effective_rank(general.transpose(), t), s, threshold, n);
        look(sagitta::spectrum_effective_rank(s.reverse(), t), s, threshold, n);
      }
    }
  INFO(certified << " of " << decided << " certified");
  CHECK(certified > decided * 3 / 4);  // the others are ties, spectra of ties' kind, and zero matrices
}

TEST_CASE("both routes to a matrix's rank hold the true one, also one step from a tie") {
  generate::Generator generator(14);
  int by_gram = 0, cases = 0;
  for (const Index n : {48, 72, 100})
    for (int trial = 0; trial < 12; ++trial) {
      VectorXd s = VectorXd::Ones(n);
      // the leading one decides: at 99/100 a tie, and one part in 2^20 or so to either side of it
      const Index few = generate::whole(generator, 1, 8);
      const double unit = 1 << (2 * (trial % 4));
      s.tail(n - few).setZero();
      s.head(few).setConstant(unit);
      s[0] = 99 * unit * static_cast<double>(few - 1) + static_cast<double>(trial % 3 - 1);
      if (s[0] <= 0) s[0] = 1;
      const MatrixXd A = generate::with_singular_values(generator, s, n, n);
      const generate::Threshold threshold{99, 100};
      const Index truth = generate::exact_rank(s, threshold);
      const EffectiveRank fast = sagitta::detail::effective_rank_by_gram(
          sagitta::detail::scaled(A, "test", "A").matrix, threshold.value());
      check_bracket(fast, truth, n);
      check_bracket(sagitta::effective_rank(A, threshold.value()), truth, n);
      CHECK(sagitta::effective_rank(A, threshold.value()).rank == truth);
      by_gram += fast.certified();
      ++cases;
    }
  INFO(by_gram << " of " << cases << " certified by the Gram matrix");
  CHECK(by_gram < cases);  // singular values are needed for some
}

TEST_CASE("exact ties do not exceed the threshold") {
  for (const Index n : {1, 2, 99, 100, 101, 199, 200}) {
    const MatrixXd I = MatrixXd::Identity(n, n);
    const Index truth = generate::exact_rank(VectorXd::Ones(n), {99, 100});
    CHECK(sagitta::symmetric_effective_rank(I).rank == truth);
    CHECK(sagitta::effective_rank(I).rank == truth);
    CHECK(sagitta::spectrum_effective_rank(VectorXd::Ones(n)).rank == truth);
  }
  CHECK(sagitta::effective_rank(MatrixXd::Identity(100, 100).eval()).rank == 100);
  CHECK(sagitta::effective_rank(MatrixXd::Identity(200, 200).eval()).rank == 199);
  const Eigen::Vector2d tie(99, 1), above(99 * (1 + 1e-12), 1), below(99 * (1 - 1e-12), 1);
  CHECK(sagitta::symmetric_effective_rank(MatrixXd(tie.asDiagonal())).rank == 2);
  CHECK_FALSE(sagitta::spectrum_effective_rank(tie).certified());
  CHECK(sagitta::spectrum_effective_rank(above).rank == 1);
  CHECK(sagitta::spectrum_effective_rank(above).certified());
  CHECK(sagitta::spectrum_effective_rank(below).rank == 2);
  CHECK(sagitta::spectrum_effective_rank(below).certified());
}

TEST_CASE("the rank does not see orthogonal transforms, permutations and powers of two") {
  generate::Generator generator(15);
  for (const Index n : {1, 5, 30, 60}) {
    VectorXd s(n);
    for (Index i = 0; i < n; ++i) s[i] = std::pow(0.8, static_cast<double>(i));
    const MatrixXd U = generate::orthogonal(generator, n + 4, n), V = generate::orthogonal(generator, n, n);
    const MatrixXd A = U * s.asDiagonal() * V.transpose();
    const EffectiveRank got = sagitta::effective_rank(A);
    REQUIRE(got.certified());
    CHECK(same(sagitta::effective_rank(A.transpose()), got));
    CHECK(same(sagitta::effective_rank(A * generate::orthogonal(generator, n, n)), got));
    CHECK(same(sagitta::effective_rank(A.colwise().reverse()), got));
    CHECK(same(sagitta::effective_rank(Eigen::Matrix<double, -1, -1, Eigen::RowMajor>(A)), got));
    for (const int exponent : {-1060, -700, -1, 1, 700, 1000}) {
      const MatrixXd scaled = (A * std::ldexp(1.0, exponent / 2)) * std::ldexp(1.0, exponent - exponent / 2);
      if (exponent > -1000) CHECK(same(sagitta::effective_rank(scaled), got));
      CHECK(sagitta::effective_rank(scaled).max_rank == n);
    }
    CHECK(same(sagitta::effective_rank(A * 1e-200), got));
    CHECK(same(sagitta::effective_rank(A * 1e200), got));

    const MatrixXd K = V * s.asDiagonal() * V.transpose();
    const EffectiveRank symmetric = sagitta::symmetric_effective_rank(K);
    CHECK(symmetric.rank == got.rank);
    CHECK(sagitta::symmetric_effective_rank(K * 1e-200).rank == got.rank);
    CHECK(sagitta::symmetric_effective_rank(K * 1e200).rank == got.rank);
    CHECK(sagitta::symmetric_effective_rank(-K).rank == got.rank);
    CHECK(sagitta::symmetric_effective_rank(K.reverse()).rank == got.rank);
    CHECK(sagitta::spectrum_effective_rank(s * 1e-300).rank == got.rank);
    CHECK(sagitta::spectrum_effective_rank(s * 1e300).rank == got.rank);
  }
}

TEST_CASE("only the lower triangle of a symmetric matrix is read") {
  generate::Generator generator(16);
  MatrixXd A = generate::matrix(generator, 9, 9);
  A = (A + A.transpose()).eval();
  MatrixXd lower = A;
  lower.triangularView<Eigen::StrictlyUpper>().setConstant(not_a_number);
  CHECK(same(sagitta::symmetric_effective_rank(lower), sagitta::symmetric_effective_rank(A)));
  CHECK(sagitta::symmetric_eigenvalues(lower) == sagitta::symmetric_eigenvalues(A));
}

TEST_CASE("any Eigen expression of float or double will do") {
  generate::Generator generator(17);
  const MatrixXd A = generate::matrix(generator, 8, 8);
  const MatrixXf F = A.cast<float>();
  const MatrixXd wide = F.cast<double>();
  const EffectiveRank got = sagitta::effective_rank(wide);
  CHECK(same(sagitta::effective_rank(F), got));
  CHECK(same(sagitta::effective_rank(F.cast<double>()), got));
  CHECK(same(sagitta::effective_rank(Eigen::Matrix<float, 8, 8, Eigen::RowMajor>(F)), got));
  CHECK(same(sagitta::effective_rank(F.block(1, 2, 3, 4)), sagitta::effective_rank(wide.block(1, 2, 3, 4))));
  CHECK(same(sagitta::effective_rank(A + A), sagitta::effective_rank(A)));
  const Eigen::Map<const MatrixXd, 0, Eigen::Stride<-1, -1>> strided(A.data(), 4, 4, {16, 2});
  CHECK(same(sagitta::effective_rank(strided), sagitta::effective_rank(MatrixXd(strided))));
  CHECK(same(sagitta::effective_rank(A(std::vector<int>{1, 4}, Eigen::all)),
             sagitta::effective_rank(MatrixXd(A(std::vector<int>{1, 4}, Eigen::all)))));
  CHECK(sagitta::symmetric_effective_rank(A * A.transpose()).rank ==
        sagitta::symmetric_effective_rank(MatrixXd(A * A.transpose())).rank);
  CHECK(sagitta::symmetric_effective_rank(F + F.transpose()).rank ==
        sagitta::symmetric_effective_rank(MatrixXd((F + F.transpose()).cast<double>())).rank);
  CHECK(sagitta::spectrum_effective_rank(A.array().abs()).rank ==
        sagitta::spectrum_effective_rank(A.cwiseAbs().reshaped()).rank);
  CHECK(sagitta::spectrum_effective_rank(Eigen::RowVector3f(1, 2, 3)).rank == 3);
}

TEST_CASE("thresholds 0 and 1") {
  generate::Generator generator(18);
  for (const Index n : {1, 2, 6, 50}) {
    const Index rank = (n + 1) / 2;
    VectorXd s = VectorXd::Zero(n);
    s.head(rank).setLinSpaced(static_cast<double>(rank), 1);
    const MatrixXd A = generate::with_eigenvalues(generator, s);
    CHECK(sagitta::symmetric_effective_rank(A, 0).rank == 1);
    CHECK(sagitta::symmetric_effective_rank(A, 0).certified());
    CHECK(sagitta::effective_rank(A, 0).rank == 1);
    CHECK(sagitta::spectrum_effective_rank(s, 0).rank == 1);
    CHECK(sagitta::symmetric_effective_rank(A, 1).rank == rank);
    CHECK(sagitta::symmetric_effective_rank(A, 1).lower == rank);
    CHECK(sagitta::effective_rank(A, 1).rank == rank);
    CHECK(sagitta::spectrum_effective_rank(s, 1).rank == rank);
    CHECK(sagitta::spectrum_effective_rank(s, 1).certified());
    const MatrixXd zero = MatrixXd::Zero(n, n);
    for (const double t : {0.0, 0.5, 0.99, 1.0}) {
      for (const EffectiveRank& got :
           {sagitta::effective_rank(zero, t), sagitta::symmetric_effective_rank(zero, t),
            sagitta::spectrum_effective_rank(zero.col(0), t)}) {
        CHECK(got.rank == 0);
        CHECK(got.certified());
        CHECK(got.max_rank == n);
        CHECK(got.relative() == 0);
      }
    }
  }
  // next to 1, where the margin of every j drowns in the rounding, the bracket still holds the exact rank
  MatrixXd five = MatrixXd::Zero(40, 40);
  five.diagonal().head(5).setOnes();
  const EffectiveRank near = sagitta::symmetric_effective_rank(five, 1 - eps);
  CHECK(near.lower <= 5);
  CHECK(near.upper >= 5);
}

TEST_CASE("empty matrices have rank 0") {
  for (const double t : {0.0, 0.99, 1.0}) {
    CHECK(same(sagitta::effective_rank(MatrixXd(0, 0), t), {}));
    CHECK(same(sagitta::effective_rank(MatrixXd(0, 4), t), {}));
    CHECK(same(sagitta::effective_rank(MatrixXd(4, 0), t), {}));
    CHECK(same(sagitta::symmetric_effective_rank(MatrixXd(0, 0), t), {}));
    CHECK(same(sagitta::spectrum_effective_rank(VectorXd(0), t), {}));
  }
  CHECK(sagitta::symmetric_eigenvalues(MatrixXd(0, 0)).size() == 0);
  CHECK(sagitta::singular_values(MatrixXd(0, 4)).size() == 0);
  CHECK(sagitta::entropy_rank(MatrixXd(0, 4)) == 0);
  CHECK(sagitta::stable_rank(MatrixXd(4, 0)) == 0);
}

TEST_CASE("an input error widens the bracket by as much as it can change the rank") {
  const VectorXd s = (VectorXd(4) << 60, 30, 9.5, 0.5).finished();
  const MatrixXd A = s.asDiagonal();
  CHECK(sagitta::symmetric_effective_rank(A).certified());
  Index lower = 4, upper = 0;
  for (const double error : {1e-14, 1e-6, 0.01, 0.2, 0.6, 5.0, 70.0, 1e300}) {
    const EffectiveRank got = sagitta::symmetric_effective_rank(A, 0.99, error);
    CHECK(got.rank == 3);
    CHECK(got.lower <= 3);
    CHECK(got.upper >= 3);
    CHECK(got.lower <= lower);
    CHECK(got.upper >= upper);
    lower = got.lower;
    upper = got.upper;
    // every matrix within the error has its rank in the bracket
    generate::Generator generator(19);
    for (int trial = 0; trial < 20 && error < 100; ++trial) {
      MatrixXd E = generate::matrix(generator, 4, 4);
      E = (E + E.transpose()).eval();
      E *= generate::uniform(generator, 0, 1) * error / largest(naive_eigenvalues(E));
      const Index other = sagitta::symmetric_effective_rank(A + E).rank;
      CHECK(got.lower <= other);
      CHECK(other <= got.upper);
    }
  }
  CHECK(lower == 0);
  CHECK(upper == 4);
  CHECK(same(sagitta::symmetric_effective_rank(A * 0x1p-600, 0.99, 0.2 * 0x1p-600),
             sagitta::symmetric_effective_rank(A, 0.99, 0.2)));
  const EffectiveRank zero = sagitta::symmetric_effective_rank(MatrixXd::Zero(3, 3), 0.99, 1e-9);
  CHECK(zero.rank == 0);
  CHECK(zero.upper == 3);
}

TEST_CASE("very tall matrices keep the certificate") {
  // two orthogonal columns of equal length, one of many equal entries and one of a single entry: a tie
  for (const int power : {4, 10, 14, 18}) {
    const Index rows = Index{1} << power;
    MatrixXd A = MatrixXd::Zero(rows + 1, 2);
    A.col(0).head(rows).setConstant(0.1);
    A(rows, 1) = std::ldexp(0.1, power / 2);
    check_bracket(sagitta::effective_rank(A, 0.5), 2, 2);
    const VectorXd s = sagitta::singular_values(A);
    // 8 sqrt(2) eps each way, as documented: no matter how many rows
    CHECK(std::abs(s[0] - s[1]) <= 16 * std::sqrt(2.0) * eps * s[0]);
  }
}

TEST_CASE("entropy rank and stable rank") {
  generate::Generator generator(20);
  for (const auto& [m, n] : generate::shapes()) {
    if (m * n == 0) continue;
    const MatrixXd A = generate::matrix(generator, m, n);
    const Eigen::ArrayXd s = naive_singular_values(A).array(), p = s / s.sum();
    const double entropy = std::exp(-(p * (p > 0).select(p, 1).log()).sum());
    // exp of a sum of n terms of size 1: eps times n
    const double allowed = 64 * eps * static_cast<double>(std::min(m, n) + 1);
    CHECK(std::abs(sagitta::entropy_rank(A) - entropy) <= allowed * entropy);
    CHECK(std::abs(sagitta::stable_rank(A) - s.square().sum() / (s[0] * s[0])) <=
          allowed * sagitta::stable_rank(A));
    for (const double scale : {1e-200, 1e200}) {
      CHECK(std::abs(sagitta::entropy_rank(A * scale) - entropy) <= allowed * entropy);
      CHECK(std::abs(sagitta::stable_rank(A * scale) / sagitta::stable_rank(A) - 1) <= allowed);
    }
  }
  CHECK(sagitta::entropy_rank(MatrixXd::Zero(3, 2)) == 0);
  CHECK(sagitta::stable_rank(MatrixXd::Zero(3, 2)) == 0);
  CHECK(std::abs(sagitta::entropy_rank(MatrixXd::Identity(7, 7)) - 7) <= 64 * eps);
  CHECK(std::abs(sagitta::stable_rank(MatrixXd::Identity(7, 7)) - 7) <= 64 * eps);
}

TEST_CASE("relative rank and certificate") {
  CHECK(EffectiveRank{}.relative() == 0);
  CHECK(EffectiveRank{}.certified());
  CHECK(EffectiveRank{.rank = 3, .lower = 2, .upper = 3, .max_rank = 4}.relative() == 0.75);
  CHECK_FALSE(EffectiveRank{.rank = 3, .lower = 2, .upper = 3, .max_rank = 4}.certified());
}

TEST_CASE("ranks and spectra reject what they cannot answer") {
  for (const double bad : {not_a_number, -not_a_number, infinity, -infinity}) {
    MatrixXd A = MatrixXd::Identity(5, 5);
    A(3, 1) = bad;
    const MatrixXf F = A.cast<float>();
    CHECK(holds(rejection([&] { (void)sagitta::effective_rank(A); }), "effective_rank: A(3, 1) is "));
    CHECK(holds(rejection([&] { (void)sagitta::effective_rank(F); }), "effective_rank: A(3, 1) is "));
    CHECK(holds(rejection([&] { (void)sagitta::effective_rank(A + A); }), "effective_rank: A(3, 1) is "));
    CHECK(holds(rejection([&] { (void)sagitta::symmetric_effective_rank(A); }),
                "symmetric_effective_rank: A(3, 1) is "));
    CHECK(holds(rejection([&] { (void)sagitta::spectrum_effective_rank(A.col(1)); }),
                "spectrum_effective_rank: values(3, 0) is "));
    CHECK(holds(rejection([&] { (void)sagitta::symmetric_eigenvalues(A); }),
                "symmetric_eigenvalues: A(3, 1) is "));
    CHECK(holds(rejection([&] { (void)sagitta::singular_values(A); }), "singular_values: A(3, 1) is "));
    CHECK(holds(rejection([&] { (void)sagitta::entropy_rank(A); }), "entropy_rank: A(3, 1) is "));
    CHECK(holds(rejection([&] { (void)sagitta::stable_rank(A); }), "stable_rank: A(3, 1) is "));
    const MatrixXd I = MatrixXd::Identity(2, 2);
    CHECK(holds(rejection([&] { (void)sagitta::effective_rank(I, bad); }), "effective_rank: threshold is "));
    CHECK(holds(rejection([&] { (void)sagitta::symmetric_effective_rank(I, bad); }),
                "symmetric_effective_rank: threshold is "));
    CHECK(holds(rejection([&] { (void)sagitta::spectrum_effective_rank(I.col(0), bad); }),
                "spectrum_effective_rank: threshold is "));
    CHECK(holds(rejection([&] { (void)sagitta::symmetric_effective_rank(I, 0.99, bad); }),
                "symmetric_effective_rank: input_error is "));
  }
  const MatrixXd wide = MatrixXd::Ones(2, 3);
  CHECK(rejection([&] { (void)sagitta::symmetric_effective_rank(wide); }) ==
        "symmetric_effective_rank: A is 2 x 3, expected a square matrix");
  CHECK(rejection([&] { (void)sagitta::symmetric_eigenvalues(wide); }) ==
        "symmetric_eigenvalues: A is 2 x 3, expected a square matrix");
  CHECK(rejection([&] { (void)sagitta::effective_rank(wide, 1.5); }) ==
        "effective_rank: threshold is 1.5, expected a number from 0 to 1");
  CHECK(rejection([&] { (void)sagitta::effective_rank(MatrixXd(0, 0), -0.5); }) ==
        "effective_rank: threshold is -0.5, expected a number from 0 to 1");
  CHECK(rejection([&] { (void)sagitta::symmetric_effective_rank(MatrixXd::Ones(1, 1), 0.5, -1); }) ==
        "symmetric_effective_rank: input_error is -1, expected a finite number >= 0");
  CHECK(holds(rejection([&] { (void)sagitta::spectrum_effective_rank(Eigen::Vector2d(1, -1e-300)); }),
              "negative"));
}
