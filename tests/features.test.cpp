#include <sagitta/features.hpp>

#include "catch.hpp"
#include "generate.hpp"
#include "rejection.hpp"

using Eigen::MatrixXd;
using Eigen::MatrixXf;
using Eigen::VectorXd;
using generate::Index;

namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();

double naive_entropy(const VectorXd& weights) {
  const double total = weights.sum();
  double sum = 0;
  for (const double weight : weights)
    if (weight > 0) sum += weight / total * std::log(weight / total);
  return sum;
}

double naive_dormancy(const MatrixXd& F) {
  VectorXd activity = VectorXd::Zero(F.cols());
  for (Index j = 0; j < F.cols(); ++j)
    for (Index i = 0; i < F.rows(); ++i) activity[j] += std::abs(F(i, j)) / static_cast<double>(F.rows());
  return naive_entropy(activity);
}

double naive_per_sample(const MatrixXd& F) {
  double sum = 0;
  int active = 0;
  for (Index i = 0; i < F.rows(); ++i)
    if (!F.row(i).isZero(0)) {
      sum += naive_entropy(F.row(i).cwiseAbs().transpose());
      ++active;
    }
  return sum / active;
}

double naive_dormant_fraction(const MatrixXd& F, double tau) {
  const VectorXd activity = F.cwiseAbs().colwise().mean().transpose();
  int dormant = 0;
  for (const double a : activity) dormant += a <= tau * activity.mean();
  return dormant / static_cast<double>(F.cols());
}

}  // namespace

TEST_CASE("dormancies agree with sums written out") {
  generate::Generator generator(61);
  for (const auto& [n, width] : generate::shapes()) {
    if (n * width == 0) continue;
    MatrixXd F = generate::matrix(generator, n, width);
    for (const bool relu : {false, true}) {
      if (relu) F = F.cwiseMax(0);
      if (F.isZero(0)) continue;
      const double size = static_cast<double>(n + width), unit = naive_dormancy(F);
      // logarithms of at most log(width), sums of n and of width terms
      const double allowed = 2 * eps * (8 + size);
      const double got = sagitta::dormancy(F), per_sample = sagitta::per_sample_dormancy(F);
      CHECK(std::abs(got - unit) <= allowed);
      CHECK(std::abs(per_sample - naive_per_sample(F)) <= allowed);
      CHECK(got <= 0);
      CHECK(per_sample <= 0);
      CHECK(got >= -std::log(static_cast<double>(width)) - allowed);
      CHECK(per_sample >= -std::log(static_cast<double>(width)) - allowed);
      for (const double tau : {0.0, 0.025, 0.7, 1.5})
        CHECK(sagitta::dormant_fraction(F, tau) == naive_dormant_fraction(F, tau));

      // the sign, a power of two, the order of samples and of units, and the storage do not count
      CHECK(sagitta::dormancy(-F) == got);
      for (const double scale : {0x1p-900, 0x1p-1, 0x1p900}) {
        CHECK(sagitta::dormancy(F * scale) == got);
        CHECK(sagitta::per_sample_dormancy(F * scale) == per_sample);
        CHECK(sagitta::dormant_fraction(F * scale, 0.7) == sagitta::dormant_fraction(F, 0.7));
      }
      CHECK(std::abs(sagitta::dormancy(F.reverse()) - got) <= allowed);
      CHECK(std::abs(sagitta::per_sample_dormancy(F.reverse()) - per_sample) <= allowed);
      const Eigen::Matrix<double, -1, -1, Eigen::RowMajor> rows = F;
      CHECK(std::abs(sagitta::dormancy(rows) - got) <= allowed);
      CHECK(std::abs(sagitta::per_sample_dormancy(rows) - per_sample) <= allowed);
      CHECK(sagitta::dormant_fraction(rows, 0.7) == sagitta::dormant_fraction(F, 0.7));
      const MatrixXf single = F.cast<float>();
      CHECK(sagitta::dormancy(single) == sagitta::dormancy(single.cast<double>()));
      CHECK(sagitta::per_sample_dormancy(single) == sagitta::per_sample_dormancy(single.cast<double>()));
      const Eigen::Index last = n - 1;
      const MatrixXd block = F.bottomRows(n - last / 2);
      if (!block.isZero(0))
        CHECK(std::abs(sagitta::dormancy(F.bottomRows(n - last / 2)) - naive_dormancy(block)) <= allowed);
    }
  }
}

TEST_CASE("the logarithm of dormancies is right to the last bits") {
  generate::Generator generator(64);
  CHECK(sagitta::detail::log_of_normal(1) == 0);
  const auto right = [](double u) {
    const long double want = std::log(static_cast<long double>(u));
    const double error = std::abs(static_cast<double>(sagitta::detail::log_of_normal(u) - want));
    return error <= 4 * eps * std::abs(static_cast<double>(want));
  };
  int wrong = 0;
  for (int trial = 0; trial < 200000; ++trial) {
    const double m = generate::uniform(generator, 1, 2);
    wrong += !right(std::ldexp(m, static_cast<int>(generate::whole(generator, -1022, 1022))));
    wrong += !right(1 - std::ldexp(m, -static_cast<int>(generate::whole(generator, 2, 53))));
    wrong += !right(std::sqrt(0.5) * (1 + generate::uniform(generator, -1e-14, 1e-14)));  // next to the cut
  }
  CHECK(wrong == 0);
  CHECK(right(std::numeric_limits<double>::min()));
}

TEMPLATE_TEST_CASE("dormancies of many samples agree with sums in long double", "", float, double) {
  using Columns = Eigen::Matrix<TestType, Eigen::Dynamic, Eigen::Dynamic>;
  using Rows = Eigen::Matrix<TestType, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  generate::Generator generator(65);
  for (const Index n : {31, 32, 33, 64, 65, 255, 257, 1500}) {
    const Index width = generate::whole(generator, 1, 70);
    Columns F = generate::matrix(generator, n, width).template cast<TestType>();
    F = F.cwiseMax(TestType(0));
    for (Index i = 0; i < n; ++i) {  // samples of every scale, subnormal ones and zeros too
      const int range = sizeof(TestType) == 4 ? 140 : 1060;
      const auto power = static_cast<int>(generate::whole(generator, -range, range - 40));
      for (Index j = 0; j < width; ++j) F(i, j) = std::ldexp(F(i, j), i % 3 == 0 ? 0 : std::min(power, 120));
      if (i % 7 == 2) F.row(i).setZero();
    }
    long double sum = 0;
    int active = 0;
    for (Index i = 0; i < n; ++i) {
      const Eigen::Matrix<long double, 1, Eigen::Dynamic> row = F.row(i).template cast<long double>();
      const long double total = row.sum();
      if (total == 0) continue;
      ++active;
      for (Index j = 0; j < width; ++j)
        if (row[j] > 0) sum += row[j] / total * std::log(row[j] / total);
    }
    const double want = static_cast<double>(sum / active);
    // sums of `width` terms of one sign for each sample, whose logarithms are at most log(width)
    const double allowed = 2 * eps * (8 + static_cast<double>(width));
    CHECK(std::abs(sagitta::per_sample_dormancy(F) - want) <= allowed);
    CHECK(std::abs(sagitta::per_sample_dormancy(Rows(F)) - want) <= allowed);
    CHECK(sagitta::per_sample_dormancy(F.template cast<double>()) == sagitta::per_sample_dormancy(F));
    Columns frame = Columns::Constant(2 * n + 1, width + 2, std::numeric_limits<TestType>::quiet_NaN());
    frame.block(n, 1, n, width) = F;
    CHECK(sagitta::per_sample_dormancy(frame.block(n, 1, n, width)) == sagitta::per_sample_dormancy(F));
    CHECK(sagitta::dormancy(frame.block(n, 1, n, width)) == sagitta::dormancy(F));
    CHECK(std::abs(sagitta::dormancy(Rows(F)) - sagitta::dormancy(F)) <= allowed);
  }
}

TEST_CASE("a unit alone has no entropy, at any scale, and a NaN is seen in any place of a block") {
  generate::Generator generator(66);
  for (int trial = 0; trial < 2000; ++trial) {
    MatrixXd F = MatrixXd::Zero(33, 3);
    for (Index i = 0; i < F.rows(); ++i)
      F(i, i % 3) = std::ldexp(generate::uniform(generator, -2, 2),
                               static_cast<int>(generate::whole(generator, -1074, 1022)));
    CHECK(sagitta::per_sample_dormancy(F) == 0);
    // two units alike: log(1/2), also where both are subnormal; logarithms of numbers below 4, to 4 eps
    MatrixXd pairs(33, 2);
    pairs << F.rowwise().sum(), -F.rowwise().sum();
    CHECK(std::abs(sagitta::per_sample_dormancy(pairs) + std::log(2.0)) <= 8 * eps);
  }
  for (const Index i : {0, 1, 31, 32, 33, 63, 64, 65})
    for (const double bad : {std::numeric_limits<double>::quiet_NaN(), -HUGE_VAL}) {
      MatrixXd F = MatrixXd::Ones(66, 5);
      F(i, 3) = bad;
      CHECK_THROWS_AS(sagitta::per_sample_dormancy(F), std::invalid_argument);
    }
}

TEST_CASE("dormancy from all units alike to one unit alone") {
  for (const Index width : {1, 2, 7, 100}) {
    const MatrixXd alike = MatrixXd::Constant(9, width, -0.3);
    const double bottom = -std::log(static_cast<double>(width));
    CHECK(std::abs(sagitta::dormancy(alike) - bottom) <=
          8 * eps * (1 - bottom) * std::sqrt(static_cast<double>(width)));
    CHECK(std::abs(sagitta::per_sample_dormancy(alike) - bottom) <=
          8 * eps * (1 - bottom) * std::sqrt(static_cast<double>(width)));
    MatrixXd alone = MatrixXd::Zero(9, width);
    alone.col(width / 2).setConstant(2);
    CHECK(sagitta::dormancy(alone) == 0);
    CHECK(sagitta::per_sample_dormancy(alone) == 0);
    CHECK(sagitta::dormant_fraction(alone, 0) == static_cast<double>(width - 1) / static_cast<double>(width));
  }
  // a code that moves from unit to unit: all units work on average, one for each sample
  CHECK(std::abs(sagitta::dormancy(MatrixXd::Identity(8, 8)) + std::log(8.0)) <= 8 * eps);
  CHECK(sagitta::per_sample_dormancy(MatrixXd::Identity(8, 8)) == 0);
  // samples of equal activity: the mean over samples is never below
  generate::Generator generator(62);
  for (int trial = 0; trial < 20; ++trial) {
    const MatrixXd p = generate::probabilities(generator, 6, 5);
    CHECK(sagitta::per_sample_dormancy(p) >= sagitta::dormancy(p) - 16 * eps);
  }
}

TEST_CASE("samples that are all zero do not count, small ones do") {
  MatrixXd F(3, 2);
  F << 1, 1, 0, 0, 1, 0;
  CHECK(std::abs(sagitta::per_sample_dormancy(F) + std::log(2.0) / 2) <= 4 * eps);
  // each sample has a scale of its own
  F << 1e200, 0, 1e-200, 1e-200, 0, 0;
  CHECK(std::abs(sagitta::per_sample_dormancy(F) + std::log(2.0) / 2) <= 4 * eps);
  F << 1e200, 0, 1e-118, 3e-118, 0, 0;
  CHECK(std::abs(sagitta::per_sample_dormancy(F) - naive_entropy(Eigen::Vector2d(1, 3)) / 2) <= 4 * eps);
}

TEST_CASE("features without activity or without entries") {
  const MatrixXd zero = MatrixXd::Zero(4, 3);
  CHECK(std::isnan(sagitta::dormancy(zero)));
  CHECK(std::isnan(sagitta::per_sample_dormancy(zero)));
  CHECK(sagitta::dormant_fraction(zero) == 1);
  CHECK(sagitta::dormant_fraction(zero, 0) == 1);
  for (const auto& [n, width] : std::vector<std::pair<Index, Index>>{{0, 0}, {0, 3}, {3, 0}}) {
    const MatrixXd none(n, width);
    CHECK(std::isnan(sagitta::dormancy(none)));
    CHECK(std::isnan(sagitta::per_sample_dormancy(none)));
    CHECK(std::isnan(sagitta::dormant_fraction(none)));
    CHECK(sagitta::feature_rank(none).rank == 0);
  }
}

TEST_CASE("the dormant fraction counts units at the threshold") {
  MatrixXd F(1, 4);
  F << 0, 0.5, 0.5, 3;  // mean 1
  CHECK(sagitta::dormant_fraction(F, 0) == 0.25);
  CHECK(sagitta::dormant_fraction(F, 0.49) == 0.25);
  CHECK(sagitta::dormant_fraction(F, 0.5) == 0.75);
  CHECK(sagitta::dormant_fraction(F, 2.9) == 0.75);
  CHECK(sagitta::dormant_fraction(F, 3) == 1);
  CHECK(sagitta::dormant_fraction(F, 1e308) == 1);
  CHECK(sagitta::dormant_fraction(F) == 0.25);
}

TEST_CASE("the rank of features is that of their singular values, whatever their precision") {
  generate::Generator generator(63);
  for (const auto& [n, width] :
       std::vector<std::pair<Index, Index>>{{1, 1}, {20, 5}, {5, 20}, {90, 50}, {60, 60}}) {
    const VectorXd s = generate::spectrum(generator, generate::Kind::decaying, std::min(n, width));
    const MatrixXd F = generate::with_singular_values(generator, s, n, width);
    for (const generate::Threshold threshold : generate::thresholds) {
      const Index truth = generate::exact_rank(s, threshold);
      const sagitta::EffectiveRank got = sagitta::feature_rank(F, threshold.value());
      CHECK(got.rank == truth);
      CHECK(got.lower <= truth);
      CHECK(truth <= got.upper);
      CHECK(got.max_rank == std::min(n, width));
      CHECK(sagitta::feature_rank(F.transpose(), threshold.value()).rank == truth);
    }
  }
  // singular values of 1 and of 100 of size 1e-5: squares of the small ones drown in a float Gram matrix
  MatrixXf trap = MatrixXf::Zero(101, 101);
  trap.diagonal().setConstant(1e-5f);
  trap(0, 0) = 1;
  CHECK(sagitta::feature_rank(trap, 0.9995).rank == 51);
}

TEST_CASE("features that are not finite are rejected by name and place") {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()}) {
    MatrixXd F = MatrixXd::Ones(4, 3);
    F(2, 1) = bad;
    const MatrixXf single = F.cast<float>();
    const auto both = [&](auto function, const std::string& name) {
      CHECK(holds(rejection([&] { function(F); }), name + ": features(2, 1) is "));
      CHECK(holds(rejection([&] { function(single); }), name + ": features(2, 1) is "));
    };
    both([](const auto& A) { (void)sagitta::feature_rank(A); }, "feature_rank");
    both([](const auto& A) { (void)sagitta::dormancy(A); }, "dormancy");
    both([](const auto& A) { (void)sagitta::per_sample_dormancy(A); }, "per_sample_dormancy");
    both([](const auto& A) { (void)sagitta::dormant_fraction(A); }, "dormant_fraction");
    const MatrixXd ones = MatrixXd::Ones(2, 2);
    CHECK(holds(rejection([&] { (void)sagitta::dormant_fraction(ones, bad); }), "dormant_fraction: tau is "));
    CHECK(holds(rejection([&] { (void)sagitta::feature_rank(ones, bad); }), "feature_rank: threshold is "));
  }
  CHECK(rejection([] { (void)sagitta::dormant_fraction(MatrixXd::Ones(2, 2), -1); }) ==
        "dormant_fraction: tau is -1, expected a finite number >= 0");
}
