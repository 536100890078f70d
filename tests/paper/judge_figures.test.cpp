#include "catch.hpp"

#include <stdexcept>
#include <vector>

#include "curves.hpp"
#include "verdicts/judge.hpp"

using namespace made_up;
using paper::Within;

namespace {

// a way a seed: early, lowest and late value
Curves ways(std::initializer_list<std::vector<double>> all) {
  Curves curves;
  for (const auto& way : all) curves[curves.size()] = path(way[0], way[1], way[2]);
  return curves;
}

// ten tasks of which plasticity is lost at task `lost` (10: never)
std::vector<double> lost_at(std::size_t lost) {
  std::vector<double> curve(10, .1);
  for (std::size_t task = lost; task < 10; ++task) curve[task] = .8;
  return curve;
}

}  // namespace

TEST_CASE("early above is early below turned round", "[judge]") {
  const auto verdict = [](double early, std::size_t seeds) {
    return paper::judge_early_above(flat(early, seeds), .1).verdict;
  };
  CHECK(verdict(.2, 2) == Verdict::holds);
  CHECK(verdict(.05, 2) == Verdict::fails);
  CHECK(verdict(.1, 2) == Verdict::inconclusive);  // at the bound
  CHECK(verdict(.2, 1) == Verdict::inconclusive);
}

TEST_CASE("what stays ends within ten per cent of where it began", "[judge]") {
  const auto verdict = [](std::initializer_list<double> late) {
    return paper::judge_steady(to(1, late)).verdict;
  };
  CHECK(verdict({1.05, .95}) == Verdict::holds);
  CHECK(verdict({1.2, 1.3}) == Verdict::fails);
  CHECK(verdict({.5, .8}) == Verdict::fails);
  CHECK(verdict({1.05, 1.2}) == Verdict::inconclusive);
  CHECK(verdict({1.2, .8}) == Verdict::inconclusive);  // outside, but on both sides
  CHECK(verdict({1}) == Verdict::inconclusive);
  CHECK(says(paper::judge_steady(to(1, {1.05, .95})),
             "relative change 0 (-.050 to +.050), 2 seeds, margin .100"));
  CHECK(says(paper::judge_steady(to(0, {1, 1})), "no seed has finite values"));
}

TEST_CASE("a dip falls first and rises then", "[judge]") {
  CHECK(paper::judge_dip(ways({{.5, .2, .6}, {.5, .3, .5}})).verdict == Verdict::holds);
  CHECK(paper::judge_dip(ways({{.2, .4, .6}, {.2, .3, .5}})).verdict == Verdict::fails);  // only rises
  CHECK(paper::judge_dip(ways({{.6, .4, .2}, {.5, .4, .1}})).verdict == Verdict::fails);  // only falls
  CHECK(paper::judge_dip(ways({{.3, .3, .3}, {.3, .3, .3}})).verdict == Verdict::inconclusive);
  CHECK(paper::judge_dip(ways({{.5, .2, .6}, {.2, .3, .5}})).verdict ==
        Verdict::inconclusive);  // seeds disagree
  CHECK(paper::judge_dip(ways({{.5, .48, .6}, {.5, .48, .6}})).verdict ==
        Verdict::inconclusive);  // too little
  CHECK(paper::judge_dip(ways({{.5, .2, .6}})).verdict == Verdict::inconclusive);
  const auto judgement = paper::judge_dip(ways({{.5, .2, .6}, {.5, .3, .5}, {.5, not_a_number, .5}}));
  CHECK(judgement.verdict == Verdict::holds);
  CHECK(says(judgement, "1 of 3 left out: not finite; lowest from task 3 on"));
  CHECK(paper::judge_dip({}).verdict == Verdict::inconclusive);
}

TEST_CASE("the online error alone rises", "[judge]") {
  const Curves kept = to(.01, {.01, .02}), lost = to(.01, {.5, .6}), rises = to(.2, {.4, .5}),
               falls = to(.4, {.2, .1});
  CHECK(paper::judge_online_only(kept, rises).verdict == Verdict::holds);
  CHECK(paper::judge_online_only(lost, rises).verdict == Verdict::fails);
  CHECK(paper::judge_online_only(kept, falls).verdict == Verdict::fails);
  CHECK(paper::judge_online_only(kept, flat(.2, 2)).verdict == Verdict::inconclusive);
  CHECK(paper::judge_online_only(to(.01, {.01, .3}), rises).verdict == Verdict::inconclusive);
}

TEST_CASE("a delay grows with the value", "[judge]") {
  using Sweep = std::vector<std::pair<double, Curves>>;
  const auto at = [](std::size_t first, std::size_t second) {
    return Curves{{0, lost_at(first)}, {1, lost_at(second)}};
  };
  const auto later = paper::judge_delay(Sweep{{16, at(3, 4)}, {32, at(4, 5)}, {64, at(10, 6)}});
  CHECK(later.verdict == Verdict::holds);
  CHECK(says(later, "lost at task 3.5 4.5 8; rank correlation with the value +1 (+1 to +1), 2 seeds"));
  CHECK(paper::judge_delay(Sweep{{16, at(8, 7)}, {32, at(5, 5)}, {64, at(3, 4)}}).verdict == Verdict::fails);
  CHECK(paper::judge_delay(Sweep{{16, at(3, 7)}, {32, at(5, 5)}, {64, at(7, 4)}}).verdict ==
        Verdict::inconclusive);
  // none is lost at all: nothing is said about delays
  CHECK(paper::judge_delay(Sweep{{16, at(10, 10)}, {32, at(10, 10)}}).verdict == Verdict::inconclusive);
  CHECK(says(paper::judge_delay(Sweep{{16, at(10, 10)}, {32, at(10, 10)}}),
             "2 of 2 left out: no value differs"));
  CHECK(paper::judge_delay(Sweep{{16, at(3, 4)}}).verdict == Verdict::inconclusive);
  CHECK(paper::judge_delay({}).verdict == Verdict::inconclusive);
}

TEST_CASE("sensitivity is how far the strengths lie apart", "[judge]") {
  const std::vector<Curves> near{to(.1, {.1, .2}), to(.1, {.15, .2})},
      far{to(.1, {.1, .2}), to(.1, {.9, .8})};
  CHECK(paper::judge_sensitivity(near, far).verdict == Verdict::holds);
  CHECK(paper::judge_sensitivity(far, near).verdict == Verdict::fails);
  CHECK(paper::judge_sensitivity(near, near).verdict == Verdict::inconclusive);
  CHECK(says(paper::judge_sensitivity(near, far), "late errors span .025 against .700, difference -.675"));
  // a strength that diverges gets everything wrong
  const std::vector<Curves> broken{to(.1, {.1, .2}), to(.1, {not_a_number, infinity})};
  CHECK(says(paper::judge_sensitivity(near, broken), "span .025 against .850"));
  CHECK(paper::judge_sensitivity({near[0]}, far).verdict == Verdict::inconclusive);
  // seeds that one strength lacks are left out
  CHECK(paper::judge_sensitivity(near, {far[0], to(.1, {.9})}).verdict == Verdict::inconclusive);
}

TEST_CASE("sooner means fewer updates to the error that both reach", "[judge]") {
  const std::vector<paper::Index> steps{3, 6, 9, 12};
  const std::vector<double> quick{.6, .2, .1, .1}, slow{.8, .7, .4, .2};
  const Within fast{steps, {{0, quick}, {1, quick}}}, late{steps, {{0, slow}, {1, slow}}};
  const auto judgement = paper::judge_sooner(fast, late);
  CHECK(judgement.verdict == Verdict::holds);
  CHECK(says(judgement, "updates to within .05 of the error that both reach: 6 against 12, difference -6"));
  CHECK(paper::judge_sooner(late, fast).verdict == Verdict::fails);
  CHECK(paper::judge_sooner(fast, fast).verdict == Verdict::inconclusive);
  CHECK(paper::judge_sooner(Within{steps, {{0, quick}, {1, slow}}}, Within{steps, {{0, slow}, {1, quick}}})
            .verdict == Verdict::inconclusive);
  CHECK(paper::judge_sooner(Within{steps, {{0, quick}}}, late).verdict == Verdict::inconclusive);  // one seed
  CHECK(paper::judge_sooner({}, late).verdict == Verdict::inconclusive);
  const std::vector<double> diverged{.6, .2, not_a_number, not_a_number};
  CHECK(says(paper::judge_sooner(Within{steps, {{0, quick}, {1, diverged}, {2, quick}}},
                                 Within{steps, {{0, slow}, {1, slow}, {2, slow}}}),
             "1 of 3 left out: not finite"));
}
