#include "catch.hpp"

#include "verdicts/evidence.hpp"
#include "verdicts/statistics.hpp"

#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

using paper::Index;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

bool near(double value, double expected, double relative) {
  return std::abs(value - expected) <= relative * std::abs(expected);
}

// P(|T| <= t) by Simpson's rule over the density; slow, and right to about 1e-10
double central_probability(double t, double degrees) {
  const double scale = std::exp(std::lgamma((degrees + 1) / 2) - std::lgamma(degrees / 2)) /
                       std::sqrt(degrees * 3.14159265358979323846);
  const auto density = [&](double x) { return scale * std::pow(1 + x * x / degrees, -(degrees + 1) / 2); };
  const int steps = 20000;
  double sum = density(0) + density(t);
  for (int i = 1; i < steps; ++i) sum += (i % 2 ? 4 : 2) * density(t * i / steps);
  return 2 * sum * t / steps / 3;
}

}  // namespace

TEST_CASE("student_quantile_975 agrees with the printed tables", "[statistics]") {
  const std::vector<std::pair<Index, double>> table = {{1, 12.706204736}, {2, 4.302652730},
                                                       {4, 2.776445105},  {9, 2.262157163},
                                                       {29, 2.045229642}, {100, 1.983971519}};
  for (const auto& [degrees, quantile] : table)
    CHECK(near(paper::student_quantile_975(degrees), quantile, 1e-9));
}

TEST_CASE("student_quantile_975 inverts the distribution, on both sides of its change of method",
          "[statistics]") {
  for (const Index degrees : {3, 5, 6, 17, 64, 333, 999, 1000, 1001, 1002, 5000}) {
    const double t = paper::student_quantile_975(degrees);
    CHECK(std::abs(central_probability(t, static_cast<double>(degrees)) - .95) < 1e-9);
  }
  for (Index degrees = 1; degrees < 1200; ++degrees)
    CHECK(paper::student_quantile_975(degrees + 1) < paper::student_quantile_975(degrees));
  CHECK(near(paper::student_quantile_975(std::numeric_limits<Index>::max()), 1.959963984540054, 1e-14));
}

TEST_CASE("student_quantile_975 refuses fewer than one degree of freedom", "[statistics]") {
  CHECK_THROWS_AS(paper::student_quantile_975(0), std::invalid_argument);
  CHECK_THROWS_AS(paper::student_quantile_975(-3), std::invalid_argument);
}

TEST_CASE("mean_interval of a sample worked by hand", "[statistics]") {
  const std::vector<double> values = {1, 2, 3, 4, 5};  // standard deviation sqrt(2.5), of the mean sqrt(.5)
  const auto interval = paper::mean_interval(values);
  CHECK(interval.count == 5);
  CHECK(interval.mean == 3);
  CHECK(near(interval.high - 3, 2.776445105 * std::sqrt(.5), 1e-9));
  CHECK(near(3 - interval.low, 2.776445105 * std::sqrt(.5), 1e-9));
}

TEST_CASE("mean_interval at the edges", "[statistics]") {
  const auto none = paper::mean_interval({});
  CHECK(none.count == 0);
  CHECK(std::isnan(none.mean));
  CHECK(std::isnan(none.low));

  const std::vector<double> one = {.3};
  CHECK(paper::mean_interval(one).mean == .3);
  CHECK(std::isnan(paper::mean_interval(one).low));
  CHECK(std::isnan(paper::mean_interval(one).high));

  const std::vector<double> equal(7, .1);  // .1 seven times does not sum to .7 in doubles
  CHECK(paper::mean_interval(equal).mean == .1);
  CHECK(paper::mean_interval(equal).low == .1);
  CHECK(paper::mean_interval(equal).high == .1);

  for (const double bad : {not_a_number, infinity}) {
    const std::vector<double> values = {1, bad, 3};
    const auto interval = paper::mean_interval(values);
    CHECK(!std::isfinite(interval.mean));
    CHECK(std::isnan(interval.low));
    CHECK(std::isnan(interval.high));
    CHECK(interval.count == 3);
  }
}

TEST_CASE("mean_interval keeps small spreads about large means", "[statistics]") {
  const std::vector<double> values = {1e9 + 1, 1e9 + 2, 1e9 + 3};
  const auto interval = paper::mean_interval(values);
  CHECK(interval.mean == 1e9 + 2);
  CHECK(near(interval.high - interval.mean, 4.302652730 / std::sqrt(3.), 1e-6));
}

TEST_CASE("few seeds reach from the least to the greatest, more as far as the interval of their mean",
          "[statistics]") {
  CHECK(std::isnan(paper::reach({}).mean));
  CHECK(paper::reach({.3}).mean == .3);
  CHECK(std::isnan(paper::reach({.3}).low));
  for (const std::vector<double>& values : {std::vector<double>{3, 1}, {2, 1, 3}, {1, 3, 1, 3}}) {
    const auto few = paper::reach(values);
    CHECK(few.mean == 2);
    CHECK(few.low == 1);
    CHECK(few.high == 3);
  }
  const std::vector<double> values = {1, 2, 3, 4, 5};
  CHECK(paper::reach(values).low == paper::mean_interval(values).low);
  CHECK(paper::reach(values).high == paper::mean_interval(values).high);
}

TEST_CASE("spearman sees order alone", "[statistics]") {
  const std::vector<double> x = {1, 2, 3, 4, 5}, up = {-9, 0, .1, 7, 1e9}, down = {4, 3, 2, 1, -8};
  CHECK(paper::spearman(x, up) == 1);
  CHECK(paper::spearman(x, down) == -1);
  const std::vector<double> mixed = {5, 6, 7, 8, 4};  // 1 - 6 * (1+1+1+1+16) / (5 * 24)
  CHECK(std::abs(paper::spearman(x, mixed)) < 1e-15);
  const std::vector<double> bounded = {-infinity, 0, 1, 2, infinity};
  CHECK(paper::spearman(x, bounded) == 1);
}

TEST_CASE("spearman gives ties the average of their ranks", "[statistics]") {
  const std::vector<double> x = {1, 2, 2, 3}, y = {1, 2, 3, 4};  // ranks 1 2.5 2.5 4 against 1 2 3 4
  CHECK(near(paper::spearman(x, y), 4.5 / std::sqrt(4.5 * 5), 1e-14));
  CHECK(paper::spearman(x, x) == 1);
}

TEST_CASE("spearman is undefined without order, and needs pairs", "[statistics]") {
  const std::vector<double> x = {1, 2, 3}, flat = {4, 4, 4}, broken = {1, not_a_number, 3}, one = {1},
                            two = {1, 2};
  CHECK(std::isnan(paper::spearman(x, flat)));
  CHECK(std::isnan(paper::spearman(flat, x)));
  CHECK(std::isnan(paper::spearman(x, broken)));
  CHECK(std::isnan(paper::spearman(one, one)));
  CHECK(std::isnan(paper::spearman({}, {})));
  CHECK_THROWS_AS(paper::spearman(x, two), std::invalid_argument);
}
