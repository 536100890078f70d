#include <algorithm>
#include <cmath>
#include <iomanip>
#include <ostream>
#include <regex>
#include <sstream>

#include "figures/report.hpp"

namespace paper {

namespace {

// The complete runs of a setting in the archive.
class ArchivedRuns : public Observations {
 public:
  ArchivedRuns(const PlannedSetting& setting, const Archive& archive)
      : setting_(setting), archive_(archive) {}

  Curves curves(const Condition& condition, const std::string& metric) const override {
    const Series* series = of(condition);
    return series == nullptr ? Curves{} : archive_.curves(*series, metric, true);
  }
  Within within_late_tasks(const Condition& condition) const override {
    const Series* series = of(condition);
    return series == nullptr ? Within{} : archive_.within(*series, true, true);
  }
  std::vector<std::pair<double, Curves>> swept_errors(const Condition& condition) const override {
    std::vector<std::pair<double, Curves>> result;
    for (const Series* one : swept_series(setting_, condition))
      if (Curves errors = archive_.curves(*one, "error", true); !errors.empty())
        result.emplace_back(one->condition.value, std::move(errors));
    return result;
  }
  // with the value that `smallest` or `largest` came to
  std::string name(const Condition& condition) const override {
    const Series* series = of(condition);
    return label(series == nullptr || condition.value == every ? condition : series->condition);
  }
  std::string strength(const Condition& condition) const override {
    const Series* series = of(condition);
    if (series == nullptr || series->strength == 0 || series->condition.sweeps_strength()) return "";
    std::ostringstream text;
    text << " at strength " << series->strength;
    return text.str();
  }

 private:
  const Series* of(const Condition& condition) const { return best_series(archive_, setting_, condition); }

  const PlannedSetting& setting_;
  const Archive& archive_;
};

// What a line of the table says of a judgement: its figures without intervals, seeds, and changes that follow
// from the two values before them.
std::string in_short(const Judged& judged) {
  static const std::regex interval(R"( (\[[^\]]*\]|\([^()]* to [^()]*\)))"),
      seeds(R"(, \d+ seeds?( \(2 needed\))?)"), change(R"((-> [^,; ]+), (relative )?change [^,; ]+)"),
      claimed(R"(, claimed ([A-Z]+)$)");
  std::string text = std::regex_replace(judged.evidence, interval, "");
  text = std::regex_replace(std::regex_replace(text, seeds, ""), change, "$1");
  std::smatch found;
  if (std::regex_search(text, found, claimed) && found[1].str() == word(judged.verdict))
    text = std::regex_replace(text, claimed, "");
  return text;
}

// One line, or more of the width of a terminal.
void write_line(std::ostream& out, std::string_view verdict, const std::string& text) {
  constexpr std::size_t width = 80, margin = 14;
  std::string line(verdict);
  line.resize(std::max(margin, line.size() + 1), ' ');
  std::istringstream words(text);
  bool any = false;
  for (std::string one; words >> one;) {
    if (any && line.size() + 1 + one.size() > width) {
      out << line << '\n';
      line.assign(margin + 2, ' '), any = false;
    }
    line += (any ? " " : "") + one;
    any = true;
  }
  out << line << '\n';
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
    if (!series.condition.sweep.empty() && !series.condition.sweeps_strength()) return;  // no common budget
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

std::string mixture(const PlannedSetting& setting, const Archive& archive) {
  const std::set<std::string> used = archive.numerics_used(setting);
  if (used.size() < 2) return "";
  std::string text;
  for (const std::string& one : used) text += (text.empty() ? "" : " and ") + one;
  return "; values of numerics " + text + " are mixed";
}

bool check(const Figure& figure, const std::vector<PlannedSetting>& settings, const Archive& archive,
           bool verbose, std::ostream& out) {
  bool any = false;
  for (const PlannedSetting& setting : settings) {
    Index complete = 0, total = 0;
    for (const Series& series : setting.series)
      for (const PlannedRun& run : series.runs) {
        ++total;
        complete += archive.complete(run);
      }
    const std::string data = archive.data(setting.setting.problem);
    out << figure.name << ", "
        << (verbose ? describe(setting, data)
                    : setting.setting.title + (data.empty() ? "" : " (" + data + ")") + ", " +
                          std::to_string(setting.series.front().runs.size()) + " seeds")
        << ", " << setting.tasks << " tasks" << mixture(setting, archive) << '\n';
    if (complete < total)
      out << "(" << complete << " of " << total << " runs are complete; the others are not judged)\n";
    if (complete == 0) continue;
    any = true;
    for (const Claim& claim : figure.claims) {
      if (!about_problem(claim, setting.setting.problem)) continue;
      const Judged judged = judge(claim, ArchivedRuns(setting, archive));
      if (verbose)
        out << std::left << std::setw(13) << word(judged.verdict) << judged.what << ": " << judged.evidence
            << " | paper: \"" << claim.words << "\"\n";
      else
        write_line(out, word(judged.verdict), judged.what + ": " + in_short(judged));
    }
    if (verbose) correlate(setting, archive, out);
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
