// Updates a second, summed over networks, of fully connected networks that are trained one by one or as one
// batched network, and the time that their matrix products need at a given speed.
//
//   torch_learner_timing [--device cpu|cuda[:N]] [--seconds S] [--tflops T]
//
// On the CPU the sides take turns, and the processor's time of the thread counts. T, by default 50 on a GPU
// and 0.1 on the CPU, is the speed of products to compare with.
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "data/problem.hpp"
#include "data/random.hpp"
#include "learners/torch_learner.hpp"

using namespace paper;

namespace {

struct Size {
  const char* name;
  Index inputs, width, depth, images, batch;
};

// processor time of this thread, or of the clock where a device does the work
double now(bool device) {
  if (device)
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

class Side {
 public:
  Side(const Size& size, Index networks, const TorchOptions* torch) : networks_(networks) {
    std::vector<Configuration> configurations;
    auto inputs = std::make_shared<Eigen::MatrixXf>(size.inputs, size.images);
    Generator generator = stream(1, "timing");
    for (float& value : inputs->reshaped()) value = static_cast<float>(uniform(generator));
    for (Index k = 0; k < networks; ++k) {
      Configuration c;
      c.activation = "leaky_relu";
      c.width = size.width, c.depth = size.depth, c.batch = size.batch, c.images = size.images;
      c.seed = static_cast<std::uint64_t>(k);
      configurations.push_back(c);
      Task task{0, inputs, std::vector<int>(static_cast<std::size_t>(size.images)), 10, {}};
      for (int& label : task.labels) label = static_cast<int>(below(generator, 10));
      tasks_.push_back(std::move(task));
    }
    std::vector<Index> order(static_cast<std::size_t>(size.images));
    std::iota(order.begin(), order.end(), Index{0});
    orders_.assign(static_cast<std::size_t>(networks), order);
    group_ = torch == nullptr ? make_group(make_learner(configurations[0], size.inputs, 10))
                              : make_torch_group(configurations, tasks_[0], *torch);
    group_->begin_task();
    for (int epoch = 0; epoch < 5; ++epoch) group_->train_epoch(tasks_, orders_);  // also what is recorded
  }

  void epoch(bool device) {
    const double start = now(device);
    const auto reports = group_->train_epoch(tasks_, orders_);
    times_.push_back((now(device) - start) / static_cast<double>(reports[0].updates));
  }
  double step() const {  // median, in seconds
    std::vector<double> sorted = times_;
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2),
                     sorted.end());
    return sorted[sorted.size() / 2];
  }
  double rate() const { return static_cast<double>(networks_) / step(); }

 private:
  Index networks_;
  std::vector<Task> tasks_;
  std::vector<std::vector<Index>> orders_;
  std::unique_ptr<LearnerGroup> group_;
  std::vector<double> times_;
};

}  // namespace

int main(int count, char** arguments) {
  TorchOptions options;
  double seconds = 3, tflops = 0;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string name = arguments[i];
    if (name == "--device") options.device = arguments[i + 1];
    if (name == "--seconds") seconds = std::stod(arguments[i + 1]);
    if (name == "--tflops") tflops = std::stod(arguments[i + 1]);
  }
  if (const std::string problem = device_problem(options.device); !problem.empty()) {
    std::fprintf(stderr, "torch_learner_timing: %s\n", problem.c_str());
    return 1;
  }
  const bool device = options.device != "cpu";
  if (tflops == 0) tflops = device ? 50 : .1;
  const Size smoke{"smoke 196-32^3-10, batch 32", 196, 32, 3, 128, 32};
  const Size demo{"demo 196-64^3-10, batch 64", 196, 64, 3, 192, 64};
  const Size full{"paper 784-256^3-10, batch 256", 784, 256, 3, 1280, 256};
  std::printf("updates a second, summed over networks; products at %.3g TFLOP/s\n", tflops);
  std::printf("%-30s %-6s %8s %10s %10s %12s %8s\n", "size", "by", "networks", "updates/s", "step/ms",
              "products/ms", "ratio");
  for (const Size& size : {smoke, demo, full}) {
    const std::vector<Index> numbers =
        device ? std::vector<Index>{1, 30, 120} : std::vector<Index>{1, 10, 20};
    std::vector<Side> sides;
    if (!device) sides.emplace_back(size, 1, nullptr);
    for (const Index networks : numbers) sides.emplace_back(size, networks, &options);
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    for (int round = 0; round < 5 || std::chrono::steady_clock::now() < end; ++round)
      for (Side& side : sides) side.epoch(device);
    const auto width = static_cast<double>(size.width);
    const double products =
        width * static_cast<double>(size.inputs + 10) +
        static_cast<double>(size.depth - 1) * width * width;  // multiply-adds of an example
    for (std::size_t i = 0; i < sides.size(); ++i) {
      const bool eigen = !device && i == 0;
      const Index networks = eigen ? 1 : numbers[i - (device ? 0 : 1)];
      const double least = 6 * products * static_cast<double>(size.batch * networks) / (tflops * 1e12);
      std::printf("%-30s %-6s %8ld %10.0f %10.3f %12.4f %8.2f\n", size.name, eigen ? "eigen" : "torch",
                  static_cast<long>(networks), sides[i].rate(), 1e3 * sides[i].step(), 1e3 * least,
                  sides[i].step() / least);
    }
    std::fflush(stdout);
  }
  return 0;
}
