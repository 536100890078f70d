#include <sagitta/norms.hpp>

#include "catch.hpp"
#include "generate.hpp"
#include "rejection.hpp"

using Eigen::MatrixXd;
using Eigen::MatrixXf;
using Eigen::VectorXd;
using generate::Index;

namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();

long double naive_l1(const MatrixXd& A) {
  long double sum = 0;
  for (const double x : A.reshaped()) sum += std::abs(static_cast<long double>(x));
  return sum;
}

long double naive_l2(const MatrixXd& A) {
  long double sum = 0;
  for (const double x : A.reshaped()) sum += static_cast<long double>(x) * x;
  return std::sqrt(sum);
}

bool close(double got, long double want, double allowed) {
  return std::abs(static_cast<double>(got - want)) <= allowed * static_cast<double>(want);
}

}  // namespace

TEST_CASE("norms and distances agree with sums in long double") {
  generate::Generator generator(71);
  for (const auto& [m, n] : generate::shapes()) {
    const MatrixXd A = generate::matrix(generator, m, n), B = generate::matrix(generator, m, n);
    const double allowed = 8 * eps;  // "a few eps"
    CHECK(close(sagitta::l1_norm(A), naive_l1(A), allowed));
    CHECK(close(sagitta::l2_norm(A), naive_l2(A), allowed));
    CHECK(close(sagitta::l1_distance(A, B), naive_l1(A - B), allowed));
    CHECK(close(sagitta::l2_distance(A, B), naive_l2(A - B), allowed));
    const Eigen::Matrix<double, -1, -1, Eigen::RowMajor> rows = A;
    CHECK(close(sagitta::l1_norm(rows), naive_l1(A), allowed));
    CHECK(close(sagitta::l2_norm(rows), naive_l2(A), allowed));
    CHECK(close(sagitta::l1_norm(A.transpose()), naive_l1(A), allowed));
    CHECK(close(sagitta::l1_norm(A.array()), naive_l1(A), allowed));
    CHECK(close(sagitta::l2_norm(A - B), naive_l2(A - B), allowed));
    CHECK(close(sagitta::l2_distance(A.array(), B.array()), naive_l2(A - B), allowed));
    CHECK(close(sagitta::l2_distance(A.reshaped(), B.reshaped()), naive_l2(A - B), allowed));
    CHECK(sagitta::l2_distance(A, A) == 0);
    const MatrixXf F = A.cast<float>();
    CHECK(close(sagitta::l1_norm(F), naive_l1(F.cast<double>()), allowed));
    CHECK(close(sagitta::l2_norm(F), naive_l2(F.cast<double>()), allowed));
    CHECK(close(sagitta::l1_distance(F, B), naive_l1(F.cast<double>() - B), allowed));
    for (const double scale : {0x1p-1000, 0x1p-600, 0x1p600, 0x1p1000}) {
      CHECK(sagitta::l1_norm(A * scale) == scale * sagitta::l1_norm(A));
      CHECK(sagitta::l2_norm(A * scale) == scale * sagitta::l2_norm(A));
    }
  }
  CHECK(sagitta::l1_norm(Eigen::Vector2d(3, -4)) == 7);
  CHECK(sagitta::l2_norm(Eigen::Vector2d(3, -4)) == 5);
  CHECK(sagitta::l2_norm(Eigen::Vector2d(5e-324, 0)) == 5e-324);
  CHECK(sagitta::l2_norm(Eigen::Vector2f(3e38f, 3e38f)) > 4e38);
}

TEST_CASE("the rounding of a norm does not grow with the number of elements") {
  // equal elements, whose roundings all point one way
  for (const auto& [m, n] :
       std::vector<std::pair<Index, Index>>{{200000, 1}, {1, 200000}, {2, 100000}, {1000, 200}})
    for (const double entry : {0.1, 0.3, 0.7}) {
      const MatrixXd A = MatrixXd::Constant(m, n, entry);
      const Eigen::Matrix<double, -1, -1, Eigen::RowMajor> rows = A;
      const long double exact = static_cast<long double>(entry) * 200000;
      const double allowed = 128 * eps;  // blocks of 1024 in packets, and some 200 blocks
      CHECK(close(sagitta::l1_norm(A), exact, allowed));
      CHECK(close(sagitta::l1_norm(rows), exact, allowed));
      CHECK(close(sagitta::l2_norm(A), entry * std::sqrt(200000.0L), allowed));
      CHECK(close(sagitta::l2_norm(rows), entry * std::sqrt(200000.0L), allowed));
    }
  CHECK(close(sagitta::l1_norm(Eigen::RowVectorXd::Constant(200000, 0.1)), 0.1L * 200000, 128 * eps));
}

TEST_CASE("norms where plain sums over- or underflow, and where only single squares do") {
  // n equal elements, n a square: exact
  for (const double entry :
       {0x1p-1074, 0x1p-1022, 0x1p-540, 0x1p-460, 0x1p-449, 0x1p490, 0x1p511, 0x1p1000}) {
    const MatrixXd A = MatrixXd::Constant(50, 50, entry), zero = MatrixXd::Zero(50, 50);
    CHECK(sagitta::l2_norm(A) == 50 * entry);
    CHECK(sagitta::l1_norm(A) == 2500 * entry);
    CHECK(sagitta::l2_distance(A, zero) == 50 * entry);
    CHECK(sagitta::l2_distance(zero, A) == 50 * entry);
    CHECK(sagitta::l1_distance(A, zero) == 2500 * entry);
    CHECK(sagitta::l1_distance(A, 3 * A) == 5000 * entry);
  }
  const double largest = std::numeric_limits<double>::max();
  CHECK(sagitta::l1_norm(Eigen::Vector2d(largest / 2, largest / 2)) == largest);
  CHECK(sagitta::l2_norm(Eigen::Vector2d(1, 0x1p-600)) == 1);
  CHECK(sagitta::l2_norm(Eigen::Vector2d(0x1p-455, 0x1p-700)) == 0x1p-455);
  CHECK(sagitta::l2_norm(MatrixXd::Zero(3, 3)) == 0);
  const MatrixXf tiny = MatrixXf::Constant(50, 50, 0x1p-149f);  // squares of floats need no care
  CHECK(sagitta::l2_norm(tiny) == 50 * 0x1p-149);
}

TEST_CASE("distances of matrices that are stored differently") {
  generate::Generator generator(72);
  using Rows = Eigen::Matrix<double, -1, -1, Eigen::RowMajor>;
  for (const auto& [m, n] : std::vector<std::pair<Index, Index>>{{1, 1}, {40, 70}, {1500, 3}, {3, 1500}}) {
    const MatrixXd A = generate::matrix(generator, m, n), B = generate::matrix(generator, m, n);
    const MatrixXf F = B.cast<float>();
    const double want = static_cast<double>(naive_l2(A - B));
    const double single = static_cast<double>(naive_l2(A - F.cast<double>()));
    const double allowed = 8 * eps;
    CHECK(close(sagitta::l2_distance(A, Rows(B)), want, allowed));
    CHECK(close(sagitta::l2_distance(Rows(A), Rows(B)), want, allowed));
    CHECK(close(sagitta::l2_distance(Rows(A), F), single, allowed));
    CHECK(close(sagitta::l2_distance(A, F), single, allowed));
    MatrixXd large = MatrixXd::Constant(2 * m + 3, n + 2, std::numeric_limits<double>::quiet_NaN());
    Eigen::Map<MatrixXd, 0, Eigen::Stride<-1, -1>> strided(large.data() + 1, m, n, {large.rows(), 2});
    strided = A;
    CHECK(close(sagitta::l2_distance(strided, B), want, allowed));
    CHECK(close(sagitta::l2_norm(strided), naive_l2(A), allowed));
    CHECK(close(sagitta::l1_distance(strided, strided * 2.0), naive_l1(A), allowed));
  }
}

TEST_CASE("norms see only their own elements") {
  MatrixXd A = MatrixXd::Constant(8, 8, std::numeric_limits<double>::quiet_NaN());
  A.block(2, 3, 3, 2).setConstant(-2);
  CHECK(sagitta::l1_norm(A.block(2, 3, 3, 2)) == 12);
  CHECK(sagitta::l1_norm(A.block(2, 3, 3, 2).row(1)) == 4);
  CHECK(sagitta::l1_norm(A.transpose().block(3, 2, 2, 3)) == 12);
  A.diagonal().setConstant(1);
  CHECK(sagitta::l1_norm(A.diagonal()) == 8);
  Eigen::Map<VectorXd, 0, Eigen::InnerStride<>> even(A.data(), 5, Eigen::InnerStride<>(9));
  CHECK(sagitta::l1_norm(even) == 5);
  const MatrixXd B = MatrixXd::Ones(6, 6);
  CHECK(sagitta::l1_norm(B(Eigen::seqN(0, 3, Eigen::fix<2>), Eigen::all)) == 18);
  CHECK(sagitta::l1_norm(B(std::vector<int>{1, 1, 2}, Eigen::all)) == 18);
}

TEST_CASE("norms reject what is not finite or of another size") {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()}) {
    MatrixXd A = MatrixXd::Ones(3, 2);
    A(2, 1) = bad;
    const MatrixXd ones = MatrixXd::Ones(3, 2);
    const MatrixXf single = A.cast<float>();
    CHECK(holds(rejection([&] { (void)sagitta::l1_norm(A); }), "l1_norm: x(2, 1) is "));
    CHECK(holds(rejection([&] { (void)sagitta::l2_norm(single); }), "l2_norm: x(2, 1) is "));
    CHECK(holds(rejection([&] { (void)sagitta::l1_norm(A + A); }), "l1_norm: x(2, 1) is "));
    CHECK(holds(rejection([&] { (void)sagitta::l1_distance(A, ones); }), "l1_distance: x - y(2, 1) is "));
    CHECK(holds(rejection([&] { (void)sagitta::l2_distance(ones, A); }), "l2_distance: x - y(2, 1) is "));
  }
  const MatrixXd A = MatrixXd::Ones(3, 2), B = MatrixXd::Ones(2, 3);
  CHECK(rejection([&] { (void)sagitta::l1_distance(A, B); }) ==
        "l1_distance: the arguments are 3 x 2 and 2 x 3, expected the same size");
  CHECK(holds(rejection([&] { (void)sagitta::l2_distance(A, B); }), "l2_distance: "));
}
