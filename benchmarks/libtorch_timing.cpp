// What the adapter costs, in units of the user's own training step (forward, backward, Adam) of the same
// samples, measured in turns in the same run. On the CPU: one thread, processor time. On a GPU: from a wait
// for the device to the next, by the clock.
//
//   libtorch_timing [seconds for each row, default 5] [rows, as "W2 CNN 256 float"; default all]
//   [cpu|cuda|cuda:N]
//
// W1: MLP 784-256-256-256-10, M = 256 and 1024. W2: the paper's CNN on 3 x 32 x 32, M = 256.
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <sagitta/libtorch.hpp>
#include <string>

namespace nn = torch::nn;
namespace F = torch::nn::functional;
namespace lt = sagitta::libtorch;
using torch::Tensor;

namespace {

nn::Sequential mlp() {
  return nn::Sequential(nn::Linear(784, 256), nn::ReLU(), nn::Linear(256, 256), nn::ReLU(),
                        nn::Linear(256, 256), nn::ReLU(), nn::Linear(256, 10));
}

nn::Sequential cnn() {
  const auto layer = [](int64_t in, int64_t out) {
    return nn::Conv2d(nn::Conv2dOptions(in, out, 3).stride(2).padding(1));
  };
  return nn::Sequential(layer(3, 16), nn::ReLU(), layer(16, 32), nn::ReLU(), layer(32, 64), nn::ReLU(),
                        layer(64, 128), nn::ReLU(), nn::Flatten(), nn::Linear(512, 512), nn::ReLU(),
                        nn::Linear(512, 10));
}

template <class Work>
double milliseconds(torch::Device device, Work work) {
  if (device.is_cuda()) {
    torch::cuda::synchronize(device.index());
    const auto start = std::chrono::steady_clock::now();
    work();
    torch::cuda::synchronize(device.index());
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  }
  const std::clock_t start = std::clock();
  work();
  return 1e3 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

double median(std::vector<double> times) {
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

// M per-sample gradients by M backward passes, in double
Tensor loop(const Tensor& losses, const std::vector<Tensor>& parameters) {
  std::vector<Tensor> rows;
  for (int64_t m = 0; m < losses.size(0); ++m) {
    std::vector<Tensor> flat;
    for (const Tensor& g : torch::autograd::grad({losses[m]}, parameters, {}, true))
      flat.push_back(g.reshape({-1}));
    rows.push_back(torch::cat(flat));
  }
  return torch::stack(rows);
}

void row(const char* name, nn::Sequential model, const Tensor& input, torch::Dtype type, double seconds) {
  const torch::Device device = input.device();
  model->to(device, type);
  const Tensor x = input.to(type),
               y = torch::randint(0, 10, {x.size(0)}, torch::TensorOptions(device).dtype(torch::kLong));
  const auto parameters = model->parameters();
  const auto losses = [&] {
    return F::cross_entropy(model->forward(x), y, F::CrossEntropyFuncOptions().reduction(torch::kNone));
  };
  torch::optim::Adam adam(parameters, torch::optim::AdamOptions(1e-6));
  lt::GramOptions plain, wide;
  plain.check = wide.check = false;
  wide.accumulate_in_double = true;
  std::vector<double> step, gram, checked, in_double, rank;
  Tensor K;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  for (int round = -3; step.size() < 5 || std::chrono::steady_clock::now() < deadline; ++round) {
    const double times[] = {
        milliseconds(device,
                     [&] {
                       adam.zero_grad();
                       losses().mean().backward();
                       adam.step();
                     }),
        milliseconds(device, [&] { K = lt::empirical_fisher_gram(losses, parameters, plain).gram; }),
        milliseconds(device, [&] { (void)lt::empirical_fisher_gram(losses, parameters); }),
        milliseconds(device, [&] { (void)lt::empirical_fisher_gram(losses, parameters, wide); }),
        milliseconds(device, [&] { (void)lt::symmetric_effective_rank(K); })};
    if (round < 0) continue;  // warming up
    std::size_t i = 0;
    for (auto* list : {&step, &gram, &checked, &in_double, &rank}) list->push_back(times[i++]);
  }
  K = lt::empirical_fisher_gram(losses, parameters, plain).gram;
  Tensor G;
  const double looped = milliseconds(device, [&] {
    G = loop(losses(), parameters);
    (void)G.mm(G.t());
  });
  model->to(torch::kDouble);
  const Tensor exact_x = input.to(torch::kDouble);
  const Tensor exact =
      loop(F::cross_entropy(model->forward(exact_x), y, F::CrossEntropyFuncOptions().reduction(torch::kNone)),
           model->parameters());
  const Tensor want = exact.mm(exact.t());
  const double error = ((K.to(torch::kDouble) - want).norm() / want.norm()).item<double>();
  const double unit = median(step);
  std::printf(
      "%-10s %5ld %-6s | %8.2f | %7.2f %5.2f | %7.2f %5.2f | %7.2f %5.2f | %6.2f | %9.1f %6.1f | %.1e\n",
      name, static_cast<long>(x.size(0)), type == torch::kFloat ? "float" : "double", unit, median(gram),
      median(gram) / unit, median(checked), median(checked) / unit, median(in_double),
      median(in_double) / unit, median(rank), looped, looped / unit, error);
  std::fflush(stdout);
}

}  // namespace

int main(int count, char** arguments) {
  const double seconds = count > 1 ? std::stod(arguments[1]) : 5;
  const std::string wanted = count > 2 ? arguments[2] : "";
  const torch::Device device(count > 3 ? arguments[3] : "cpu");
  if (device.is_cuda() &&
      torch::cuda::device_count() <= static_cast<std::size_t>(std::max<int>(device.index(), 0))) {
    std::fprintf(stderr, "libtorch_timing: no device %s here\n", arguments[3]);
    return 1;
  }
  torch::set_num_threads(1);
  torch::manual_seed(1);
  std::printf("LibTorch %s on %s; medians in ms, and in steps\n", TORCH_VERSION, device.str().c_str());
  std::printf(
      "workload       M type   |     step |  Gram   steps | checked steps |  double steps |   rank |      "
      "loop  steps | error\n");
  for (const auto type : {torch::kFloat, torch::kDouble}) {
    const std::string suffix = type == torch::kFloat ? " float" : " double";
    const auto asked = [&](const std::string& name) { return (name + suffix).find(wanted) == 0; };
    if (asked("W1 MLP 256")) row("W1 MLP", mlp(), torch::randn({256, 784}, device), type, seconds);
    if (asked("W2 CNN 256")) row("W2 CNN", cnn(), torch::randn({256, 3, 32, 32}, device), type, seconds);
    if (asked("W1 MLP 1024")) row("W1 MLP", mlp(), torch::randn({1024, 784}, device), type, seconds);
  }
  return 0;
}
