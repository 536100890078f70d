#include <sagitta/penalties.hpp>

#include <array>
#include <numeric>
#include <thread>

#include "catch.hpp"
#include "generate.hpp"
#include "rejection.hpp"

using Eigen::MatrixXd;
using Eigen::MatrixXf;
using Eigen::VectorXd;
using generate::Index;

namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();

template <class Scalar>
using Vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;

// the definition by std::stable_sort
template <class Scalar>
std::pair<double, Vector<Scalar>> naive_wasserstein(const Vector<Scalar>& theta, Vector<Scalar> theta0) {
  std::sort(theta0.begin(), theta0.end());
  std::vector<Index> order(static_cast<std::size_t>(theta.size()));
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return theta[a] < theta[b]; });
  long double value = 0;
  Vector<Scalar> gradient(theta.size());
  for (Index rank = 0; rank < theta.size(); ++rank) {
    const Index at = order[static_cast<std::size_t>(rank)];
    const long double difference =
        static_cast<long double>(theta[at]) - static_cast<long double>(theta0[rank]);
    value += difference * difference;
    gradient[at] = 2 * (theta[at] - theta0[rank]);
  }
  return {static_cast<double>(value), gradient};
}

// |gradient - central differences of value| for every element
template <class Penalty>
double difference_error(const Penalty& penalty, MatrixXd theta, const MatrixXd& gradient, double step) {
  double worst = 0;
  for (Index i = 0; i < theta.size(); ++i) {
    double& x = theta.reshaped()[i];
    const double kept = x;
    x = kept + step;
    const double up = penalty.value(theta);
    x = kept - step;
    const double down = penalty.value(theta);
    x = kept;
    worst = std::max(worst, std::abs(gradient.reshaped()[i] - (up - down) / (2 * step)));
  }
  return worst;
}

}  // namespace

TEMPLATE_TEST_CASE("the Wasserstein penalty agrees with a stable sort", "", float, double) {
  generate::Generator generator(81);
  using Tensor = Vector<TestType>;
  for (const Index n : {0, 1, 2, 5, 100, 255, 256, 257, 300, 5000}) {
    const std::vector<Tensor> all = generate::tensors<TestType>(generator, n);
    for (const Tensor& theta : all)
      for (const Tensor& theta0 : {all[0], all[1], all[2], all[6]}) {
        const auto [value, gradient] = naive_wasserstein<TestType>(theta, theta0);
        sagitta::WassersteinPenalty penalty(theta0);
        Tensor got = Tensor::Constant(n, 77);
        const double mine = penalty.value_and_gradient(theta, got);
        // sums in parts of 1024 non-negative terms
        CHECK(std::abs(mine - value) <= 1024 * eps * value);
        CHECK(got == gradient);
        CHECK(penalty.value(theta) == mine);
        Tensor sum = Tensor::Ones(n);
        CHECK(penalty.add_gradient(theta, 0.5, sum) == mine);
        CHECK(sum == Tensor::Ones(n) + TestType(0.5) * gradient);  // a product with 1/2 is exact
        // never more than the distance by index
        const double regenerative = sagitta::L2InitPenalty(theta0).value(theta);
        CHECK(mine <= regenerative * (1 + 1024 * eps));
        CHECK(sagitta::WassersteinPenalty(theta0).value(theta0) == 0);
        CHECK(sagitta::WassersteinPenalty(theta0).value(Tensor(theta0.reverse())) == 0);
      }
  }
}

TEST_CASE("the Wasserstein gradient is that of its value") {
  generate::Generator generator(82);
  const MatrixXd theta0 = generate::matrix(generator, 5, 4), theta = generate::matrix(generator, 5, 4);
  sagitta::WassersteinPenalty penalty(theta0);
  MatrixXd gradient(5, 4);
  const double value = penalty.value_and_gradient(theta, gradient);
  // quadratic while the order stays: only eps |value| / step remains
  CHECK(difference_error(penalty, theta, gradient, 1e-7) <= 1e-7);
  CHECK(std::abs(gradient.squaredNorm() - 4 * value) <= 64 * eps * value);
  // equal to the regenerative penalty where the order is kept
  VectorXd sorted = generate::vector(generator, 40), moved = generate::vector(generator, 40);
  std::sort(sorted.begin(), sorted.end());
  std::sort(moved.begin(), moved.end());
  CHECK(std::abs(sagitta::WassersteinPenalty(sorted).value(moved) /
                     sagitta::L2InitPenalty(sorted).value(moved) -
                 1) <= 64 * eps);
  // the symmetry of a distance
  CHECK(std::abs(sagitta::WassersteinPenalty(theta).value(theta0) - value) <= 64 * eps * value);
}

TEMPLATE_TEST_CASE("L2 and L2-init penalties and their gradients", "", float, double) {
  generate::Generator generator(83);
  using Matrix = Eigen::Matrix<TestType, Eigen::Dynamic, Eigen::Dynamic>;
  for (const auto& [m, n] : generate::shapes()) {
    const Matrix theta0 = generate::matrix(generator, m, n).template cast<TestType>();
    const Matrix theta = generate::matrix(generator, m, n).template cast<TestType>();
    const MatrixXd wide = theta.template cast<double>(), moved = wide - theta0.template cast<double>();
    Matrix gradient = Matrix::Constant(m, n, 77), sum = Matrix::Ones(m, n);
    sagitta::L2Penalty decay;
    CHECK(std::abs(decay.value_and_gradient(theta, gradient) - wide.squaredNorm()) <=
          16 * eps * wide.squaredNorm());
    CHECK(gradient == 2 * theta);
    CHECK(decay.add_gradient(theta, 0.25, sum) == decay.value(theta));
    CHECK(sum == Matrix::Ones(m, n) + theta / 2);

    sagitta::L2InitPenalty regenerative(theta0);
    gradient.setConstant(77);
    sum.setOnes();
    CHECK(std::abs(regenerative.value_and_gradient(theta, gradient) - moved.squaredNorm()) <=
          16 * eps * moved.squaredNorm());
    CHECK(gradient == 2 * (theta - theta0));
    CHECK(regenerative.add_gradient(theta, 0.25, sum) == regenerative.value(theta));
    CHECK(sum == Matrix::Ones(m, n) + (theta - theta0) / 2);
    CHECK(regenerative.value(theta0) == 0);
    if constexpr (std::is_same_v<TestType, double>) {
      (void)regenerative.value_and_gradient(theta, gradient);
      CHECK(difference_error(regenerative, theta, gradient, 1e-4) <= 1e-9);  // quadratic: eps |value| / step
    }
  }
}

TEMPLATE_TEST_CASE("the feature penalty agrees with singular vectors", "", float, double) {
  generate::Generator generator(84);
  using Matrix = Eigen::Matrix<TestType, Eigen::Dynamic, Eigen::Dynamic>;
  const double rounding = std::numeric_limits<TestType>::epsilon();
  for (const auto& [n, d] : generate::shapes()) {
    const Matrix features = generate::matrix(generator, n, d).template cast<TestType>();
    sagitta::FeatureRankPenalty penalty;
    Matrix gradient = Matrix::Constant(n, d, 77), sum = Matrix::Ones(n, d);
    const double value = penalty.value_and_gradient(features, gradient);
    CHECK(std::abs(penalty.value(features) - value) <= 64 * eps * value);
    CHECK(penalty.add_gradient(features, 0.5, sum) == value);
    CHECK((sum - Matrix::Ones(n, d) - gradient / 2).norm() <= 4 * rounding * (1 + gradient.norm()));
    if (n * d == 0) {
      CHECK(value == 0);
      continue;
    }
    const MatrixXd phi = features.template cast<double>();
    const Eigen::JacobiSVD<MatrixXd> svd(phi, Eigen::ComputeThinU | Eigen::ComputeThinV);
    const VectorXd s = svd.singularValues();
    const double last = n < d ? 0 : s.tail(1)[0];
    CHECK(std::abs(value - (s[0] * s[0] - last * last)) <= 64 * eps * s[0] * s[0]);
    const VectorXd v1 = svd.matrixV().col(0), vd = svd.matrixV().rightCols(1);
    MatrixXd want = 2 * phi * v1 * v1.transpose();
    if (n >= d) want -= 2 * phi * vd * vd.transpose();
    // eigenvectors of the Gram matrix turn by eps s_1^2 over the gap of the squares, hundredths here
    CHECK((gradient.template cast<double>() - want).norm() <= (1e-12 + rounding) * 4 * s[0]);
    if constexpr (std::is_same_v<TestType, double>) {
      CHECK(difference_error(penalty, phi, gradient, 1e-5) <= 1e-7 * (1 + s[0] * s[0]));
      for (const double scale : {0x1p-400, 0x1p400}) {
        Matrix scaled(n, d);
        CHECK(penalty.value_and_gradient(features * scale, scaled) == value * scale * scale);
        CHECK(scaled == gradient * scale);
      }
    }
  }
}

TEST_CASE("eigenvectors of tridiagonal matrices, also where they split or eigenvalues coincide") {
  generate::Generator generator(91);
  for (const Index n : {1, 2, 3, 4, 5, 17, 100, 256})
    for (int kind = 0; kind < 7; ++kind) {
      sagitta::detail::Tridiagonal T{generate::vector(generator, n),
                                     generate::vector(generator, std::max<Index>(n - 1, 0))};
      if (kind == 1) T.off_diagonal.setZero();
      if (kind == 2) T.diagonal.setOnes(), T.off_diagonal.setZero();
      if (kind == 3) T.diagonal.setZero();
      if (kind == 4)  // parts that hardly know of each other
        for (Index i = 0; i + 1 < n; i += 3) T.off_diagonal[i] = i % 2 == 0 ? 0 : 1e-200;
      if (kind == 5)  // from 1 down to below the smallest double, in the order of a Gram matrix or against it
        for (Index i = 0; i < n; ++i) {
          const double scale = std::exp(-4.0 * static_cast<double>(i));
          T.diagonal[i] *= scale;
          if (i + 1 < n) T.off_diagonal[i] *= scale;
        }
      if (kind == 6) T.diagonal.setZero(), T.off_diagonal.setZero();
      sagitta::detail::Tridiagonal values = T;
      REQUIRE(sagitta::detail::diagonalize(values));
      MatrixXd dense = T.diagonal.asDiagonal();
      if (n > 1) dense.diagonal(1) = dense.diagonal(-1) = T.off_diagonal;
      for (const double value : {values.diagonal.minCoeff(), values.diagonal.maxCoeff()}) {
        const VectorXd x = sagitta::detail::eigenvector(T, value);
        CHECK(std::abs(x.norm() - 1) <= 4 * eps);
        CHECK((dense * x - value * x).norm() <= 8 * eps * std::sqrt(static_cast<double>(n)) * dense.norm());
      }
    }
}

TEST_CASE("the feature penalty of directions that coincide, and of none") {
  for (const Index n : {1, 2, 3, 30}) {
    sagitta::FeatureRankPenalty penalty;
    MatrixXd gradient(n, n);
    CHECK(penalty.value_and_gradient(MatrixXd::Zero(n, n), gradient) == 0);
    CHECK(gradient.isZero(0));
    CHECK(std::abs(penalty.value_and_gradient(3 * MatrixXd::Identity(n, n), gradient)) <= 1e-12);
    CHECK(gradient.norm() <= 2 * 3 * std::sqrt(2.0) * (1 + 1e-12));  // 2 |Phi (v v^T - w w^T)|
    CHECK(gradient.allFinite());
  }
}

TEST_CASE("gradients go where they are told, whatever the storage") {
  generate::Generator generator(85);
  const Index m = 23, n = 17;  // more elements than a comparison sort takes
  MatrixXd theta0 = generate::matrix(generator, m, n), theta = generate::matrix(generator, m, n);
  theta0 = (theta0 * 8).array().round();  // ties
  theta = (theta * 8).array().round();
  const auto everywhere = [&](auto make) {
    auto penalty = make();
    MatrixXd want = MatrixXd::Zero(m, n);
    const double value = penalty.value_and_gradient(theta, want);
    const auto write = [&](const auto& t, auto&& target) {
      target.setConstant(5);
      CHECK(std::abs(penalty.value_and_gradient(t, target) - value) <= 64 * eps * std::abs(value));
      const MatrixXd written = target;
      target.setConstant(5);
      (void)penalty.add_gradient(t, 2, target);
      const MatrixXd added = target.matrix() - MatrixXd::Constant(m, n, 5);
      return std::max((written - want).norm(), (added / 2 - want).norm()) <= 1e-12 * (1 + want.norm());
    };
    using Rows = Eigen::Matrix<double, -1, -1, Eigen::RowMajor>;
    Rows row_theta = theta, row_gradient(m, n);
    MatrixXd columns(m, n), large = MatrixXd::Constant(m + 5, n + 6, 9);
    std::vector<double> raw(static_cast<std::size_t>(m * n * 6), 9.0);
    Eigen::Map<MatrixXd, 0, Eigen::Stride<-1, -1>> strided(raw.data(), m, n, {3 * m, 2});
    CHECK(write(theta, columns));
    CHECK(write(row_theta, columns));
    CHECK(write(theta, row_gradient));
    CHECK(write(row_theta, row_gradient));
    CHECK(write(theta, large.block(2, 3, m, n)));
    large.block(2, 3, m, n).setConstant(9);
    CHECK((large.array() == 9).all());
    CHECK(write(theta, strided));
    CHECK(std::count(raw.begin(), raw.end(), 9.0) >= m * n * 5);
    CHECK(write(theta, Eigen::Ref<MatrixXd>(columns)));
    CHECK(write(theta + 0 * theta, columns));
    const MatrixXd transposed = theta.transpose();
    MatrixXd turned(n, m);
    CHECK(write(transposed.transpose(), turned.transpose()));
    // the parameters themselves may be overwritten
    MatrixXd own = theta;
    (void)penalty.value_and_gradient(own, own);
    CHECK((own - want).norm() <= 1e-12 * (1 + want.norm()));
  };
  everywhere([&] { return sagitta::L2Penalty(); });
  everywhere([&] { return sagitta::L2InitPenalty(theta0); });
  everywhere([&] { return sagitta::WassersteinPenalty(theta0); });
  everywhere([&] { return sagitta::FeatureRankPenalty(); });
}

TEST_CASE("arrays and fixed sizes are parameters too") {
  generate::Generator generator(86);
  const Eigen::ArrayXd theta0 = generate::vector(generator, 6), theta = generate::vector(generator, 6);
  const Eigen::Matrix<double, 6, 1> fixed0 = theta0, fixed = theta;
  const auto agrees = [&](auto array_penalty, auto fixed_penalty) {
    Eigen::ArrayXd gradient = Eigen::ArrayXd::Zero(6);
    Eigen::Matrix<double, 6, 1> other = Eigen::Matrix<double, 6, 1>::Zero();
    CHECK(array_penalty.value_and_gradient(theta, gradient) ==
          fixed_penalty.value_and_gradient(fixed, other));
    CHECK(gradient.matrix() == other);
    CHECK(array_penalty.add_gradient(theta, 3, gradient) == fixed_penalty.add_gradient(fixed, 3, other));
    CHECK(gradient.matrix() == other);
  };
  agrees(sagitta::L2Penalty(), sagitta::L2Penalty());
  agrees(sagitta::L2InitPenalty(theta0), sagitta::L2InitPenalty(fixed0));
  agrees(sagitta::WassersteinPenalty(theta0), sagitta::WassersteinPenalty(fixed0));
  // rows as parameters, gradients a row of a matrix
  MatrixXd gradients = MatrixXd::Zero(3, 6);
  sagitta::WassersteinPenalty row(theta0.matrix().transpose());
  (void)row.value_and_gradient(theta.matrix().transpose(), gradients.row(1));
  VectorXd column(6);
  (void)sagitta::WassersteinPenalty(theta0.matrix()).value_and_gradient(theta.matrix(), column);
  CHECK(gradients.row(1).transpose() == column);
  CHECK(gradients.row(0).isZero(0));
}

TEST_CASE("values are the same from several threads at once") {
  generate::Generator generator(87);
  const MatrixXd theta0 = generate::matrix(generator, 40, 30), theta = generate::matrix(generator, 40, 30);
  const sagitta::WassersteinPenalty wasserstein(theta0);
  const sagitta::L2InitPenalty regenerative(theta0);
  const sagitta::FeatureRankPenalty feature;
  const std::array<double, 3> want{wasserstein.value(theta), regenerative.value(theta), feature.value(theta)};
  std::array<bool, 4> same{};
  std::vector<std::thread> threads;
  for (bool& ok : same)
    threads.emplace_back([&] {
      ok = true;
      for (int repeat = 0; repeat < 20; ++repeat)
        ok = ok &&
             want == std::array{wasserstein.value(theta), regenerative.value(theta), feature.value(theta)};
    });
  for (std::thread& thread : threads) thread.join();
  for (const bool ok : same) CHECK(ok);
}

TEMPLATE_TEST_CASE("bad parameters are rejected before anything is written", "", float, double) {
  using Matrix = Eigen::Matrix<TestType, Eigen::Dynamic, Eigen::Dynamic>;
  const TestType bads[] = {
      std::numeric_limits<TestType>::quiet_NaN(), -std::numeric_limits<TestType>::quiet_NaN(),
      std::numeric_limits<TestType>::infinity(), -std::numeric_limits<TestType>::infinity()};
  for (const auto& shape : std::vector<std::pair<Index, Index>>{{4, 3}, {40, 30}}) {
    const Index m = shape.first, n = shape.second;
    const Matrix theta0 = Matrix::Random(m, n);
    const auto look = [&](auto penalty, const std::string& name) {
      Matrix gradient = Matrix::Constant(m, n, 77), small = Matrix::Constant(m - 1, n, 77);
      const auto untouched = [&] { return (gradient.array() == 77).all() && (small.array() == 77).all(); };
      for (const TestType bad : bads) {
        Matrix theta = theta0;
        theta(m - 1, n - 1) = bad;
        CHECK(holds(rejection([&] { (void)penalty.value(theta); }), name + ": "));
        CHECK(holds(rejection([&] { (void)penalty.value_and_gradient(theta, gradient); }), name + ": "));
        CHECK(holds(rejection([&] { (void)penalty.add_gradient(theta, 1, gradient); }), name + ": "));
        CHECK(
            holds(rejection([&] { (void)penalty.add_gradient(theta, 1, gradient.transpose().transpose()); }),
                  name + ": "));
        CHECK(untouched());
      }
      CHECK(holds(rejection([&] { (void)penalty.value_and_gradient(theta0, small); }),
                  name + ": gradient is "));
      CHECK(holds(rejection([&] { (void)penalty.add_gradient(theta0, 1, small); }), name + ": gradient is "));
      CHECK(untouched());
    };
    look(sagitta::L2Penalty(), "L2Penalty");
    look(sagitta::L2InitPenalty(theta0), "L2InitPenalty");
    look(sagitta::WassersteinPenalty(theta0), "WassersteinPenalty");
    look(sagitta::FeatureRankPenalty(), "FeatureRankPenalty");
    const auto shaped = [&](auto penalty, const std::string& name) {
      Matrix gradient = Matrix::Constant(m, n, 77);
      const Matrix other = Matrix::Ones(n, m), longer = Matrix::Ones(m + 1, n);
      for (const Matrix& theta : {other, longer}) {
        CHECK(holds(rejection([&] { (void)penalty.value(theta); }), name + ": theta is "));
        CHECK(holds(rejection([&] { (void)penalty.value_and_gradient(theta, gradient); }),
                    name + ": theta is "));
        CHECK(
            holds(rejection([&] { (void)penalty.add_gradient(theta, 1, gradient); }), name + ": theta is "));
      }
      CHECK((gradient.array() == 77).all());
    };
    shaped(sagitta::L2InitPenalty(theta0), "L2InitPenalty");
    shaped(sagitta::WassersteinPenalty(theta0), "WassersteinPenalty");
  }
  for (const TestType bad : bads) {
    Matrix theta0 = Matrix::Ones(3, 2);
    theta0(1, 1) = bad;
    CHECK(
        holds(rejection([&] { sagitta::L2InitPenalty penalty(theta0); }), "L2InitPenalty: theta0(1, 1) is "));
    CHECK(holds(rejection([&] { sagitta::WassersteinPenalty penalty(theta0); }),
                "WassersteinPenalty: theta0("));
  }
}

TEST_CASE("what no number can hold is an error before anything is written, and the rest is right") {
  const auto look = [](auto penalty, const std::string& name, auto scalar) {
    using Scalar = decltype(scalar);
    using Matrix = Eigen::Matrix<Scalar, -1, -1>;
    const auto most = std::numeric_limits<Scalar>::max();
    const Matrix huge = Matrix::Constant(3, 2, most / 2), tiny = Matrix::Constant(3, 2, Scalar(1e-20));
    Matrix gradient = Matrix::Constant(3, 2, 7);
    const auto untouched = [&] { return (gradient.array() == 7).all(); };
    if (std::is_same_v<Scalar, double>) {
      CHECK(holds(rejection([&] { (void)penalty.value(Matrix::Constant(3, 2, Scalar(1e200))); }),
                  name + ": the value exceeds the range of double"));
      CHECK(
          holds(rejection([&] { (void)penalty.value_and_gradient(huge, gradient); }), name + ": the value"));
    } else {
      CHECK(penalty.value(huge) > 1e76);  // in double
      CHECK(holds(rejection([&] { (void)penalty.add_gradient(huge, 5, gradient); }),
                  name + ": gradient(0, 0)"));
    }
    const Matrix one = Matrix::Ones(3, 2);
    for (const double strength : {1.7e308, -1.7e308})
      CHECK(holds(rejection([&] { (void)penalty.add_gradient(one, strength, gradient); }),
                  name + ": gradient(0, 0)"));
    CHECK(untouched());
    penalty.add_gradient(Matrix::Zero(3, 2), 1e300, gradient);
    CHECK(untouched());
    if (!std::is_same_v<Scalar, double>) {
      penalty.add_gradient(tiny, 1e30, gradient);  // gradient of tiny is 2e-20, 4e-20 at most
      CHECK(gradient(0, 0) >= Scalar(1.9e10));
      CHECK(gradient(0, 0) <= Scalar(1.3e11));
      gradient.setConstant(most);
      CHECK(holds(rejection([&] { (void)penalty.add_gradient(huge, 1e-3, gradient); }),
                  name + ": gradient(0, 0)"));
      penalty.add_gradient(one, 1, gradient);  // too little to carry it over
      CHECK((gradient.array() == most).all());
    }
  };
  const auto all = [&](auto scalar) {
    const Eigen::Matrix<decltype(scalar), -1, -1> zero = Eigen::Matrix<decltype(scalar), -1, -1>::Zero(3, 2);
    look(sagitta::L2Penalty(), "L2Penalty", scalar);
    look(sagitta::L2InitPenalty(zero), "L2InitPenalty", scalar);
    look(sagitta::WassersteinPenalty(zero), "WassersteinPenalty", scalar);
    look(sagitta::FeatureRankPenalty(), "FeatureRankPenalty", scalar);
  };
  all(0.0);
  all(0.0f);
  // far apart, but matched: nothing to do
  const Eigen::Vector2d ends(-1.5e308, 1.5e308);
  Eigen::Vector2d gradient(1, 1);
  sagitta::WassersteinPenalty penalty(ends);
  CHECK(penalty.add_gradient(ends.reverse(), 1, gradient) == 0);
  CHECK(gradient == Eigen::Vector2d(1, 1));
}
