#include "verdicts/claim.hpp"

namespace paper {

namespace {

constexpr double about = .05;  // errors that differ by less count as similar, as in the verdict on plasticity

// What a kind says of its claim: words behind the name of the condition, and the judgement of its curves.
class Case {
 public:
  Case(const Claim& claim, const Observations& runs) : claim_(claim), runs_(runs) {}

  Curves error() const { return runs_.curves(claim_.condition, "error"); }
  Curves rank() const { return runs_.curves(claim_.condition, "ef_rank_relative"); }
  Curves metric() const { return runs_.curves(claim_.condition, claim_.metric); }
  Curves other(const std::string& metric) const { return runs_.curves(claim_.other, metric); }
  // the other curves of a comparison: another metric of the condition, or the metric of the other condition
  Curves compared() const {
    return claim_.other_metric.empty() ? other(claim_.metric)
                                       : runs_.curves(claim_.condition, claim_.other_metric);
  }
  std::string other_name() const { return runs_.name(claim_.other); }
  std::string above() const { return claim_.metric + (claim_.sign > 0 ? " above " : " below "); }

  Judged result(const std::string& what, Judgement judgement) const {
    return {judgement.verdict, runs_.name(claim_.condition) + what + runs_.strength(claim_.condition),
            std::move(judgement.evidence)};
  }

 private:
  const Claim& claim_;
  const Observations& runs_;
};

// ---- plasticity and curvature ----

Judged plasticity(const Claim& claim, const Observations& runs) {
  const Case c(claim, runs);
  Judgement judgement = judge_plasticity(c.error());
  judgement.evidence += ", claimed " + claim.expected;
  return c.result("", std::move(judgement));
}
Judged curvature(const Claim& claim, const Observations& runs) {
  const Case c(claim, runs);
  return c.result(", curvature goes with plasticity", judge_curvature(c.error(), c.rank()));
}
Judged regularizer(const Claim& claim, const Observations& runs) {
  const Case c(claim, runs);
  return c.result(", helps against " + c.other_name() + " and keeps curvature",
                  judge_regularizer(c.error(), c.other("error"), c.rank()));
}
Judged onset(const Claim& claim, const Observations& runs) {
  const Case c(claim, runs);
  return c.result(", loses plasticity later than " + c.other_name(),
                  judge_onset(c.error(), c.other("error")));
}
Judged online_only(const Claim& claim, const Observations& runs) {
  const Case c(claim, runs);
  return c.result(", the online error alone rises",
                  judge_online_only(c.error(), runs.curves(claim.condition, "online_error")));
}

// ---- a metric over the tasks ----

Judged trend(const Claim& claim, const Observations& runs) {
  const Case c(claim, runs);
  return c.result(", " + claim.metric + (claim.sign > 0 ? " rises" : " falls"),
                  judge_trend(c.metric(), claim.sign));
}
Judged plateau(const Claim& claim, const Observations& runs) {
  const Case c(claim, runs);
  return c.result(", " + claim.metric + " levels off", judge_plateau(c.metric()));
}
Judged steady(const Claim& claim, const Observations& runs) {
  const Case c(claim, runs);
  return c.result(", " + claim.metric + " stays", judge_steady(c.metric()));
}
Judged dip(const Claim& claim, const Observations& runs) {
  const Case c(claim, runs);
  return c.result(", " + claim.metric + " first falls, then rises", judge_dip(c.metric()));
}
Judged early_bound(const Claim& claim, const Observations& runs) {
  const Case c(claim, runs);
  return c.result(", " + claim.metric + " is small in the first tasks",
                  judge_early_bound(c.metric(), claim.bound));
}
Judged early_above(const Claim& claim, const Observations& runs) {
  const Case c(claim, runs);
  return c.result(", " + claim.metric + " is high in the first tasks",
                  judge_early_above(c.metric(), claim.bound));
}

// ---- two metrics, or two conditions ----

Judged difference(const Claim& claim, const Observations& runs) {
  const Case c(claim, runs);
  return c.result(
      ", " + c.above() + (claim.other_metric.empty() ? "that of " + c.other_name() : claim.other_metric),
      judge_difference(c.metric(), c.compared(), claim.sign));
}
Judged change_difference(const Claim& claim, const Observations& runs) {
  const Case c(claim, runs);
  return c.result(
      ", " + claim.metric + " rises " + (claim.sign > 0 ? "more" : "less") + " than with " + c.other_name(),
      judge_change_difference(c.metric(), c.compared(), claim.sign));
}
Judged about_equal(const Claim& claim, const Observations& runs) {
  const Case c(claim, runs);
  return c.result(", " + claim.metric + " about that of " + c.other_name(),
                  judge_about_equal(c.metric(), c.compared(), about));
}
Judged early_difference(const Claim& claim, const Observations& runs) {
  const Case c(claim, runs);
  return c.result(", " + c.above() + claim.other_metric + " in the first tasks",
                  judge_early_difference(c.metric(), c.compared(), claim.sign));
}
Judged worsening(const Claim& claim, const Observations& runs) {
  const Case c(claim, runs);
  return c.result(", " + claim.metric + " rises", judge_worsening(c.metric(), c.compared()));
}
Judged tracking(const Claim& claim, const Observations& runs) {
  const Case c(claim, runs);
  return c.result(", " + claim.metric + " follows " + claim.other_metric,
                  judge_tracking(c.metric(), c.compared()));
}
Judged sooner(const Claim& claim, const Observations& runs) {
  const Case c(claim, runs);
  return c.result(", fewer updates than " + c.other_name(),
                  judge_sooner(runs.within_late_tasks(claim.condition), runs.within_late_tasks(claim.other)));
}

// ---- all values of a sweep ----

std::vector<Curves> without_values(std::vector<std::pair<double, Curves>> pairs) {
  std::vector<Curves> result;
  result.reserve(pairs.size());
  for (auto& [value, errors] : pairs) result.push_back(std::move(errors));
  return result;
}

Judged delay(const Claim& claim, const Observations& runs) {
  Judgement judgement = judge_delay(runs.swept_errors(claim.condition));
  return {judgement.verdict, label(claim.condition) + ", a larger one delays the loss",
          std::move(judgement.evidence)};
}
Judged sensitivity(const Claim& claim, const Observations& runs) {
  Judgement judgement = judge_sensitivity(without_values(runs.swept_errors(claim.condition)),
                                          without_values(runs.swept_errors(claim.other)));
  return {judgement.verdict, label(claim.condition) + ", less sensitive than " + label(claim.other),
          std::move(judgement.evidence)};
}

}  // namespace

Registry<ClaimKind>& claim_kinds() {
  static Registry<ClaimKind> all(
      "claim",
      {{"plasticity", "whether the condition loses plasticity", {"expected"}, plasticity},
       {"curvature", "whether curvature goes with plasticity", {}, curvature},
       {"regularizer",
        "the regulariser keeps error low where `other` loses it, and keeps the rank",
        {"other"},
        regularizer},
       {"onset", "loses plasticity later than `other`", {"other"}, onset},
       {"online_only",
        "the average online error rises while that at the end of a task stays",
        {},
        online_only},
       {"trend", "the metric rises (sign +1) or falls (-1) over the tasks", {"metric", "sign"}, trend},
       {"plateau", "the metric levels off", {"metric"}, plateau},
       {"steady", "the metric ends within 10 % of where it began", {"metric"}, steady},
       {"dip", "the metric first falls, then rises", {"metric"}, dip},
       {"early_bound", "the metric is below `bound` in the first tasks", {"metric", "bound"}, early_bound},
       {"early_above", "the metric is above `bound` in the first tasks", {"metric", "bound"}, early_above},
       {"difference",
        "the metric is higher (+1) or lower (-1) at the end than with `other`",
        {"metric", "sign", "other"},
        difference},
       {"change_difference",
        "the metric rises more (+1) or less (-1) than with `other`",
        {"metric", "sign", "other"},
        change_difference},
       {"about_equal", "the metric ends within .05 of that with `other`", {"metric", "other"}, about_equal},
       {"early_difference",
        "the metric is higher (+1) or lower (-1) in the first tasks than `other_metric`",
        {"metric", "sign", "other_metric"},
        early_difference},
       {"worsening",
        "the metric, a distance from the rank `other_metric`, rises over the tasks",
        {"metric", "other_metric"},
        worsening},
       {"tracking",
        "the metric goes up and down with `other_metric` over the tasks",
        {"metric", "other_metric"},
        tracking},
       {"sooner", "the online error falls within fewer updates than with `other`", {"other"}, sooner},
       {"delay", "the larger the swept value, the later plasticity is lost", {}, delay},
       {"sensitivity", "the error depends less on the strength than with `other`", {"other"}, sensitivity}});
  return all;
}

}  // namespace paper
