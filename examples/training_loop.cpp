// A plain LibTorch training loop that learns one task after another and logs, at the end of each, what the
// paper measures. The tasks are random labels for the same random points: all that changes is what must be
// learned.
//
//   training_loop [tasks, default 10]
#include <torch/torch.h>

#include <cstdio>
#include <cstdlib>
#include <sagitta/libtorch.hpp>

namespace nn = torch::nn;

int main(int count, char** arguments) {
  const long tasks = count > 1 ? std::strtol(arguments[1], nullptr, 10) : 10;
  if (tasks < 1) {
    std::fprintf(stderr, "training_loop: tasks is \"%s\", expected at least 1\n", arguments[1]);
    return 2;
  }
  const int64_t samples = 1280, batch = 64, classes = 10;
  torch::manual_seed(0);
  torch::set_num_threads(1);  // so small a network gains nothing from more
  nn::Sequential model(nn::Linear(64, 64), nn::ReLU(), nn::Linear(64, 64), nn::ReLU(),
                       nn::Linear(64, classes));
  torch::optim::Adam optimizer(model->parameters(), torch::optim::AdamOptions(1e-3));
  const sagitta::libtorch::WassersteinPenalty penalty(
      model->parameters());  // towards the initial distribution
  const torch::Tensor x = torch::randn({samples, 64});

  sagitta::libtorch::MeasureOptions options;
  options.initial = sagitta::libtorch::snapshot(model);
  std::printf(
      "task  error   loss  EF rank  feature rank  dormancy  gradient  update  overlap  W2 from start\n");
  for (long task = 0; task < tasks; ++task) {
    const torch::Tensor y = torch::randint(0, classes, {samples});
    for (int epoch = 0; epoch < 20; ++epoch) {
      const torch::Tensor order = torch::randperm(samples);
      for (int64_t first = 0; first < samples; first += batch) {
        const torch::Tensor rows = order.narrow(0, first, batch);
        options.previous = sagitta::libtorch::snapshot(model);
        optimizer.zero_grad();
        nn::functional::cross_entropy(model->forward(x.index_select(0, rows)), y.index_select(0, rows))
            .backward();
        penalty.add_gradient_(model->parameters(), 1e-4);
        optimizer.step();
      }
    }
    const auto m = sagitta::libtorch::measure(model, x.narrow(0, 0, 256), y.narrow(0, 0, 256), options);
    std::printf("%4ld  %5.3f  %5.3f  %7ld  %12ld  %8.3f  %8.4f  %6.3f  %7.3f  %13.3f\n", task, m.error,
                m.loss, static_cast<long>(m.fisher_rank.rank), static_cast<long>(m.feature_rank.rank),
                m.dormancy, m.gradient_l2, m.update_l1, m.overlap.value, m.initial_distance_w2);
  }
  return 0;
}
