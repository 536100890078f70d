#include <cmath>
#include <map>
#include <numeric>

#include "catch.hpp"
#include "learners/learner.hpp"
#include "runs/online_curve.hpp"

// Options that change what a learner does or measures, and the curve within a task.
using namespace paper;

namespace {

Configuration small() {
  Configuration c;
  c.data = "synthetic";
  c.images = 40, c.pool = 2, c.width = 16, c.depth = 2, c.batch = 16, c.epochs = 20, c.rank_samples = 24;
  return c;
}

DataLibrary& digits() {
  static DataLibrary library;
  return library;
}

using Metrics = std::map<std::string, double>;

Metrics by_name(const std::vector<Measured>& metrics) {
  Metrics result;
  for (const Measured& metric : metrics) result[metric.name] = metric.value;
  return result;
}

// what is measured at the start and at the end of the first tasks
std::vector<std::pair<Metrics, Metrics>> learn(const Configuration& configuration, Index tasks) {
  const auto problem = make_problem(configuration, digits());
  std::vector<std::pair<Metrics, Metrics>> result;
  std::unique_ptr<Learner> learner;
  for (Index number = 0; number < tasks; ++number) {
    const Task task = problem->task(number);
    if (!learner) learner = make_learner(configuration, task.inputs->rows(), task.classes);
    Metrics start = by_name(learner->measure_start(task));
    learner->begin_task();
    std::vector<Index> order(static_cast<std::size_t>(task.size()));
    std::iota(order.begin(), order.end(), Index{0});
    for (Index epoch = 0; epoch < configuration.epochs; ++epoch) learner->train_epoch(task, order);
    result.emplace_back(std::move(start), by_name(learner->measure_end(task)));
  }
  return result;
}

}  // namespace

TEST_CASE("MlpLearner: gradients without biases are shorter, and their rank is of fewer parameters",
          "[paper]") {
  Configuration c = small();
  const Metrics all = learn(c, 1)[0].first;
  c.rank_parameters = "weights";
  const Metrics weights = learn(c, 1)[0].first;
  CHECK(weights.at("gradient_norm") < all.at("gradient_norm"));
  CHECK(weights.at("gradient_norm") > .5 * all.at("gradient_norm"));
  CHECK(weights.at("feature_rank") == all.at("feature_rank"));
  // 1 x 2 weights of a network of width 1 bound the rank, where with the biases there are more than samples
  c.width = 1, c.depth = 1, c.rank_samples = 300, c.images = 300;
  const Metrics narrow = learn(c, 1)[0].first;
  CHECK(narrow.at("ef_rank_relative") == narrow.at("ef_rank") / (196 + 10));
}

TEST_CASE("MlpLearner: decoupled weight decay is that in the loss for gradient descent, and not for Adam",
          "[paper]") {
  Configuration c = small();
  c.regularizer = "l2", c.strength = .02;
  const auto ends = [&](const std::string& optimizer, double rate) {
    c.optimizer = optimizer, c.learning_rate = rate;
    c.weight_decay = "loss";
    const Metrics loss = learn(c, 1)[0].second;
    c.weight_decay = "decoupled";
    return std::pair{loss, learn(c, 1)[0].second};
  };
  const auto [loss, decoupled] = ends("sgd", .05);
  for (const char* metric : {"weight_l2", "distance_l2", "cross_entropy", "update_l1"})
    CHECK(std::abs(decoupled.at(metric) / loss.at(metric) - 1) < 1e-3);
  const auto [adam, adam_w] = ends("adam", .01);
  CHECK(std::abs(adam_w.at("weight_l2") / adam.at("weight_l2") - 1) > .05);
  c.regularized = "weights";
  const Metrics without_biases = learn(c, 1)[0].second;
  CHECK(without_biases.at("weight_l2") != adam_w.at("weight_l2"));
  CHECK(std::abs(without_biases.at("weight_l2") / adam_w.at("weight_l2") - 1) < .05);
}

TEST_CASE("MlpLearner: a head that is reset is new, and what lies below it is not", "[paper]") {
  Configuration c = small();
  c.epochs = 60;
  const auto kept = learn(c, 2);
  c.head = "reset";
  const auto reset = learn(c, 2), again = learn(c, 2);
  CHECK(reset[0] == kept[0]);  // the first task has nothing to reset
  CHECK(reset[1].first.at("feature_rank") == kept[1].first.at("feature_rank"));
  CHECK(reset[1].first.at("dormancy") == kept[1].first.at("dormancy"));
  // the trained head is sure of the old labels, the new one of nothing
  CHECK(reset[1].first.at("gradient_norm") < kept[1].first.at("gradient_norm"));
  CHECK(reset[1] == again[1]);
}

TEST_CASE("networks that this program has no learner for are an error that says what helps", "[paper]") {
  CHECK(has_learner(small()));
  for (const std::string architecture : {"cnn", "resnet18"}) {
    Configuration c = small();
    c.architecture = architecture;
    if (has_learner(c)) continue;
    std::string message;
    try {
      make_learner(c, 768, 10);
    } catch (const std::invalid_argument& error) {
      message = error.what();
    }
    CHECK(message.find(architecture + " needs the LibTorch learner") != std::string::npos);
    CHECK(message.find("SAGITTA_WITH_LIBTORCH=ON") != std::string::npos);
  }
}

TEST_CASE("online curves: rows for the first epochs and for stretches after, which miss no example",
          "[paper]") {
  for (const auto& [epochs, rows_expected] :
       std::map<Index, std::size_t>{{1, 1}, {10, 10}, {20, 20}, {45, 22}, {400, 30}}) {
    OnlineCurve curve(7, epochs, 30);
    std::vector<Value> rows;
    double total = 0;
    for (Index epoch = 0; epoch < epochs; ++epoch) {
      const EpochReport report{.updates = 2, .errors = static_cast<double>(epoch % 30)};
      total += report.errors;
      curve.add(report, false, rows);
    }
    CHECK(rows.size() == rows_expected);
    double sum = 0;
    Index before = 0;
    for (const Value& row : rows) {
      CHECK((row.task == 7 && row.metric == "epoch_error" && row.step > before));
      const Index reports = (row.step - before) / 2;
      sum += row.value * static_cast<double>(30 * reports);
      before = row.step;
    }
    CHECK(before == 2 * epochs);
    CHECK(std::abs(sum - total) <= 1e-9 * (total + 1));
  }
}

TEST_CASE("online curves: a network that diverges leaves a NaN and no more rows", "[paper]") {
  OnlineCurve curve(0, 4, 10);
  std::vector<Value> rows;
  curve.add({.updates = 3, .errors = 5}, false, rows);
  curve.add({.updates = 1, .errors = 2}, true, rows);
  curve.add({}, true, rows);
  curve.add({}, true, rows);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].value == .5);
  CHECK(std::isnan(rows[1].value));
  CHECK(rows[1].step == 4);
}
