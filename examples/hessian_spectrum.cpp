// The Hessian of a LibTorch network without the matrix: its outer eigenvalues, trace, effective rank, how
// much of the gradient lies in its top subspace, and the density of its eigenvalues, before and after
// training.
//
//   hessian_spectrum [epochs, default 200] [width of the two hidden layers, default 24] [FILE, default
//   hessian_spectrum.json]
//
// FILE takes the densities; examples/hessian_spectrum.py draws it. Where the network is small, the same
// numbers from all eigenvalues are printed beside them.
#include <torch/torch.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sagitta/libtorch.hpp>
#include <sagitta/sagitta.hpp>

namespace nn = torch::nn;

template <class Values>
void write(std::ofstream& file, const char* name, const Values& values, const char* behind = ",\n") {
  file << "   \"" << name << "\": [";
  for (Eigen::Index i = 0; i < values.size(); ++i) file << (i > 0 ? ", " : "") << values[i];
  file << "]" << behind;
}

int main(int count, char** arguments) {
  const int64_t epochs = count > 1 ? std::strtol(arguments[1], nullptr, 10) : 200;
  const int64_t width = count > 2 ? std::strtol(arguments[2], nullptr, 10) : 24;
  if (epochs < 1 || width < 1) {
    std::fprintf(stderr, "hessian_spectrum: epochs are %ld and the width %ld, expected at least 1\n",
                 static_cast<long>(epochs), static_cast<long>(width));
    return 2;
  }
  const char* path = count > 3 ? arguments[3] : "hessian_spectrum.json";
  const int64_t samples = 256, features = 20, classes = 5;
  torch::set_num_threads(1);  // a product is too small to share
  torch::manual_seed(0);
  nn::Sequential model(nn::Linear(features, width), nn::Tanh(), nn::Linear(width, width), nn::Tanh(),
                       nn::Linear(width, classes));
  model->to(torch::kDouble);  // products in float are right to 1e-7 of the largest eigenvalue
  const torch::Tensor x = torch::randn({samples, features}, torch::kDouble);
  const torch::Tensor y = torch::matmul(x, torch::randn({features, classes}, torch::kDouble)).argmax(1);
  const auto loss = [&] { return nn::functional::cross_entropy(model->forward(x), y); };

  std::ofstream file(path);
  file.precision(10);
  file << "[\n";
  std::printf("when    parameters  loss    sharpness  smallest  trace (error)    rank (drift)   overlap\n");
  torch::optim::Adam optimizer(model->parameters(), torch::optim::AdamOptions(1e-2));
  for (const bool trained : {false, true}) {
    for (int64_t epoch = 0; trained && epoch < epochs; ++epoch) {
      optimizer.zero_grad();
      loss().backward();
      optimizer.step();
    }
    const char* when = trained ? "after" : "before";
    const sagitta::libtorch::HessianOperator hessian(loss, model->parameters());
    std::mt19937_64 generator(1);
    const auto top =
        sagitta::extreme_eigenpairs(hessian, 1, generator, {.extreme = sagitta::Extreme::largest});
    const auto low =
        sagitta::extreme_eigenpairs(hessian, 1, generator, {.extreme = sagitta::Extreme::smallest});
    const auto trace = sagitta::estimated_trace(hessian, 100, generator);
    const auto rank = sagitta::estimated_effective_rank(hessian, 0.99, generator);
    const torch::Tensor g = hessian.gradient();
    const Eigen::VectorXd gradient = Eigen::Map<const Eigen::VectorXd>(g.data_ptr<double>(), g.numel());
    const auto overlap = sagitta::gradient_hessian_overlap(hessian, gradient, 0.99, generator);
    std::printf("%-6s  %10ld  %6.4f  %9.4f  %8.4f  %6.3f (%.3f)  %7.1f (%4.1f)  %8.4f\n", when,
                static_cast<long>(hessian.rows()), loss().item<double>(), top.values[0], low.values[0],
                trace.value, trace.standard_error, rank.rank, rank.drift, overlap.value);

    const auto density = sagitta::spectral_density(hessian, generator);
    const auto curve = sagitta::density_curve(density, .005 * (top.values[0] - low.values[0]));
    file << (trained ? ",\n" : "") << "  {\"when\": \"" << when << "\", \"rank\": " << rank.rank
         << ", \"parameters\": " << hessian.rows() << ",\n";
    if (hessian.rows() <= 2500) {
      const torch::Tensor H = sagitta::libtorch::exact_hessian(loss, model->parameters());
      const auto n = hessian.rows();
      const Eigen::MatrixXd dense = Eigen::Map<const Eigen::MatrixXd>(H.data_ptr<double>(), n, n);
      const Eigen::VectorXd values = sagitta::symmetric_eigenvalues(dense);
      const auto exact = sagitta::spectrum_effective_rank(values.cwiseAbs());
      std::printf("  exactly                   %9.4f  %8.4f  %6.3f          %7ld         %8.4f\n", values[0],
                  values[n - 1], values.sum(), static_cast<long>(exact.rank),
                  sagitta::gradient_hessian_overlap(dense, gradient).value);
      file << "   \"exact_rank\": " << exact.rank << ",\n";
      write(file, "eigenvalues", values);
    }
    write(file, "x", curve.x);
    write(file, "density", curve.y, "}");
  }
  file << "\n]\n";
  file.close();
  if (!file) std::fprintf(stderr, "hessian_spectrum: cannot write %s\n", path);
  return file ? 0 : 1;
}
