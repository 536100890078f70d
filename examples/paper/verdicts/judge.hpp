#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "verdicts/statistics.hpp"

// Whether the runs at hand show what the paper claims. A curve has a value a task, task 0 first. With w =
// tasks/5, the early window is tasks 1..w (the first task is not learnt by a network that has learnt before,
// and is skipped) and the late window the last w tasks. Judged are the tasks that all seeds have; seeds that
// one of the curves lacks are left out. Nothing is concluded from fewer than 5 tasks.
//
// Over seeds, a value a seed: one seed concludes nothing; 2 to 4 must all lie beyond the bound; from 5 on the
// 95 % t interval of their mean must. A value at a bound is not beyond it.
//
// Claims with a sign: HOLDS when the effects lie on the claimed side of 0 and the mean effect is at least 10
// % of the larger of the two mean values compared, FAILS when the opposite sign passes that test. A sign
// other than +1 or -1 is std::invalid_argument. Seeds whose windows hold a NaN or an infinity are left out,
// and the evidence says so; only an error that is not finite has a meaning of its own, a run that diverged.
namespace paper {

using Curves = std::map<std::uint64_t, std::vector<double>>;  // seed -> a value a task; NaN once it diverged

enum class Verdict { lost, preserved, holds, fails, inconclusive };
std::string_view word(Verdict);  // LOST PRESERVED HOLDS FAILS INCONCLUSIVE

struct Judgement {
  Verdict verdict;
  std::string evidence;  // one line: "error .012 -> .634, change +.622 [+.598, +.646], 5 seeds"
};

// Means over the two windows of one curve; NaN with fewer than 5 tasks.
double early_mean(std::span<const double> curve);
double late_mean(std::span<const double> curve);

// LOST: late error exceeds early error by more than .05; PRESERVED: by less. A diverged run counts as a
// change of 1.
Judgement judge_plasticity(const Curves& error);

// "Curvature goes with plasticity", with the relative change of the rank, late / early - 1. HOLDS: LOST with
// a change below -.1, or PRESERVED with one above -.15. FAILS: LOST with one above -.05, or PRESERVED with
// one below
// -.3. Diverged seeds and seeds whose early rank is 0 are left out.
Judgement judge_curvature(const Curves& error, const Curves& rank);

// late - early has the claimed sign.
Judgement judge_trend(const Curves& metric, int sign);

// late a - late b has the claimed sign, paired by seed.
Judgement judge_difference(const Curves& a, const Curves& b, int sign);

// The same of the early means.
Judgement judge_early_difference(const Curves& a, const Curves& b, int sign);

// An approximation gets worse: its distance from a rank rises, as a trend. Where the rank itself ends below
// the early distance, 0 in its place would be as near as the approximation was; a distance that shrinks is
// then no merit: INCONCLUSIVE instead of FAILS, unless the rank lies above it by the rule over seeds.
Judgement judge_worsening(const Curves& distance, const Curves& rank);

// (late - early) of a minus that of b has the claimed sign, paired by seed.
Judgement judge_change_difference(const Curves& a, const Curves& b, int sign);

// The metric grows less over the second half of the tasks than over the first, from the early window over one
// in the middle to the late one (of w tasks, or w + 1 where only these lie in the middle). A metric that does
// not grow over the first half has nothing to level off: INCONCLUSIVE instead of HOLDS.
Judgement judge_plateau(const Curves& metric);

// Late a - late b, paired by seed: HOLDS when it lies within +-margin (the whole interval; with 2 to 4 seeds
// every seed), FAILS when it lies outside on one side. std::invalid_argument unless margin > 0.
Judgement judge_about_equal(const Curves& a, const Curves& b, double margin);

// The early mean lies below the bound (HOLDS) or above it (FAILS), by the rule over seeds.
Judgement judge_early_bound(const Curves& metric, double bound);

// a goes up and down with b over the tasks from 1 on: the rank correlation of the two curves of a seed lies
// above .5 (HOLDS) or below it (FAILS). Seeds where a curve is constant are left out.
Judgement judge_tracking(const Curves& a, const Curves& b);

// The regulariser helps: the change of its error is lower than that without it by more than .05, paired by
// seed, and its rank is kept (relative change above -.15). FAILS when either lies on the other side of its
// bound; but where nothing is lost without it (PRESERVED) there is nothing to help against, and the error
// speaks against it only where its change is higher by more than .05. A diverged run counts as a change of 1;
// seeds without a relative change of the rank count for the error only.
Judgement judge_regularizer(const Curves& error, const Curves& error_without, const Curves& rank);

// a loses plasticity later than b, paired by seed. A run loses it at the first task from 1 on whose error,
// and that of the next task, exceeds its early mean by more than .05, or where it diverges; at the number of
// tasks if that never happens.
Judgement judge_onset(const Curves& a, const Curves& b);

// The early mean lies above the bound (HOLDS) or below it (FAILS), by the rule over seeds.
Judgement judge_early_above(const Curves& metric, double bound);

// The relative change late / early - 1 lies within +-.1 (HOLDS: the whole interval; with 2 to 4 seeds every
// seed), or outside on one side (FAILS).
Judgement judge_steady(const Curves& metric);

// The metric falls first and rises then. The lowest window of w tasks is found in the mean over the seeds;
// HOLDS when the early and the late mean both lie above its mean, each as a claim with a sign; FAILS when the
// lowest window is the early one and the metric rises, or the late one and it falls. Seeds with a value that
// is not finite after task 0 are left out.
Judgement judge_dip(const Curves& metric);

// Plasticity is preserved by the error at the end of a task, and yet the average online error rises. FAILS
// when plasticity is lost or the online error falls.
Judgement judge_online_only(const Curves& error, const Curves& online_error);

// The larger the value, the later plasticity is lost (see judge_onset): the rank correlation of value and
// onset of a seed lies above .5 (HOLDS) or below 0 (FAILS). Seeds whose onsets are all equal are left out.
Judgement judge_delay(const std::vector<std::pair<double, Curves>>& errors);  // a value and its runs

// The late errors of a, a Curves a strength, span less than those of b: highest minus lowest late mean,
// paired by seed, as a claim with a sign. A diverged run has the error 1.
Judgement judge_sensitivity(const std::vector<Curves>& a, const std::vector<Curves>& b);

// Errors within a task at the same updates for all seeds.
struct Within {
  std::vector<Index> steps;  // updates, rising
  Curves errors;             // seed -> a value a step
};

// a needs fewer updates than b to come within .05 of the online error that both reach, the higher of the two
// at the end of a task; paired by seed, as a claim with a sign.
Judgement judge_sooner(const Within& a, const Within& b);

}  // namespace paper
