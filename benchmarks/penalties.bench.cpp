#include <sagitta/sagitta.hpp>

#include <numeric>

#include "peers.hpp"

// Value and gradient of each regulariser: Wasserstein from a bias of 1000 to a network of 11 million
// parameters (200,704 is the first layer of 784-256-256-256-10), added to a gradient as a training loop does
// it; the others over 200,704; and over 256 x 256 features.
namespace {

using namespace bench;

template <class Scalar>
struct Case {
  explicit Case(Index n = 200704) : theta0(uniform<Scalar>(n, 1, 1)) {
    theta = theta0 + Scalar(.1) * uniform<Scalar>(n, 1, 2);
    gradient.setZero(n);
  }
  Vector<Scalar> theta0, theta, gradient;
};

// the order statistics by a sort of the indices, as everybody writes it
template <class Scalar>
double plain_wasserstein(const Case<Scalar>& given, const Vector<Scalar>& sorted, std::vector<Index>& order,
                         Vector<Scalar>& gradient) {
  std::iota(order.begin(), order.end(), Index{0});
  const Scalar* theta = given.theta.data();
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return theta[a] < theta[b]; });
  double sum = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const Scalar difference = theta[order[i]] - sorted[static_cast<Index>(i)];
    sum += static_cast<double>(difference) * static_cast<double>(difference);
    gradient.data()[order[i]] = 2 * difference;
  }
  return sum;
}

template <class Scalar, class Make>
void ours(const std::string& name, Make make) {
  route(name + " n=200704", scalar_name<Scalar>, "sagitta", [make](benchmark::State& state, double& result) {
    Case<Scalar> given;
    auto penalty = make(given.theta0);
    for (auto _ : state) result = penalty.value_and_gradient(given.theta, given.gradient);
  });
}

template <class Scalar>
void add_wasserstein(Index n) {
  const std::string workload = "WassersteinPenalty n=" + std::to_string(n);
  route(workload, scalar_name<Scalar>, "sagitta", [n](benchmark::State& state, double& result) {
    Case<Scalar> given(n);
    sagitta::WassersteinPenalty penalty(given.theta0);
    for (auto _ : state) result = penalty.add_gradient(given.theta, .001, given.gradient);
  });
  route(workload, scalar_name<Scalar>, "plain", [n](benchmark::State& state, double& result) {
    Case<Scalar> given(n);
    Vector<Scalar> sorted = given.theta0;
    std::sort(sorted.begin(), sorted.end());
    std::vector<Index> order(static_cast<std::size_t>(sorted.size()));
    for (auto _ : state) result = plain_wasserstein(given, sorted, order, given.gradient);
  });
}

template <class Scalar>
void add() {
  for (const Index n : {1000, 10000, 100000, 200704, 1000000, 11000000}) add_wasserstein<Scalar>(n);

  ours<Scalar>("L2InitPenalty", [](const auto& theta0) { return sagitta::L2InitPenalty(theta0); });
  route("L2InitPenalty n=200704", scalar_name<Scalar>, "plain", [](benchmark::State& state, double& result) {
    Case<Scalar> given;
    for (auto _ : state) {
      given.gradient = 2 * (given.theta - given.theta0);
      result = static_cast<double>((given.theta - given.theta0).squaredNorm());
    }
  });

  ours<Scalar>("L2Penalty", [](const auto&) { return sagitta::L2Penalty(); });
  route("L2Penalty n=200704", scalar_name<Scalar>, "plain", [](benchmark::State& state, double& result) {
    Case<Scalar> given;
    for (auto _ : state) {
      given.gradient = 2 * given.theta;
      result = static_cast<double>(given.theta.squaredNorm());
    }
  });

  const std::string features = "FeatureRankPenalty 256x256";
  route(features, scalar_name<Scalar>, "sagitta", [](benchmark::State& state, double& result) {
    const Matrix<Scalar> phi = decaying<Scalar>(256, 256);
    Matrix<Scalar> gradient = phi;
    sagitta::FeatureRankPenalty penalty;
    for (auto _ : state) result = penalty.value_and_gradient(phi, gradient);
  });
  route(features, scalar_name<Scalar>, "Eigen", [](benchmark::State& state, double& result) {
    const Matrix<Scalar> phi = decaying<Scalar>(256, 256);
    Matrix<Scalar> gradient = phi;
    for (auto _ : state) {
      const Eigen::BDCSVD<Matrix<Scalar>> svd(phi, Eigen::ComputeThinU | Eigen::ComputeThinV);
      const Vector<Scalar>& s = svd.singularValues();
      gradient.noalias() = 2 * s[0] * svd.matrixU().col(0) * svd.matrixV().col(0).transpose();
      gradient.noalias() -= 2 * s[255] * svd.matrixU().col(255) * svd.matrixV().col(255).transpose();
      result = static_cast<double>(s[0] * s[0] - s[255] * s[255]);
    }
  });
}

const bool registered = (add<float>(), add<double>(), true);

}  // namespace
