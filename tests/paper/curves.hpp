#pragma once

#include "catch.hpp"

#include <cstddef>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include "verdicts/judge.hpp"

// Made-up curves for the tests of the verdicts.
namespace made_up {

using paper::Curves;
using paper::Verdict;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

// Ten tasks: windows of two, tasks 1, 2 and 8, 9; the middle one is tasks 4, 5, 6. Task 0 is far off, and
// judged by nothing.
inline std::vector<double> path(double early, double middle, double late) {
  return {1000, early, early, middle, middle, middle, middle, middle, late, late};
}

// a seed a late value
inline Curves to(double early, std::initializer_list<double> late) {
  Curves curves;
  for (const double value : late) curves[curves.size()] = path(early, early, value);
  return curves;
}

inline Curves flat(double value, std::size_t seeds) {
  Curves curves;
  for (std::size_t seed = 0; seed < seeds; ++seed) curves[seed] = path(value, value, value);
  return curves;
}

inline bool says(const paper::Judgement& judgement, const std::string& words) {
  INFO(judgement.evidence);
  CHECK(judgement.evidence.find('\n') == std::string::npos);
  return judgement.evidence.find(words) != std::string::npos;
}

}  // namespace made_up
