#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "verdicts/evidence.hpp"
#include "verdicts/judge.hpp"

// What the verdicts of judge.hpp are made of.
namespace paper::judging {

constexpr double error_bound = .05;
constexpr double rank_kept = -.15;     // relative change
constexpr double smallest_share = .1;  // of the larger mean, for a claim with a sign

using Curve = std::span<const double>;
using Sides = std::pair<double, double>;  // two values of one seed; the effect is first - second
using Measure = Sides (*)(const std::vector<Curve>& seed);  // a curve an argument of the claim, equal lengths

inline double mean(Curve values) { return mean_interval(values).mean; }
inline double change(Curve curve) { return late_mean(curve) - early_mean(curve); }
double error_change(Curve error);    // a diverged run has lost all there was: 1
double relative_change(Curve rank);  // NaN or infinite where it is undefined

// What a claim is judged by: the seeds that every curve has, over the tasks that all of them have.
struct Runs {
  std::vector<std::vector<Curve>> seeds;  // seed -> a curve an argument
  std::string trouble;                    // why nothing can be concluded, or empty
  std::string remark;                     // what the evidence must add, or empty
};
Runs common(const std::vector<const Curves*>& arguments);

struct Effects {
  std::vector<double> first, second, effect;  // a value a seed; effect = first - second
  std::string remark;                         // seeds left out, tasks left out
};
Effects effects(const Runs& runs, Measure measure);

struct Words {
  const char *first, *second, *effect;
};
std::string describe(const Effects& sample, Words words);
std::string way(const char* what, const Effects& late_early);  // "error .012 -> .634, "

// a claim with a sign; `caller` is for the message
Judgement judge_sign(const Runs& runs, Measure measure, int sign, const char* caller, Words words);
Judgement judge_sign(const Effects& sample, int sign, Words words);

Sides late_and_early(const std::vector<Curve>& seed);  // of the first curve
// The first task from 1 on whose error, and that of the next task, exceeds its early mean by more than .05,
// or where the run diverges; the number of tasks if that never happens.
double onset(Curve error);

}  // namespace paper::judging
