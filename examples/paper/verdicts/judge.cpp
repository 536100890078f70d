#include <algorithm>
#include <cmath>
#include <utility>

#include "verdicts/judging.hpp"

// Plasticity, curvature, and what a regulariser does for both.
namespace paper {

using namespace judging;

namespace {

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
  const bool nothing_lost = side(sample.second, error_bound) < 0;
  const int helped = -side(sample.effect, -error_bound);
  const int kept = side(rank_changes, rank_kept);
  const bool harms = side(sample.effect, error_bound) > 0;
  const bool fails = kept < 0 || (nothing_lost ? harms : helped < 0);
  if (nothing_lost && helped <= 0 && !fails)
    evidence += "; nothing is lost without it, so there is nothing to help against";
  return {helped > 0 && kept > 0 ? Verdict::holds
          : fails                ? Verdict::fails
                                 : Verdict::inconclusive,
          std::move(evidence)};
}

}  // namespace paper
