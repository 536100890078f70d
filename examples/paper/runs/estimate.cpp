#include <algorithm>
#include <cfenv>
#include <chrono>
#include <map>
#include <numeric>

#include "learners/regularizer.hpp"
#include "runs/fields.hpp"
#include "runs/training_threads.hpp"

// What a plan costs before it is run.
namespace paper {

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Index updates_of_epoch(const Configuration& c, Index images) {
  const Index whole = images / c.batch;
  return whole + (c.keeps_last_batch() && images % c.batch != 0);
}

// Training treats subnormal numbers as zeros; the caller's thread is left as it was.
class TrainingArithmetic {
 public:
  TrainingArithmetic() {
    std::fegetenv(&before_);
    flush_denormals();
  }
  TrainingArithmetic(const TrainingArithmetic&) = delete;
  TrainingArithmetic& operator=(const TrainingArithmetic&) = delete;
  ~TrainingArithmetic() { std::fesetenv(&before_); }

 private:
  std::fenv_t before_;
};

// seconds of one task of a group, from some of its updates and one measurement
double seconds_of_task(const RunGroup& group, DataLibrary& data, const RunnerOptions& options) {
  std::vector<Configuration> configurations;
  std::vector<Task> tasks;
  for (const PlannedRun& run : group.runs) {
    configurations.push_back(run.configuration);
    // the images of one seed do for all
    if (tasks.empty()) tasks.push_back(make_problem(run.configuration, data)->task(0));
    if (tasks.size() < configurations.size()) tasks.push_back(tasks[0]);
  }
  const Configuration& c = configurations[0];
  const bool exact = c.measures_exactly();
  for (Configuration& one : configurations) one.curvature = "empirical_fisher";
  const auto learner = make_learner_of(group, configurations, tasks[0], options);
  auto start = std::chrono::steady_clock::now();
  learner->measure_start(tasks);
  learner->measure_end(tasks);
  double measuring = seconds_since(start);

  learner->begin_task();
  const Index images = tasks[0].size(), batches = std::min<Index>(3, updates_of_epoch(c, images));
  std::vector<Index> order(static_cast<std::size_t>(std::min(images, batches * c.batch)));
  std::iota(order.begin(), order.end(), Index{0});
  const std::vector<std::vector<Index>> orders(tasks.size(), order);
  learner->train_epoch(tasks, orders);  // whatever happens only once
  Index updates = 0;
  start = std::chrono::steady_clock::now();
  while (updates < 3 || (seconds_since(start) < .3 && updates < 3000))
    updates += std::max<Index>(1, learner->train_epoch(tasks, orders)[0].updates);
  const double update = seconds_since(start) / static_cast<double>(updates);
  const double training = update * static_cast<double>(c.epochs * updates_of_epoch(c, images));
  if (exact) {  // by its share of the operations
    Configuration plain = c;
    plain.curvature = "empirical_fisher";
    Configuration whole = c;
    whole.curvature = "exact";
    const Dimensions size = dimensions(c, data);
    measuring += training * (operations(whole, size) / operations(plain, size) - 1);
  }
  return training + measuring;
}

}  // namespace

NetworkSize size_of(const Configuration& configuration, const Dimensions& size) {
  const bool images = size.shape.size() > 0;
  return size_of(
      configuration,
      images ? Signal{size.shape.channels, size.shape.height, size.shape.width} : Signal{size.inputs},
      size.classes);
}

double operations(const Configuration& configuration, const Dimensions& size) {
  const auto [forward, parameters] = size_of(configuration, size);
  const auto examples = static_cast<double>(size.images * configuration.epochs);
  const double updates = examples / static_cast<double>(std::min(configuration.batch, size.images));
  const bool sorts = regularizer_of(configuration).sorts && configuration.resort_every == 1;
  const double training = 3 * forward * examples + (sorts ? 400 : 40) * parameters * updates;
  if (!configuration.measures_exactly()) return training;
  // two matrices from R-products, and the eigenvalues of both, which run at a fraction of the speed
  const double matrix = 3 * parameters * parameters * static_cast<double>(size.images);
  return training + 2 * (matrix + 4 * parameters * parameters * parameters);
}

Estimate estimate(std::span<const PlannedRun> plan, DataLibrary& data, const RunnerOptions& options) {
  Estimate sum;
  const std::vector<RunGroup> groups = groups_of(plan, options);
  std::map<std::string, double> timed;  // seconds of a task, by kind of group
  double longest = 0;
  const TrainingArithmetic arithmetic;
  for (const RunGroup& group : groups) {
    const Configuration& c = group.runs[0].configuration;
    std::string kind = group_key(c) + std::to_string(group.runs.size());
    for (const PlannedRun& run : group.runs)
      kind += run.configuration.activation + run.configuration.regularizer;
    auto place = timed.find(kind);
    if (place == timed.end()) place = timed.emplace(kind, seconds_of_task(group, data, options)).first;
    const Dimensions size = dimensions(c, data);
    const auto runs = static_cast<Index>(group.runs.size());
    const Index tasks = group.runs[0].tasks;
    sum.runs += runs;
    sum.tasks += runs * tasks;
    sum.updates += runs * tasks * c.epochs * updates_of_epoch(c, size.images);
    sum.flops +=
        6 * size_of(c, size).multiply_adds *
        static_cast<double>(runs * tasks * c.epochs *
                            (c.keeps_last_batch() ? size.images : size.images - size.images % c.batch));
    const double seconds = place->second * static_cast<double>(tasks);
    sum.seconds += seconds;
    longest = std::max(longest, seconds);
  }
  if (!groups.empty())
    sum.seconds = std::max(longest, sum.seconds / static_cast<double>(workers(groups.size(), options)));
  return sum;
}

}  // namespace paper
