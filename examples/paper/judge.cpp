#include "judge.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <stdexcept>
#include <utility>

#include "evidence.hpp"

namespace paper {
namespace {

constexpr std::size_t fewest_tasks = 5;
constexpr double error_bound = .05;
constexpr double rank_kept = -.15;     // relative change
constexpr double smallest_share = .1;  // of the larger mean, for a claim with a sign

using Curve = std::span<const double>;
using Sides = std::pair<double, double>;  // two values of one seed; the effect is first - second
using Measure = Sides (*)(const std::vector<Curve>& seed);  // a curve an argument of the claim, equal lengths

double mean(Curve values) { return mean_interval(values).mean; }

double change(Curve curve) { return late_mean(curve) - early_mean(curve); }

double error_change(Curve error) {  // a diverged run has lost all there was
  const double value = change(error);
  return std::isfinite(value) ? value : 1;
}

double relative_change(Curve rank) {  // NaN or infinite where it is undefined
  const double early = early_mean(rank);
  return std::isfinite(early) ? late_mean(rank) / early - 1 : early;
}

// What a claim is judged by: the seeds that every curve has, over the tasks that all of them have.
struct Runs {
  std::vector<std::vector<Curve>> seeds;  // seed -> a curve an argument
  std::string trouble;                    // why nothing can be concluded, or empty
  std::string remark;                     // what the evidence must add, or empty
};

Runs common(std::initializer_list<const Curves*> arguments) {
  Runs runs;
  std::size_t shortest = std::numeric_limits<std::size_t>::max(), longest = 0;
  for (const auto& [seed, values] : **arguments.begin()) {
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

// how many seeds diverged, by the errors in the given argument of the claim
std::string diverged(const Runs& runs, std::size_t argument, const char* word) {
  const auto lost = std::count_if(runs.seeds.begin(), runs.seeds.end(), [&](const auto& curves) {
    return !std::isfinite(change(curves[argument]));
  });
  return some_of(static_cast<std::size_t>(lost), runs.seeds.size(), word) +
         (lost ? " (a change of 1 each)" : "");
}

// relative changes of the ranks in the given argument of the claim, where they are defined
std::vector<double> rank_changes_of(const Runs& runs, std::size_t argument) {
  std::vector<double> changes;
  for (const auto& curves : runs.seeds)
    if (const double value = relative_change(curves[argument]); std::isfinite(value))
      changes.push_back(value);
  return changes;
}

struct Effects {
  std::vector<double> first, second, effect;  // a value a seed; effect = first - second
  std::string remark;                         // seeds left out, tasks left out
};

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

struct Words {
  const char *first, *second, *effect;
};

std::string describe(const Effects& sample, Words words) {
  return words.first + figure(mean(sample.first)) + words.second + figure(mean(sample.second)) +
         words.effect + spread(sample.effect) + seeds_used(sample.effect) + sample.remark;
}

Judgement judge_sign(const Runs& runs, Measure measure, int sign, const char* caller, Words words) {
  if (sign != 1 && sign != -1)
    throw std::invalid_argument(std::string(caller) + ": sign is " + std::to_string(sign) +
                                ", expected +1 or -1");
  if (!runs.trouble.empty()) return {Verdict::inconclusive, runs.trouble};
  const Effects sample = effects(runs, measure);
  if (sample.effect.empty()) return {Verdict::inconclusive, "no seed has finite values" + sample.remark};
  const double larger = std::max(std::abs(mean(sample.first)), std::abs(mean(sample.second)));
  const bool large = std::abs(mean(sample.effect)) >= smallest_share * larger;
  const int where = side(sample.effect, 0);
  std::string evidence = describe(sample, words);
  if (where != 0 && !large) evidence += ", less than 10 % of the larger value";
  if (where == 0 || !large) return {Verdict::inconclusive, std::move(evidence)};
  return {where == sign ? Verdict::holds : Verdict::fails, std::move(evidence)};
}

std::string way(const char* what, const Effects& late_early) {  // "error .012 -> .634, "
  if (late_early.effect.empty()) return "";
  return what + figure(mean(late_early.second)) + " -> " + figure(mean(late_early.first)) + ", ";
}

Sides late_and_early(const std::vector<Curve>& seed) { return {late_mean(seed[0]), early_mean(seed[0])}; }

Sides late_values(const std::vector<Curve>& seed) { return {late_mean(seed[0]), late_mean(seed[1])}; }

Sides growths(const std::vector<Curve>& seed) {
  const Curve curve = seed[0];
  const std::size_t window = curve.size() / 5;
  const std::size_t odd = (curve.size() - window + 1) % 2;  // then the middle lies between two windows
  const double middle = mean(curve.subspan((curve.size() - window + 1) / 2, window + odd));
  return {middle - early_mean(curve), late_mean(curve) - middle};
}

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

Sides onsets(const std::vector<Curve>& seed) { return {onset(seed[0]), onset(seed[1])}; }

}  // namespace

std::string_view word(Verdict verdict) {
  switch (verdict) {
    case Verdict::lost:
      return "LOST";
    case Verdict::preserved:
      return "PRESERVED";
    case Verdict::holds:
      return "HOLDS";
    case Verdict::fails:
      return "FAILS";
    case Verdict::inconclusive:
      break;
  }
  return "INCONCLUSIVE";
}

double early_mean(std::span<const double> curve) {  // an empty window has the mean NaN
  return mean(curve.subspan(curve.empty() ? 0 : 1, curve.size() / 5));
}

double late_mean(std::span<const double> curve) { return mean(curve.last(curve.size() / 5)); }

Judgement judge_plasticity(const Curves& error) {
  const Runs runs = common({&error});
  if (!runs.trouble.empty()) return {Verdict::inconclusive, runs.trouble};
  const Effects finite = effects(runs, late_and_early);
  std::vector<double> changes;
  for (const auto& curves : runs.seeds) changes.push_back(error_change(curves[0]));
  std::string evidence = way("error ", finite) + "change " + spread(changes) + seeds_used(changes) +
                         diverged(runs, 0, "diverged") + runs.remark;
  const int where = side(changes, error_bound);
  return {where > 0   ? Verdict::lost
          : where < 0 ? Verdict::preserved
                      : Verdict::inconclusive,
          std::move(evidence)};
}

Judgement judge_curvature(const Curves& error, const Curves& rank) {
  Runs runs = common({&error, &rank});
  if (!runs.trouble.empty()) return {Verdict::inconclusive, runs.trouble};
  const std::size_t all = runs.seeds.size();
  std::erase_if(runs.seeds, [](const auto& curves) { return !std::isfinite(change(curves[0])); });
  const std::size_t diverged = all - runs.seeds.size();
  std::erase_if(runs.seeds, [](const auto& curves) { return !std::isfinite(relative_change(curves[1])); });
  const std::size_t rankless = all - diverged - runs.seeds.size();
  const std::string remark = some_of(diverged, all, "left out: diverged") +
                             some_of(rankless, all, "left out: early rank 0 or rank not finite") +
                             runs.remark;
  if (runs.seeds.empty()) return {Verdict::inconclusive, "no seed is left" + remark};
  const Effects errors = effects(runs, late_and_early);
  const Effects ranks = effects(runs, [](const std::vector<Curve>& seed) {
    return Sides{late_mean(seed[1]), early_mean(seed[1])};
  });
  const auto rank_changes = rank_changes_of(runs, 1);
  std::string evidence = way("error ", errors) + "change " + spread(errors.effect) + way("; rank ", ranks) +
                         "relative change " + spread(rank_changes) + seeds_used(rank_changes) + remark;
  const int plasticity = side(errors.effect, error_bound);  // +1 lost, -1 preserved
  const bool holds = (plasticity > 0 && side(rank_changes, -.1) < 0) ||
                     (plasticity < 0 && side(rank_changes, rank_kept) > 0);
  const bool fails =
      (plasticity > 0 && side(rank_changes, -.05) > 0) || (plasticity < 0 && side(rank_changes, -.3) < 0);
  return {holds ? Verdict::holds : fails ? Verdict::fails : Verdict::inconclusive, std::move(evidence)};
}

Judgement judge_trend(const Curves& metric, int sign) {
  return judge_sign(common({&metric}), late_and_early, sign, "judge_trend",
                    {"late ", " against early ", ", change "});
}

Judgement judge_difference(const Curves& a, const Curves& b, int sign) {
  return judge_sign(common({&a, &b}), late_values, sign, "judge_difference",
                    {"late ", " against ", ", difference "});
}

Judgement judge_change_difference(const Curves& a, const Curves& b, int sign) {
  return judge_sign(common({&a, &b}),
                    [](const std::vector<Curve>& seed) {
                      return Sides{change(seed[0]), change(seed[1])};
                    },
                    sign, "judge_change_difference", {"change ", " against ", ", difference "});
}

Judgement judge_plateau(const Curves& metric) {
  const Runs runs = common({&metric});
  Judgement judgement = judge_sign(runs, growths, 1, "judge_plateau",
                                   {"growth ", " in the first half against ", " in the second, difference "});
  if (judgement.verdict == Verdict::holds && !(mean(effects(runs, growths).first) > 0))
    return {Verdict::inconclusive, judgement.evidence + ", no growth to level off"};
  return judgement;
}

Judgement judge_about_equal(const Curves& a, const Curves& b, double margin) {
  if (!(margin > 0) || !std::isfinite(margin))
    throw std::invalid_argument("judge_about_equal: margin is " + figure(margin, true) +
                                ", expected above 0");
  const Runs runs = common({&a, &b});
  if (!runs.trouble.empty()) return {Verdict::inconclusive, runs.trouble};
  const Effects sample = effects(runs, late_values);
  if (sample.effect.empty()) return {Verdict::inconclusive, "no seed has finite values" + sample.remark};
  std::string evidence =
      describe(sample, {"late ", " against ", ", difference "}) + ", margin " + figure(margin);
  if (within(sample.effect, -margin, margin)) return {Verdict::holds, std::move(evidence)};
  const bool outside = side(sample.effect, -margin, margin) != 0;
  return {outside ? Verdict::fails : Verdict::inconclusive, std::move(evidence)};
}

Judgement judge_onset(const Curves& a, const Curves& b) {
  return judge_sign(common({&a, &b}), onsets, 1, "judge_onset",
                    {"lost at task ", " against ", ", difference "});
}

Judgement judge_early_bound(const Curves& metric, double bound) {
  const Runs runs = common({&metric});
  if (!runs.trouble.empty()) return {Verdict::inconclusive, runs.trouble};
  const Effects sample = effects(runs, [](const std::vector<Curve>& seed) {
    return Sides{early_mean(seed[0]), 0};
  });
  if (sample.effect.empty()) return {Verdict::inconclusive, "no seed has finite values" + sample.remark};
  const int where = side(sample.effect, bound);
  return {where < 0   ? Verdict::holds
          : where > 0 ? Verdict::fails
                      : Verdict::inconclusive,
          "early " + spread(sample.effect) + seeds_used(sample.effect) + sample.remark + ", bound " +
              figure(bound)};
}

Judgement judge_tracking(const Curves& a, const Curves& b) {
  constexpr double strong = .5;
  const Runs runs = common({&a, &b});
  if (!runs.trouble.empty()) return {Verdict::inconclusive, runs.trouble};
  const Effects sample = effects(runs, [](const std::vector<Curve>& seed) {
    const std::vector<double> first(seed[0].begin() + 1, seed[0].end()),
        second(seed[1].begin() + 1, seed[1].end());
    return Sides{spearman(first, second), 0};
  });
  if (sample.effect.empty()) return {Verdict::inconclusive, "no seed has curves that vary" + sample.remark};
  const int where = side(sample.effect, strong);
  return {where > 0   ? Verdict::holds
          : where < 0 ? Verdict::fails
                      : Verdict::inconclusive,
          "rank correlation over the tasks " + spread(sample.effect) + seeds_used(sample.effect) +
              sample.remark + ", bound " + figure(strong)};
}

Judgement judge_regularizer(const Curves& error, const Curves& error_without, const Curves& rank) {
  const Runs runs = common({&error, &error_without});
  if (!runs.trouble.empty()) return {Verdict::inconclusive, runs.trouble};
  const Effects sample = effects(runs, [](const std::vector<Curve>& seed) {
    return Sides{error_change(seed[0]), error_change(seed[1])};
  });
  std::string evidence = describe(sample, {"error change ", " against ", " without, difference "}) +
                         diverged(runs, 0, "diverged") + diverged(runs, 1, "diverged without");
  const Runs ranked = common({&error, &error_without, &rank});
  std::vector<double> rank_changes;
  if (ranked.trouble.empty()) {
    rank_changes = rank_changes_of(ranked, 2);
    evidence += "; relative change of the rank " + spread(rank_changes) + seeds_used(rank_changes) +
                some_of(ranked.seeds.size() - rank_changes.size(), ranked.seeds.size(),
                        "left out: early rank 0 or rank not finite");
  } else {
    evidence += "; rank: " + ranked.trouble;
  }
  const int helped = -side(sample.effect, -error_bound);
  const int kept = side(rank_changes, rank_kept);
  const bool fails = helped < 0 || kept < 0;
  return {helped > 0 && kept > 0 ? Verdict::holds
          : fails                ? Verdict::fails
                                 : Verdict::inconclusive,
          std::move(evidence)};
}

}  // namespace paper
