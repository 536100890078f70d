#include "verdicts/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace paper {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// P(|T| <= sqrt(degrees) tan(angle)). For whole degrees the incomplete beta function is a finite sum of
// positive terms (Abramowitz & Stegun 26.7.3 and 26.7.4), so nothing cancels.
double central_probability(double angle, Index degrees) {
  const bool odd = degrees % 2 != 0;
  const double cosine = std::cos(angle);
  double term = degrees == 1 ? 0 : odd ? cosine : 1;
  double sum = term;
  for (Index k = odd ? 3 : 2; k <= degrees - 2; k += 2) {
    term *= cosine * cosine * static_cast<double>(k - 1) / static_cast<double>(k);
    sum += term;
  }
  sum *= std::sin(angle);
  return odd ? 2 / std::numbers::pi * (angle + sum) : sum;
}

// Fisher's and Cornish's expansion about the normal quantile; the first term left out is 1.6 / degrees^4
double quantile_of_many(double degrees) {
  constexpr double z = 1.9599639845400545;
  constexpr double z2 = z * z;
  const double first = z * (z2 + 1) / 4;
  const double second = z * ((5 * z2 + 16) * z2 + 3) / 96;
  const double third = z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384;
  return z + (first + (second + third / degrees) / degrees) / degrees;
}

// 1-based ranks, n values -> n ranks; equal values share the average of theirs
std::vector<double> ranks(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return values[a] < values[b]; });
  std::vector<double> result(values.size());
  for (std::size_t first = 0, last = 0; first < order.size(); first = last) {
    while (last < order.size() && values[order[last]] == values[order[first]]) ++last;
    for (std::size_t i = first; i < last; ++i) result[order[i]] = static_cast<double>(first + last + 1) / 2;
  }
  return result;
}

}  // namespace

double student_quantile_975(Index degrees) {
  if (degrees < 1)
    throw std::invalid_argument("student_quantile_975: " + std::to_string(degrees) +
                                " degrees of freedom, expected at least 1");
  if (degrees > 1000) return quantile_of_many(static_cast<double>(degrees));
  double low = 0, high = std::numbers::pi / 2;
  while (true) {  // until no double lies between the two
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    (central_probability(middle, degrees) < .95 ? low : high) = middle;
  }
  return std::sqrt(static_cast<double>(degrees)) * std::tan(low);
}

Interval mean_interval(std::span<const double> values) {
  const auto count = static_cast<Index>(values.size());
  if (count == 0) return {nan, nan, nan, 0};
  const auto size = static_cast<double>(count);
  // about the first value: values that are all equal have no rounding in their mean and no spread
  double shift = 0;
  for (const double value : values) shift += value - values[0];
  const double mean = values[0] + shift / size;
  if (count == 1 || std::isnan(mean)) return {mean, nan, nan, count};
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const double half = student_quantile_975(count - 1) * std::sqrt(squares / (size - 1) / size);
  return {mean, mean - half, mean + half, count};
}

double spearman(std::span<const double> first, std::span<const double> second) {
  if (first.size() != second.size())
    throw std::invalid_argument("spearman: second has " + std::to_string(second.size()) +
                                " values, expected " + std::to_string(first.size()));
  for (const auto& side : {first, second})
    if (std::any_of(side.begin(), side.end(), [](double value) { return std::isnan(value); })) return nan;
  const auto a = ranks(first), b = ranks(second);
  const double middle = (static_cast<double>(a.size()) + 1) / 2;  // the mean rank, with ties too
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - middle) * (b[i] - middle);
    aa += (a[i] - middle) * (a[i] - middle);
    bb += (b[i] - middle) * (b[i] - middle);
  }
  return aa > 0 && bb > 0 ? std::clamp(ab / std::sqrt(aa * bb), -1., 1.) : nan;
}

}  // namespace paper
