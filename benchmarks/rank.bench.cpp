#include <sagitta/sagitta.hpp>

#include "peers.hpp"

// The effective rank of a symmetric matrix at the paper's sizes: 256 is the empirical Fisher's Gram matrix,
// 2304 the Gauss-Newton's (256 samples, 10 classes), 3626 the Hessian of 36-32-32-32-10.
namespace {

using namespace bench;

template <class Scalar>
void add(Index n) {
  const std::string workload = "symmetric_effective_rank n=" + std::to_string(n);
  route(workload, scalar_name<Scalar>, "sagitta", [n](benchmark::State& state, double& result) {
    const Matrix<Scalar> A = symmetric<Scalar>(n);
    for (auto _ : state) result = static_cast<double>(sagitta::symmetric_effective_rank(A).rank);
  });
  route(workload, scalar_name<Scalar>, "Eigen", [n](benchmark::State& state, double& result) {
    const Matrix<Scalar> A = symmetric<Scalar>(n);
    for (auto _ : state)
      result = static_cast<double>(
          plain_rank(Eigen::SelfAdjointEigenSolver<Matrix<Scalar>>(A, Eigen::EigenvaluesOnly).eigenvalues()));
  });
#ifdef SAGITTA_LAPACK
  route(workload, scalar_name<Scalar>, "LAPACK", [n](benchmark::State& state, double& result) {
    const Matrix<Scalar> A = symmetric<Scalar>(n);
    Matrix<Scalar> scratch;
    for (auto _ : state) {
      scratch = A;
      result = static_cast<double>(plain_rank(lapack_eigenvalues(scratch, 'N')));
    }
  });
#endif
}

const bool registered = [] {
  for (const Index n : {128, 256, 512, 1280, 2304, 3626}) add<float>(n), add<double>(n);
  return true;
}();

}  // namespace
