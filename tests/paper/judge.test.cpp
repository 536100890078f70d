#include "catch.hpp"

#include "verdicts/judge.hpp"

#include <cmath>
#include <stdexcept>
#include <vector>

#include "curves.hpp"

using namespace made_up;

TEST_CASE("every verdict has its word", "[judge]") {
  CHECK(word(Verdict::lost) == "LOST");
  CHECK(word(Verdict::preserved) == "PRESERVED");
  CHECK(word(Verdict::holds) == "HOLDS");
  CHECK(word(Verdict::fails) == "FAILS");
  CHECK(word(Verdict::inconclusive) == "INCONCLUSIVE");
}

TEST_CASE("windows skip the first task", "[judge]") {
  const std::vector<double> curve = {100, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  CHECK(paper::early_mean(curve) == 1.5);
  CHECK(paper::late_mean(curve) == 8.5);
  const std::vector<double> short_one = {1, 2, 3, 4};
  CHECK(std::isnan(paper::early_mean(short_one)));
  CHECK(std::isnan(paper::late_mean(short_one)));
  CHECK(std::isnan(paper::early_mean({})));
}

TEST_CASE("plasticity is lost or preserved by the error alone", "[judge]") {
  SECTION("five seeds, by the interval") {
    const auto lost = paper::judge_plasticity(to(.012, {.63, .64, .65, .62, .63}));
    CHECK(lost.verdict == Verdict::lost);
    CHECK(lost.evidence == "error .012 -> .634, change +.622 [+.608, +.636], 5 seeds");
    CHECK(paper::judge_plasticity(to(.01, {.01, .02, .015, .01, .02})).verdict == Verdict::preserved);
    CHECK(paper::judge_plasticity(to(.5, {.1, .1, .2, .1, .1})).verdict ==
          Verdict::preserved);  // better counts
    CHECK(paper::judge_plasticity(to(0, {.02, .3, .02, .3, .02})).verdict == Verdict::inconclusive);
    // one seed that disagrees is outvoted, which four seeds would not do
    CHECK(paper::judge_plasticity(to(0, {.6, .62, .04, .61, .63, .6, .6})).verdict == Verdict::lost);
  }
  SECTION("two to four seeds, every one") {
    CHECK(paper::judge_plasticity(to(0, {.06, .9})).verdict == Verdict::lost);
    CHECK(paper::judge_plasticity(to(0, {.04, -.9})).verdict == Verdict::preserved);
    CHECK(paper::judge_plasticity(to(0, {.6, .62, .04, .61})).verdict == Verdict::inconclusive);
    CHECK(says(paper::judge_plasticity(to(0, {.06, .9})), "change +.480 (+.060 to +.900), 2 seeds"));
  }
  SECTION("one seed, however clear") {
    const auto one = paper::judge_plasticity(to(0, {.9}));
    CHECK(one.verdict == Verdict::inconclusive);
    CHECK(says(one, "1 seed (2 needed)"));
  }
  SECTION("the bound itself is neither") {
    CHECK(paper::judge_plasticity(to(0, {.05, .05})).verdict == Verdict::inconclusive);
    CHECK(paper::judge_plasticity(to(0, {.05, .05, .05, .05, .05})).verdict == Verdict::inconclusive);
    CHECK(paper::judge_plasticity(to(0, {std::nextafter(.05, 1), .06})).verdict == Verdict::lost);
    CHECK(paper::judge_plasticity(to(0, {std::nextafter(.05, 0), .04})).verdict == Verdict::preserved);
  }
}

TEST_CASE("a diverged run counts as lost", "[judge]") {
  for (const double bad : {not_a_number, infinity, -infinity}) {
    const auto all = paper::judge_plasticity(to(.01, {bad, bad, bad}));
    CHECK(all.verdict == Verdict::lost);
    CHECK(all.evidence == "change +1 (+1 to +1), 3 seeds, 3 of 3 diverged (a change of 1 each)");
  }
  const auto some = paper::judge_plasticity(to(0, {.5, not_a_number, .6, .5, .6}));
  CHECK(some.verdict == Verdict::lost);
  CHECK(says(some, "error 0 -> .550"));  // of those that have one
  CHECK(says(some, "1 of 5 diverged"));
  CHECK(paper::judge_plasticity(to(0, {0, not_a_number, 0})).verdict == Verdict::inconclusive);

  Curves from_the_start = {{0, std::vector<double>(10, not_a_number)},
                           {1, std::vector<double>(10, not_a_number)}};
  CHECK(paper::judge_plasticity(from_the_start).verdict == Verdict::lost);
}

TEST_CASE("nothing is concluded from too little", "[judge]") {
  const Curves few = {{0, {0, 0, 0, 1}}, {1, {0, 0, 0, 1}}},
               five = {{0, {0, 0, 0, 0, 1}}, {1, {0, 0, 0, 0, 1}}};
  const Curves unfinished = {{0, {}}, {1, {}}};
  CHECK(paper::judge_plasticity(five).verdict == Verdict::lost);
  CHECK(paper::judge_plasticity(few).evidence == "4 tasks done, expected at least 5");
  CHECK(paper::judge_plasticity({{0, {1}}}).evidence == "1 task done, expected at least 5");
  CHECK(paper::judge_plasticity({}).evidence == "no runs");
  CHECK(paper::judge_plasticity(unfinished).evidence == "no runs");
  for (const Curves& curves : {few, unfinished, Curves{}}) {
    CHECK(paper::judge_plasticity(curves).verdict == Verdict::inconclusive);
    CHECK(paper::judge_curvature(curves, curves).verdict == Verdict::inconclusive);
    CHECK(paper::judge_trend(curves, 1).verdict == Verdict::inconclusive);
    CHECK(paper::judge_difference(curves, five, 1).verdict == Verdict::inconclusive);
    CHECK(paper::judge_change_difference(curves, five, 1).verdict == Verdict::inconclusive);
    CHECK(paper::judge_plateau(curves).verdict == Verdict::inconclusive);
    CHECK(paper::judge_about_equal(curves, five, 1).verdict == Verdict::inconclusive);
    CHECK(paper::judge_regularizer(curves, five, five).verdict == Verdict::inconclusive);
    CHECK(paper::judge_onset(curves, five).verdict == Verdict::inconclusive);
  }
}

TEST_CASE("only the tasks that all seeds have are judged", "[judge]") {
  Curves error = to(0, {.5, .5});
  error[0].resize(20, .5);
  error[1].resize(20, 0);  // over 20 tasks the second seed has recovered
  error[2] = path(0, 0, .5);
  const auto judgement = paper::judge_plasticity(error);
  CHECK(judgement.verdict == Verdict::lost);
  CHECK(says(judgement, "over the first 10 tasks"));
}

TEST_CASE("curvature goes with plasticity, or fails to", "[judge]") {
  const Curves lost = to(0, {.5, .6}), preserved = to(.1, {.1, .12});
  const auto verdict = [](const Curves& error, std::initializer_list<double> late_rank) {
    return paper::judge_curvature(error, to(1, late_rank)).verdict;
  };
  SECTION("lost") {
    CHECK(verdict(lost, {.3, .2}) == Verdict::holds);
    CHECK(verdict(lost, {.875, .5}) == Verdict::holds);
    CHECK(verdict(lost, {.92, .92}) == Verdict::inconclusive);  // between -.1 and -.05
    CHECK(verdict(lost, {.97, 1.2}) == Verdict::fails);         // lost with the rank kept
    CHECK(verdict(lost, {.3, 1}) == Verdict::inconclusive);     // the seeds disagree
  }
  SECTION("preserved") {
    CHECK(verdict(preserved, {.9, 1.1}) == Verdict::holds);
    CHECK(verdict(preserved, {.8, .8}) == Verdict::inconclusive);  // between -.3 and -.15
    CHECK(verdict(preserved, {.5, .6}) == Verdict::fails);         // preserved with the rank gone
  }
  SECTION("the bounds themselves") {  // ranks in 64ths, so that the changes are exact
    const auto at = [](const Curves& error, double change) {
      return paper::judge_curvature(error, to(1, {1 + change, 1 + change})).verdict;
    };
    CHECK(at(lost, -.109375) == Verdict::holds);
    CHECK(at(lost, -.09375) == Verdict::inconclusive);
    CHECK(at(lost, -.0625) == Verdict::inconclusive);
    CHECK(at(lost, -.046875) == Verdict::fails);
    CHECK(at(preserved, -.140625) == Verdict::holds);
    CHECK(at(preserved, -.15625) == Verdict::inconclusive);
    CHECK(at(preserved, -.296875) == Verdict::inconclusive);
    CHECK(at(preserved, -.3125) == Verdict::fails);
  }
  SECTION("five seeds, one seed, and an error that decides nothing") {
    const Curves five = to(0, {.5, .6, .5, .6, .5});
    CHECK(verdict(five, {.3, .2, .3, .25, .2}) == Verdict::holds);
    CHECK(verdict(five, {1, 1.01, 1, 1, .99}) == Verdict::fails);
    CHECK(verdict(five, {1.4, .2, 1.3, .25, .2}) == Verdict::inconclusive);
    CHECK(verdict(to(0, {.5}), {.3}) == Verdict::inconclusive);
    CHECK(verdict(to(0, {.5, 0}), {.3, .3}) == Verdict::inconclusive);
  }
  SECTION("evidence") {
    CHECK(paper::judge_curvature(lost, to(.8, {.2, .4})).evidence ==
          "error 0 -> .550, change +.550 (+.500 to +.600); rank .800 -> .300, "
          "relative change -.625 (-.750 to -.500), 2 seeds");
  }
}

TEST_CASE("the curvature claim leaves out what it cannot compare", "[judge]") {
  const auto some = paper::judge_curvature(to(0, {.5, not_a_number, .6}), to(1, {.3, not_a_number, .3}));
  CHECK(some.verdict == Verdict::holds);
  CHECK(says(some, "2 seeds, 1 of 3 left out: diverged"));

  const auto none = paper::judge_curvature(to(0, {not_a_number, not_a_number}), to(1, {.3, .3}));
  CHECK(none.verdict == Verdict::inconclusive);
  CHECK(none.evidence == "no seed is left, 2 of 2 left out: diverged");

  Curves rank = to(1, {.3, .3, .3});
  rank[1] = path(0, 0, .5);
  const auto zero = paper::judge_curvature(to(0, {.5, .6, .7}), rank);
  CHECK(zero.verdict == Verdict::holds);
  CHECK(says(zero, "1 of 3 left out: early rank 0 or rank not finite"));

  rank[1] = path(infinity, 1, 1);
  CHECK(says(paper::judge_curvature(to(0, {.5, .6, .7}), rank), "1 of 3 left out: early rank 0"));
  CHECK(paper::judge_curvature(to(0, {.5, .6}), {}).verdict == Verdict::inconclusive);
}
