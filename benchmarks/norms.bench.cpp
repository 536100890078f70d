#include <sagitta/sagitta.hpp>

#include "peers.hpp"

// Norms of all 335,114 parameters of 784-256-256-256-10, beside Eigen's expressions in double, as Sagitta
// sums; neither scales or looks for NaN.
namespace {

using namespace bench;

template <class Scalar>
void add() {
  const auto both = [](const std::string& name, auto ours, auto eigen) {
    route(name + " n=335114", scalar_name<Scalar>, "sagitta",
          [ours](benchmark::State& state, double& result) {
            const Vector<Scalar> x = Vector<Scalar>::LinSpaced(335114, Scalar(-1), Scalar(1)),
                                 y = x * Scalar(.9);
            for (auto _ : state) result = ours(x, y);
          });
    route(name + " n=335114", scalar_name<Scalar>, "Eigen", [eigen](benchmark::State& state, double& result) {
      const Vector<Scalar> x = Vector<Scalar>::LinSpaced(335114, Scalar(-1), Scalar(1)), y = x * Scalar(.9);
      for (auto _ : state) result = static_cast<double>(eigen(x, y));
    });
  };
  both(
      "l1_norm", [](const auto& x, const auto&) { return sagitta::l1_norm(x); },
      [](const auto& x, const auto&) { return x.template cast<double>().template lpNorm<1>(); });
  both(
      "l2_norm", [](const auto& x, const auto&) { return sagitta::l2_norm(x); },
      [](const auto& x, const auto&) { return x.template cast<double>().norm(); });
  both(
      "l2_distance", [](const auto& x, const auto& y) { return sagitta::l2_distance(x, y); },
      [](const auto& x, const auto& y) {
        return (x.template cast<double>() - y.template cast<double>()).norm();
      });
}

const bool registered = (add<float>(), add<double>(), true);

}  // namespace
