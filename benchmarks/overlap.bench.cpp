#include <sagitta/sagitta.hpp>

#include "peers.hpp"

// The overlap of gradient and curvature: from the 256 x 256 Gram matrix of the empirical Fisher, and with a
// dense Hessian.
namespace {

using namespace bench;

// sum_{i<=k} lambda_i c_i^2 / (|g| sqrt(sum_{i<=k} lambda_i^2 c_i^2)), word by word from all eigenvectors
template <class Scalar>
double plain_overlap(const Vector<Scalar>& values, const Matrix<Scalar>& vectors, const Vector<Scalar>& g) {
  const Vector<double> c = (vectors.transpose() * g).template cast<double>();
  std::vector<Index> order(static_cast<std::size_t>(values.size()));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<Index>(i);
  std::sort(order.begin(), order.end(),
            [&](Index a, Index b) { return std::abs(values[a]) > std::abs(values[b]); });
  double projected = 0, square = 0;
  for (Index i = 0, k = plain_rank(values); i < k; ++i) {
    const Index j = order[static_cast<std::size_t>(i)];
    const auto value = static_cast<double>(values[j]);
    projected += value * c[j] * c[j];
    square += value * value * c[j] * c[j];
  }
  return projected / (static_cast<double>(g.norm()) * std::sqrt(square));
}

template <class Scalar>
void add_hessian(Index n) {
  const std::string workload = "gradient_hessian_overlap n=" + std::to_string(n);
  const auto gradient = [n] { return Vector<Scalar>(Vector<Scalar>::LinSpaced(n, Scalar(-1), Scalar(2))); };
  route(workload, scalar_name<Scalar>, "sagitta", [=](benchmark::State& state, double& result) {
    const Matrix<Scalar> H = symmetric<Scalar>(n);
    const Vector<Scalar> g = gradient();
    for (auto _ : state) result = sagitta::gradient_hessian_overlap(H, g).value;
  });
  route(workload, scalar_name<Scalar>, "Eigen", [=](benchmark::State& state, double& result) {
    const Matrix<Scalar> H = symmetric<Scalar>(n);
    const Vector<Scalar> g = gradient();
    for (auto _ : state) {
      const Eigen::SelfAdjointEigenSolver<Matrix<Scalar>> solver(H);
      result = plain_overlap<Scalar>(solver.eigenvalues(), solver.eigenvectors(), g);
    }
  });
#ifdef SAGITTA_LAPACK
  route(workload, scalar_name<Scalar>, "LAPACK", [=](benchmark::State& state, double& result) {
    const Matrix<Scalar> H = symmetric<Scalar>(n);
    const Vector<Scalar> g = gradient();
    Matrix<Scalar> vectors;
    for (auto _ : state) {
      vectors = H;
      const Vector<Scalar> values = lapack_eigenvalues(vectors, 'V');
      result = plain_overlap<Scalar>(values, vectors, g);
    }
  });
#endif
}

// sums of lambda_i^p b_i^2, b = Q^T 1
template <class Scalar>
double plain_gram_overlap(const Vector<Scalar>& values, const Matrix<Scalar>& vectors) {
  const Index k = plain_rank(values);  // ascending: the k largest are the last
  const Vector<double> lambda = values.template cast<double>().cwiseMax(0);
  const Vector<double> b2 =
      vectors.colwise().sum().transpose().array().square().matrix().template cast<double>();
  const double whole = lambda.dot(b2);
  const double square = lambda.tail(k).array().square().matrix().dot(b2.tail(k));
  const double cube = lambda.tail(k).array().cube().matrix().dot(b2.tail(k));
  return square / std::sqrt(whole * cube);
}

template <class Scalar>
void add_gram(Index M) {
  const std::string workload = "gradient_gram_overlap M=" + std::to_string(M);
  const auto gram = [M] {
    const Matrix<Scalar> A = decaying<Scalar>(M, M);
    return Matrix<Scalar>(A * A.transpose());
  };
  route(workload, scalar_name<Scalar>, "sagitta", [=](benchmark::State& state, double& result) {
    const Matrix<Scalar> K = gram();
    for (auto _ : state) result = sagitta::gradient_gram_overlap(K).value;
  });
  route(workload, scalar_name<Scalar>, "Eigen", [=](benchmark::State& state, double& result) {
    const Matrix<Scalar> K = gram();
    for (auto _ : state) {
      const Eigen::SelfAdjointEigenSolver<Matrix<Scalar>> solver(K);
      result = plain_gram_overlap<Scalar>(solver.eigenvalues(), solver.eigenvectors());
    }
  });
#ifdef SAGITTA_LAPACK
  route(workload, scalar_name<Scalar>, "LAPACK", [=](benchmark::State& state, double& result) {
    const Matrix<Scalar> K = gram();
    Matrix<Scalar> vectors;
    for (auto _ : state) {
      vectors = K;
      const Vector<Scalar> values = lapack_eigenvalues(vectors, 'V');
      result = plain_gram_overlap<Scalar>(values, vectors);
    }
  });
#endif
}

const bool registered = [] {
  add_gram<float>(256), add_gram<double>(256);
  for (const Index n : {512, 1280, 3626}) add_hessian<float>(n), add_hessian<double>(n);
  return true;
}();

}  // namespace
