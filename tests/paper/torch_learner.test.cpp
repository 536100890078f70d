#include "torch_learner.hpp"

#include <cmath>
#include <cstring>
#include <map>

#include "catch.hpp"
#include "random.hpp"

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

// Networks and the tasks that they learn, by one group or by several of one network each.
class Experiment {
  // the answers of all groups to work(group, first network, count)
  template <class Work>
  auto join(Work work) {
    decltype(work(*groups_[0], 0, 0)) all;
    const std::size_t count = configurations_.size() / groups_.size();
    for (std::size_t i = 0; i < groups_.size(); ++i)
      for (auto& one : work(*groups_[i], i * count, count)) all.push_back(std::move(one));
    return all;
  }

 public:
  Experiment(std::vector<Configuration> configurations, const TorchOptions& options, bool apart = false)
      : configurations_(std::move(configurations)) {
    for (const Configuration& c : configurations_) problems_.push_back(make_problem(c, digits()));
    set_task(0);
    for (std::size_t k = 0; apart && k < configurations_.size(); ++k)
      groups_.push_back(make_torch_group(std::span(configurations_).subspan(k, 1), tasks_[k], options));
    if (!apart) groups_.push_back(make_torch_group(configurations_, tasks_[0], options));
  }
  explicit Experiment(std::vector<Configuration> configurations)  // by the learner on the CPU
      : configurations_(std::move(configurations)) {
    for (const Configuration& c : configurations_) problems_.push_back(make_problem(c, digits()));
    set_task(0);
    for (std::size_t k = 0; k < configurations_.size(); ++k)
      groups_.push_back(
          make_group(make_learner(configurations_[k], tasks_[k].inputs->rows(), tasks_[k].classes)));
  }

  void set_task(Index number) {
    tasks_.clear();
    for (const auto& problem : problems_) tasks_.push_back(problem->task(number));
  }
  void begin() {
    for (const auto& group : groups_) group->begin_task();
  }
  std::vector<EpochReport> epoch(Index number) {
    std::vector<std::vector<Index>> orders;
    for (std::size_t k = 0; k < tasks_.size(); ++k) {
      std::vector<Index> order(static_cast<std::size_t>(tasks_[k].size()));
      for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<Index>(i);
      Generator generator = stream(configurations_[k].seed, "test",
                                   static_cast<std::uint64_t>(tasks_[k].number * 1000 + number));
      shuffle(order, generator);
      orders.push_back(order);
    }
    return join([&](LearnerGroup& group, std::size_t first, std::size_t count) {
      return group.train_epoch(std::span(tasks_).subspan(first, count),
                               std::span(orders).subspan(first, count));
    });
  }
  void train(Index epochs) {
    begin();
    for (Index i = 0; i < epochs; ++i) epoch(i);
  }
  std::vector<std::map<std::string, double>> measure(bool start) {
    std::vector<std::map<std::string, double>> result;
    for (const auto& metrics : join([&](LearnerGroup&group, std::size_t first, std::size_t count) {
           const auto tasks = std::span(tasks_).subspan(first, count);
           return start ? group.measure_start(tasks) : group.measure_end(tasks);
         })) {
      result.emplace_back();
      for (const Metric& metric : metrics) result.back()[metric.name] = metric.value;
    }
    return result;
  }
  LearnerGroup& group(std::size_t i = 0) { return *groups_[i]; }
  std::size_t size() const { return configurations_.size(); }
  bool diverged(std::size_t k) const {
    return groups_.size() == 1 ? groups_[0]->diverged(static_cast<Index>(k)) : groups_[k]->diverged(0);
  }
  std::vector<std::byte> state(std::size_t k) const {
    return groups_.size() == 1 ? groups_[0]->state(static_cast<Index>(k)) : groups_[k]->state(0);
  }

 private:
  std::vector<Configuration> configurations_;
  std::vector<std::unique_ptr<Problem>> problems_;
  std::vector<Task> tasks_;
  std::vector<std::unique_ptr<LearnerGroup>> groups_;
};

constexpr std::size_t torch_header = 9, eigen_header = 1;  // bytes of a state before the parameters

template <class Scalar>
std::vector<double> parameters(const std::vector<std::byte>& state, std::size_t header, Index count) {
  std::vector<Scalar> values(static_cast<std::size_t>(count));
  REQUIRE(state.size() >= header + values.size() * sizeof(Scalar));
  std::memcpy(values.data(), state.data() + header, values.size() * sizeof(Scalar));
  return {values.begin(), values.end()};
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(a[i] - b[i]);
    if (!(difference <= largest)) largest = difference;  // NaN too
    if (std::isnan(largest)) break;
  }
  return largest;
}

// every activation and every regulariser, two strengths, two seeds
std::vector<Configuration> mixture(const Configuration& base) {
  std::vector<Configuration> result;
  const std::vector<std::string> activations{"relu", "leaky_relu", "tanh", "identity"};
  const std::vector<std::string> regularizers{"none", "wasserstein",  "l2_init",
                                              "l2",   "feature_rank", "wasserstein"};
  for (std::size_t i = 0; i < 8; ++i) {
    Configuration c = base;
    c.activation = activations[i % 4 / (i < 4 ? 1 : 2)];  // neighbours alike and unlike
    c.regularizer = regularizers[i % 6];
    c.strength = c.regularizer == "none" ? 0 : i < 6 ? .01 : .002;
    c.seed = i % 3;
    result.push_back(c);
  }
  return result;
}

}  // namespace

TEST_CASE("TorchLearner: starts as EigenMlp to the bit and agrees with it for 20 updates", "[paper][torch]") {
  for (const std::string optimizer : {"adam", "sgd"})
    for (const Index resort : {1, 3})
      for (const std::string regularized : {"all", "weights"}) {
        Configuration base = small();
        base.optimizer = optimizer, base.resort_every = resort, base.regularized = regularized;
        base.learning_rate = optimizer == "sgd" ? .05 : 1e-3, base.momentum = optimizer == "sgd" ? .9 : 0;
        Experiment eigen(mixture(base));
        Experiment torch(mixture(base), {});
        const Index count = torch.group().parameters();
        REQUIRE(count == eigen.group().parameters());
        const auto difference = [&](std::size_t k) {
          return largest_difference(parameters<float>(eigen.state(k), eigen_header, count),
                                    parameters<float>(torch.state(k), torch_header, count));
        };
        for (std::size_t k = 0; k < torch.size(); ++k) CHECK(difference(k) == 0);
        eigen.begin();
        torch.begin();
        for (Index epoch = 0; epoch < 7; ++epoch) {  // of three updates, the last with half a batch
          const auto one = eigen.epoch(epoch), other = torch.epoch(epoch);
          for (std::size_t k = 0; k < torch.size(); ++k) {
            CHECK(one[k].updates == other[k].updates);
            CHECK(std::abs(one[k].cross_entropy / other[k].cross_entropy - 1) < 1e-4);
            CHECK(std::abs(one[k].update_l1 / other[k].update_l1 - 1) < 1e-4);
          }
        }
        for (std::size_t k = 0; k < torch.size(); ++k) {
          CAPTURE(optimizer, resort, regularized, k);
          CHECK(difference(k) < 1e-4);  // an update moves a parameter by about 1e-3
        }
      }
}

TEST_CASE("TorchLearner: a batch of networks is the networks one by one", "[paper][torch]") {
  for (const std::string optimizer : {"adam", "sgd"}) {
    Configuration base = small();
    base.optimizer = optimizer, base.momentum = .9;
    if (optimizer == "sgd") base.learning_rate = .05;
    {
      Experiment together(mixture(base), {}), apart(mixture(base), {}, true);
      together.train(7);
      apart.train(7);
      for (std::size_t k = 0; k < together.size(); ++k) {
        const Index count = together.group().parameters();
        CHECK(largest_difference(parameters<float>(together.state(k), torch_header, count),
                                 parameters<float>(apart.state(k), torch_header, count)) < 1e-4);
      }
    }
    const TorchOptions in_double{.in_double = true};
    Experiment together(mixture(base), in_double), apart(mixture(base), in_double, true);
    together.train(base.epochs);
    apart.train(base.epochs);
    for (std::size_t k = 0; k < together.size(); ++k) {
      const Index count = together.group().parameters();
      CHECK(largest_difference(parameters<double>(together.state(k), torch_header, count),
                               parameters<double>(apart.state(k), torch_header, count)) < 1e-9);
    }
  }
}

TEST_CASE("TorchLearner: a GPU's operations compute what the loops of the CPU do", "[paper][torch]") {
  for (const std::string optimizer : {"adam", "sgd"}) {
    Configuration base = small();
    base.optimizer = optimizer, base.momentum = .9;
    if (optimizer == "sgd") base.learning_rate = .05;
    Experiment loops(mixture(base), {.in_double = true});
    Experiment operations(mixture(base), {.in_double = true, .device_operations = true});
    loops.begin();
    operations.begin();
    for (Index epoch = 0; epoch < 20; ++epoch) {
      const auto one = loops.epoch(epoch), other = operations.epoch(epoch);
      for (std::size_t k = 0; k < loops.size(); ++k)
        CHECK(std::abs(one[k].update_l1 / other[k].update_l1 - 1) < 1e-9);
    }
    for (std::size_t k = 0; k < loops.size(); ++k) {
      const Index count = loops.group().parameters();
      CHECK(largest_difference(parameters<double>(loops.state(k), torch_header, count),
                               parameters<double>(operations.state(k), torch_header, count)) < 1e-9);
    }
  }
}

TEST_CASE("TorchLearner: measures what EigenMlp measures at the same weights", "[paper][torch]") {
  Configuration base = small();
  Experiment eigen(mixture(base));
  eigen.train(30);
  Experiment torch(mixture(base), {.threads = 2});
  const Index count = torch.group().parameters();
  for (std::size_t k = 0; k < torch.size(); ++k) {
    std::vector<std::byte> state = torch.state(k);
    std::memcpy(state.data() + torch_header, eigen.state(k).data() + eigen_header,
                static_cast<std::size_t>(count) * sizeof(float));
    torch.group().restore(static_cast<Index>(k), state);
  }
  for (const Index number : {0, 1}) {
    eigen.set_task(number);
    torch.set_task(number);
    for (const bool start : {true, false}) {
      const auto one = eigen.measure(start), other = torch.measure(start);
      for (std::size_t k = 0; k < torch.size(); ++k) {
        REQUIRE(one[k].size() == other[k].size());
        for (const auto& [name, value] : one[k]) {
          if (name.starts_with("update_l1")) continue;  // of the training, which only one has seen
          CAPTURE(name, value, other[k].at(name), k);
          if (name.ends_with("rank") || name.ends_with("uncertain") || name == "error")
            CHECK(other[k].at(name) == value);
          else
            CHECK(std::abs(other[k].at(name) - value) <= 2e-5 * std::abs(value));
        }
      }
    }
  }
}

TEST_CASE("TorchLearner: a network that diverges does not disturb the others", "[paper][torch]") {
  for (const bool device_operations : {false, true}) {
    Configuration base = small();
    base.optimizer = "sgd", base.learning_rate = .05;
    std::vector<Configuration> calm = mixture(base);
    std::vector<Configuration> wild = calm;
    for (Configuration& c : wild)
      if (c.regularizer == "l2" || c.regularizer == "feature_rank" || c.seed == 1) c.strength = 1e20;
    const auto is_wild = [&](std::size_t k) {
      return wild[k].strength == 1e20 && wild[k].regularizer != "none";
    };
    Experiment one(calm, {.device_operations = device_operations});
    Experiment other(wild, {.device_operations = device_operations});
    one.train(10);
    other.train(10);
    const auto end = other.measure(false), start = other.measure(true);
    std::size_t diverged = 0;
    for (std::size_t k = 0; k < calm.size(); ++k) {
      CAPTURE(k, calm[k].regularizer);
      CHECK(other.diverged(k) == is_wild(k));
      CHECK_FALSE(one.diverged(k));
      diverged += other.diverged(k);
      for (const auto& [name, value] : end[k]) CHECK(std::isnan(value) == is_wild(k));
      CHECK(std::isnan(start[k].at("ef_rank")) == is_wild(k));
      if (!is_wild(k)) CHECK(one.state(k) == other.state(k));
    }
    CHECK(diverged >= 4);
  }
}

TEST_CASE("TorchLearner: a restored group goes on to the bit", "[paper][torch]") {
  const std::vector<Configuration> configurations = mixture(small());
  Experiment one(configurations, {}), other(configurations, {});
  one.train(5);
  for (std::size_t k = 0; k < one.size(); ++k) other.group().restore(static_cast<Index>(k), one.state(k));
  for (Experiment* experiment : {&one, &other}) {
    experiment->set_task(1);
    experiment->train(5);
  }
  for (std::size_t k = 0; k < one.size(); ++k) CHECK(one.state(k) == other.state(k));
  std::vector<std::byte> longer = one.state(0), shorter(longer.begin(), longer.end() - 1);
  longer.push_back({});
  Experiment third(configurations, {});
  CHECK_THROWS_AS(third.group().restore(0, shorter), std::runtime_error);
  CHECK_THROWS_AS(third.group().restore(0, longer), std::runtime_error);
  Experiment fourth(configurations, {});
  const std::vector<std::byte> untrained = fourth.state(1);
  fourth.group().restore(0, one.state(0));
  CHECK_THROWS_AS(fourth.group().restore(1, untrained), std::runtime_error);
}

TEST_CASE("TorchLearner: an optimiser that is reset forgets", "[paper][torch]") {
  Configuration c = small();
  c.optimizer_state = "reset";
  Experiment eigen({c});
  Experiment torch({c}, {});
  for (Experiment* experiment : {&eigen, &torch}) {
    experiment->train(2);
    experiment->set_task(1);
    experiment->train(5);
  }
  const Index count = torch.group().parameters();
  CHECK(largest_difference(parameters<float>(eigen.state(0), eigen_header, count),
                           parameters<float>(torch.state(0), torch_header, count)) < 1e-3);
}

TEST_CASE("TorchLearner: what cannot be trained is refused by name", "[paper][torch]") {
  Configuration a = small(), b = small();
  b.learning_rate = 1;
  const Task task = make_problem(a, digits())->task(0);
  const auto message = [&](std::vector<Configuration> configurations,
                           const TorchOptions& options) -> std::string {
    try {
      make_torch_group(configurations, task, options);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  };
  CHECK(message({a, b}, {}).find("differ in more than") != std::string::npos);
  CHECK(message({}, {}).find("no configurations") != std::string::npos);
  CHECK(message({a}, {.device = "gpu"}).find("expected cpu, cuda or cuda:N") != std::string::npos);
  CHECK(message({a}, {.device = "cuda:99"}).find("cuda:99") != std::string::npos);
  CHECK(message({a}, {}).empty());
}
