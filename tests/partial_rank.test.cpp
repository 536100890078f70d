#include <cstdlib>

#include <sagitta/partial_rank.hpp>

#include "catch.hpp"
#include "generate.hpp"
#include "rejection.hpp"

using Eigen::MatrixXd;
using Eigen::VectorXd;
using Eigen::VectorXf;
using generate::Index;
using sagitta::DenseOperator;
using sagitta::EffectiveRank;

namespace {

EffectiveRank partial(const MatrixXd& A, double threshold, generate::Generator& generator,
                      Index max_steps = 0) {
  return sagitta::partial_effective_rank(DenseOperator(A), A.trace(), A.norm(), threshold, generator,
                                         max_steps);
}

// positive semidefinite; spectra of every kind, and among them many of low rank
MatrixXd random_matrix(generate::Generator& generator, Index n) {
  VectorXd s(n);
  const Index choice = generate::whole(generator, 0, 9);
  if (choice < 7) {
    s = generate::spectrum(generator, generate::kinds[choice], n);
  } else {
    const double rate = generate::uniform(generator, .2, .9);
    for (Index i = 0; i < n; ++i)
      s[i] = std::pow(rate, static_cast<double>(i)) + (choice == 8 && i < 3 ? 1 : 0);
    if (choice == 9)
      s.tail(n - std::min<Index>(n, 4)).setConstant(1e-5);  // a few directions above a flat floor
  }
  const MatrixXd Q = generate::orthogonal(generator, n, n);
  const MatrixXd A = Q * s.asDiagonal() * Q.transpose();
  return (A + A.transpose()) / 2;
}

}  // namespace

// With SAGITTA_CASES=10000 in the environment it is a long run, which says how many were certified.
TEST_CASE("a certified rank is that of the full decomposition, and a bracket holds it") {
  generate::Generator generator(81);
  Index certified = 0, cheaply = 0;
  const char* asked = std::getenv("SAGITTA_CASES");
  const int cases = asked == nullptr ? 300 : std::stoi(asked);
  for (int trial = 0; trial < cases; ++trial) {
    const Index n = generate::whole(generator, 1, 90);
    const MatrixXd A = random_matrix(generator, n) * std::ldexp(1.0, 40 * (trial % 7 - 3));
    const double threshold = generate::thresholds[trial % 5].value();
    const Index steps = trial % 3 == 0 ? 0 : generate::whole(generator, 1, n);
    const EffectiveRank truth = sagitta::symmetric_effective_rank(A, threshold);
    const EffectiveRank got = partial(A, threshold, generator, steps);
    CHECK(got.lower <= truth.rank);
    CHECK(truth.rank <= got.upper);
    CHECK(got.lower <= got.rank);
    CHECK(got.rank <= got.upper);
    CHECK(got.max_rank == n);
    if (got.certified()) CHECK(got.rank == truth.rank);
    certified += got.certified();
    cheaply += got.certified() && n > 1 && steps < n;
    CHECK(sagitta::partial_effective_rank(A, threshold, generator).rank == truth.rank);
  }
  if (asked != nullptr)
    WARN(certified << " of " << cases << " certified, " << cheaply << " of them with fewer steps than rows");
  INFO(certified << " of " << cases << " certified, " << cheaply << " of them with fewer steps than rows");
  CHECK(certified > cases / 4);
  CHECK(cheaply > cases / 10);
}

TEST_CASE("a low rank is certified by few products, and a high one costs none") {
  generate::Generator generator(82);
  const Index n = 256;
  VectorXd low(n);
  for (Index i = 0; i < n; ++i) low[i] = std::pow(.6, static_cast<double>(i));
  const MatrixXd Q = generate::orthogonal(generator, n, n);
  const MatrixXd A = Q * low.asDiagonal() * Q.transpose();
  Index products = 0;
  const sagitta::FunctionOperator op(n, [&](const auto& in, auto& out) {
    out.noalias() = A * in;
    ++products;
  });
  const EffectiveRank rank = sagitta::partial_effective_rank(op, A.trace(), A.norm(), .99, generator);
  CHECK(rank.certified());
  CHECK(rank.rank == sagitta::symmetric_effective_rank(A).rank);
  CHECK(products <= n / 5);
  products = 0;
  const EffectiveRank high = sagitta::partial_effective_rank(
      op, static_cast<double>(n), std::sqrt(static_cast<double>(n)), .99, generator);
  CHECK(products == 0);  // the gate: a flat spectrum
  CHECK_FALSE(high.certified());
  CHECK(high.lower > n / 16);
}

TEST_CASE("eigenvalues that repeat, which one start meets once, are certified all the same") {
  generate::Generator generator(85);
  const Index n = 120;
  VectorXd s(n);
  for (Index i = 0; i < n; ++i) s[i] = i < 5 ? 100 : 1e-3;
  const MatrixXd Q = generate::orthogonal(generator, n, n);
  const MatrixXd A = Q * s.asDiagonal() * Q.transpose();
  const EffectiveRank rank = partial((A + A.transpose()) / 2, .99, generator);
  CHECK(rank.certified());
  CHECK(rank.rank == 5);
}

TEST_CASE("ties and edges are left to the full decomposition, or answered as it answers them") {
  generate::Generator generator(83);
  const MatrixXd tie = Eigen::Vector2d(99, 1).asDiagonal();
  const EffectiveRank bracket = partial(tie, .99, generator, 2);
  CHECK(bracket.lower <= 2);
  CHECK(bracket.upper == 2);
  CHECK(partial(MatrixXd::Zero(4, 4), .99, generator).rank == 0);
  CHECK(partial(MatrixXd::Zero(4, 4), .99, generator).certified());
  CHECK(partial(MatrixXd(0, 0), .99, generator).rank == 0);
  CHECK(partial(MatrixXd::Identity(1, 1), .99, generator).rank == 1);
  CHECK(partial(tie, 0, generator, 2).rank == 1);
  CHECK(partial(tie, 1, generator).upper == 2);
  CHECK(sagitta::partial_effective_rank(MatrixXd::Identity(100, 100), .99, generator).rank == 100);
  CHECK(sagitta::partial_effective_rank(tie, 1, generator).rank == 2);
  // float products cannot certify at this size, but the bracket holds
  VectorXd s(60);
  for (Index i = 0; i < 60; ++i) s[i] = std::pow(.5, static_cast<double>(i));
  const MatrixXd A = s.asDiagonal();
  const EffectiveRank single = sagitta::partial_effective_rank(
      DenseOperator(Eigen::MatrixXf(A.cast<float>())), s.sum(), s.norm(), .99, generator, 30);
  CHECK(single.lower <= 7);
  CHECK(single.upper >= 7);
}

TEST_CASE("partial_effective_rank rejects what cannot be") {
  generate::Generator generator(84);
  const DenseOperator I(MatrixXd::Identity(64, 64));
  const auto message = [&](double trace, double frobenius, double threshold = .99, Index steps = 0) {
    return rejection(
        [&] { (void)sagitta::partial_effective_rank(I, trace, frobenius, threshold, generator, steps); });
  };
  CHECK(message(1, 2) ==
        "partial_effective_rank: trace is 1 and frobenius 2, expected frobenius <= trace <= sqrt(n) "
        "frobenius of a "
        "positive semidefinite matrix");
  CHECK(holds(message(65, 8), "expected frobenius <= trace"));
  CHECK(holds(message(-1, 1), "expected finite numbers >= 0"));
  CHECK(holds(message(64, 8, 2), "expected a number from 0 to 1"));
  CHECK(holds(message(64, 8, .99, -1), "max_steps is -1"));
  MatrixXd indefinite = MatrixXd::Identity(64, 64);
  indefinite(0, 0) = -1;
  CHECK(holds(rejection([&] {
                (void)sagitta::partial_effective_rank(DenseOperator(indefinite), 62, 8, .99, generator, 10);
              }),
              "expected a positive semidefinite operator"));
}

TEST_CASE("a trace and a norm that the products contradict are errors, and no others are") {
  generate::Generator generator(86);
  VectorXd s = VectorXd::Constant(200, 1e-4);
  s.head(3).setOnes();
  const sagitta::FunctionOperator op(200, [&](const auto& in, auto& out) { out = s.cwiseProduct(in); });
  const auto message = [&](double trace, double frobenius) {
    return rejection(
        [&] { (void)sagitta::partial_effective_rank(op, trace, frobenius, .99, generator, 40); });
  };
  CHECK(message(s.sum(), s.norm()).empty());
  CHECK(holds(message(1.8, s.norm()), "trace is 1.8 and frobenius 1.7"));
  CHECK(holds(message(s.sum(), 1), "and frobenius 1, but after "));
  CHECK(holds(message(3.5, s.norm()), "is not that of a positive semidefinite matrix"));
  CHECK(holds(message(s.sum(), 2), "is not that of a positive semidefinite matrix"));
  // right ones, near the rank's crossing too, of every scale, from products in double and in float
  Index certified = 0;
  for (int trial = 0; trial < 120; ++trial) {
    const Index n = generate::whole(generator, 10, 120);
    const double rate = generate::uniform(generator, .2, .9), scale = std::ldexp(1.0, 50 * (trial % 5 - 2));
    VectorXf values(n);
    for (Index i = 0; i < n; ++i)
      values[i] = static_cast<float>(trial % 3 == 0   ? (i < 4 ? 1 : 1e-5)
                                     : trial % 3 == 1 ? std::pow(rate, static_cast<double>(i))
                                                      : i < 6);
    const VectorXd exact = values.cast<double>();
    const Index cut = generate::whole(generator, 1, std::min<Index>(n, 8));
    const double near_by =
        generate::uniform(generator, -1, 1) * std::pow(10, generate::uniform(generator, -10, -2));
    const double threshold = std::clamp(exact.head(cut).sum() / exact.sum() * (1 + near_by), 0.0, .999999);
    const auto truth = sagitta::spectrum_effective_rank(exact, threshold);
    const auto look = [&](const auto& product) {
      const EffectiveRank got = sagitta::partial_effective_rank(
          product, scale * exact.sum(), scale * exact.norm(), threshold, generator, 50);
      CHECK(got.lower <= truth.upper);
      CHECK(got.upper >= truth.lower);
      certified += got.certified();
    };
    look(sagitta::FunctionOperator(n,
                                   [&](const auto& in, auto& out) { out = scale * exact.cwiseProduct(in); }));
    // float arithmetic behind a double interface, which says so
    look(sagitta::FunctionOperator(
        n,
        [&](const auto& in, auto& out) {
          const VectorXf product = values.cwiseProduct(in.template cast<float>());
          out = scale * product.template cast<double>();
        },
        3e-7));
  }
  CHECK(certified > 120);
  // a Gram matrix formed in float has small negative eigenvalues, and no wrong trace
  const Eigen::MatrixXf G = generate::matrix(generator, 6, 90).cast<float>();
  const MatrixXd K = (G.transpose() * G).cast<double>();
  const DenseOperator gram(K);
  const MatrixXd whole = K.selfadjointView<Eigen::Lower>();
  const auto rank = sagitta::partial_effective_rank(gram, whole.trace(), whole.norm(), .9, generator, 60);
  CHECK(rank.lower <= sagitta::symmetric_effective_rank(K, .9).rank);
  CHECK(rank.upper >= sagitta::symmetric_effective_rank(K, .9).rank);
}

TEST_CASE("max_steps is the most products that are spent, below four too") {
  generate::Generator generator(87);
  VectorXd s(50);
  for (Index i = 0; i < 50; ++i) s[i] = std::pow(.8, static_cast<double>(i));
  for (Index most = 1; most <= 9; ++most) {
    Index products = 0;
    const sagitta::FunctionOperator op(50, [&](const auto& in, auto& out) {
      out = s.cwiseProduct(in);
      ++products;
    });
    (void)sagitta::partial_effective_rank(op, s.sum(), s.norm(), .99, generator, most);
    CHECK(products == most);
  }
}
