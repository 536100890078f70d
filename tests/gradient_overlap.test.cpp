#include <sagitta/gradient_overlap.hpp>

#include "catch.hpp"
#include "generate.hpp"
#include "rejection.hpp"

using Eigen::MatrixXd;
using Eigen::MatrixXf;
using Eigen::VectorXd;
using generate::Index;
using sagitta::Overlap;

namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();

struct Truth {
  double value = 0, conditioning = 0;  // |H| |g| / |H_k g|
};

// g^T H_k g / (|g| |H_k g|) with H_k built from full eigenvectors
Truth naive_overlap(const MatrixXd& H, const VectorXd& g, Index k) {
  const Eigen::SelfAdjointEigenSolver<MatrixXd> solver(H);
  std::vector<Index> order(static_cast<std::size_t>(H.rows()));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<Index>(i);
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) {
    return std::abs(solver.eigenvalues()[a]) > std::abs(solver.eigenvalues()[b]);
  });
  MatrixXd Hk = MatrixXd::Zero(H.rows(), H.cols());
  for (Index i = 0; i < k; ++i) {
    const Index at = order[static_cast<std::size_t>(i)];
    Hk +=
        solver.eigenvalues()[at] * solver.eigenvectors().col(at) * solver.eigenvectors().col(at).transpose();
  }
  const VectorXd product = Hk * g;
  return {g.dot(product) / (g.norm() * product.norm()),
          solver.eigenvalues().cwiseAbs().maxCoeff() * g.norm() / product.norm()};
}

}  // namespace

TEST_CASE("the overlap agrees with full eigenvectors") {
  generate::Generator generator(51);
  double worst = 0;
  for (const Index n : {1, 2, 3, 8, 25, 60})
    for (const double t : {0.0, 0.5, 0.9, 0.99, 1.0})
      for (int trial = 0; trial < 4; ++trial) {
        VectorXd s(n);  // apart from each other, so that the truncated subspace is well defined
        for (Index i = 0; i < n; ++i) s[i] = std::floor(1e6 * std::pow(0.85, static_cast<double>(i)));
        if (trial % 2 == 1) s = generate::with_random_signs(generator, s);
        const MatrixXd H = generate::with_eigenvalues(generator, s);
        const VectorXd g = generate::vector(generator, n);
        const Overlap got = sagitta::gradient_hessian_overlap(H, g, t);
        REQUIRE(got.defined());
        const auto hundredths = static_cast<std::int64_t>(std::lround(100 * t));
        const Index k = t == 0 ? 1 : t == 1 ? n : generate::exact_rank(s, {hundredths, 100});
        CHECK(got.truncation == k);
        const Truth truth = naive_overlap(H, g, k);
        // n eps |H| |g| / |H_k g| by either way, and the gap of 15 % turns the cut's vectors by 7 times that
        const double allowed = 32 * static_cast<double>(n) * eps * truth.conditioning;
        CHECK(std::abs(got.value - truth.value) <= allowed);
        worst = std::max(
            worst, std::abs(got.value - truth.value) / (static_cast<double>(n) * eps * truth.conditioning));
        CHECK(std::abs(got.value) <= 1);
        CHECK(std::abs(sagitta::gradient_hessian_overlap(-H, g, t).value + got.value) <= allowed);
        CHECK(std::abs(sagitta::gradient_hessian_overlap(H, -g, t).value - got.value) <= allowed);
        for (const double scale : {0x1p-660, 0x1p600}) {
          CHECK(sagitta::gradient_hessian_overlap(H * scale, g, t).value == got.value);
          CHECK(sagitta::gradient_hessian_overlap(H, g * scale, t).value == got.value);
        }
        const MatrixXd Q = generate::orthogonal(generator, n, n);
        CHECK(std::abs(sagitta::gradient_hessian_overlap(Q * H * Q.transpose(), Q * g, t).value -
                       got.value) <= 2 * allowed);
      }
  INFO("largest error in units of n eps |H| |g| / |H_k g|: " << worst);
  CHECK(worst <= 32);
}

TEST_CASE("the overlap from a Gram matrix is that with the empirical Fisher") {
  generate::Generator generator(52);
  for (const auto& [d, M] :
       std::vector<std::pair<Index, Index>>{{1, 1}, {5, 1}, {1, 3}, {9, 4}, {30, 12}, {12, 30}}) {
    const MatrixXd G = generate::matrix(generator, d, M);
    const MatrixXd K = G.transpose() * G, F = G * G.transpose();
    const VectorXd g = G.rowwise().mean();
    for (const double t : {0.0, 0.5, 0.9, 0.99, 1.0}) {
      const Overlap got = sagitta::gradient_gram_overlap(K, t),
                    dense = sagitta::gradient_hessian_overlap(F, g, t);
      REQUIRE(got.defined());
      if (t < 1) CHECK(got.truncation == dense.truncation);
      // |1| |K| / |K_k 1| is about sqrt(M) |K| M / (|G|^2 |g| ...): generous for random G, tiny against 1
      CHECK(std::abs(got.value - dense.value) <= 1e-12);
      CHECK(got.value <= 1 + 8 * eps);
      CHECK(got.value >= 0);
      CHECK(sagitta::gradient_gram_overlap(K * 0x1p-700, t).value == got.value);
      CHECK(sagitta::gradient_gram_overlap(K * 0x1p700, t).value == got.value);
      // the mean loss: K / M^2
      CHECK(std::abs(sagitta::gradient_gram_overlap(K / static_cast<double>(M * M), t).value - got.value) <=
            1e-13);
    }
  }
}

TEST_CASE("simple overlaps are exact") {
  const MatrixXd I = MatrixXd::Identity(4, 4);
  const VectorXd g = Eigen::Vector4d(3, 4, 0, 0);
  CHECK(std::abs(sagitta::gradient_hessian_overlap(I, g, 1).value - 1) <= 4 * eps);
  CHECK(std::abs(sagitta::gradient_hessian_overlap(-I, g, 1).value + 1) <= 4 * eps);
  const MatrixXd D = Eigen::Vector4d(2, -1, 0, 0).asDiagonal();
  // (2 * 9 - 16) / (5 * sqrt(36 + 16))
  CHECK(std::abs(sagitta::gradient_hessian_overlap(D, g, 1).value - 2 / (5 * std::sqrt(52.0))) <= 4 * eps);
  // only the first eigenvalue is kept: 2 * 9 / (5 * 6)
  CHECK(std::abs(sagitta::gradient_hessian_overlap(D, g, 0).value - 0.6) <= 4 * eps);
  CHECK(std::abs(sagitta::gradient_gram_overlap(MatrixXd::Identity(5, 5), 1).value - 1) <= 4 * eps);
  CHECK(std::abs(sagitta::gradient_gram_overlap(MatrixXd::Ones(5, 5)).value - 1) <= 16 * eps);
}

TEST_CASE("the overlap takes any expression and reads the lower triangle") {
  generate::Generator generator(53);
  MatrixXd H = generate::matrix(generator, 7, 7);
  H = (H * H.transpose()).eval();
  const VectorXd g = generate::vector(generator, 7);
  const Overlap got = sagitta::gradient_hessian_overlap(H, g), gram = sagitta::gradient_gram_overlap(H);
  MatrixXd lower = H;
  lower.triangularView<Eigen::StrictlyUpper>().setConstant(std::numeric_limits<double>::quiet_NaN());
  for (const double t : {0.99, 1.0}) {
    CHECK(sagitta::gradient_hessian_overlap(lower, g, t).value ==
          sagitta::gradient_hessian_overlap(H, g, t).value);
    CHECK(sagitta::gradient_gram_overlap(lower, t).value == sagitta::gradient_gram_overlap(H, t).value);
  }
  CHECK(sagitta::gradient_hessian_overlap(H, g.transpose()).value == got.value);
  CHECK(sagitta::gradient_hessian_overlap(2 * H, g + g).value == got.value);
  const Eigen::Matrix<double, -1, -1, Eigen::RowMajor> rows = H;
  CHECK(sagitta::gradient_hessian_overlap(rows, g).value == got.value);
  CHECK(sagitta::gradient_gram_overlap(rows).value == gram.value);
  const MatrixXf single = H.cast<float>();
  const Eigen::VectorXf direction = g.cast<float>();
  CHECK(sagitta::gradient_hessian_overlap(single, direction).value ==
        sagitta::gradient_hessian_overlap(single.cast<double>(), direction.cast<double>()).value);
  CHECK(sagitta::gradient_hessian_overlap(H, direction).defined());
}

TEST_CASE("an overlap without a definition is a quiet NaN") {
  const MatrixXd I = MatrixXd::Identity(3, 3), zero = MatrixXd::Zero(3, 3);
  const VectorXd ones = VectorXd::Ones(3);
  const auto undefined = [](const Overlap& got) {
    CHECK_FALSE(got.defined());
    CHECK(std::isnan(got.value));
  };
  for (const double t : {0.0, 0.99, 1.0}) {
    undefined(sagitta::gradient_hessian_overlap(I, 0 * ones, t));
    undefined(sagitta::gradient_hessian_overlap(zero, ones, t));
    undefined(sagitta::gradient_hessian_overlap(MatrixXd(0, 0), VectorXd(0), t));
    undefined(sagitta::gradient_gram_overlap(zero, t));
    undefined(sagitta::gradient_gram_overlap(MatrixXd(0, 0), t));
    // g in the null space of H, up to rounding
    const VectorXd v = Eigen::Vector3d(1, -1, 0) / 3;
    undefined(sagitta::gradient_hessian_overlap(MatrixXd::Ones(3, 3), v, t));
    // gradients that cancel: K 1 = 0
    undefined(sagitta::gradient_gram_overlap(MatrixXd(I - MatrixXd::Constant(3, 3, 1.0 / 3)), t));
  }
}

TEST_CASE("a mean gradient that cancels to a stated error of the Gram matrix has no overlap") {
  generate::Generator generator(57);
  for (const Index M : {4, 30, 90}) {
    MatrixXd G = generate::matrix(generator, 200, M);
    const MatrixXd apart = G.transpose() * G;
    G.rightCols(M / 2) = -G.leftCols(M / 2);
    const MatrixXd R = generate::matrix(generator, M, M);  // what rounding may have left
    const MatrixXd K = G.transpose() * G + 1e-7 * R * R.transpose();
    const double error = std::numeric_limits<float>::epsilon() * K.norm();
    for (const double t : {0.99, 1.0}) {
      CHECK_FALSE(sagitta::gradient_gram_overlap(K, t, error).defined());
      CHECK(sagitta::gradient_gram_overlap(K, t).defined());
      CHECK(sagitta::gradient_gram_overlap(apart, t, error).value ==
            sagitta::gradient_gram_overlap(apart, t).value);
      CHECK_FALSE(sagitta::gradient_gram_overlap(K * 0x1p300, t, error * 0x1p300).defined());
      CHECK(sagitta::gradient_gram_overlap(apart * 0x1p300, t, error * 0x1p300).defined());
    }
  }
}

TEST_CASE("overlaps reject what they cannot answer") {
  const MatrixXd I = MatrixXd::Identity(3, 3);
  const VectorXd ones = VectorXd::Ones(3);
  const auto hessian = [](const auto& H, const auto& g, double t = 0.99) {
    return rejection([&] { (void)sagitta::gradient_hessian_overlap(H, g, t); });
  };
  const auto gram = [](const auto& K, double t = 0.99) {
    return rejection([&] { (void)sagitta::gradient_gram_overlap(K, t); });
  };
  CHECK(hessian(MatrixXd::Ones(2, 3), ones) ==
        "gradient_hessian_overlap: H is 2 x 3, expected a square matrix");
  CHECK(hessian(I, VectorXd::Ones(4)) == "gradient_hessian_overlap: g has 4 elements, expected 3");
  CHECK(holds(hessian(I, ones, 1.5), "gradient_hessian_overlap: threshold is 1.5"));
  CHECK(gram(MatrixXd::Ones(2, 3)) == "gradient_gram_overlap: K is 2 x 3, expected a square matrix");
  CHECK(holds(gram(I, -0.5), "gradient_gram_overlap: threshold is -0.5"));
  CHECK(holds(gram(MatrixXd(-I)), "gradient_gram_overlap: K(0, 0) is negative"));
  CHECK(holds(rejection([&] { (void)sagitta::gradient_gram_overlap(I, 0.99, -1); }),
              "gradient_gram_overlap: input_error is -1, expected a finite number >= 0"));
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    MatrixXd A = I;
    VectorXd g = ones;
    A(2, 1) = g[1] = bad;
    for (const double t : {0.99, 1.0}) {
      CHECK(holds(hessian(A, ones, t), "gradient_hessian_overlap: H(2, 1) is "));
      CHECK(holds(hessian(I, g, t), "gradient_hessian_overlap: g(1, 0) is "));
      CHECK(holds(gram(A, t), "gradient_gram_overlap: K(2, 1) is "));
      CHECK(holds(gram(MatrixXf(A.cast<float>()), t), "gradient_gram_overlap: K(2, 1) is "));
    }
    CHECK(holds(hessian(I, ones, bad), "threshold is "));
    CHECK(holds(gram(I, bad), "threshold is "));
  }
}
