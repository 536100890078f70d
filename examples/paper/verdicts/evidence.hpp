#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "verdicts/statistics.hpp"

// What the seeds of a claim say together, as a decision and in words. An effect is one value a seed.
namespace paper {

constexpr Index fewest_for_interval = 5;  // seeds; with 2 to 4 every seed must agree, one concludes nothing

// Where the seeds' values lie by the rule over seeds: the mean_interval, or with 2 to 4 from the least to the
// greatest value around the mean.
Interval reach(const std::vector<double>& values);

// Which side of [low, high] the effects lie on by the rule over seeds (see judge.hpp): -1 below, +1 above, 0
// neither. Lying at low or high is neither.
int side(const std::vector<double>& effects, double low, double high);
inline int side(const std::vector<double>& effects, double bound) { return side(effects, bound, bound); }

// True where they lie within [low, high] by the same rule, the bounds included.
bool within(const std::vector<double>& effects, double low, double high);

// Three to four significant places without a leading zero, as papers print errors: ".012", "-3.25", "12345".
std::string figure(double value, bool plus = false);

// "+.622 [+.598, +.646]": the mean with the interval where the rule uses it, with "(lowest to highest)" where
// every seed counts.
std::string spread(const std::vector<double>& effects);

std::string seeds_used(const std::vector<double>& effects);  // ", 5 seeds"

std::string some_of(std::size_t some, std::size_t all,
                    const char* what);  // ", 2 of 5 diverged"; empty for none

}  // namespace paper
