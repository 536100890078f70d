#include <sagitta/features.hpp>
#include <sagitta/spectral_penalty.hpp>

#include "catch.hpp"
#include "generate.hpp"
#include "rejection.hpp"

using Eigen::MatrixXd;
using Eigen::MatrixXf;
using generate::Index;
using sagitta::SpectralPenalty;

TEST_CASE("the spectral penalty agrees with singular vectors and with differences") {
  generate::Generator generator(211);
  for (const auto& [m, n] : generate::shapes())
    for (const int k : {1, 2, 3}) {
      const MatrixXd W = generate::matrix(generator, m, n);
      SpectralPenalty penalty(k);
      CHECK(penalty.power() == k);
      MatrixXd gradient = MatrixXd::Constant(m, n, 7);
      if (W.size() == 0) {
        CHECK(penalty.value_and_gradient(W, gradient) == 0);
        continue;
      }
      const Eigen::JacobiSVD<MatrixXd> svd(W, Eigen::ComputeThinU | Eigen::ComputeThinV);
      const double s = svd.singularValues()[0], want = std::pow(std::pow(s, k) - 1, 2);
      const double size = 1 + std::pow(s, 2 * k);
      CHECK(std::abs(penalty.value(W) - want) <= 1e-13 * size);
      CHECK(penalty.value_and_gradient(W, gradient) == penalty.value(W));
      const MatrixXd slope = 2 * (std::pow(s, k) - 1) * k * std::pow(s, k - 1) * svd.matrixU().col(0) *
                             svd.matrixV().col(0).transpose();
      const double gap = svd.singularValues().size() > 1 ? 1 - svd.singularValues()[1] / s : 1;
      CHECK((gradient - slope).norm() <= 1e-12 * size / gap);
      const MatrixXd direction = generate::matrix(generator, m, n);
      const double step = 1e-6,
                   difference = (penalty.value(W + step * direction) - penalty.value(W - step * direction)) /
                                (2 * step);
      CHECK(std::abs(gradient.cwiseProduct(direction).sum() - difference) <= 1e-7 * size / gap);
      MatrixXd sum = MatrixXd::Ones(m, n);
      CHECK(penalty.add_gradient(W, 0.5, sum) == penalty.value(W));
      CHECK((sum - MatrixXd::Ones(m, n) - 0.5 * gradient).norm() <= 1e-13 * size);
      // any storage, float
      const Eigen::Matrix<double, -1, -1, Eigen::RowMajor> rows = W;
      CHECK(penalty.value(rows) == penalty.value(W));
      const MatrixXf single = W.cast<float>();
      MatrixXf single_gradient(m, n);
      CHECK(std::abs(penalty.value_and_gradient(single, single_gradient) - want) <= 1e-5 * size);
      CHECK((single_gradient.cast<double>() - slope).norm() <= 1e-4 * size / gap);
    }
}

TEST_CASE("the spectral penalty at its edges") {
  SpectralPenalty penalty;
  const MatrixXd zero = MatrixXd::Zero(3, 2);
  MatrixXd gradient = MatrixXd::Constant(3, 2, 7);
  CHECK(penalty.value_and_gradient(zero, gradient) == 1);
  CHECK(gradient == zero);
  CHECK(std::abs(penalty.value(MatrixXd::Identity(4, 4))) <= 1e-14);
  CHECK(penalty.value(1e-200 * MatrixXd::Ones(2, 2)) == 1);
  CHECK(holds(rejection([&] { (void)penalty.value(1e100 * MatrixXd::Ones(2, 2)); }),
              "SpectralPenalty: the largest singular value is 2e+100"));
  CHECK(holds(rejection([] { SpectralPenalty(0); }), "SpectralPenalty: power is 0"));
  CHECK(holds(rejection([&] { (void)penalty.value_and_gradient(MatrixXd::Ones(2, 2), gradient); }),
              "SpectralPenalty: gradient is 3 x 2, expected 2 x 2"));
  MatrixXd bad = MatrixXd::Ones(2, 2);
  bad(1, 0) = std::numeric_limits<double>::quiet_NaN();
  CHECK(holds(rejection([&] { (void)penalty.value(bad); }), "SpectralPenalty: weights(1, 0) is NaN"));
}

TEST_CASE("a unit of a convolution is a channel") {
  generate::Generator generator(212);
  for (const Index M : {0, 1, 5})
    for (const Index pixels : {1, 6}) {
      const Index channels = 3;
      Eigen::VectorXf data = generate::vector(generator, M * channels * pixels).cast<float>();
      MatrixXd want = MatrixXd::Zero(M, channels), by_pixel(M * pixels, channels);
      for (Index m = 0; m < M; ++m)
        for (Index c = 0; c < channels; ++c)
          for (Index t = 0; t < pixels; ++t) {
            float& value = data[(m * channels + c) * pixels + t];
            if (c == 1) value *= 1e-3f;  // a dormant one
            want(m, c) += std::abs(static_cast<double>(value)) / static_cast<double>(pixels);
            by_pixel(m * pixels + t, c) = value;
          }
      const MatrixXd got = sagitta::channel_activity(sagitta::nchw(data.data(), M, channels, pixels), pixels);
      CHECK((got - want).cwiseAbs().sum() <= 1e-14 * (1 + want.sum()));
      CHECK((sagitta::channel_activity(by_pixel, pixels) - want).cwiseAbs().sum() <=
            1e-14 * (1 + want.sum()));
      if (M == 0) continue;
      CHECK(sagitta::dormant_fraction(got) == sagitta::dormant_fraction(by_pixel));
      CHECK(std::abs(sagitta::dormancy(got) - sagitta::dormancy(by_pixel)) <= 1e-14);
      CHECK(sagitta::dormant_fraction(got) == 1.0 / 3);
    }
  CHECK(holds(rejection([] { (void)sagitta::channel_activity(MatrixXd::Ones(5, 2), 2); }),
              "channel_activity: maps has 5 rows, expected a multiple of positions, 2"));
}
