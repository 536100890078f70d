#include <sagitta/sagitta.hpp>

#include "peers.hpp"

// What the last hidden layer represents: 1280 and 256 samples of 256 features for ranks, 51200 (a task's
// images) for dormancy.
namespace {

using namespace bench;

template <class Scalar>
void add_rank(Index n, Index width) {
  const std::string workload = "feature_rank " + std::to_string(n) + "x" + std::to_string(width);
  route(workload, scalar_name<Scalar>, "sagitta", [=](benchmark::State& state, double& result) {
    const Matrix<Scalar> A = decaying<Scalar>(n, width);
    for (auto _ : state) result = static_cast<double>(sagitta::feature_rank(A).rank);
  });
  route(workload, scalar_name<Scalar>, "Eigen", [=](benchmark::State& state, double& result) {
    const Matrix<Scalar> A = decaying<Scalar>(n, width);
    for (auto _ : state)
      result = static_cast<double>(plain_rank(Eigen::BDCSVD<Matrix<Scalar>>(A).singularValues()));
  });
#ifdef SAGITTA_LAPACK
  route(workload, scalar_name<Scalar>, "LAPACK", [=](benchmark::State& state, double& result) {
    const Matrix<Scalar> A = decaying<Scalar>(n, width);
    Matrix<Scalar> scratch;
    for (auto _ : state) {
      scratch = A;
      result = static_cast<double>(plain_rank(lapack_singular_values(scratch)));
    }
  });
#endif
}

template <class Scalar>
void add_dormancy(Index n, Index width) {
  const std::string size = std::to_string(n) + "x" + std::to_string(width);
  const auto both = [&](const std::string& name, auto ours, auto plain) {
    route(name + " " + size, scalar_name<Scalar>, "sagitta", [=](benchmark::State& state, double& result) {
      const Matrix<Scalar> A = uniform<Scalar>(n, width, 1).cwiseMax(Scalar(0));
      for (auto _ : state) result = ours(A);
    });
    route(name + " " + size, scalar_name<Scalar>, "plain", [=](benchmark::State& state, double& result) {
      const Matrix<Scalar> A = uniform<Scalar>(n, width, 1).cwiseMax(Scalar(0));
      for (auto _ : state) result = plain(A);
    });
  };
  both(
      "dormancy", [](const auto& A) { return sagitta::dormancy(A); },
      [](const auto& A) {
        const auto activity = A.cwiseAbs().colwise().sum().eval();
        const auto p = (activity / activity.sum()).array().eval();
        return static_cast<double>((p > Scalar(0)).select(p * p.log(), Scalar(0)).sum());
      });
  both(
      "per_sample_dormancy", [](const auto& A) { return sagitta::per_sample_dormancy(A); },
      [](const auto& A) {
        const Eigen::Matrix<Scalar, Eigen::Dynamic, 1> totals = A.cwiseAbs().rowwise().sum();
        const Eigen::Array<Scalar, Eigen::Dynamic, Eigen::Dynamic> p =
            (totals.cwiseInverse().asDiagonal() * A.cwiseAbs()).array();
        return static_cast<double>((p > Scalar(0)).select(p * p.log(), Scalar(0)).rowwise().sum().mean());
      });
  both(
      "dormant_fraction", [](const auto& A) { return sagitta::dormant_fraction(A); },
      [](const auto& A) {
        const auto activity = A.cwiseAbs().colwise().mean().array().eval();
        return static_cast<double>((activity <= Scalar(.025) * activity.mean()).count()) /
               static_cast<double>(activity.size());
      });
}

const bool registered = [] {
  add_rank<float>(1280, 256), add_rank<double>(1280, 256);
  add_rank<float>(256, 256), add_rank<double>(256, 256);
  add_dormancy<float>(51200, 256), add_dormancy<double>(51200, 256);
  return true;
}();

}  // namespace
