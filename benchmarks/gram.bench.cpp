#include <sagitta/sagitta.hpp>

#include "peers.hpp"

// The empirical Fisher of the paper's network, 784-256-256-256-10, from M = 256 samples: the Gram matrix from
// layer traces, beside the product of the 335,114 x 256 matrix of per-sample gradients that it stands for.
namespace {

using namespace bench;

constexpr Index samples = 256;
const std::vector<Index> widths{784, 256, 256, 256, 10};

template <class Scalar>
struct Traces {
  std::vector<Matrix<Scalar>> inputs, backprops;
  std::vector<sagitta::LayerTrace<Scalar>> layers;

  Traces() {
    std::srand(1);
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
void add() {
  const std::string gram = "gram 784-256-256-256-10 M=256", rank = "fisher_rank 784-256-256-256-10 M=256";
  route(gram, scalar_name<Scalar>, "sagitta", [](benchmark::State& state, double& result) {
    const Traces<Scalar> traces;
    for (auto _ : state) result = sagitta::gram(traces.layers).trace();
  });
  // ours for gradients that somebody has already: symmetric, and in double
  route(gram, scalar_name<Scalar>, "dense", [](benchmark::State& state, double& result) {
    const Matrix<Scalar> G = Traces<Scalar>().gradients();
    for (auto _ : state) result = sagitta::gram(G).trace();
  });
  // what a user would write, in the scalar of the gradients; G itself is not counted
  route(gram, scalar_name<Scalar>, "Eigen", [](benchmark::State& state, double& result) {
    const Matrix<Scalar> G = Traces<Scalar>().gradients();
    Matrix<Scalar> K(samples, samples);
    for (auto _ : state) {
      K.noalias() = G.transpose() * G;
      result = static_cast<double>(K.trace());
    }
  });

  route(rank, scalar_name<Scalar>, "sagitta", [](benchmark::State& state, double& result) {
    const Traces<Scalar> traces;
    for (auto _ : state) result = static_cast<double>(sagitta::fisher_rank(traces.layers).rank);
  });
  route(rank, scalar_name<Scalar>, "plain", [](benchmark::State& state, double& result) {
    const Traces<Scalar> traces;
    for (auto _ : state) {
      const Matrix<Scalar> G = traces.gradients();
      const Matrix<Scalar> K = G.transpose() * G;
      result = static_cast<double>(
          plain_rank(Eigen::SelfAdjointEigenSolver<Matrix<Scalar>>(K, Eigen::EigenvaluesOnly).eigenvalues()));
    }
  });
}

const bool registered = (add<float>(), add<double>(), true);

}  // namespace
