#pragma once

#include <span>

#include "data/index.hpp"

// The few statistics that figures and verdicts rest on.
namespace paper {

struct Interval {
  double mean;
  double low, high;  // of the mean, at 95 %
  Index count;
};

// The t with P(|T| <= t) = .95 for Student's distribution; relative error below 1e-9 for every degrees >= 1,
// std::invalid_argument otherwise.
double student_quantile_975(Index degrees);

// The mean of the values and its 95 % Student t interval. One value has no interval (low and high are NaN),
// no value has no mean either; a NaN among the values makes all three NaN. Equal values give exactly their
// value.
Interval mean_interval(std::span<const double> values);

// Spearman's rank correlation; ties share the average of their ranks. NaN where it is undefined: fewer than
// two pairs, one side constant, or a NaN. std::invalid_argument when the lengths differ.
double spearman(std::span<const double> first, std::span<const double> second);

}  // namespace paper
