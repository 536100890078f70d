#include "verdicts/judging.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace paper::judging {

namespace {

constexpr std::size_t fewest_tasks = 5;

}  // namespace

double error_change(Curve error) {  // a diverged run has lost all there was
  const double value = change(error);
  return std::isfinite(value) ? value : 1;
}

double relative_change(Curve rank) {  // NaN or infinite where it is undefined
  const double early = early_mean(rank);
  return std::isfinite(early) ? late_mean(rank) / early - 1 : early;
}

Runs common(const std::vector<const Curves*>& arguments) {
  Runs runs;
  std::size_t shortest = std::numeric_limits<std::size_t>::max(), longest = 0;
  for (const auto& [seed, values] : *arguments.front()) {
    std::vector<Curve> curves;
    for (const Curves* argument : arguments) {
      const auto found = argument->find(seed);
      if (found == argument->end() || found->second.empty()) break;  // a run that has not finished a task
      curves.emplace_back(found->second);
    }
    if (curves.size() < arguments.size()) continue;
    for (const Curve curve : curves) {
      shortest = std::min(shortest, curve.size());
      longest = std::max(longest, curve.size());
    }
    runs.seeds.push_back(std::move(curves));
  }
  if (runs.seeds.empty()) {
    runs.trouble = arguments.size() > 1 ? "no seed has all the runs that the claim compares" : "no runs";
    return runs;
  }
  if (shortest < fewest_tasks)
    runs.trouble = std::to_string(shortest) + (shortest == 1 ? " task" : " tasks") +
                   " done, expected at least " + std::to_string(fewest_tasks);
  if (shortest < longest) runs.remark = ", over the first " + std::to_string(shortest) + " tasks";
  for (auto& curves : runs.seeds)
    for (Curve& curve : curves) curve = curve.first(shortest);
  return runs;
}

Effects effects(const Runs& runs, Measure measure) {
  Effects result;
  std::size_t left_out = 0;
  for (const auto& curves : runs.seeds) {
    const auto [first, second] = measure(curves);
    if (!std::isfinite(first) || !std::isfinite(second)) {
      ++left_out;
      continue;
    }
    result.first.push_back(first);
    result.second.push_back(second);
    result.effect.push_back(first - second);
  }
  result.remark = some_of(left_out, runs.seeds.size(), "left out: not finite") + runs.remark;
  return result;
}

std::string describe(const Effects& sample, Words words) {
  return words.first + figure(mean(sample.first)) + words.second + figure(mean(sample.second)) +
         words.effect + spread(sample.effect) + seeds_used(sample.effect) + sample.remark;
}

Judgement judge_sign(const Effects& sample, int sign, Words words) {
  if (sample.effect.empty()) return {Verdict::inconclusive, "no seed has finite values" + sample.remark};
  const double larger = std::max(std::abs(mean(sample.first)), std::abs(mean(sample.second)));
  const bool large = std::abs(mean(sample.effect)) >= smallest_share * larger;
  const int where = side(sample.effect, 0);
  std::string evidence = describe(sample, words);
  if (where != 0 && !large) evidence += ", less than 10 % of the larger value";
  if (where == 0 || !large) return {Verdict::inconclusive, std::move(evidence)};
  return {where == sign ? Verdict::holds : Verdict::fails, std::move(evidence)};
}

Judgement judge_sign(const Runs& runs, Measure measure, int sign, const char* caller, Words words) {
  if (sign != 1 && sign != -1)
    throw std::invalid_argument(std::string(caller) + ": sign is " + std::to_string(sign) +
                                ", expected +1 or -1");
  if (!runs.trouble.empty()) return {Verdict::inconclusive, runs.trouble};
  return judge_sign(effects(runs, measure), sign, words);
}

std::string way(const char* what, const Effects& late_early) {  // "error .012 -> .634, "
  if (late_early.effect.empty()) return "";
  return what + figure(mean(late_early.second)) + " -> " + figure(mean(late_early.first)) + ", ";
}

Sides late_and_early(const std::vector<Curve>& seed) { return {late_mean(seed[0]), early_mean(seed[0])}; }

double onset(Curve error) {
  std::vector<double> early;
  for (const double value : error.subspan(1, error.size() / 5))
    if (std::isfinite(value)) early.push_back(value);
  const double bound = mean(early) + error_bound;  // NaN only if task 1 is
  for (std::size_t task = 1; task < error.size(); ++task) {
    if (!std::isfinite(error[task])) return static_cast<double>(task);
    if (task + 1 == error.size() || !(error[task] > bound)) continue;
    if (error[task + 1] > bound || !std::isfinite(error[task + 1])) return static_cast<double>(task);
  }
  return static_cast<double>(error.size());
}

}  // namespace paper::judging
