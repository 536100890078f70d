#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "verdicts/judging.hpp"

// Claims that compare when or how much: onsets, strengths, updates.
namespace paper {

using namespace judging;

namespace {

Sides onsets(const std::vector<Curve>& seed) { return {onset(seed[0]), onset(seed[1])}; }

// the first step at which the curve is at or below the level; NaN if there is none
double first_below(Curve errors, const std::vector<Index>& steps, double level) {
  for (std::size_t i = 0; i < errors.size(); ++i)
    if (errors[i] <= level) return static_cast<double>(steps[i]);
  return std::numeric_limits<double>::quiet_NaN();
}

// How far apart the late errors of one seed lie; a diverged run gets everything wrong. NaN without an error.
double span_of(const std::vector<Curve>& seed, std::size_t first, std::size_t count) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (std::size_t i = first; i < first + count; ++i) {
    const double late = late_mean(seed[i]), error = std::isfinite(late) ? late : 1;
    low = std::min(low, error), high = std::max(high, error);
  }
  return high - low;
}

}  // namespace

Judgement judge_onset(const Curves& a, const Curves& b) {
  return judge_sign(common({&a, &b}), onsets, 1, "judge_onset",
                    {"lost at task ", " against ", ", difference "});
}

Judgement judge_delay(const std::vector<std::pair<double, Curves>>& errors) {
  constexpr double strong = .5;
  std::vector<const Curves*> arguments;
  arguments.reserve(errors.size());
  for (const auto& [value, curves] : errors) arguments.push_back(&curves);
  if (arguments.size() < 2) return {Verdict::inconclusive, "fewer than two values have complete runs"};
  const Runs runs = common(arguments);
  if (!runs.trouble.empty()) return {Verdict::inconclusive, runs.trouble};
  std::vector<double> values, correlations;
  for (const auto& [value, curves] : errors) values.push_back(value);
  std::vector<double> sums(values.size());
  for (const auto& seed : runs.seeds) {
    std::vector<double> onsets;
    for (std::size_t i = 0; i < seed.size(); ++i) {
      onsets.push_back(onset(seed[i]));
      sums[i] += onsets.back() / static_cast<double>(runs.seeds.size());
    }
    if (const double r = spearman(values, onsets); std::isfinite(r)) correlations.push_back(r);
  }
  std::string evidence = "lost at task";
  for (const double sum : sums) evidence += " " + figure(sum);
  evidence +=
      some_of(runs.seeds.size() - correlations.size(), runs.seeds.size(), "left out: no value differs") +
      runs.remark;
  if (correlations.empty()) return {Verdict::inconclusive, evidence};
  evidence += "; rank correlation with the value " + spread(correlations) + seeds_used(correlations);
  return {side(correlations, strong) > 0 ? Verdict::holds
          : side(correlations, 0) < 0    ? Verdict::fails
                                         : Verdict::inconclusive,
          evidence};
}

Judgement judge_sensitivity(const std::vector<Curves>& a, const std::vector<Curves>& b) {
  if (a.size() < 2 || b.size() < 2)
    return {Verdict::inconclusive, "fewer than two strengths have complete runs"};
  std::vector<const Curves*> arguments;
  for (const auto* side_ : {&a, &b})
    for (const Curves& curves : *side_) arguments.push_back(&curves);
  const Runs runs = common(arguments);
  if (!runs.trouble.empty()) return {Verdict::inconclusive, runs.trouble};
  Effects sample;
  for (const auto& seed : runs.seeds) {
    sample.first.push_back(span_of(seed, 0, a.size()));
    sample.second.push_back(span_of(seed, a.size(), b.size()));
    sample.effect.push_back(sample.first.back() - sample.second.back());
  }
  sample.remark = runs.remark;
  return judge_sign(sample, -1, {"late errors span ", " against ", ", difference "});
}

Judgement judge_sooner(const Within& a, const Within& b) {
  Effects sample;
  std::size_t left_out = 0;
  for (const auto& [seed, first] : a.errors) {
    const auto second = b.errors.find(seed);
    if (second == b.errors.end() || first.empty() || second->second.empty()) continue;
    const double level = std::max(first.back(), second->second.back()) + error_bound;
    const double updates = first_below(first, a.steps, level),
                 others = first_below(second->second, b.steps, level);
    if (!std::isfinite(level) || !std::isfinite(updates) || !std::isfinite(others)) {
      ++left_out;
      continue;
    }
    sample.first.push_back(updates);
    sample.second.push_back(others);
    sample.effect.push_back(updates - others);
  }
  const std::size_t all = sample.effect.size() + left_out;
  if (all == 0) return {Verdict::inconclusive, "no seed has all the runs that the claim compares"};
  sample.remark = some_of(left_out, all, "left out: not finite");
  return judge_sign(sample, -1,
                    {"updates to within .05 of the error that both reach: ", " against ", ", difference "});
}

}  // namespace paper
