#include <sagitta/sagitta.hpp>

#include "catch.hpp"
#include "json_values.hpp"

// Against tests/data, which make_values.py computed with numpy, scipy and 60-digit mpmath.
using Eigen::MatrixXd;
using Eigen::VectorXd;
using json_values::Json;
using json_values::matrix;
using json_values::vector;
using sagitta::EffectiveRank;
using sagitta::Index;

namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();

Json values(const std::string& name) { return json_values::load(SAGITTA_TEST_DATA "/" + name + ".json"); }

bool close(double got, double want, double allowed) { return std::abs(got - want) <= allowed; }

template <class Call>
void check_ranks(const Json& expected, const std::string& name, Call rank_at) {
  for (const auto& [threshold, rank] : expected.items()) {
    INFO(name << " at " << threshold);
    const EffectiveRank got = rank_at(std::stod(threshold));
    const auto truth = rank.template get<Index>();
    CHECK(got.rank == truth);
    CHECK(got.lower <= truth);
    CHECK(truth <= got.upper);
  }
}

}  // namespace

TEST_CASE("values: ranks of spectra in exact fractions") {
  const Json cases = values("spectra");
  REQUIRE(cases.size() > 10);
  for (const Json& one : cases) {
    const VectorXd s = vector(one.at("values"));
    const std::string name = one.at("name");
    check_ranks(one.at("ranks"), name, [&](double t) { return sagitta::spectrum_effective_rank(s, t); });
    if (s.size() > 300) continue;
    const MatrixXd D = s.asDiagonal();
    check_ranks(one.at("ranks"), name, [&](double t) { return sagitta::effective_rank(D, t); });
    check_ranks(one.at("ranks"), name, [&](double t) { return sagitta::symmetric_effective_rank(-D, t); });
  }
}

TEST_CASE("values: spectra of matrices in 60 digits") {
  for (const Json& one : values("matrices")) {
    const MatrixXd A = matrix(one.at("A"));
    const VectorXd s = vector(one.at("singular_values")), got = sagitta::singular_values(A);
    const std::string name = one.at("name");
    INFO(name);
    REQUIRE(got.size() == s.size());
    const double allowed = 8 * std::sqrt(static_cast<double>(s.size())) * eps * s[0];  // as documented
    CHECK((got - s).cwiseAbs().maxCoeff() <= allowed);
    check_ranks(one.at("ranks"), name, [&](double t) { return sagitta::effective_rank(A, t); });
    check_ranks(one.at("ranks"), name, [&](double t) { return sagitta::effective_rank(A.transpose(), t); });
    CHECK(close(sagitta::entropy_rank(A), one.at("entropy_rank"), 64 * eps * static_cast<double>(s.size())));
    CHECK(close(sagitta::stable_rank(A), one.at("stable_rank"), 64 * eps * static_cast<double>(s.size())));
    if (!one.contains("S")) continue;
    const MatrixXd S = matrix(one.at("S"));
    const VectorXd eigenvalues = vector(one.at("eigenvalues"));
    CHECK((sagitta::symmetric_eigenvalues(S) - eigenvalues).cwiseAbs().maxCoeff() <= allowed);
    check_ranks(one.at("symmetric_ranks"), name,
                [&](double t) { return sagitta::symmetric_effective_rank(S, t); });
  }
}

TEST_CASE("values: Gauss-Newton") {
  for (const Json& one : values("gauss_newton")) {
    const MatrixXd J = matrix(one.at("J")), p = matrix(one.at("probabilities"));
    const VectorXd eigenvalues = vector(one.at("eigenvalues"));
    check_ranks(one.at("ranks"), "Gauss-Newton",
                [&](double t) { return sagitta::gauss_newton_rank(J, p, t); });
    CHECK(sagitta::gauss_newton_rank(J, p).max_rank == one.at("max_rank").get<Index>());
    const Index M = p.rows(), C = p.cols();
    MatrixXd B(M * (C - 1), J.cols());
    for (Index m = 0; m < M; ++m)
      B.middleRows(m * (C - 1), C - 1) =
          sagitta::softmax_hessian_factor(p.row(m)).transpose() * J.middleRows(m * C, C);
    const VectorXd got = sagitta::symmetric_eigenvalues(B.transpose() * B).cwiseAbs();
    CHECK((got - eigenvalues).cwiseAbs().maxCoeff() <= 64 * eps * eigenvalues[0]);
  }
}

TEST_CASE("values: overlaps from eigenvectors in 60 digits") {
  const Json all = values("overlaps");
  for (const Json& one : all.at("dense")) {
    const MatrixXd H = matrix(one.at("H"));
    const VectorXd g = vector(one.at("g"));
    // n eps |H| |g| / |H_k g|, 12 * 10 eps and some
    CHECK(close(sagitta::gradient_hessian_overlap(H, g, 1).value, one.at("untruncated"), 1e-13));
    for (const auto& [threshold, expected] : one.at("at").items()) {
      const sagitta::Overlap got = sagitta::gradient_hessian_overlap(H, g, std::stod(threshold));
      CHECK(got.truncation == expected.at("k").get<Index>());
      CHECK(close(got.value, expected.at("value"), 1e-13));
    }
  }
  for (const Json& one : all.at("gram")) {
    const MatrixXd K = matrix(one.at("K"));
    CHECK(close(sagitta::gradient_gram_overlap(K, 1).value, one.at("untruncated"), 1e-13));
    for (const auto& [threshold, expected] : one.at("at").items()) {
      const sagitta::Overlap got = sagitta::gradient_gram_overlap(K, std::stod(threshold));
      CHECK(got.truncation == expected.at("k").get<Index>());
      CHECK(close(got.value, expected.at("value"), 1e-13));
    }
  }
}

TEST_CASE("values: Wasserstein penalty in exact fractions") {
  for (const Json& one : values("wasserstein")) {
    const VectorXd theta0 = vector(one.at("theta0")), theta = vector(one.at("theta"));
    sagitta::WassersteinPenalty penalty(theta0);
    VectorXd gradient(theta.size());
    const double want = one.at("value");
    const double allowed = eps * std::sqrt(static_cast<double>(theta.size())) * 4;  // a sum of squares
    CHECK(close(penalty.value_and_gradient(theta, gradient), want, allowed * want));
    CHECK(gradient == vector(one.at("gradient")));
    const double regenerative = one.at("regenerative");
    CHECK(close(sagitta::L2InitPenalty(theta0).value(theta), regenerative, allowed * regenerative));
  }
}

TEST_CASE("values: features, their dormancy and their penalty") {
  for (const Json& one : values("features")) {
    const MatrixXd F = matrix(one.at("F")), want = matrix(one.at("penalty_gradient"));
    CHECK(close(sagitta::dormancy(F), one.at("dormancy"), 32 * eps));  // a few terms of size 1
    CHECK(close(sagitta::per_sample_dormancy(F), one.at("per_sample_dormancy"), 32 * eps));
    for (const auto& [tau, fraction] : one.at("dormant_fraction").items())
      CHECK(sagitta::dormant_fraction(F, std::stod(tau)) == fraction.get<double>());
    check_ranks(one.at("ranks"), "features", [&](double t) { return sagitta::feature_rank(F, t); });
    sagitta::FeatureRankPenalty penalty;
    MatrixXd gradient(F.rows(), F.cols());
    const double value = one.at("penalty");
    CHECK(close(penalty.value_and_gradient(F, gradient), value, 32 * eps * value));
    CHECK((gradient - want).norm() <= 1e-12 * want.norm());  // gaps of the squares are tenths here
  }
}

TEST_CASE("values: uniform draws and sampled labels from literal states") {
  const Json all = values("labels");
  const MatrixXd p = matrix(all.at("probabilities"));
  const auto look = [&](const Json& one, auto generator) {
    auto again = generator;
    const std::vector<double> uniforms = one.at("uniforms");
    for (const double want : uniforms) CHECK(sagitta::detail::uniform(again) == want);
    const std::vector<int> want = one.at("labels");
    const Eigen::VectorXi got = sagitta::sample_labels(p, generator);
    CHECK(got == Eigen::Map<const Eigen::VectorXi>(want.data(), got.size()));
    CHECK(generator == again);
  };
  REQUIRE(all.at("draws").size() == 6);
  for (const Json& one : all.at("draws")) {
    if (one.at("bits") == 64)
      look(one, std::mt19937_64(one.at("seed").get<std::uint64_t>()));
    else
      look(one, std::mt19937(one.at("seed").get<std::uint32_t>()));
  }
}

TEST_CASE("values: a convolution with stride and padding") {
  const Json one = values("convolution");
  const MatrixXd inputs = matrix(one.at("inputs")), backprops = matrix(one.at("backprops"));
  for (const bool bias : {true, false}) {
    const std::vector<sagitta::LayerTrace<double>> layer{{.inputs = inputs,
                                                          .backprops = backprops,
                                                          .positions = one.at("positions").get<Index>(),
                                                          .has_bias = bias}};
    // few binary digits: every sum is exact
    CHECK(sagitta::gram(layer) == matrix(one.at(bias ? "K" : "K_without_bias")));
  }
}
