#include "runner.hpp"

#include <chrono>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <functional>
#include <iomanip>
#include <mutex>
#include <numeric>
#include <ostream>
#include <sstream>
#include <thread>

#include "learner.hpp"
#include "online_curve.hpp"
#include "random.hpp"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace paper {

namespace {

// Numbers below the smallest normal float become zero: they carry nothing here, and processors take a hundred
// times longer over them. For the calling thread.
void flush_denormals() {
#if defined(__SSE2__)
  _mm_setcsr(_mm_getcsr() | 0x8040);  // flush to zero, denormals are zero
#elif defined(__aarch64__)
  std::uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  __asm__ volatile("msr fpcr, %0" : : "r"(control | (std::uint64_t{1} << 24)));
#endif
}

std::string duration(double seconds) {
  std::ostringstream text;
  const auto whole = static_cast<long>(std::lround(seconds));
  if (whole >= 3600)
    text << whole / 3600 << " h " << whole / 60 % 60 << " min";
  else if (whole >= 120)
    text << whole / 60 << " min " << whole % 60 << " s";
  else
    text << whole << " s";
  return text.str();
}

// How far all runs are. Work is counted in operations, so that the time left is right for runs of unequal
// cost.
class Progress {
 public:
  Progress(std::size_t runs, double work, bool bar, std::ostream& log)
      : runs_(runs), work_(work), bar_(bar), log_(log), start_(Clock::now()), last_(start_) {}

  void add(double work, bool run_ended) {
    const std::scoped_lock lock(mutex_);
    done_ += work;
    runs_done_ += run_ended;
    const double silence = seconds(last_, Clock::now());
    if (silence > (bar_ ? .2 : 10)) print();
  }
  void finish(bool stopped) {
    const std::scoped_lock lock(mutex_);
    print();
    if (bar_) log_ << '\n';
    if (stopped) log_ << "stopped; what was finished is kept, the same command continues\n";
    log_.flush();
  }

 private:
  using Clock = std::chrono::steady_clock;
  static double seconds(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
  }
  void print() {
    last_ = Clock::now();
    const double share = work_ > 0 ? done_ / work_ : 1, elapsed = seconds(start_, last_);
    std::ostringstream line;
    line << std::setw(3) << std::lround(100 * share) << " %, " << runs_done_ << " of " << runs_ << " runs, "
         << duration(elapsed);
    if (share > .01 && share < 1) line << ", about " << duration(elapsed / share * (1 - share)) << " left";
    if (bar_)
      log_ << '\r' << std::left << std::setw(70) << line.str() << std::flush;
    else
      log_ << line.str() << std::endl;
  }

  std::size_t runs_, runs_done_ = 0;
  double work_, done_ = 0;
  bool bar_;
  std::ostream& log_;
  Clock::time_point start_, last_;
  std::mutex mutex_;
};

// Values of one task of a run; nothing when it was stopped on the way.
std::vector<Value> learn(const Configuration& configuration, const Task& task, Learner& learner,
                         const std::function<bool()>& stopped) {
  std::vector<Value> values;
  for (const Metric& metric : learner.measure_start(task))
    values.push_back({task.number, 0, metric.name, metric.value});
  learner.begin_task();
  std::vector<Index> order(static_cast<std::size_t>(task.size()));
  std::iota(order.begin(), order.end(), Index{0});
  const Index used =
      configuration.last_batch == "keep" ? task.size() : task.size() - task.size() % configuration.batch;
  Generator generator = stream(configuration.seed, "batches", static_cast<std::uint64_t>(task.number));
  EpochReport sum;
  OnlineCurve curve(task.number, configuration.epochs, used);
  for (Index epoch = 0; epoch < configuration.epochs; ++epoch) {
    if (stopped()) return {};
    shuffle(order, generator);
    const EpochReport report =
        learner.train_epoch(task, std::span(order).first(static_cast<std::size_t>(used)));
    sum.updates += report.updates;
    sum.errors += report.errors;
    curve.add(report, learner.diverged(), values);
  }
  // "average online error" (appendix C.1): of each batch before the update that it leads to
  const double online =
      learner.diverged() ? std::nan("") : sum.errors / static_cast<double>(used * configuration.epochs);
  values.push_back({task.number, sum.updates, "online_error", online});
  for (const Metric& metric : learner.measure_end(task))
    values.push_back({task.number, sum.updates, metric.name, metric.value});
  return values;
}

void train(const PlannedRun& planned, DataLibrary& data, Results& results, Progress& progress,
           const std::function<bool()>& stopped) {
  const Configuration& configuration = planned.configuration;
  const std::string run = run_name(configuration);
  Index next = results.tasks_done(run);
  const auto problem = make_problem(configuration, data);
  std::unique_ptr<Learner> learner;
  for (; next < planned.tasks && !stopped(); ++next) {
    const Task task = problem->task(next);
    if (!learner) {
      learner = make_learner(configuration, task.inputs->rows(), task.classes);
      if (const auto checkpoint = results.checkpoint(run)) {
        try {
          learner->restore(checkpoint->state);
        } catch (const std::exception& error) {
          throw std::runtime_error(results.file().string() + ": run " + run +
                                   " cannot be continued: " + error.what());
        }
      }
    }
    const std::vector<Value> values = learn(configuration, task, *learner, stopped);
    if (values.empty()) return;
    results.commit_task(run, next, values, learner->state());
    progress.add(operations(configuration, task.inputs->rows(), task.classes), next + 1 == planned.tasks);
  }
}

}  // namespace

double operations(const Configuration& configuration, Index inputs, Index classes) {
  const auto width = static_cast<double>(configuration.width),
             depth = static_cast<double>(configuration.depth);
  const double parameters = width * static_cast<double>(inputs + classes) + (depth - 1) * width * width;
  const auto examples = static_cast<double>(configuration.images * configuration.epochs);
  const double updates = examples / static_cast<double>(std::min(configuration.batch, configuration.images));
  const bool sorts = configuration.regularizer == "wasserstein" && configuration.resort_every == 1;
  const double training = 3 * parameters * examples + (sorts ? 400 : 40) * parameters * updates;
  if (configuration.curvature != "exact") return training;
  // two matrices from R-products, and the eigenvalues of both, which run at a fraction of the speed
  const double matrix = 3 * parameters * parameters * static_cast<double>(configuration.images);
  return training + 2 * (matrix + 4 * parameters * parameters * parameters);
}

void run_all(std::span<const PlannedRun> plan, DataLibrary& data, Results& results,
             const RunnerOptions& options, std::ostream& log, const std::atomic<bool>& stop) {
  std::vector<PlannedRun> open;
  double work = 0;
  for (const PlannedRun& planned : plan) {
    const Configuration& configuration = planned.configuration;
    results.add_run({run_name(configuration), fields(configuration)});
    const Index missing = planned.tasks - results.tasks_done(run_name(configuration));
    if (missing <= 0) continue;
    const Dimensions size = dimensions(configuration, data);
    work += static_cast<double>(missing) * operations(configuration, size.inputs, size.classes);
    open.push_back(planned);
  }
  log << plan.size() << " runs, " << plan.size() - open.size() << " of them done before" << std::endl;
  if (open.empty()) return;
  // the dearest runs first, so that no thread is left alone with one at the end
  std::stable_sort(open.begin(), open.end(), [&](const PlannedRun& a, const PlannedRun& b) {
    const auto cost = [&](const PlannedRun& run) {
      const Dimensions size = dimensions(run.configuration, data);
      return static_cast<double>(run.tasks) * operations(run.configuration, size.inputs, size.classes);
    };
    return cost(a) > cost(b);
  });

  Progress progress(open.size(), work, options.progress_bar, log);
  std::atomic<std::size_t> next{0};
  std::atomic<bool> halt{false};
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto stopped = [&] { return stop || halt; };
  const auto worker = [&] {
    flush_denormals();
    for (std::size_t i = next++; i < open.size() && !stopped(); i = next++) {
      try {
        train(open[i], data, results, progress, stopped);
      } catch (...) {
        const std::scoped_lock lock(failure_mutex);
        if (!failure) failure = std::current_exception();
        halt = true;
      }
    }
  };
  std::vector<std::jthread> threads;
  const auto count =
      std::min<std::size_t>(static_cast<std::size_t>(std::max(1, options.threads)), open.size());
  for (std::size_t t = 0; t < count; ++t) threads.emplace_back(worker);
  threads.clear();
  progress.finish(stop);
  if (failure) std::rethrow_exception(failure);
}

}  // namespace paper
