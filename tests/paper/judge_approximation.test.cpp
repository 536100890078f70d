#include "catch.hpp"

#include "verdicts/judge.hpp"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "curves.hpp"

using namespace made_up;

TEST_CASE("a metric is below a bound in the first tasks, or above it", "[judge]") {
  const auto judge = [](std::initializer_list<double> early) {
    Curves curves;
    for (const double value : early)
      curves[curves.size()] = path(value, .7, .9);  // what follows counts nothing
    return paper::judge_early_bound(curves, .1);
  };
  CHECK(judge({.02, .08}).verdict == Verdict::holds);
  CHECK(judge({.02, .08}).evidence == "early +.050 (+.020 to +.080), 2 seeds, bound .100");
  CHECK(judge({.2, .3}).verdict == Verdict::fails);
  CHECK(judge({.2, .05}).verdict == Verdict::inconclusive);  // the seeds disagree
  CHECK(judge({.02}).verdict == Verdict::inconclusive);      // one seed, however clear
  CHECK(judge({.1, .1}).verdict == Verdict::inconclusive);   // the bound itself is neither
  CHECK(judge({.02, .03, .04, .02, .03}).verdict == Verdict::holds);
  CHECK(judge({.2, .3, .25, .2, .3}).verdict == Verdict::fails);
  CHECK(judge({.05, .15, .05, .15, .05}).verdict == Verdict::inconclusive);
  // one of seven seeds above it is outvoted by the interval
  CHECK(judge({.02, .02, .02, .02, .02, .02, .11}).verdict == Verdict::holds);
  const auto some = judge({.02, not_a_number, .03});
  CHECK(some.verdict == Verdict::holds);
  CHECK(says(some, "1 of 3 left out: not finite"));
  CHECK(judge({not_a_number, not_a_number}).verdict == Verdict::inconclusive);
  CHECK(says(judge({not_a_number, not_a_number}), "no seed has finite values"));
  CHECK(paper::judge_early_bound({}, .1).evidence == "no runs");
  CHECK(paper::judge_early_bound({{0, {0, 0, 0}}, {1, {0, 0, 0}}}, .1).evidence ==
        "3 tasks done, expected at least 5");
}

TEST_CASE("a difference in the first tasks is no difference in the last", "[judge]") {
  const auto early = [](std::initializer_list<double> values, double late) {
    Curves curves;
    for (const double value : values) curves[curves.size()] = path(value, .5, late);
    return curves;
  };
  const Curves near = early({.05, .06}, .9), far = early({.1, .2}, .1);
  CHECK(paper::judge_early_difference(near, far, -1).verdict == Verdict::holds);
  CHECK(paper::judge_early_difference(near, far, 1).verdict == Verdict::fails);
  CHECK(paper::judge_difference(near, far, -1).verdict == Verdict::fails);
  CHECK(paper::judge_early_difference(near, far, -1).evidence ==
        "early .055 against .150, difference -.095 (-.140 to -.050), 2 seeds");
  CHECK(paper::judge_early_difference(early({.05, .3}, 0), far, -1).verdict == Verdict::inconclusive);
  CHECK(paper::judge_early_difference(early({.05}, 0), far, -1).verdict == Verdict::inconclusive);
  CHECK(says(paper::judge_early_difference(early({.097, .195}, 0), far, -1), "less than 10 %"));
  CHECK(says(paper::judge_early_difference({}, far, -1), "no seed has all the runs"));
  CHECK_THROWS_AS(paper::judge_early_difference(near, far, 0), std::invalid_argument);
}

TEST_CASE("an approximation does not get better by having nothing left to approximate", "[judge]") {
  const Curves alive = to(.6, {.5, .4}), dead = to(.6, {.02, .03});
  const auto verdict = [](std::initializer_list<double> late, const Curves& rank) {
    return paper::judge_worsening(to(.08, late), rank).verdict;
  };
  for (const Curves& rank : {alive, dead}) {
    CHECK(verdict({.1, .2}, rank) == Verdict::holds);
    CHECK(verdict({.04, .2}, rank) == Verdict::inconclusive);
    CHECK(verdict({.1}, rank) == Verdict::inconclusive);
  }
  CHECK(verdict({.04, .02}, alive) == Verdict::fails);
  CHECK(verdict({.04, .02}, dead) == Verdict::inconclusive);
  CHECK(verdict({.04, .02}, to(.6, {.02, .5})) == Verdict::inconclusive);  // one of two died
  CHECK(verdict({.04, .02, .03, .04, .02}, to(.6, {.5, .4, .5, .4, .5})) == Verdict::fails);
  CHECK(verdict({.04, .02, .03, .04, .02}, to(.6, {.08, .08, .08, .08, .08})) == Verdict::inconclusive);
  CHECK(verdict({.04, .02, .03, .04, .02}, to(.6, {.5, 0, .02, .3, .1})) == Verdict::inconclusive);
  CHECK(paper::judge_worsening(to(.08, {.04, .02}), dead).evidence ==
        "late .030 against early .080, change -.050 (-.060 to -.040), 2 seeds; the rank itself ends at "
        ".025, where no distance says much");
  CHECK_FALSE(says(paper::judge_worsening(to(.08, {.04, .02}), alive), "where no distance"));
  CHECK(paper::judge_worsening({}, alive).evidence == "no seed has all the runs that the claim compares");
}

TEST_CASE("one metric follows another when its ranks over the tasks do", "[judge]") {
  // falling over ten tasks, the first of which is judged by nothing
  const std::vector<double> falling{-5, .9, .8, .7, .6, .5, .4, .3, .2, .1};
  std::vector<double> rising = falling, bent = falling, other = falling;
  std::reverse(rising.begin() + 1, rising.end());
  for (double& value : bent) value = value * value * value;  // another scale, the same order
  const std::vector<double> loose{9, .9, .3, .8, .1, .7, .2, .5, .6, .4};
  const auto judge = [](const std::vector<std::pair<std::vector<double>, std::vector<double>>>& seeds) {
    Curves a, b;
    for (const auto& [first, second] : seeds) a[a.size()] = first, b[b.size()] = second;
    return paper::judge_tracking(a, b);
  };
  const std::pair together{falling, bent}, against{falling, rising}, hardly{falling, loose};
  CHECK(judge({together, together}).verdict == Verdict::holds);
  CHECK(judge({together, together}).evidence ==
        "rank correlation over the tasks +1 (+1 to +1), 2 seeds, bound .500");
  CHECK(judge({against, against}).verdict == Verdict::fails);
  CHECK(says(judge({against, against}), "over the tasks -1 (-1 to -1)"));
  CHECK(judge({hardly, hardly}).verdict == Verdict::fails);  // 1 - 6 * 88 / (9 * 80)
  CHECK(says(judge({hardly, hardly}), "over the tasks +.267"));
  CHECK(judge({together, against}).verdict == Verdict::inconclusive);
  CHECK(judge({together}).verdict == Verdict::inconclusive);
  CHECK(judge({together, together, together, together, together}).verdict == Verdict::holds);
  CHECK(judge({hardly, hardly, hardly, hardly, hardly}).verdict == Verdict::fails);
  CHECK(judge({together, hardly, together, hardly, together}).verdict == Verdict::inconclusive);

  // a curve that does not move, as that of a network dead from the start, has no order to follow
  const std::pair still{falling, std::vector<double>(10, .4)};
  CHECK(judge({still, still}).verdict == Verdict::inconclusive);
  CHECK(says(judge({still, still}), "no seed has curves that vary"));
  CHECK(says(judge({together, together, still}), "1 of 3 left out"));
  CHECK(judge({together, together, still}).verdict == Verdict::holds);
  CHECK(paper::judge_tracking({{0, falling}, {1, falling}}, {}).evidence ==
        "no seed has all the runs that the claim compares");
}
