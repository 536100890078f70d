#include <benchmark/benchmark.h>

#include <sagitta/sagitta.hpp>

// The empirical Fisher of the paper's network, 784-256-256-256-10, from M = 256 samples: the Gram matrix from
// layer traces, beside the product of the 335,114 x 256 matrix of per-sample gradients that it stands for.
namespace {

constexpr Eigen::Index samples = 256;
const std::vector<Eigen::Index> widths{784, 256, 256, 256, 10};

template <class Scalar>
using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;

template <class Scalar>
struct Traces {
  std::vector<Matrix<Scalar>> inputs, backprops;
  std::vector<sagitta::LayerTrace<Scalar>> layers;

  Traces() {
    for (std::size_t l = 0; l + 1 < widths.size(); ++l) {
      inputs.push_back(Matrix<Scalar>::Random(samples, widths[l]));
      backprops.push_back(Matrix<Scalar>::Random(samples, widths[l + 1]));
    }
    for (std::size_t l = 0; l < inputs.size(); ++l)
      layers.push_back({.inputs = inputs[l], .backprops = backprops[l]});
  }

  Matrix<Scalar> gradients() const {  // d x M, as a loop over samples would collect them
    Eigen::Index parameters = 0;
    for (const auto& layer : layers) parameters += layer.parameters();
    Matrix<Scalar> G(parameters, samples);
    for (Eigen::Index m = 0; m < samples; ++m) {
      Eigen::Index first = 0;
      for (std::size_t l = 0; l < inputs.size(); ++l) {
        const Eigen::Index out = backprops[l].cols(), in = inputs[l].cols();
        Eigen::Map<Matrix<Scalar>>(G.col(m).data() + first, out, in).noalias() =
            backprops[l].row(m).transpose() * inputs[l].row(m);
        first += out * in;
        G.col(m).segment(first, out) = backprops[l].row(m).transpose();
        first += out;
      }
    }
    return G;
  }
};

template <class Scalar>
void structured_gram(benchmark::State& state) {
  const Traces<Scalar> traces;
  for (auto _ : state) benchmark::DoNotOptimize(sagitta::gram(traces.layers));
}

template <class Scalar>
void dense_gram(benchmark::State& state) {  // ours, symmetric and in double: half the operations
  const Matrix<Scalar> G = Traces<Scalar>().gradients();
  for (auto _ : state) benchmark::DoNotOptimize(sagitta::gram(G));
}

template <class Scalar>
void dense_product(benchmark::State& state) {  // what a user would write, in the scalar of the gradients
  const Matrix<Scalar> G = Traces<Scalar>().gradients();
  Matrix<Scalar> K(samples, samples);
  for (auto _ : state) {
    K.noalias() = G.transpose() * G;
    benchmark::DoNotOptimize(K.data());
  }
}

template <class Scalar>
void rank_from_traces(benchmark::State& state) {
  const Traces<Scalar> traces;
  for (auto _ : state) benchmark::DoNotOptimize(sagitta::fisher_rank(traces.layers));
}

}  // namespace

BENCHMARK(structured_gram<float>)->Unit(benchmark::kMillisecond);
BENCHMARK(dense_gram<float>)->Unit(benchmark::kMillisecond);
BENCHMARK(dense_product<float>)->Unit(benchmark::kMillisecond);
BENCHMARK(structured_gram<double>)->Unit(benchmark::kMillisecond);
BENCHMARK(dense_gram<double>)->Unit(benchmark::kMillisecond);
BENCHMARK(dense_product<double>)->Unit(benchmark::kMillisecond);
BENCHMARK(rank_from_traces<float>)->Unit(benchmark::kMillisecond);
BENCHMARK(rank_from_traces<double>)->Unit(benchmark::kMillisecond);
