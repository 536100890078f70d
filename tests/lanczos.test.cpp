#include <sagitta/lanczos.hpp>

#include "catch.hpp"
#include "generate.hpp"
#include "rejection.hpp"

using Eigen::MatrixXd;
using Eigen::VectorXd;
using generate::Index;
using sagitta::DenseOperator;
using sagitta::Extreme;

namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();

MatrixXd with_spectrum(generate::Generator& generator, const VectorXd& values) {
  const MatrixXd Q = generate::orthogonal(generator, values.size(), values.size());
  const MatrixXd A = Q * values.asDiagonal() * Q.transpose();
  return (A + A.transpose()) / 2;
}

}  // namespace

TEST_CASE("lanczos: A V = V T + r e^T, with an orthonormal V") {
  generate::Generator generator(71);
  for (const Index n : {1, 2, 5, 40, 90})
    for (const generate::Kind kind : generate::kinds)
      for (const double scale : {1.0, 0x1p-600, 0x1p500})
        for (const Index steps : {1, 7, 200}) {
          const VectorXd s = generate::with_random_signs(generator, generate::spectrum(generator, kind, n));
          const MatrixXd A = with_spectrum(generator, s) * scale;
          const auto run = sagitta::lanczos(DenseOperator(A), steps, generator);
          const Index m = run.steps();
          REQUIRE(m >= 1);
          REQUIRE(m <= std::min(n, steps));
          REQUIRE(run.basis.cols() == m);
          REQUIRE(run.off_diagonal.size() == m - 1);
          MatrixXd T = run.diagonal.asDiagonal();
          for (Index i = 0; i + 1 < m; ++i) T(i, i + 1) = T(i + 1, i) = run.off_diagonal[i];
          MatrixXd error = A * run.basis - run.basis * T;
          error.col(m - 1) -= run.residual;
          // a few roundings of products of n terms, a breakdown's neglected residual among them
          const double rounding = 16 * std::sqrt(static_cast<double>(n)) * eps;
          CHECK((error / scale).cwiseAbs().maxCoeff() <= rounding * s.cwiseAbs().maxCoeff());
          CHECK((run.basis.transpose() * run.basis - MatrixXd::Identity(m, m)).cwiseAbs().maxCoeff() <=
                32 * eps);
          CHECK((run.basis.transpose() * (run.residual / scale)).norm() <=
                rounding * s.cwiseAbs().maxCoeff());
          if (m == n || m < steps) CHECK(run.residual.isZero(0));
        }
}

TEST_CASE("lanczos: the space of a start in m eigenspaces is invariant after m steps") {
  generate::Generator generator(72);
  VectorXd s(30);
  for (Index i = 0; i < 30; ++i) s[i] = static_cast<double>(i % 3) - 1;  // three eigenvalues
  const MatrixXd A = with_spectrum(generator, s);
  CHECK(sagitta::lanczos(DenseOperator(A), 30, generator).steps() == 3);
  CHECK(sagitta::lanczos(DenseOperator(MatrixXd::Zero(30, 30)), 5, generator).steps() == 1);
  // the same start, the same numbers, whatever its length
  const VectorXd start = generate::vector(generator, 30);
  const auto one = sagitta::lanczos(DenseOperator(A), start, 3),
             two = sagitta::lanczos(DenseOperator(A), start * 0x1p700, 3);
  CHECK(one.diagonal == two.diagonal);
  generate::Generator first(5), second(5);
  CHECK(sagitta::lanczos(DenseOperator(A), 3, first).diagonal ==
        sagitta::lanczos(DenseOperator(A), 3, second).diagonal);
}

TEST_CASE("extreme_eigenpairs: those of the full decomposition, repeated ones as often as they occur") {
  generate::Generator generator(73);
  for (const Index n : {1, 3, 30, 120})
    for (const generate::Kind kind : generate::kinds)
      for (const Extreme extreme : {Extreme::modulus, Extreme::largest, Extreme::smallest})
        for (const Index k : {1, 4}) {
          if (k > n) continue;
          VectorXd s = generate::with_random_signs(generator, generate::spectrum(generator, kind, n));
          const MatrixXd A = with_spectrum(generator, s);
          const auto pairs =
              sagitta::extreme_eigenpairs(DenseOperator(A), k, generator, {.extreme = extreme});
          const auto key = [&](double value) {
            return extreme == Extreme::modulus   ? std::abs(value)
                   : extreme == Extreme::largest ? value
                                                 : -value;
          };
          std::sort(s.begin(), s.end(), [&](double a, double b) { return key(a) > key(b); });
          const double norm = std::max(s.cwiseAbs().maxCoeff(), 1.0);
          CHECK(pairs.converged);
          REQUIRE(pairs.values.size() == k);
          for (Index i = 0; i < k; ++i) {
            CHECK(std::abs(key(pairs.values[i]) - key(s[i])) <= 1e-8 * norm);
            // whatever else is said, an eigenvalue lies within the residual
            CHECK((s.array() - pairs.values[i]).abs().minCoeff() <= pairs.residuals[i] + 1e-12 * norm);
          }
          CHECK((pairs.vectors.transpose() * pairs.vectors - MatrixXd::Identity(k, k)).norm() <= 1e-12);
        }
}

TEST_CASE("extreme_eigenpairs: what has not converged says so, and its residuals hold") {
  generate::Generator generator(74);
  VectorXd s(300);
  for (Index i = 0; i < 300; ++i) s[i] = 1 + 1e-3 * static_cast<double>(i);
  const MatrixXd A = with_spectrum(generator, s);
  const auto pairs = sagitta::extreme_eigenpairs(DenseOperator(A), 2, generator, {.max_products = 30});
  CHECK_FALSE(pairs.converged);
  CHECK(pairs.products <= 30);
  for (Index i = 0; i < 2; ++i) {
    CHECK(std::abs((A * pairs.vectors.col(i) - pairs.values[i] * pairs.vectors.col(i)).norm() -
                   pairs.residuals[i]) <= 1e-12);
    CHECK((s.array() - pairs.values[i]).abs().minCoeff() <= pairs.residuals[i] + 1e-12);
  }
  CHECK(sagitta::extreme_eigenpairs(DenseOperator(A), 0, generator).converged);
  CHECK(sagitta::extreme_eigenpairs(DenseOperator(MatrixXd(0, 0)), 0, generator).values.size() == 0);
  const auto single =
      sagitta::extreme_eigenpairs(DenseOperator(Eigen::MatrixXf(A.cast<float>())), 2, generator);
  CHECK(std::abs(single.values[0] - 1.299) <= 1e-4);
}

TEST_CASE("extreme_eigenpairs: where convergence is slow the space grows, up to the whole of a small one") {
  generate::Generator generator(76);
  for (const Index n : {120, 300}) {
    VectorXd s(n);  // crowded towards zero, from below
    for (Index i = 0; i < n; ++i) s[i] = -std::pow(.9, static_cast<double>(i));
    const MatrixXd A = with_spectrum(generator, s);
    std::sort(s.begin(), s.end(), std::greater<>());
    Index products = 0;
    const sagitta::FunctionOperator op(n, [&](const auto& in, auto& out) {
      out.noalias() = A * in;
      ++products;
    });
    for (const Index k : {1, 5, 40}) {
      products = 0;
      const auto pairs = sagitta::extreme_eigenpairs(op, k, generator, {.extreme = Extreme::largest});
      CHECK(pairs.converged);
      CHECK(pairs.products == products);
      CHECK(products <= 40 * (2 * k + 20));
      CHECK((pairs.values - s.head(k)).cwiseAbs().maxCoeff() <= 1e-9);
    }
  }
}

TEST_CASE("extreme_eigenpairs: all n, and the same again from any generator of the standard library") {
  generate::Generator of_matrix(77);
  const auto check = [&](auto generator) {
    for (const Index n : {0, 1, 2, 9, 60}) {
      const VectorXd s =
          generate::with_random_signs(of_matrix, generate::spectrum(of_matrix, generate::Kind::repeated, n));
      const DenseOperator op(with_spectrum(of_matrix, s));
      auto first = generator, second = generator;
      const auto pairs = sagitta::extreme_eigenpairs(op, n, first);
      const auto again = sagitta::extreme_eigenpairs(op, n, second);
      CHECK(pairs.values == again.values);
      CHECK(pairs.vectors == again.vectors);
      CHECK(first == second);
      CHECK(pairs.converged);
      VectorXd got = pairs.values, want = s;
      std::sort(got.begin(), got.end());
      std::sort(want.begin(), want.end());
      CHECK((got - want).isZero(1e-10));
    }
  };
  check(std::mt19937(1));
  check(std::mt19937_64(1));
  check(std::minstd_rand(1));
  check(std::ranlux24_base(1));
}

TEST_CASE("extreme_eigenpairs: what no second pass has confirmed has not converged") {
  generate::Generator generator(78);
  VectorXd s = VectorXd::Zero(300);  // one start finds 5 once, and then nothing but zeros
  s.head(3) << 5, 5, 1;
  const DenseOperator op(with_spectrum(generator, s));
  const auto hasty = sagitta::extreme_eigenpairs(op, 2, generator, {.max_products = 26});
  CHECK(hasty.residuals.maxCoeff() <= 1e-9);
  CHECK(hasty.products <= 26);
  CHECK_FALSE(hasty.converged);
  const auto patient = sagitta::extreme_eigenpairs(op, 2, generator);
  CHECK(patient.converged);
  CHECK((patient.values.array() - 5).abs().maxCoeff() <= 1e-9);
}

TEST_CASE("lanczos and extreme_eigenpairs reject what they cannot answer") {
  generate::Generator generator(75);
  const DenseOperator I(MatrixXd::Identity(3, 3));
  CHECK(rejection([&] { (void)sagitta::lanczos(I, VectorXd::Ones(4), 2); }) ==
        "lanczos: start has 4 elements, expected 3");
  CHECK(rejection([&] { (void)sagitta::lanczos(I, VectorXd::Zero(3), 2); }) ==
        "lanczos: start is zero, expected a direction");
  CHECK(rejection([&] { (void)sagitta::lanczos(I, VectorXd::Ones(3), 0); }) ==
        "lanczos: steps is 0, expected at least 1");
  CHECK(rejection([&] { (void)sagitta::extreme_eigenpairs(I, 4, generator); }) ==
        "extreme_eigenpairs: k is 4, expected 0 to 3");
  CHECK(rejection([&] { (void)sagitta::extreme_eigenpairs(I, 1, generator, {.tolerance = -1}); }) ==
        "extreme_eigenpairs: tolerance is -1, expected a finite number >= 0");
  CHECK(rejection([&] { (void)sagitta::extreme_eigenpairs(I, 1, generator, {.max_products = -1}); }) ==
        "extreme_eigenpairs: max_products is -1, expected at least 0");
  const sagitta::FunctionOperator broken(
      3, [](const auto&, auto& out) { out.setConstant(std::numeric_limits<double>::quiet_NaN()); });
  CHECK(rejection([&] { (void)sagitta::extreme_eigenpairs(broken, 1, generator); }) ==
        "extreme_eigenpairs: element 0 of a product of op is NaN or infinite, expected finite values");
  struct Rectangle {
    using Scalar = double;
    Index rows() const { return 2; }
    Index cols() const { return 3; }
    void perform_op(const double*, double*) const {}
  };
  CHECK(rejection([&] { (void)sagitta::extreme_eigenpairs(Rectangle{}, 1, generator); }) ==
        "extreme_eigenpairs: op is 2 x 3, expected a square matrix");
}
