#include <sagitta/gauss_newton.hpp>

#include "catch.hpp"
#include "generate.hpp"
#include "rejection.hpp"

using Eigen::MatrixXd;
using Eigen::MatrixXf;
using Eigen::VectorXd;
using generate::Index;
using sagitta::EffectiveRank;

namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();

MatrixXd hessian_of_logits(const VectorXd& p) { return MatrixXd(p.asDiagonal()) - p * p.transpose(); }

// sum_m J_m^T H_m J_m, as it is written
MatrixXd naive_gauss_newton(const MatrixXd& J, const MatrixXd& p) {
  const Index M = p.rows(), C = p.cols();
  MatrixXd sum = MatrixXd::Zero(J.cols(), J.cols());
  for (Index m = 0; m < M; ++m) {
    const MatrixXd Jm = J.middleRows(m * C, C);
    sum += Jm.transpose() * hessian_of_logits(p.row(m).transpose()) * Jm;
  }
  return sum;
}

Index naive_rank(const MatrixXd& A, double threshold) {
  if (A.size() == 0) return 0;
  VectorXd values =
      Eigen::SelfAdjointEigenSolver<MatrixXd>(A, Eigen::EigenvaluesOnly).eigenvalues().cwiseAbs();
  std::sort(values.begin(), values.end(), std::greater<>());
  const double total = values.sum();
  double sum = 0;
  for (Index j = 0; j < values.size(); ++j)
    if ((sum += values[j]) > threshold * total) return j + 1;
  return 0;
}

void check_factor(const VectorXd& p) {
  const MatrixXd L = sagitta::softmax_hessian_factor(p), H = hessian_of_logits(p),
                 product = L * L.transpose();
  const Index C = p.size();
  REQUIRE(L.rows() == C);
  REQUIRE(L.cols() == C - 1);
  REQUIRE(L.allFinite());
  // each entry of L is right to a few eps, and its rows have lengths sqrt(p_i (1 - p_i))
  for (Index i = 0; i < C; ++i)
    for (Index j = 0; j < C; ++j)
      CHECK(std::abs(product(i, j) - H(i, j)) <= 16 * eps * std::sqrt(p[i]) * std::sqrt(p[j]));
  for (Index k = 0; k < L.cols(); ++k)  // a shift of all logits changes nothing
    CHECK(std::abs(L.col(k).sum()) <= 8 * eps * L.col(k).cwiseAbs().sum());
  CHECK(MatrixXd(L.triangularView<Eigen::StrictlyUpper>()).isZero(0));
}

}  // namespace

TEST_CASE("the factor of the softmax Hessian") {
  generate::Generator generator(41);
  for (const Index C : {1, 2, 3, 10, 100})
    for (int trial = 0; trial < 5; ++trial)
      check_factor(generate::probabilities(generator, 1, C).transpose());
  for (const Index C : {1, 2, 3, 6})
    for (Index one = 0; one < C; ++one) {
      const VectorXd p = VectorXd::Unit(C, one);
      check_factor(p);
      CHECK(sagitta::softmax_hessian_factor(p).isZero(0));
    }
  for (const double tiny : {1e-17, 1e-200, 1e-300, 5e-324})
    for (int order = 0; order < 4; ++order) {
      VectorXd p(4);
      p << 0.5, tiny, 0.5, 3 * tiny;
      std::rotate(p.begin(), p.begin() + order, p.end());
      check_factor(p);
      p << 1, tiny, tiny, 2 * tiny;
      std::rotate(p.begin(), p.begin() + order, p.end());
      const MatrixXd L = sagitta::softmax_hessian_factor(p);
      REQUIRE(L.allFinite());
      // the curvature between two unlikely classes is not lost: sum_k L_ik^2 = p_i (1 - p_i)
      for (Index i = 0; i < 4; ++i)
        if (p[i] < 0.5 && p[i] > 1e-307) CHECK(std::abs(L.row(i).squaredNorm() / p[i] - 1) <= 16 * eps);
    }
  const VectorXd p = generate::probabilities(generator, 1, 5).transpose();
  CHECK(sagitta::softmax_hessian_factor(p.transpose()) == sagitta::softmax_hessian_factor(p));
  CHECK(sagitta::softmax_hessian_factor(0.5 * p + 0.5 * p) == sagitta::softmax_hessian_factor(p));
  const Eigen::VectorXf single = p.cast<float>();
  const MatrixXd L = sagitta::softmax_hessian_factor(single);
  CHECK((L * L.transpose() - hessian_of_logits(p)).norm() <= 8 * std::numeric_limits<float>::epsilon());
}

TEST_CASE("the rank of Gauss-Newton is that of sum J^T H J") {
  generate::Generator generator(42);
  int certified = 0, cases = 0;
  for (const Index M : {1, 2, 5})
    for (const Index C : {2, 3, 6})
      for (const Index P : {1, 2, 7, 40})
        for (const double t : {0.5, 0.9, 0.99}) {
          const MatrixXd J = generate::matrix(generator, M * C, P);
          const MatrixXd p = generate::probabilities(generator, M, C);
          const EffectiveRank got = sagitta::gauss_newton_rank(J, p, t);
          CHECK(got.rank == naive_rank(naive_gauss_newton(J, p), t));
          CHECK(got.max_rank == std::min(P, M * (C - 1)));
          CHECK(got.lower <= got.rank);
          CHECK(got.rank <= got.upper);
          CHECK(got.upper <= got.max_rank);
          certified += got.certified();
          ++cases;
          CHECK(sagitta::gauss_newton_rank(J * 1e-200, p, t).rank == got.rank);
          CHECK(sagitta::gauss_newton_rank(J * 1e200, p, t).rank == got.rank);
          const Eigen::Matrix<double, -1, -1, Eigen::RowMajor> rows = J, q = p;
          CHECK(sagitta::gauss_newton_rank(rows, q, t).rank == got.rank);
          CHECK(sagitta::gauss_newton_rank(J + J, p, t).rank == got.rank);
        }
  CHECK(certified == cases);  // random spectra are nowhere near a tie
}

TEST_CASE("saturated, missing and single classes") {
  generate::Generator generator(43);
  const MatrixXd J = generate::matrix(generator, 6, 5);
  MatrixXd p(2, 3);
  p << 1, 0, 0, 0, 0, 1;
  CHECK(sagitta::gauss_newton_rank(J, p).rank == 0);
  CHECK(sagitta::gauss_newton_rank(J, p).certified());
  CHECK(sagitta::gauss_newton_rank(J, p).max_rank == 4);
  p << 0.5, 0.5, 0, 0, 0, 1;
  CHECK(sagitta::gauss_newton_rank(J, p).rank == 1);
  // unlikely classes are directions still: H is 1e-200 times the squares of their differences from the likely
  // one
  p << 1, 1e-200, 1e-200, 1, 1e-200, 0;
  MatrixXd differences(3, 5);
  differences << J.row(1) - J.row(0), J.row(2) - J.row(0), J.row(4) - J.row(3);
  CHECK(sagitta::gauss_newton_rank(J, p).rank == naive_rank(differences * differences.transpose(), 0.99));
  CHECK(sagitta::gauss_newton_rank(J, p).certified());
  CHECK(sagitta::gauss_newton_rank(MatrixXd::Zero(6, 5), p).rank == 0);
  CHECK(sagitta::gauss_newton_rank(generate::matrix(generator, 2, 5), MatrixXd::Ones(2, 1)).max_rank == 0);
  CHECK(sagitta::gauss_newton_rank(MatrixXd(0, 5), MatrixXd(0, 3)).rank == 0);
  CHECK(sagitta::gauss_newton_rank(MatrixXd(6, 0), p).max_rank == 0);
}

TEST_CASE("what all logits share does not count, and does not spoil the certificate") {
  generate::Generator generator(44);
  const Index M = 6, C = 4, P = 15;
  int wrong = 0, cases = 0;
  for (const double shared : {1.0, 1e6, 1e10, 1e13})
    for (int trial = 0; trial < 3; ++trial) {
      // whole numbers, so that the sums below are exact
      const MatrixXd p = generate::probabilities(generator, M, C);
      const MatrixXd differences = (64 * generate::matrix(generator, M * C, P)).array().round();
      MatrixXd J = differences, B(M * (C - 1), P);
      for (Index m = 0; m < M; ++m) {
        J.middleRows(m * C, C).rowwise() +=
            (shared * generate::matrix(generator, 1, P)).array().round().matrix().row(0);
        B.middleRows(m * (C - 1), C - 1) =
            sagitta::softmax_hessian_factor(p.row(m)).transpose() * differences.middleRows(m * C, C);
      }
      // thresholds one part in 1e10 to either side of every leading sum
      const VectorXd values = Eigen::JacobiSVD<MatrixXd>(B).singularValues().array().square();
      double sum = 0;
      for (const double value : values) {
        sum += value;
        for (const double step : {-1e-10, 1e-10}) {
          const double t = sum / values.sum() + step;
          if (t <= 0 || t >= 1) continue;
          ++cases;
          const EffectiveRank truth = sagitta::gauss_newton_rank(differences, p, t);
          const EffectiveRank got = sagitta::gauss_newton_rank(J, p, t);
          wrong += truth.certified() && (truth.rank < got.lower || truth.rank > got.upper);
        }
      }
    }
  INFO(wrong << " of " << cases << " brackets miss");
  CHECK(wrong == 0);
}

TEST_CASE("Gauss-Newton backprops give its Gram matrix through layers") {
  generate::Generator generator(45);
  const Index M = 6, C = 4, in = 3;
  const MatrixXd X = generate::matrix(generator, M, in), p = generate::probabilities(generator, M, C);
  // one linear layer, z = W x + b: logit c has the gradient (e_c x^T, e_c)
  MatrixXd J = MatrixXd::Zero(M * C, C * in + C);
  for (Index m = 0; m < M; ++m)
    for (Index c = 0; c < C; ++c) {
      J.row(m * C + c).segment(c * in, in) = X.row(m);
      J(m * C + c, C * in + c) = 1;
    }
  const MatrixXd backprops = sagitta::gauss_newton_backprops(p);
  REQUIRE(backprops.rows() == M * (C - 1));
  REQUIRE(backprops.cols() == C);
  MatrixXd inputs(M * (C - 1), in);
  for (Index row = 0; row < inputs.rows(); ++row) inputs.row(row) = X.row(row / (C - 1));
  const MatrixXd K =
      sagitta::gram(std::vector<sagitta::LayerTrace<double>>{{.inputs = inputs, .backprops = backprops}});
  MatrixXd B(M * (C - 1), J.cols());
  for (Index m = 0; m < M; ++m)
    B.middleRows(m * (C - 1), C - 1) =
        sagitta::softmax_hessian_factor(p.row(m)).transpose() * J.middleRows(m * C, C);
  CHECK((K - B * B.transpose()).norm() <= 32 * eps * K.norm());
  CHECK((B.transpose() * B - naive_gauss_newton(J, p)).norm() <= 32 * eps * K.norm());
  CHECK(sagitta::symmetric_effective_rank(K).rank == sagitta::gauss_newton_rank(J, p).rank);
  CHECK(sagitta::gauss_newton_backprops(MatrixXd(0, 3)).cols() == 3);
  CHECK(sagitta::gauss_newton_backprops(MatrixXd::Ones(3, 1)).rows() == 0);
  CHECK(sagitta::gauss_newton_backprops(MatrixXd(p.transpose()).transpose()) == backprops);
}

TEST_CASE("Gauss-Newton rejects what it cannot answer") {
  const MatrixXd J = MatrixXd::Ones(4, 3), p = MatrixXd::Constant(2, 2, 0.5);
  const auto rank = [](const auto& jacobian, const auto& probabilities, double t = 0.99) {
    return rejection([&] { (void)sagitta::gauss_newton_rank(jacobian, probabilities, t); });
  };
  CHECK(rank(J, p).empty());
  CHECK(rank(MatrixXd::Ones(5, 3), p) ==
        "gauss_newton_rank: J has 5 rows, expected 4 (2 samples x 2 classes)");
  CHECK(holds(rank(J, p, 1.5), "gauss_newton_rank: threshold is 1.5"));
  CHECK(
      holds(rank(J, MatrixXd::Constant(2, 2, 0.7)), "gauss_newton_rank: row 0 of probabilities sums to 1.4"));
  CHECK(holds(rejection([] { (void)sagitta::softmax_hessian_factor(VectorXd(0)); }),
              "softmax_hessian_factor: p is empty"));
  CHECK(holds(rejection([] { (void)sagitta::softmax_hessian_factor(Eigen::Vector2d(1.5, -0.5)); }),
              "softmax_hessian_factor: "));
  CHECK(holds(rejection([] { (void)sagitta::gauss_newton_backprops(MatrixXd::Ones(2, 2)); }),
              "gauss_newton_backprops: row 0 of probabilities sums to 2"));
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    MatrixXd broken = J, q = p;
    broken(2, 1) = q(1, 0) = bad;
    CHECK(holds(rank(broken, p), "gauss_newton_rank: J(2, 1) is "));
    CHECK(holds(rank(MatrixXf(broken.cast<float>()), p), "gauss_newton_rank: J(2, 1) is "));
    CHECK(holds(rank(J, q), "gauss_newton_rank: probabilities(1, 0) is "));
    CHECK(holds(rank(J, p, bad), "gauss_newton_rank: threshold is "));
    CHECK(holds(rejection([&] { (void)sagitta::softmax_hessian_factor(q.row(1)); }),
                "softmax_hessian_factor: "));
    CHECK(holds(rejection([&] { (void)sagitta::gauss_newton_backprops(q); }), "gauss_newton_backprops: "));
  }
}
