#include <sagitta/sagitta.hpp>

#include "peers.hpp"

// The rank of the Gauss-Newton matrix of 36-32-32-32-10 (P = 3626 parameters) from 32 and 256 samples'
// Jacobians, and of 36-16-16-16-10 (1306) from 32. The plain route forms the P x P matrix, as the paper
// describes it.
namespace {

using namespace bench;

constexpr Index classes = 10;

template <class Scalar>
struct Case {
  Matrix<Scalar> J, p;
  Case(Index samples, Index parameters) : J(decaying<Scalar>(samples * classes, parameters)) {
    p = sagitta::softmax(uniform<Scalar>(samples, classes, 2) * Scalar(3));
  }
};

template <class Scalar>
Matrix<Scalar> plain_matrix(const Case<Scalar>& given) {
  Matrix<Scalar> HJ(given.J.rows(), given.J.cols());
  for (Index m = 0; m < given.p.rows(); ++m) {
    const Vector<Scalar> p = given.p.row(m);
    Matrix<Scalar> H = -p * p.transpose();
    H.diagonal() += p;
    HJ.middleRows(m * classes, classes).noalias() = H * given.J.middleRows(m * classes, classes);
  }
  return given.J.transpose() * HJ;
}

template <class Scalar>
void add(Index samples, Index parameters) {
  const std::string workload =
      "gauss_newton_rank M=" + std::to_string(samples) + " C=10 P=" + std::to_string(parameters);
  route(workload, scalar_name<Scalar>, "sagitta", [=](benchmark::State& state, double& result) {
    const Case<Scalar> given(samples, parameters);
    for (auto _ : state) result = static_cast<double>(sagitta::gauss_newton_rank(given.J, given.p).rank);
  });
  route(workload, scalar_name<Scalar>, "plain", [=](benchmark::State& state, double& result) {
    const Case<Scalar> given(samples, parameters);
    for (auto _ : state)
      result = static_cast<double>(plain_rank(
          Eigen::SelfAdjointEigenSolver<Matrix<Scalar>>(plain_matrix(given), Eigen::EigenvaluesOnly)
              .eigenvalues()));
  });
#ifdef SAGITTA_LAPACK
  route(workload, scalar_name<Scalar>, "LAPACK", [=](benchmark::State& state, double& result) {
    const Case<Scalar> given(samples, parameters);
    for (auto _ : state) {
      Matrix<Scalar> H = plain_matrix(given);
      result = static_cast<double>(plain_rank(lapack_eigenvalues(H, 'N')));
    }
  });
#endif
}

const bool registered = [] {
  for (const auto& [samples, parameters] : {std::pair<Index, Index>{32, 1306}, {32, 3626}, {256, 3626}})
    add<float>(samples, parameters), add<double>(samples, parameters);
  return true;
}();

}  // namespace
