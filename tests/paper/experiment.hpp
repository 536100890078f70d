#pragma once

#include <cmath>
#include <cstring>
#include <map>

#include "catch.hpp"
#include "data/random.hpp"
#include "learners/torch_learner.hpp"

// Networks that learn by LibTorch, as tests need them.
namespace paper {

inline Configuration small() {
  Configuration c;
  c.data = "synthetic";
  c.images = 40, c.pool = 2, c.width = 16, c.depth = 2, c.batch = 16, c.epochs = 60, c.learning_rate = 5e-3;
  c.rank_samples = 24;
  return c;
}

inline DataLibrary& digits() {
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
      for (const Measured& metric : metrics) result.back()[metric.name] = metric.value;
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

inline double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
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
inline std::vector<Configuration> mixture(const Configuration& base) {
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

}  // namespace paper
