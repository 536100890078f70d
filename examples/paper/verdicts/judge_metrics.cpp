#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

#include "verdicts/judging.hpp"

// Claims about one metric over the tasks.
namespace paper {

using namespace judging;

namespace {

Sides late_values(const std::vector<Curve>& seed) { return {late_mean(seed[0]), late_mean(seed[1])}; }

Sides growths(const std::vector<Curve>& seed) {
  const Curve curve = seed[0];
  const std::size_t window = curve.size() / 5;
  const std::size_t odd = (curve.size() - window + 1) % 2;  // then the middle lies between two windows
  const double middle = mean(curve.subspan((curve.size() - window + 1) / 2, window + odd));
  return {middle - early_mean(curve), late_mean(curve) - middle};
}

// the first task of the window of `width` tasks with the lowest mean over the seeds, from task 1 on; the
// earliest of equals
std::size_t lowest_window(const Runs& runs, std::size_t width) {
  std::size_t best = 1;
  double lowest = std::numeric_limits<double>::infinity();
  for (std::size_t first = 1; first + width <= runs.seeds.front()[0].size(); ++first) {
    double sum = 0;
    for (const auto& seed : runs.seeds) sum += mean(seed[0].subspan(first, width));
    if (sum < lowest) lowest = sum, best = first;
  }
  return best;
}

}  // namespace

Judgement judge_trend(const Curves& metric, int sign) {
  return judge_sign(common({&metric}), late_and_early, sign, "judge_trend",
                    {"late ", " against early ", ", change "});
}

Judgement judge_difference(const Curves& a, const Curves& b, int sign) {
  return judge_sign(common({&a, &b}), late_values, sign, "judge_difference",
                    {"late ", " against ", ", difference "});
}

Judgement judge_early_difference(const Curves& a, const Curves& b, int sign) {
  return judge_sign(common({&a, &b}),
                    [](const std::vector<Curve>& seed) {
                      return Sides{early_mean(seed[0]), early_mean(seed[1])};
                    },
                    sign, "judge_early_difference", {"early ", " against ", ", difference "});
}

Judgement judge_worsening(const Curves& distance, const Curves& rank) {
  const Runs runs = common({&distance, &rank});
  Judgement judgement =
      judge_sign(runs, late_and_early, 1, "judge_worsening", {"late ", " against early ", ", change "});
  if (judgement.verdict != Verdict::fails) return judgement;
  const Effects room = effects(runs, [](const std::vector<Curve>& seed) {
    return Sides{late_mean(seed[1]), early_mean(seed[0])};
  });
  if (side(room.effect, 0) > 0) return judgement;
  return {Verdict::inconclusive, judgement.evidence + "; the rank itself ends at " +
                                     figure(mean(room.first)) + ", where no distance says much"};
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

Judgement judge_early_above(const Curves& metric, double bound) {
  Judgement judgement = judge_early_bound(metric, bound);
  if (judgement.verdict == Verdict::holds)
    judgement.verdict = Verdict::fails;
  else if (judgement.verdict == Verdict::fails)
    judgement.verdict = Verdict::holds;
  return judgement;
}

Judgement judge_steady(const Curves& metric) {
  constexpr double margin = .1;
  Runs runs = common({&metric});
  if (!runs.trouble.empty()) return {Verdict::inconclusive, runs.trouble};
  const Effects sample = effects(runs, [](const std::vector<Curve>& seed) {
    return Sides{relative_change(seed[0]), 0};
  });
  if (sample.effect.empty()) return {Verdict::inconclusive, "no seed has finite values" + sample.remark};
  const bool outside = side(sample.effect, -margin, margin) != 0;
  return {within(sample.effect, -margin, margin) ? Verdict::holds
          : outside                              ? Verdict::fails
                                                 : Verdict::inconclusive,
          "relative change " + spread(sample.effect) + seeds_used(sample.effect) + sample.remark +
              ", margin " + figure(margin)};
}

Judgement judge_dip(const Curves& metric) {
  Runs runs = common({&metric});
  if (!runs.trouble.empty()) return {Verdict::inconclusive, runs.trouble};
  const std::size_t all = runs.seeds.size();
  std::erase_if(runs.seeds, [](const auto& seed) {
    return !std::all_of(seed[0].begin() + 1, seed[0].end(),
                        [](double value) { return std::isfinite(value); });
  });
  const std::string remark = some_of(all - runs.seeds.size(), all, "left out: not finite") + runs.remark;
  if (runs.seeds.empty()) return {Verdict::inconclusive, "no seed has finite values" + remark};
  const std::size_t tasks = runs.seeds.front()[0].size(), width = tasks / 5;
  const std::size_t lowest = lowest_window(runs, width);
  Effects fall, rise;
  for (const auto& seed : runs.seeds) {
    const double bottom = mean(seed[0].subspan(lowest, width));
    fall.first.push_back(early_mean(seed[0])), fall.second.push_back(bottom);
    fall.effect.push_back(fall.first.back() - bottom);
    rise.first.push_back(late_mean(seed[0])), rise.second.push_back(bottom);
    rise.effect.push_back(rise.first.back() - bottom);
  }
  rise.remark = remark;
  const Judgement fell = judge_sign(fall, 1, {"early ", " against lowest ", ", fall "});
  const Judgement rose = judge_sign(rise, 1, {"late ", " against lowest ", ", rise "});
  const std::string evidence =
      fell.evidence + "; " + rose.evidence + "; lowest from task " + std::to_string(lowest) + " on";
  if (fell.verdict == Verdict::holds && rose.verdict == Verdict::holds) return {Verdict::holds, evidence};
  // it rises, or falls, from the beginning to the end
  const bool only_rises = lowest == 1 && rose.verdict == Verdict::holds;
  const bool only_falls = lowest + width == tasks && fell.verdict == Verdict::holds;
  return {only_rises || only_falls ? Verdict::fails : Verdict::inconclusive, evidence};
}

Judgement judge_online_only(const Curves& error, const Curves& online_error) {
  const Judgement end = judge_plasticity(error), online = judge_trend(online_error, 1);
  const std::string evidence = "at the end of a task: " + end.evidence + "; online: " + online.evidence;
  if (end.verdict == Verdict::preserved && online.verdict == Verdict::holds)
    return {Verdict::holds, evidence};
  const bool fails = end.verdict == Verdict::lost || online.verdict == Verdict::fails;
  return {fails ? Verdict::fails : Verdict::inconclusive, evidence};
}

}  // namespace paper
