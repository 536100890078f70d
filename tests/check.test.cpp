#include <sagitta/detail/check.hpp>

#include "catch.hpp"
#include "generate.hpp"
#include "rejection.hpp"

using Eigen::MatrixXd;
using sagitta::detail::largest_magnitude;

TEMPLATE_TEST_CASE("finiteness by the bits", "", float, double) {
  using Limits = std::numeric_limits<TestType>;
  using sagitta::detail::is_finite;
  for (const TestType x : {TestType(0), TestType(-0.0), TestType(1), Limits::max(), Limits::lowest(),
                           Limits::min(), Limits::denorm_min(), -Limits::denorm_min()})
    CHECK(is_finite(x));
  for (const TestType x : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), -Limits::quiet_NaN(),
                           Limits::signaling_NaN()})
    CHECK_FALSE(is_finite(x));
}

TEMPLATE_TEST_CASE("one number in a row that is not finite is seen at any place", "", float, double) {
  using Limits = std::numeric_limits<TestType>;
  using sagitta::detail::all_finite;
  for (const Eigen::Index n : {0, 1, 7, 8, 15, 16, 17, 40, 100}) {
    // the largest exponent of all and the smallest everywhere else
    std::vector<TestType> values(static_cast<std::size_t>(n), Limits::max());
    for (std::size_t i = 0; i < values.size(); i += 3) values[i] = -Limits::denorm_min();
    CHECK(all_finite(values.data(), n));
    for (TestType& x : values)
      for (const TestType bad : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(),
                                 -Limits::quiet_NaN(), Limits::signaling_NaN()}) {
        const TestType kept = std::exchange(x, bad);
        CHECK_FALSE(all_finite(values.data(), n));
        x = kept;
      }
  }
}

TEMPLATE_TEST_CASE("the largest magnitude of a matrix, wherever it lies", "", float, double) {
  using Matrix = Eigen::Matrix<TestType, Eigen::Dynamic, Eigen::Dynamic>;
  using Rows = Eigen::Matrix<TestType, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const TestType bad = std::numeric_limits<TestType>::quiet_NaN();
  generate::Generator generator(91);
  for (const auto& [m, n] : generate::shapes()) {
    const Matrix A = generate::matrix(generator, m, n).template cast<TestType>();
    const TestType want = A.size() == 0 ? TestType(0) : A.cwiseAbs().maxCoeff();
    CHECK(largest_magnitude(A, "f", "A") == want);
    CHECK(largest_magnitude(Rows(A), "f", "A") == want);
    CHECK(largest_magnitude(A.transpose(), "f", "A") == want);
    CHECK(largest_magnitude(A.array(), "f", "A") == want);
    // one element at a time is found, and only its own elements are looked at
    Matrix frame = Matrix::Constant(2 * m + 3, 2 * n + 3, bad);
    const Eigen::Map<Matrix, 0, Eigen::Stride<-1, -1>> strided(frame.data() + 1, m, n, {2 * frame.rows(), 2});
    Eigen::Map<Matrix, 0, Eigen::Stride<-1, -1>>(frame.data() + 1, m, n, {2 * frame.rows(), 2}) = A;
    CHECK(largest_magnitude(strided, "f", "A") == want);
    for (Eigen::Index i = 0; i < m; ++i)
      for (Eigen::Index j = 0; j < n; ++j) {
        Matrix B = A;
        B(i, j) = bad;
        const std::string place = "f: A(" + std::to_string(i) + ", " + std::to_string(j) + ") is NaN";
        CHECK(rejection([&] { (void)largest_magnitude(B, "f", "A"); }) == place + ", expected finite values");
        CHECK(holds(rejection([&] { (void)largest_magnitude(Rows(B), "f", "A"); }), place));
        CHECK(holds(rejection([&] { (void)largest_magnitude(B.row(i), "f", "A"); }),
                    "f: A(0, " + std::to_string(j) + ") is NaN"));
        B(i, j) = -std::numeric_limits<TestType>::infinity();
        CHECK(holds(rejection([&] { (void)largest_magnitude(B, "f", "A"); }),
                    "is infinite, expected finite values"));
      }
  }
}

TEST_CASE("memory is read in place where it can be") {
  using sagitta::detail::has_direct_access;
  using sagitta::detail::in_memory;
  MatrixXd A = MatrixXd::Random(4, 4);
  static_assert(has_direct_access<MatrixXd>);
  static_assert(has_direct_access<decltype(A.block(0, 0, 2, 2))>);
  static_assert(has_direct_access<decltype(A.transpose())>);
  static_assert(has_direct_access<Eigen::Map<const MatrixXd, 0, Eigen::Stride<-1, -1>>>);
  static_assert(!has_direct_access<decltype(A + A)>);
  static_assert(!has_direct_access<decltype(A.reverse())>);
  static_assert(!has_direct_access<decltype(A(Eigen::seqN(0, 2, Eigen::fix<2>), Eigen::all))>);
  CHECK(&in_memory(A) == &A);
  CHECK(in_memory(A.block(1, 1, 2, 2)).data() == &A(1, 1));
  CHECK(in_memory(A + A) == 2 * A);
  CHECK(in_memory(A.reverse()) == A.reverse());
}

TEST_CASE("argument checks name function, argument, what was got and what was expected") {
  using namespace sagitta::detail;
  CHECK(rejection([] { reject("f", "layer ", 2, " has ", 31, " rows, expected ", 32); }) ==
        "f: layer 2 has 31 rows, expected 32");
  for (const double fine : {0.0, 1e-300, 0.5, 1.0}) CHECK_NOTHROW(check_threshold(fine, "f"));
  CHECK(rejection([] { check_threshold(1.25, "f"); }) ==
        "f: threshold is 1.25, expected a number from 0 to 1");
  CHECK(holds(rejection([] { check_threshold(-1e-300, "f"); }), "f: threshold is -1e-300"));
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    CHECK(holds(rejection([&] { check_threshold(bad, "f"); }), "f: threshold is "));
  CHECK_NOTHROW(check_square(0, 0, "f", "A"));
  CHECK(rejection([] { check_square(2, 3, "f", "A"); }) == "f: A is 2 x 3, expected a square matrix");
  CHECK_NOTHROW(check_size(3, 3, "f", "g"));
  CHECK(rejection([] { check_size(2, 3, "f", "g"); }) == "f: g has 2 elements, expected 3");
}
