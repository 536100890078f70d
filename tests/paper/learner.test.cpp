#include "learners/learner.hpp"

#include <cmath>
#include <cstring>
#include <map>
#include <numeric>

#include "catch.hpp"
#include "data/random.hpp"
#include "learners/optimizer.hpp"

using namespace paper;

namespace {

Configuration small() {
  Configuration c;
  c.data = "synthetic";
  c.images = 40, c.pool = 2, c.width = 16, c.depth = 2, c.batch = 16, c.epochs = 60, c.learning_rate = 5e-3;
  c.rank_samples = 24;
  return c;
}

DataLibrary& digits() {
  static DataLibrary library;
  return library;
}

std::vector<Index> in_order(const Task& task) {
  std::vector<Index> order(static_cast<std::size_t>(task.size()));
  std::iota(order.begin(), order.end(), Index{0});
  return order;
}

std::map<std::string, double> by_name(const std::vector<Measured>& metrics) {
  std::map<std::string, double> result;
  for (const Measured& metric : metrics) result[metric.name] = metric.value;
  return result;
}

struct Trained {
  std::unique_ptr<Learner> learner;
  EpochReport first, last;
  std::map<std::string, double> start, end;
};

Trained train(const Configuration& configuration) {
  const Task task = make_problem(configuration, digits())->task(0);
  Trained result{make_learner(configuration, task.inputs->rows(), task.classes), {}, {}, {}, {}};
  result.start = by_name(result.learner->measure_start(task));
  result.learner->begin_task();
  const std::vector<Index> order = in_order(task);
  for (Index epoch = 0; epoch < configuration.epochs; ++epoch) {
    result.last = result.learner->train_epoch(task, order);
    if (epoch == 0) result.first = result.last;
  }
  result.end = by_name(result.learner->measure_end(task));
  return result;
}

}  // namespace

TEST_CASE("MlpLearner: every activation and optimiser learns a task by heart", "[paper]") {
  Configuration configuration = small();
  configuration.epochs = 200;
  for (const std::string activation : {"relu", "leaky_relu", "tanh", "identity"}) {
    configuration.activation = activation;
    configuration.optimizer = "adam", configuration.learning_rate = 5e-3, configuration.momentum = 0;
    const Trained adam = train(configuration);
    CHECK(adam.end.at("error") <= .05);
    CHECK(adam.last.cross_entropy < adam.first.cross_entropy);
    CHECK(adam.first.updates == 3);  // 40 images in batches of 16: the last has 8
    configuration.optimizer = "sgd", configuration.learning_rate = .05, configuration.momentum = .9;
    CHECK(train(configuration).end.at("error") <= .05);
  }
}

TEST_CASE("MlpLearner: what it measures lies where its definition says", "[paper]") {
  const Trained trained = train(small());
  CHECK(trained.start.at("ef_rank") >= 1);
  CHECK(trained.start.at("ef_rank") <= 24);
  CHECK(trained.start.at("ef_rank_relative") == trained.start.at("ef_rank") / 24);
  CHECK(trained.start.at("feature_rank") <= 16);
  CHECK(std::abs(trained.start.at("overlap")) <= 1 + 1e-12);
  CHECK(trained.start.at("dormancy") >= -std::log(16.0) - 1e-12);
  CHECK(trained.start.at("dormancy") <= 0);
  CHECK(trained.start.at("gradient_norm") > 0);
  CHECK(trained.end.at("distance_wasserstein") <= trained.end.at("distance_l2"));
  CHECK(trained.end.at("distance_l2") > 0);
  CHECK(trained.end.at("weight_l1") >= trained.end.at("weight_l2"));  // l1 >= l2
  const double parameters = static_cast<double>(trained.learner->parameters());
  CHECK(std::abs(trained.end.at("weight_l1_mean") * parameters / trained.end.at("weight_l1") - 1) < 1e-12);
  CHECK(parameters == 196 * 16 + 16 + 16 * 16 + 16 + 16 * 10 + 10);
}

TEST_CASE("MlpLearner: each regulariser holds what it penalises, and only that changes with it", "[paper]") {
  const Trained plain = train(small());
  const auto with = [](const std::string& regularizer, double strength) {
    Configuration configuration = small();
    configuration.regularizer = regularizer, configuration.strength = strength;
    return train(configuration);
  };
  CHECK(with("l2", .01).end.at("weight_l2") < plain.end.at("weight_l2"));
  CHECK(with("l2_init", .01).end.at("distance_l2") < plain.end.at("distance_l2"));
  CHECK(with("wasserstein", .01).end.at("distance_wasserstein") < plain.end.at("distance_wasserstein"));
  for (const std::string name : {"l2", "l2_init", "wasserstein", "feature_rank"}) {
    CHECK(with(name, 0).end == plain.end);    // strength 0 is no regulariser, to the bit
    CHECK(with(name, .01).end != plain.end);  // and any other one acts
    CHECK(with(name, .01).start == plain.start);
  }
}

TEST_CASE("MlpLearner: re-sorting less often is close to re-sorting always, and every update is the default",
          "[paper]") {
  Configuration configuration = small();
  configuration.regularizer = "wasserstein", configuration.strength = .01;
  const double always = train(configuration).end.at("distance_wasserstein");
  configuration.resort_every = 10;
  const double seldom = train(configuration).end.at("distance_wasserstein");
  CHECK(seldom != always);
  CHECK(std::abs(seldom / always - 1) < .2);
}

TEST_CASE("MlpLearner: a restored learner goes on to the bit", "[paper]") {
  for (const std::string regularizer : {"none", "wasserstein"}) {
    Configuration configuration = small();
    configuration.regularizer = regularizer, configuration.strength = .005;
    const auto problem = make_problem(configuration, digits());
    Trained one = train(configuration);
    const std::vector<std::byte> state = one.learner->state();
    const Task task = problem->task(1);
    const auto other = make_learner(configuration, task.inputs->rows(), task.classes);
    other->restore(state);
    for (Learner* learner : {one.learner.get(), other.get()}) {
      learner->begin_task();
      learner->train_epoch(task, in_order(task));
    }
    CHECK(one.learner->state() == other->state());
    CHECK(one.learner->state() != state);

    std::vector<std::byte> shorter(state.begin(), state.end() - 1), longer = state;
    longer.push_back({});
    CHECK_THROWS_AS(other->restore(shorter), std::runtime_error);
    CHECK_THROWS_AS(other->restore(longer), std::runtime_error);
  }
}

TEST_CASE("MlpLearner: a run that diverges measures NaN and goes on", "[paper]") {
  Configuration configuration = small();
  configuration.optimizer = "sgd", configuration.learning_rate = 1e20;
  const Trained trained = train(configuration);
  CHECK(trained.learner->diverged());
  for (const auto& [name, value] : trained.end) CHECK(std::isnan(value));
  const Task next = make_problem(configuration, digits())->task(1);
  for (const auto& [name, value] : by_name(trained.learner->measure_start(next))) CHECK(std::isnan(value));
  const auto other = make_learner(configuration, next.inputs->rows(), next.classes);
  other->restore(trained.learner->state());
  CHECK(other->diverged());
}

TEST_CASE("Optimizer: Adam and momentum as their papers write them", "[paper]") {
  Configuration configuration;
  configuration.learning_rate = .01;
  const Index n = 2500;  // more than two blocks
  for (const std::string kind : {"adam", "sgd"}) {
    configuration.optimizer = kind, configuration.momentum = .9;
    Optimizer<double> optimizer(configuration, n);
    Generator generator = stream(1, kind);
    Eigen::VectorXd theta = Eigen::VectorXd::Ones(n), expected = theta, g(n);
    Eigen::VectorXd m = Eigen::VectorXd::Zero(n), v = m;
    for (int step = 1; step <= 5; ++step) {
      for (double& value : g) value = normal(generator);
      const Eigen::VectorXd before = theta;
      const double l1 = optimizer.update(g, theta);
      for (Index i = 0; i < n; ++i) {
        if (kind == "adam") {
          m[i] = .9 * m[i] + .1 * g[i];
          v[i] = .999 * v[i] + .001 * g[i] * g[i];
          expected[i] -=
              .01 * (m[i] / (1 - std::pow(.9, step))) / (std::sqrt(v[i] / (1 - std::pow(.999, step))) + 1e-8);
        } else {
          m[i] = .9 * m[i] + g[i];
          expected[i] -= .01 * m[i];
        }
      }
      CHECK((theta - expected).cwiseAbs().maxCoeff() <= 1e-15 * 5);  // a few roundings of numbers near 1
      CHECK(std::abs(l1 / (theta - before).lpNorm<1>() - 1) <= 1e-12);
    }
  }
}
