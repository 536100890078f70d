#include "learners/metric.hpp"

#include <cmath>
#include <limits>
#include <sagitta/sagitta.hpp>

namespace paper {

namespace {

using Start = const TaskStart&;
using End = const TaskEnd&;
using Exact = const ExactRanks&;

double of(Index number) { return static_cast<double>(number); }

double mean_update(End e) {
  return e.updates == 0 ? std::numeric_limits<double>::quiet_NaN() : e.update_l1 / of(e.updates);
}

// The rank of the empirical Fisher is "H-rank" in the paper.
std::vector<Metric> of_start() {
  return {
      {"ef_rank", "directions", [](Start s) { return of(s.rank.rank); }},
      {"ef_rank_relative", "relative rank", [](Start s) { return of(s.rank.rank) / of(s.rank.max_rank); }},
      {"ef_rank_uncertain", "1 where rounding leaves two ranks possible",
       [](Start s) { return s.rank.certified() ? 0.0 : 1.0; }},
      {"gradient_norm", "L2 norm",
       [](Start s) { return std::sqrt(std::max(s.K.sum(), 0.0)) / of(s.K.rows()); }},
      {"overlap", "g'Hg / (|g| |Hg|)",
       [](Start s) { return sagitta::gradient_gram_overlap(s.K, s.threshold).value; }},
      {"feature_rank", "directions", [](Start s) { return of(s.feature_rank.rank); }},
      {"feature_rank_relative", "relative feature rank", [](Start s) { return s.feature_rank.relative(); }},
      {"dormancy", "negative entropy (nats)", [](Start s) { return sagitta::dormancy(s.features); }},
      {"per_sample_dormancy", "negative entropy (nats)",
       [](Start s) { return sagitta::per_sample_dormancy(s.features); }},
      {"dormant_fraction", "share of the features",
       [](Start s) { return sagitta::dormant_fraction(s.features); }}};
}

// update_l1: the mean over the task's updates of the L1 norm of the change; *_mean: a parameter
std::vector<Metric> of_end() {
  return {
      {"error", "error", [](End e) { return e.errors / of(e.examples); }},
      {"cross_entropy", "nats", [](End e) { return e.cross_entropy / of(e.examples); }},
      {"update_l1", "mean L1 norm of an update", mean_update},
      {"update_l1_mean", "mean change of a parameter by an update",
       [](End e) { return mean_update(e) / of(e.theta.size()); }},
      {"weight_l1", "L1 norm of the weights", [](End e) { return e.weight_l1; }},
      {"weight_l1_mean", "mean size of a parameter", [](End e) { return e.weight_l1 / of(e.theta.size()); }},
      {"weight_l2", "L2 norm of the weights", [](End e) { return e.weight_l2; }},
      {"distance_l2", "L2 distance", [](End e) { return e.distance_l2; }},
      {"distance_wasserstein", "Wasserstein distance", [](End e) { return e.distance_wasserstein; }}};
}

std::vector<Metric> of_exact() {
  std::vector<Metric> result{
      {"hessian_rank", "directions", [](Exact r) { return of(r.hessian.rank); }},
      {"hessian_rank_relative", "relative rank", [](Exact r) { return r.hessian.relative(); }}};
  using Member = double ExactRanks::*;
  const std::vector<std::pair<std::string, Member>> approximations{
      {"empirical_fisher", &ExactRanks::empirical_fisher},
      {"sampled_fisher", &ExactRanks::sampled_fisher},
      {"gauss_newton", &ExactRanks::gauss_newton}};
  for (const auto& [name, rank] : approximations)
    result.push_back({name + "_rank_relative", "relative rank", [rank = rank](Exact r) { return r.*rank; }});
  for (const auto& [name, rank] : approximations)
    result.push_back({name + "_rank_difference", "|relative rank - that of the Hessian|",
                      [rank = rank](Exact r) { return std::abs(r.*rank - r.hessian.relative()); }});
  return result;
}

}  // namespace

Registry<Metric>& metrics() {
  static Registry<Metric> all = [] {
    Registry<Metric> list("metric", of_start());
    for (const auto& part : {of_end(), of_exact()})
      for (const Metric& metric : part) list.add(metric);
    list.add({"online_error", "error"});
    list.add({"epoch_error", "error"});  // over the updates of a task
    return list;
  }();
  return all;
}

}  // namespace paper
