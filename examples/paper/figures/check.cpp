#include <algorithm>
#include <cmath>
#include <iomanip>
#include <ostream>
#include <sstream>

#include "figures/report.hpp"

namespace paper {

namespace {

constexpr double about = .05;  // errors that differ by less count as similar, as in the verdict on plasticity

struct Judged {
  Verdict verdict;
  std::string what, evidence;
};

std::string strength_of(const Series* series) {
  if (series == nullptr || series->strength == 0 || series->condition.sweep == "strength") return "";
  std::ostringstream text;
  text << " at strength " << series->strength;
  return text.str();
}

// the condition in words, with the value that `smallest` or `largest` came to
std::string name_of(const Condition& condition, const Series* series) {
  return label(series == nullptr || condition.value == every ? condition : series->condition);
}

Judged judge(const Claim& claim, const PlannedSetting& setting, const Archive& archive) {
  const Series* series = best_series(archive, setting, claim.condition);
  const Series* other_series = best_series(archive, setting, claim.other);
  const std::string who = name_of(claim.condition, series), other = name_of(claim.other, other_series);
  const auto curves = [&](const Series* s, const std::string& metric) {
    return s == nullptr ? Curves{} : archive.curves(*s, metric, true);
  };
  const auto inside = [&](const Series* s) {
    return s == nullptr ? Within{} : archive.within(*s, true, true);
  };
  // the errors of each value of a swept condition that has runs
  const auto swept = [&](const Condition& condition) {
    std::vector<std::pair<double, Curves>> result;
    for (const Series* one : swept_series(setting, condition))
      if (Curves errors = curves(one, "error"); !errors.empty())
        result.emplace_back(one->condition.value, std::move(errors));
    return result;
  };
  const auto without_values = [](std::vector<std::pair<double, Curves>>&& pairs) {
    std::vector<Curves> result;
    result.reserve(pairs.size());
    for (auto& [value, errors] : pairs) result.push_back(std::move(errors));
    return result;
  };
  const Curves error = curves(series, "error"), rank = curves(series, "ef_rank_relative");
  const Curves metric = curves(series, claim.metric),
               other_metric = curves(claim.other_metric.empty() ? other_series : series,
                                     claim.other_metric.empty() ? claim.metric : claim.other_metric);
  const std::string rises = claim.sign > 0 ? " rises" : " falls";
  const auto result = [&](const std::string& what, Judgement judgement) {
    return Judged{judgement.verdict, what + strength_of(series), std::move(judgement.evidence)};
  };
  switch (claim.kind) {
    case ClaimKind::plasticity: {
      Judgement judgement = judge_plasticity(error);
      judgement.evidence += ", claimed " + claim.expected;
      return result(who, std::move(judgement));
    }
    case ClaimKind::curvature:
      return result(who + ", curvature goes with plasticity", judge_curvature(error, rank));
    case ClaimKind::trend:
      return result(who + ", " + claim.metric + rises, judge_trend(metric, claim.sign));
    case ClaimKind::difference:
      return result(who + ", " + claim.metric + (claim.sign > 0 ? " above " : " below ") +
                        (claim.other_metric.empty() ? "that of " + other : claim.other_metric),
                    judge_difference(metric, other_metric, claim.sign));
    case ClaimKind::change_difference:
      return result(
          who + ", " + claim.metric + " rises " + (claim.sign > 0 ? "more" : "less") + " than with " + other,
          judge_change_difference(metric, other_metric, claim.sign));
    case ClaimKind::plateau:
      return result(who + ", " + claim.metric + " levels off", judge_plateau(metric));
    case ClaimKind::about_equal:
      return result(who + ", " + claim.metric + " about that of " + other,
                    judge_about_equal(metric, other_metric, about));
    case ClaimKind::regularizer:
      return result(who + ", helps against " + other + " and keeps curvature",
                    judge_regularizer(error, curves(other_series, "error"), rank));
    case ClaimKind::onset:
      return result(who + ", loses plasticity later than " + other,
                    judge_onset(error, curves(other_series, "error")));
    case ClaimKind::early_bound:
      return result(who + ", " + claim.metric + " is small in the first tasks",
                    judge_early_bound(metric, claim.bound));
    case ClaimKind::early_difference:
      return result(who + ", " + claim.metric + (claim.sign > 0 ? " above " : " below ") +
                        claim.other_metric + " in the first tasks",
                    judge_early_difference(metric, other_metric, claim.sign));
    case ClaimKind::worsening:
      return result(who + ", " + claim.metric + " rises", judge_worsening(metric, other_metric));
    case ClaimKind::tracking:
      return result(who + ", " + claim.metric + " follows " + claim.other_metric,
                    judge_tracking(metric, other_metric));
    case ClaimKind::early_above:
      return result(who + ", " + claim.metric + " is high in the first tasks",
                    judge_early_above(metric, claim.bound));
    case ClaimKind::steady:
      return result(who + ", " + claim.metric + " stays", judge_steady(metric));
    case ClaimKind::dip:
      return result(who + ", " + claim.metric + " first falls, then rises", judge_dip(metric));
    case ClaimKind::online_only:
      return result(who + ", the online error alone rises",
                    judge_online_only(error, curves(series, "online_error")));
    case ClaimKind::delay: {
      const auto errors = swept(claim.condition);
      Judgement judgement = judge_delay(errors);
      return {judgement.verdict, label(claim.condition) + ", a larger one delays the loss",
              std::move(judgement.evidence)};
    }
    case ClaimKind::sensitivity: {
      Judgement judgement =
          judge_sensitivity(without_values(swept(claim.condition)), without_values(swept(claim.other)));
      return {judgement.verdict, label(claim.condition) + ", less sensitive than " + label(claim.other),
              std::move(judgement.evidence)};
    }
    case ClaimKind::sooner:
      return result(who + ", fewer updates than " + other,
                    judge_sooner(inside(series), inside(other_series)));
  }
  return {Verdict::inconclusive, who, "unknown claim"};
}

// whether the claim is one about the problem
bool about_problem(const Claim& claim, const std::string& problem) {
  return claim.problems.empty() ||
         std::find(claim.problems.begin(), claim.problems.end(), problem) != claim.problems.end();
}

// The rank correlation of error and curvature at the end over all runs of the setting: one network and
// budget, unequal conditions. No claim, but what the claims add up to.
void correlate(const PlannedSetting& setting, const Archive& archive, std::ostream& out) {
  for (const Series& series : setting.series)
    if (!series.condition.sweep.empty() && series.condition.sweep != "strength") return;  // no common budget
  std::vector<double> errors, ranks;
  for (const Series& series : setting.series) {
    const Curves error = archive.curves(series, "error", true);
    const Curves rank = archive.curves(series, "ef_rank_relative", true);
    for (const auto& [seed, curve] : error) {
      const double late = late_mean(curve), curvature = late_mean(rank.at(seed));
      if (!std::isfinite(late) || !std::isfinite(curvature)) continue;
      errors.push_back(late);
      ranks.push_back(curvature);
    }
  }
  const double correlation = spearman(errors, ranks);
  if (errors.size() < 3 || !std::isfinite(correlation)) return;  // flat runs have none
  out << "(Spearman correlation of late error and late curvature over " << errors.size()
      << " runs: " << std::fixed << std::setprecision(2) << correlation << std::defaultfloat << ")\n";
}

}  // namespace

bool check(const Figure& figure, const std::vector<PlannedSetting>& settings, const Archive& archive,
           std::ostream& out) {
  bool any = false;
  for (const PlannedSetting& setting : settings) {
    Index complete = 0, total = 0;
    for (const Series& series : setting.series)
      for (const PlannedRun& run : series.runs) {
        ++total;
        complete += archive.complete(run);
      }
    out << figure.name << ", " << describe(setting, archive.data(setting.setting.problem)) << ", "
        << setting.tasks << " tasks\n";
    if (complete < total)
      out << "(" << complete << " of " << total << " runs are complete; the others are not judged)\n";
    if (complete == 0) continue;
    any = true;
    for (const Claim& claim : figure.claims) {
      if (!about_problem(claim, setting.setting.problem)) continue;
      const Judged judged = judge(claim, setting, archive);
      out << std::left << std::setw(13) << word(judged.verdict) << judged.what << ": " << judged.evidence
          << " | paper: \"" << claim.words << "\"\n";
    }
    correlate(setting, archive, out);
  }
  return any;
}

void status(const Figure& figure, const std::vector<PlannedSetting>& settings, const Archive& archive,
            std::ostream& out) {
  for (const PlannedSetting& setting : settings) {
    out << figure.name << ", " << describe(setting, archive.data(setting.setting.problem)) << '\n';
    for (const Series& series : setting.series) {
      Index complete = 0, done = 0;
      for (const PlannedRun& run : series.runs) {
        complete += archive.complete(run);
        done += std::min(archive.tasks_done(run.configuration), run.tasks);
      }
      out << "  " << std::left << std::setw(45) << label(series.condition) << std::setw(8) << series.strength
          << std::right << std::setw(3) << complete << " of " << series.runs.size() << " runs, "
          << std::setw(5) << done << " of " << static_cast<Index>(series.runs.size()) * setting.tasks
          << " tasks\n";
    }
  }
}

}  // namespace paper
