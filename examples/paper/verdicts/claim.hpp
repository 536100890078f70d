#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "data/registry.hpp"
#include "runs/condition.hpp"
#include "verdicts/judge.hpp"

namespace paper {

// Something that runs can show. Which members matter is said by its kind.
struct Claim {
  std::string kind;  // a name of claim_kinds()
  Condition condition{};
  std::string words;     // the paper's
  std::string metric{};  // for those about a metric
  int sign = 0;
  Condition other{};                    // for those about two conditions
  std::string expected{};               // of plasticity: LOST or PRESERVED
  std::string other_metric{};           // where it is not `metric`
  double bound = 0;                     // of early_bound and early_above
  std::vector<std::string> problems{};  // for these only; empty: for all of the figure
};

// The complete runs of a figure's setting, as claims ask for them.
class Observations {
 public:
  virtual ~Observations() = default;
  // of the series that stands for the condition; empty where it has none
  virtual Curves curves(const Condition& condition, const std::string& metric) const = 0;
  virtual Within within_late_tasks(const Condition& condition) const = 0;
  // the errors of each value of a swept condition that has runs
  virtual std::vector<std::pair<double, Curves>> swept_errors(const Condition& condition) const = 0;
  // "leaky ReLU, width 64", and the strength that was chosen: " at strength 0.005" or nothing
  virtual std::string name(const Condition& condition) const = 0;
  virtual std::string strength(const Condition& condition) const = 0;
};

struct Judged {
  Verdict verdict;
  std::string what, evidence;  // "leaky ReLU, update_l1 rises", and the figures behind it
};

struct ClaimKind {
  std::string name;     // "plasticity"
  std::string meaning;  // in a line
  // the members of Claim that it needs, besides condition and words: "metric", "sign", "other", "expected",
  // "other_metric", "bound"
  std::vector<std::string> needs;
  std::function<Judged(const Claim& claim, const Observations& runs)> judge;
};

// A claim of one's own: a judge in a file beside judge_metrics.cpp and an entry in the list of claim.cpp, or
// add() before anything is judged.
Registry<ClaimKind>& claim_kinds();

inline Judged judge(const Claim& claim, const Observations& runs) {
  return claim_kinds().at(claim.kind).judge(claim, runs);
}

}  // namespace paper
