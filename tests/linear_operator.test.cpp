#include <sagitta/estimated_trace.hpp>
#include <sagitta/gradient_overlap.hpp>
#include <sagitta/linear_operator.hpp>

#include "catch.hpp"
#include "generate.hpp"
#include "rejection.hpp"

using Eigen::MatrixXd;
using Eigen::MatrixXf;
using Eigen::VectorXd;

namespace {

struct Rectangle {
  using Scalar = double;
  Eigen::Index rows() const { return 2; }
  Eigen::Index cols() const { return 3; }
  void perform_op(const double*, double*) const {}
};
struct NotConst {
  using Scalar = double;
  Eigen::Index rows() const { return 2; }
  Eigen::Index cols() const { return 2; }
  void perform_op(const double*, double*) {}
};
struct LikeSpectra {  // as the classes of that library are written: int sizes, counting behind a const
  using Scalar = float;
  mutable int products = 0;
  int rows() const { return 3; }
  int cols() const { return 3; }
  void perform_op(const float* in, float* out) const {
    ++products;
    for (int i = 0; i < 3; ++i) out[i] = static_cast<float>(i - 1) * in[i];
  }
};
struct Whole {
  using Scalar = int;
  int rows() const { return 2; }
  int cols() const { return 2; }
  void perform_op(const int*, int*) const {}
};

}  // namespace

TEST_CASE("an operator is what has the members, and nothing else is") {
  const auto twice = [](const auto& in, auto& out) { out = 2 * in; };
  CHECK(sagitta::SymmetricOperator<sagitta::DenseOperator<double>>);
  CHECK(sagitta::SymmetricOperator<sagitta::DenseOperator<float>>);
  CHECK(sagitta::SymmetricOperator<sagitta::FunctionOperator<decltype(twice)>>);
  CHECK(sagitta::SymmetricOperator<Rectangle>);  // its shape is checked when it is used
  CHECK_FALSE(sagitta::SymmetricOperator<NotConst>);
  CHECK_FALSE(sagitta::SymmetricOperator<Whole>);
  CHECK_FALSE(sagitta::SymmetricOperator<MatrixXd>);
  CHECK_FALSE(sagitta::SymmetricOperator<int>);
}

TEST_CASE("an operator of one's own goes through every algorithm") {
  STATIC_REQUIRE(sagitta::SymmetricOperator<LikeSpectra>);
  const LikeSpectra op;
  std::minstd_rand generator(7);
  const auto pairs = sagitta::extreme_eigenpairs(op, 3, generator);
  CHECK(pairs.converged);
  CHECK(pairs.products == op.products);
  CHECK(std::abs(std::abs(pairs.values[0]) - 1) <= 1e-6);
  CHECK(std::abs(pairs.values[2]) <= 1e-6);
  CHECK(sagitta::estimated_effective_rank(op, .99, generator).rank == 2);
  CHECK(std::abs(sagitta::estimated_trace(op, 4, generator).value) <= 1e-6);
  CHECK(std::abs(sagitta::spectral_density(op, generator).weights.sum() - 1) <= 1e-12);
  const Eigen::Vector3d g(1, 1, 2);  // g^T H g = 3, |g| = sqrt(6), |H g| = sqrt(5)
  CHECK(std::abs(sagitta::gradient_hessian_overlap(op, g, 1, generator).value - 3 / std::sqrt(30.0)) <= 1e-6);
}

TEST_CASE("dense and function operators multiply as the matrix does") {
  generate::Generator generator(61);
  for (const Eigen::Index n : {0, 1, 2, 17}) {
    MatrixXd A = generate::matrix(generator, n, n);
    A = (A + A.transpose()).eval();
    const VectorXd x = generate::vector(generator, n);
    VectorXd y = VectorXd::Constant(n, 7);
    MatrixXd lower = A;
    lower.triangularView<Eigen::StrictlyUpper>().setConstant(std::numeric_limits<double>::quiet_NaN());
    sagitta::DenseOperator dense(lower);
    lower.setZero();  // it owns a copy
    dense.perform_op(x.data(), y.data());
    CHECK((y - A * x).norm() <= 1e-15 * static_cast<double>(n) * A.norm());
    const sagitta::FunctionOperator function(n, [&](const auto& in, auto& out) { out.noalias() = A * in; });
    VectorXd z = VectorXd::Constant(n, 7);
    function.perform_op(x.data(), z.data());
    CHECK((y - z).norm() <= 1e-15 * static_cast<double>(n) * A.norm());
    const sagitta::DenseOperator rows(
        Eigen::Matrix<float, -1, -1, Eigen::RowMajor>(A.cast<float>()));  // float, by rows
    Eigen::VectorXf single(n), from = x.cast<float>();
    rows.perform_op(from.data(), single.data());
    CHECK((single.cast<double>() - y).norm() <= 1e-6 * static_cast<double>(n) * (A.norm() + 1));
  }
}

TEST_CASE("operators reject what they cannot be") {
  CHECK(rejection([] { sagitta::DenseOperator(MatrixXd::Ones(2, 3)); }) ==
        "DenseOperator: A is 2 x 3, expected a square matrix");
  MatrixXf A = MatrixXf::Identity(3, 3);
  A(2, 1) = std::numeric_limits<float>::infinity();
  CHECK(rejection([&] { sagitta::DenseOperator op(A); }) ==
        "DenseOperator: A(2, 1) is infinite, expected finite values");
  CHECK(rejection([] { sagitta::FunctionOperator(-1, [](const auto&, auto&) {}); }) ==
        "FunctionOperator: size is -1, expected a number >= 0");
}

TEST_CASE("an operator states how far its products are off, or has the rounding of its Scalar") {
  struct Stating {
    using Scalar = float;
    double stated;
    Eigen::Index rows() const { return 2; }
    Eigen::Index cols() const { return 2; }
    double product_error() const { return stated; }
    void perform_op(const float* in, float* out) const { std::copy(in, in + 2, out); }
  };
  STATIC_REQUIRE(sagitta::SymmetricOperator<Stating>);
  const double eps = std::numeric_limits<double>::epsilon(), single = std::numeric_limits<float>::epsilon();
  const MatrixXd A = MatrixXd::Identity(64, 64);
  CHECK(sagitta::product_error(sagitta::DenseOperator(A)) == 64 * eps);
  CHECK(sagitta::product_error(sagitta::DenseOperator(MatrixXf(A.cast<float>()))) == 64 * single);
  CHECK(sagitta::product_error(Stating{1e-4}) == 1e-4 + single);  // the vector is rounded to float
  const auto same = [](const auto& in, auto& out) { out = in; };
  CHECK(sagitta::product_error(sagitta::FunctionOperator(64, same)) == 64 * eps);
  CHECK(sagitta::product_error(sagitta::FunctionOperator(64, same, 1e-5)) == 1e-5);
  for (const double bad : {-1.0, std::numeric_limits<double>::infinity()}) {
    CHECK(holds(rejection([&] { (void)sagitta::product_error(Stating{bad}); }), "product_error: op states "));
    CHECK(holds(rejection([&] { sagitta::FunctionOperator(2, same, bad); }), "FunctionOperator: error is "));
  }
}
