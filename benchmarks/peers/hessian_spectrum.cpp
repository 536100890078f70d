// Our side of hessian_spectrum.py: the Hessian of the network that lies in a folder, by products.
//   hessian_spectrum FOLDER WIDTH...   (features, hidden layers, classes; ReLU)
// FOLDER holds theta.f64 (each layer's weights, column by column, then its biases), inputs.f64 (features x n,
// column by column), labels.i32. Prints "name value" lines, of the Hessian of the summed cross-entropy.
#include <chrono>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <sagitta/sagitta.hpp>
#include <span>

#include "learners/eigen_mlp.hpp"

namespace {

template <class T>
std::vector<T> read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  std::vector<T> values(bytes.size() / sizeof(T));
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(values.data()));
  return values;
}

template <class Work>
double seconds(Work work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int count, char** arguments) {
  using sagitta::Index;
  const std::span<char*> words(arguments, static_cast<std::size_t>(count));
  if (words.size() < 4) {
    std::cerr << "usage: hessian_spectrum FOLDER WIDTH...\n";
    return 2;
  }
  const std::string folder = std::string(words[1]) + "/";
  std::vector<Index> widths;
  for (const char* width : words.subspan(2)) widths.push_back(std::stol(width));
  paper::EigenMlp<double> network(widths, paper::activations().at("relu"), 0);
  const auto theta = read<double>(folder + "theta.f64"), inputs = read<double>(folder + "inputs.f64");
  const auto labels = read<int>(folder + "labels.i32");
  const auto n = static_cast<Index>(labels.size()), d = network.parameters();
  if (static_cast<Index>(theta.size()) != d || static_cast<Index>(inputs.size()) != n * widths.front()) {
    std::cerr << "hessian_spectrum: the files do not fit the widths\n";
    return 2;
  }
  network.theta() = Eigen::Map<const Eigen::VectorXd>(theta.data(), d);
  const Eigen::MatrixXd p = sagitta::softmax(
      network.forward(Eigen::Map<const Eigen::MatrixXd>(inputs.data(), widths.front(), n)).transpose());
  network.backward(
      sagitta::cross_entropy_backprops(p, Eigen::Map<const Eigen::VectorXi>(labels.data(), n)).transpose());

  const sagitta::FunctionOperator hessian(
      d, [&](const auto& in, auto& out) { out = network.curvature_product(paper::Curvature::hessian, in); });
  std::mt19937_64 generator(1);
  std::cout << std::setprecision(15);
  sagitta::Eigenpairs top;
  std::cout << "extreme_seconds "
            << seconds([&] { top = sagitta::extreme_eigenpairs(hessian, 5, generator); });
  std::cout << "\nextreme_products " << top.products;
  for (Index i = 0; i < 5; ++i) std::cout << "\nextreme " << top.values[i];
  sagitta::EstimatedTrace trace;
  std::cout << "\ntrace_seconds "
            << seconds([&] { trace = sagitta::estimated_trace(hessian, 100, generator); }) << "\ntrace "
            << trace.value << "\ntrace_error " << trace.standard_error;
  sagitta::EstimatedRank estimate;
  std::cout << "\nestimated_rank_seconds "
            << seconds([&] { estimate = sagitta::estimated_effective_rank(hessian, .99, generator); })
            << "\nestimated_rank " << estimate.rank;
  sagitta::SpectralDensity density;
  std::cout << "\ndensity_seconds "
            << seconds([&] { density = sagitta::spectral_density(hessian, generator); })
            << "\ndensity_products " << density.products << "\ndensity_mean "
            << density.nodes.dot(density.weights) << "\ndensity_square "
            << density.nodes.cwiseAbs2().dot(density.weights);
  Index rank = 0;
  const double matrix_seconds = seconds([&] {
    const Eigen::MatrixXd H = network.curvature_matrix(paper::Curvature::hessian);
    std::ofstream(folder + "hessian.f64", std::ios::binary)
        .write(reinterpret_cast<const char*>(H.data()), static_cast<std::streamsize>(H.size() * 8));
    rank = sagitta::symmetric_effective_rank(H).rank;
  });
  std::cout << "\nmatrix_seconds " << matrix_seconds << "\nrank " << rank << '\n';
}
