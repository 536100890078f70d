#include <algorithm>
#include <array>
#include <cmath>

#include "catch.hpp"
#include "data/dataset.hpp"

using paper::Dataset;
using paper::Index;

TEST_CASE("synthetic digits are determined by seed and place") {
  const Dataset data = paper::synthetic_digits(200, 7);
  CHECK(data.name == "synthetic");
  CHECK(data.width == 28);
  CHECK(data.height == 28);
  CHECK(data.channels == 1);
  CHECK(data.classes == 10);
  REQUIRE(data.images.rows() == 784);
  REQUIRE(data.images.cols() == 200);
  REQUIRE(data.labels.size() == 200);
  for (std::size_t i = 0; i < 200; ++i) CHECK(data.labels[i] == static_cast<int>(i % 10));

  const Dataset again = paper::synthetic_digits(200, 7), fewer = paper::synthetic_digits(33, 7);
  CHECK((again.images == data.images));
  CHECK(again.fingerprint == data.fingerprint);
  CHECK((fewer.images == data.images.leftCols(33)));
  CHECK(fewer.fingerprint != data.fingerprint);
  const Dataset other = paper::synthetic_digits(200, 8);
  CHECK(other.fingerprint != data.fingerprint);
  for (Index i = 0; i < 200; ++i) CHECK((other.images.col(i) != data.images.col(i)));

  CHECK(paper::synthetic_digits(0, 7).images.cols() == 0);
  CHECK_THROWS_AS(paper::synthetic_digits(-1, 7), std::invalid_argument);
  CHECK_THROWS_AS(paper::synthetic_digits(std::numeric_limits<Index>::max(), 7), std::invalid_argument);
}

TEST_CASE("synthetic digits are the same on every machine") {
  // of GCC and Clang, optimised or not, with and without fused multiply-add: results of different machines
  // can be compared only if this holds
  CHECK(paper::synthetic_digits(10000, 1).fingerprint == 0xe427eac9u);
}

TEST_CASE("synthetic digits look like digits") {
  const Dataset train = paper::synthetic_digits(2000, 1), test = paper::synthetic_digits(1000, 2);
  CHECK((train.images.minCoeff() == 0.0f));
  CHECK((train.images.maxCoeff() == 1.0f));
  CHECK(train.images.mean() > 0.10f);
  CHECK(train.images.mean() < 0.25f);
  const Eigen::VectorXf shares = train.images.colwise().mean();
  CHECK(shares.minCoeff() > 0.02f);  // a thin 1
  CHECK(shares.maxCoeff() < 0.40f);

  // the digit stays inside: next to no ink on the rim
  double rim = 0;
  for (Index k = 0; k < 28; ++k)
    for (const Index pixel : {k, 27 * 28 + k, 28 * k, 28 * k + 27})
      rim += static_cast<double>(train.images.row(pixel).mean());
  CHECK(rim / (4 * 28) < 0.005);

  // within a class no two images agree
  for (Index i = 0; i + 10 < train.images.cols(); ++i)
    CHECK((train.images.col(i) != train.images.col(i + 10)));

  Eigen::MatrixXf means = Eigen::MatrixXf::Zero(784, 10);
  for (Index i = 0; i < 2000; ++i) means.col(i % 10) += train.images.col(i) / 200.0f;
  int right = 0;
  std::array<int, 10> right_of_class{};
  for (Index i = 0; i < 1000; ++i) {
    Index nearest = -1;
    (means.colwise() - test.images.col(i)).colwise().squaredNorm().minCoeff(&nearest);
    if (nearest == test.labels[static_cast<std::size_t>(i)]) {
      ++right;
      ++right_of_class[static_cast<std::size_t>(nearest)];
    }
  }
  CAPTURE(right);
  CHECK(right > 700);
  for (const int count : right_of_class) CHECK(count > 50);  // of 100: every class, not only the easy ones

  // neither so alike that there is nothing to tell apart: MNIST's class means reach about 80 %
  CHECK(right < 970);

  // images hang together as MNIST's do: the mean cosine of two of them is .39 there
  Eigen::MatrixXf unit = test.images.leftCols(500);
  unit.colwise().normalize();
  const double together = static_cast<double>(unit.rowwise().sum().squaredNorm());
  const double cosine = (together - 500) / (500.0 * 499.0);
  CAPTURE(cosine);
  CHECK(cosine > 0.3);
  CHECK(cosine < 0.5);
}
