#include <sagitta/gram.hpp>
#include <sagitta/rank_interval.hpp>

#include "catch.hpp"
#include "generate.hpp"
#include "rejection.hpp"

using Eigen::MatrixXd;
using generate::Index;

TEST_CASE("rank_interval: it holds the ranks of most fresh samples") {
  generate::Generator generator(101);
  Index held = 0, all = 0;
  double width = 0;
  const MatrixXd mix = generate::matrix(generator, 50, 50);
  const auto sample = [&] {  // 60 gradients of 50 parameters: directions of unequal size, heavy tails
    MatrixXd G = generate::matrix(generator, 50, 60);
    for (Index j = 0; j < 50; ++j) G.row(j) *= std::pow(.9, static_cast<double>(j));
    for (Index m = 0; m < 60; ++m) G.col(m) *= std::exp(generate::uniform(generator, -1, 1));
    return sagitta::gram(mix * G);
  };
  for (int trial = 0; trial < 12; ++trial) {
    const auto interval = sagitta::rank_interval(sample(), .99, .95, generator, 30);
    CHECK(interval.lower <= interval.rank);
    CHECK(interval.rank <= interval.upper);
    width += static_cast<double>(interval.upper - interval.lower);
    for (int fresh = 0; fresh < 10; ++fresh) {
      const Index rank = sagitta::symmetric_effective_rank(sample()).rank;
      held += interval.lower <= rank && rank <= interval.upper;
      ++all;
    }
  }
  INFO(held << " of " << all << " held, mean width " << width / 12);
  CHECK(static_cast<double>(held) >= .85 * static_cast<double>(all));  // of 95 %, from 12 intervals
  CHECK(width / 12 <= 20);                                             // and not by being wide
}

TEST_CASE("rank_interval: edges") {
  generate::Generator generator(102);
  const auto interval = [&](const MatrixXd& K) { return sagitta::rank_interval(K, .99, .95, generator); };
  CHECK(interval(MatrixXd(0, 0)).upper == 0);
  CHECK(interval(MatrixXd::Zero(20, 20)).upper == 0);
  const auto few = interval(MatrixXd::Identity(5, 5));
  CHECK(few.rank == 5);
  CHECK(few.lower == 1);
  CHECK(few.upper == 5);
  const auto one = interval(MatrixXd::Ones(20, 20));  // one direction, whatever the samples
  CHECK(one.lower == 1);
  CHECK(one.upper == 1);
  generate::Generator first(3), second(3);
  const MatrixXd G = generate::matrix(generator, 30, 20);
  const MatrixXd K = G.transpose() * G;
  MatrixXd lower = K;
  lower.triangularView<Eigen::StrictlyUpper>().setConstant(std::numeric_limits<double>::quiet_NaN());
  CHECK(sagitta::rank_interval(K, .99, .9, first).lower ==
        sagitta::rank_interval(lower, .99, .9, second).lower);
  // a higher level is not narrower
  generate::Generator third(4), fourth(4);
  CHECK(sagitta::rank_interval(K, .99, .5, third).upper <=
        sagitta::rank_interval(K, .99, .999, fourth).upper);
}

TEST_CASE("rank_interval rejects what it cannot answer") {
  generate::Generator generator(103);
  const MatrixXd I = MatrixXd::Identity(9, 9);
  CHECK(rejection([&] { (void)sagitta::rank_interval(MatrixXd::Ones(2, 3), .99, .95, generator); }) ==
        "rank_interval: K is 2 x 3, expected a square matrix");
  CHECK(rejection([&] { (void)sagitta::rank_interval(I, .99, 1, generator); }) ==
        "rank_interval: level is 1, expected a number above 0 and below 1");
  CHECK(rejection([&] { (void)sagitta::rank_interval(I, .99, .95, generator, 1); }) ==
        "rank_interval: replicates is 1, expected at least 2");
  CHECK(holds(rejection([&] { (void)sagitta::rank_interval(I, -1, .95, generator); }), "threshold is -1"));
}
