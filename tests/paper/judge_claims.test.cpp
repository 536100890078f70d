#include "catch.hpp"

#include "verdicts/judge.hpp"

#include <cmath>
#include <stdexcept>
#include <vector>

#include "curves.hpp"

using namespace made_up;

TEST_CASE("a trend has a sign and a size", "[judge]") {
  const auto verdict = [](double early, std::initializer_list<double> late, int sign) {
    return paper::judge_trend(to(early, late), sign).verdict;
  };
  CHECK(verdict(1, {2, 3}, 1) == Verdict::holds);
  CHECK(verdict(1, {2, 3}, -1) == Verdict::fails);
  CHECK(verdict(3, {1, 2}, -1) == Verdict::holds);
  CHECK(verdict(-1, {-2, -3}, -1) == Verdict::holds);
  CHECK(verdict(1, {2, .5}, 1) == Verdict::inconclusive);
  CHECK(verdict(1, {2}, 1) == Verdict::inconclusive);
  CHECK(verdict(.3, {.3, .3}, 1) == Verdict::inconclusive);
  CHECK(verdict(0, {0, 0}, 1) == Verdict::inconclusive);
  CHECK(verdict(1, {2, 3, 2, 3, 2}, 1) == Verdict::holds);
  CHECK(verdict(1, {2, 3, 2, 3, 2}, -1) == Verdict::fails);
  CHECK(verdict(1, {2, 0, 2, 0, 2}, 1) == Verdict::inconclusive);
  // 10 % of the larger value suffices, less does not
  CHECK(verdict(9, {10, 10}, 1) == Verdict::holds);
  CHECK(verdict(10, {9, 9}, -1) == Verdict::holds);
  CHECK(verdict(9.01, {10, 10}, 1) == Verdict::inconclusive);
  CHECK(says(paper::judge_trend(to(99, {100, 100}), 1), "less than 10 % of the larger value"));
  CHECK(paper::judge_trend(to(1200, {12345, 12345}), 1).evidence ==
        "late 12345 against early 1200, change +11145 (+11145 to +11145), 2 seeds");
  CHECK_THROWS_AS(verdict(1, {2, 3}, 0), std::invalid_argument);
  CHECK_THROWS_AS(verdict(1, {2, 3}, 2), std::invalid_argument);
}

TEST_CASE("seeds without finite values are left out of claims with a sign", "[judge]") {
  const auto some = paper::judge_trend(to(1, {2, not_a_number, 3}), 1);
  CHECK(some.verdict == Verdict::holds);
  CHECK(says(some, "2 seeds, 1 of 3 left out: not finite"));
  CHECK(paper::judge_trend(to(1, {2, infinity}), 1).verdict == Verdict::inconclusive);
  CHECK(says(paper::judge_trend(to(1, {not_a_number, not_a_number}), 1), "no seed has finite values"));
  // a gap between the windows is no harm
  CHECK(paper::judge_trend({{0, path(1, not_a_number, 2)}, {1, path(1, not_a_number, 2)}}, 1).verdict ==
        Verdict::holds);
}

TEST_CASE("a difference is paired by seed", "[judge]") {
  // the seeds differ by far more than the conditions: only pairs tell
  const Curves a = to(0, {1.5, 11, 101.5, 51.5, 31}), b = to(0, {1, 10, 90, 45, 25});
  CHECK(paper::judge_difference(to(0, {1.5, 12, 3}), to(0, {1, 10, 2}), 1).verdict == Verdict::holds);
  CHECK(paper::judge_difference(to(0, {1.5, 12, 3}), to(0, {1, 10, 2}), -1).verdict == Verdict::fails);
  CHECK(paper::judge_difference(to(0, {1.5, 12, 3}), to(0, {1, 10, 4}), 1).verdict == Verdict::inconclusive);
  CHECK(paper::judge_difference(a, b, 1).verdict == Verdict::inconclusive);  // the interval holds 0
  CHECK(paper::judge_difference(to(0, {3, 4, 5, 6, 7}), to(0, {1, 2, 3, 4, 5}), 1).verdict == Verdict::holds);
  CHECK(paper::judge_difference(to(0, {2}), to(0, {1}), 1).verdict == Verdict::inconclusive);
  CHECK(paper::judge_difference(to(0, {101, 101}), to(0, {100, 100}), 1).verdict == Verdict::inconclusive);

  Curves other = to(0, {1, 1, 1});
  other[7] = other[1];
  other.erase(1);  // pairs are seeds 0 and 2
  const auto judgement = paper::judge_difference(to(0, {2, -9, 2}), other, 1);
  CHECK(judgement.verdict == Verdict::holds);
  CHECK(judgement.evidence == "late 2 against 1, difference +1 (+1 to +1), 2 seeds");
  CHECK(paper::judge_difference({{0, path(1, 1, 1)}}, {{1, path(1, 1, 1)}}, 1).evidence ==
        "no seed has all the runs that the claim compares");
  CHECK_THROWS_AS(paper::judge_difference(a, b, 0), std::invalid_argument);
}

TEST_CASE("a difference of changes looks at the way, not the level", "[judge]") {
  const Curves steep = to(1, {3, 3.5}), level = to(8, {8, 8.5});
  CHECK(paper::judge_change_difference(steep, level, 1).verdict == Verdict::holds);
  CHECK(paper::judge_change_difference(level, steep, 1).verdict == Verdict::fails);
  CHECK(paper::judge_change_difference(level, steep, -1).verdict == Verdict::holds);
  CHECK(paper::judge_change_difference(steep, to(1, {3, 3.5}), 1).verdict == Verdict::inconclusive);
  CHECK(paper::judge_change_difference(steep, to(1, {2, 4}), 1).verdict == Verdict::inconclusive);
  CHECK(paper::judge_change_difference(to(1, {3}), to(1, {1}), 1).verdict == Verdict::inconclusive);
  CHECK(paper::judge_change_difference(to(0, {3, 4, 3, 4, 3}), to(0, {1, 1, 1, 1, 1}), 1).verdict ==
        Verdict::holds);
  CHECK(says(paper::judge_change_difference(steep, level, 1),
             "change 2.25 against .250, difference +2 (+2 to +2), 2 seeds"));
  CHECK_THROWS_AS(paper::judge_change_difference(steep, level, 7), std::invalid_argument);
}

TEST_CASE("a plateau is growth that slows down", "[judge]") {
  const auto verdict = [](double early, double middle, std::initializer_list<double> late) {
    Curves curves;
    for (const double value : late) curves[curves.size()] = path(early, middle, value);
    return paper::judge_plateau(curves).verdict;
  };
  CHECK(verdict(1, 3, {3.25, 3.5}) == Verdict::holds);
  CHECK(verdict(1, 3, {7, 8}) == Verdict::fails);
  CHECK(verdict(1, 3, {3.25, 8}) == Verdict::inconclusive);
  CHECK(verdict(1, 3, {3.25}) == Verdict::inconclusive);
  CHECK(verdict(.3, .3, {.3, .3}) == Verdict::inconclusive);
  CHECK(verdict(1, 3, {3.25, 3.5, 3, 3.5, 3.25}) == Verdict::holds);
  CHECK(verdict(5, 3, {1, 1}) == Verdict::inconclusive);    // falls evenly
  CHECK(verdict(5, 4, {-9, -9}) == Verdict::inconclusive);  // never grew: nothing to level off
  SECTION("even growth is none, whatever the number of tasks") {
    for (std::size_t tasks = 5; tasks < 60; ++tasks) {
      Curves line, root, square;
      for (std::uint64_t seed = 0; seed < 2; ++seed)
        for (std::size_t task = 0; task < tasks; ++task) {
          const auto t = static_cast<double>(task);
          line[seed].push_back(3 + t / 8);
          root[seed].push_back(std::sqrt(t));
          square[seed].push_back(t * t);
        }
      CHECK(paper::judge_plateau(line).verdict == Verdict::inconclusive);
      CHECK(paper::judge_plateau(root).verdict == Verdict::holds);
      CHECK(paper::judge_plateau(square).verdict == Verdict::fails);
    }
  }
}

TEST_CASE("about equal is a claim that needs evidence too", "[judge]") {
  const auto verdict = [](std::initializer_list<double> a, std::initializer_list<double> b, double margin) {
    return paper::judge_about_equal(to(0, a), to(0, b), margin).verdict;
  };
  CHECK(verdict({.5, .6}, {.52, .58}, .05) == Verdict::holds);
  CHECK(verdict({.5, .6}, {.52, .70}, .05) == Verdict::inconclusive);
  CHECK(verdict({.5, .6}, {.65, .70}, .05) == Verdict::fails);
  CHECK(verdict({.65, .7}, {.5, .6}, .05) == Verdict::fails);
  CHECK(verdict({.5, .7}, {.7, .5}, .05) == Verdict::inconclusive);  // outside, but on both sides
  CHECK(verdict({.5}, {.5}, .05) == Verdict::inconclusive);
  CHECK(verdict({.25, .25}, {0, 0}, .25) == Verdict::holds);  // at the margin is within it
  CHECK(verdict({1, 2, 3, 4, 5}, {1.01, 2.01, 2.99, 4, 5}, .05) == Verdict::holds);
  CHECK(verdict({1, 2, 3, 4, 5}, {2, 3, 4, 5, 6.1}, .05) == Verdict::fails);
  CHECK(verdict({1, 2, 3, 4, 5}, {1.3, 1.7, 3.3, 3.7, 5}, .05) == Verdict::inconclusive);
  CHECK(verdict({.5, not_a_number}, {.5, .5}, .05) == Verdict::inconclusive);
  CHECK(says(paper::judge_about_equal(to(0, {.5, .5}), to(0, {.25, .25}), .05),
             "late .500 against .250, difference +.250 (+.250 to +.250), 2 seeds, margin .050"));
  for (const double margin : {0., -1., not_a_number, infinity})
    CHECK_THROWS_AS(verdict({1, 1}, {1, 1}, margin), std::invalid_argument);
}

TEST_CASE("a regulariser helps when it keeps both", "[judge]") {
  const Curves kept = to(1, {.95, 1}), gone = to(1, {.2, .3}), lost = to(0, {.5, .6}),
               good = to(0, {.01, .02});
  CHECK(paper::judge_regularizer(good, lost, kept).verdict == Verdict::holds);
  CHECK(paper::judge_regularizer(good, lost, gone).verdict == Verdict::fails);  // the rank is not kept
  CHECK(paper::judge_regularizer(lost, good, kept).verdict == Verdict::fails);
  CHECK(paper::judge_regularizer(lost, lost, kept).verdict == Verdict::fails);
  CHECK(paper::judge_regularizer(good, lost, to(1, {.2, 1})).verdict == Verdict::inconclusive);
  CHECK(paper::judge_regularizer(to(0, {.01, .6}), lost, kept).verdict == Verdict::inconclusive);
  CHECK(paper::judge_regularizer(to(0, {0}), to(0, {.9}), to(1, {1})).verdict == Verdict::inconclusive);
  CHECK(paper::judge_regularizer(good, lost, {}).verdict == Verdict::inconclusive);
  CHECK(paper::judge_regularizer(lost, good, {}).verdict == Verdict::fails);
  CHECK(paper::judge_regularizer(flat(0, 2), to(0, {.05, .05}), kept).verdict == Verdict::inconclusive);
  CHECK(paper::judge_regularizer(to(0, {.01, .02, 0, .01, 0}), to(0, {.5, .6, .4, .5, .6}),
                                 to(1, {1, .9, 1, .95, 1}))
            .verdict == Verdict::holds);
  CHECK(paper::judge_regularizer(good, lost, kept).evidence ==
        "error change .015 against .550 without, difference -.535 (-.580 to -.490), 2 seeds; "
        "relative change of the rank -.025 (-.050 to 0), 2 seeds");
}

TEST_CASE("where nothing is lost there is nothing that a regulariser could help against", "[judge]") {
  const Curves none = flat(0, 2), kept = to(1, {.95, 1}), gone = to(1, {.2, .3}),
               five = to(1, {1, 1, 1, 1, 1});
  const auto judged = [](const Curves& error, const Curves& without, const Curves& rank) {
    const auto judgement = paper::judge_regularizer(error, without, rank);
    return std::pair(judgement.verdict,
                     says(judgement, "; nothing is lost without it, so there is nothing to help against"));
  };
  const std::pair nothing(Verdict::inconclusive, true), undecided(Verdict::inconclusive, false),
      fails(Verdict::fails, false), holds(Verdict::holds, false);
  CHECK(judged(none, none, kept) == nothing);
  CHECK(judged(to(0, {.04, .02}), to(0, {.03, .04}), kept) == nothing);
  CHECK(judged(to(0, {.04, .1}), none, kept) == nothing);  // perhaps harm
  CHECK(judged(none, none, to(1, {.2, 1})) == nothing);    // perhaps a loss of rank
  CHECK(judged(none, none, {}) == nothing);
  CHECK(judged(flat(0, 5), to(0, {0, .01, 0, .02, 0}), five) == nothing);
  CHECK(judged(to(0, {.3, .4}), none, kept) == fails);  // harm
  CHECK(judged(none, none, gone) == fails);             // the rank is lost
  CHECK(judged(to(0, {.06, .06}), to(0, {.06, .06}), kept) == fails);
  CHECK(judged(to(0, {.04, .06}), to(0, {.04, .06}), kept) == fails);  // perhaps lost without
  CHECK(judged(flat(0, 5), to(0, {0, .01, 0, .02, .4}), five) == undecided);
  CHECK(judged(flat(0, 1), flat(0, 1), to(1, {1})) == undecided);  // one seed
  CHECK(judged(to(.5, {.2, .3}), flat(.5, 2), kept) == holds);     // it improves on what is not lost
}

TEST_CASE("a regulariser under which runs diverge does not help", "[judge]") {
  const auto diverged = paper::judge_regularizer(to(0, {not_a_number, not_a_number}), to(0, {.5, .6}),
                                                 to(1, {not_a_number, not_a_number}));
  CHECK(diverged.verdict == Verdict::fails);
  CHECK(says(diverged, "2 of 2 diverged (a change of 1 each)"));
  CHECK(says(diverged, "2 of 2 left out: early rank 0 or rank not finite"));
  const auto saved =
      paper::judge_regularizer(to(0, {0, 0}), to(0, {not_a_number, not_a_number}), to(1, {1, 1}));
  CHECK(saved.verdict == Verdict::holds);
  CHECK(says(saved, "2 of 2 diverged without"));
}

TEST_CASE("a later onset is a later loss", "[judge]") {
  const auto at = [](std::initializer_list<std::size_t> onsets) {  // 20 tasks, early window 1 to 4
    Curves curves;
    for (const std::size_t onset : onsets) {
      std::vector<double> error(20, .1);
      for (std::size_t task = onset; task < error.size(); ++task) error[task] = .4;
      curves[curves.size()] = error;
    }
    return curves;
  };
  CHECK(paper::judge_onset(at({12, 14}), at({6, 8})).verdict == Verdict::holds);
  CHECK(paper::judge_onset(at({6, 8}), at({12, 14})).verdict == Verdict::fails);
  CHECK(paper::judge_onset(at({12, 6}), at({6, 12})).verdict == Verdict::inconclusive);
  CHECK(paper::judge_onset(at({12}), at({6})).verdict == Verdict::inconclusive);
  CHECK(paper::judge_onset(at({12, 13, 14, 15, 16}), at({6, 7, 8, 7, 6})).verdict == Verdict::holds);
  CHECK(paper::judge_onset(at({20, 20}), at({6, 8})).verdict == Verdict::holds);  // never
  CHECK(paper::judge_onset(at({20, 20}), at({20, 20})).verdict == Verdict::inconclusive);
  CHECK(paper::judge_onset(at({16, 16}), at({15, 15})).verdict == Verdict::inconclusive);  // below 10 %
  CHECK(paper::judge_onset(at({12, 14}), at({6, 8})).evidence ==
        "lost at task 13 against 7, difference +6 (+6 to +6), 2 seeds");
  SECTION("one bad task is not the loss, nor is the last") {
    Curves spike = at({14, 14});
    spike[0][6] = spike[1][7] = .9;
    CHECK(says(paper::judge_onset(spike, at({7, 7})), "lost at task 14 against 7"));
    CHECK(says(paper::judge_onset(at({19, 19}), at({7, 7})), "lost at task 20 against 7"));
    CHECK(says(paper::judge_onset(at({18, 18}), at({7, 7})), "lost at task 18 against 7"));
  }
  SECTION("within the bound is not lost") {
    Curves slight = at({20, 20});
    for (auto& [seed, error] : slight)
      for (std::size_t task = 10; task < 20; ++task) error[task] = .14;
    CHECK(says(paper::judge_onset(slight, at({7, 7})), "lost at task 20"));
  }
  SECTION("divergence is the loss") {
    Curves diverged = at({20, 20});
    for (auto& [seed, error] : diverged)
      for (std::size_t task = 5; task < 20; ++task) error[task] = not_a_number;
    CHECK(says(paper::judge_onset(at({10, 10}), diverged), "lost at task 10 against 5"));
    for (auto& [seed, error] : diverged) error.assign(20, not_a_number);
    CHECK(says(paper::judge_onset(at({10, 10}), diverged), "lost at task 10 against 1"));
  }
}
