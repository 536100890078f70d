// Compiled with -ffast-math, which lets the compiler assume that there is no NaN and no infinity: the checks
// of arguments must see them all the same. A program of its own, since inline functions are shared within
// one.
#include <sagitta/sagitta.hpp>

#include <bit>

#include "catch.hpp"
#include "rejection.hpp"

#ifndef __FAST_MATH__
#error "compile this file with -ffast-math"
#endif

using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

// by their bits, and past the optimiser
template <class Scalar>
std::vector<Scalar> not_finite() {
  std::vector<Scalar> values;
  if constexpr (sizeof(Scalar) == 4) {
    for (volatile std::uint32_t bits : {0x7FC00000u, 0xFFC00000u, 0x7F800001u, 0x7F800000u, 0xFF800000u})
      values.push_back(std::bit_cast<float>(std::uint32_t{bits}));
  } else {
    for (volatile std::uint64_t bits : {0x7FF8000000000000u, 0xFFF8000000000000u, 0x7FF0000000000001u,
                                        0x7FF0000000000000u, 0xFFF0000000000000u})
      values.push_back(std::bit_cast<double>(std::uint64_t{bits}));
  }
  return values;
}

template <class Call>
void rejects(const std::string& name, Call call) {
  INFO(name);
  CHECK(holds(rejection(call), name + ": "));
}

}  // namespace

TEMPLATE_TEST_CASE("fast math: every function rejects NaN and infinity", "", float, double) {
  using Matrix = Eigen::Matrix<TestType, Eigen::Dynamic, Eigen::Dynamic>;
  using Vector = Eigen::Matrix<TestType, Eigen::Dynamic, 1>;
  for (const TestType bad : not_finite<TestType>())
    for (const Eigen::Index at : {0, 1, 7, 15}) {
      const Matrix I = Matrix::Identity(4, 4);
      Matrix A = I;
      A.reshaped()[at] = bad;
      A.transposeInPlace();
      Matrix lower = I;
      lower(3, at % 4) = bad;
      const Vector ones = Vector::Ones(4);
      Vector g = ones;
      g[at % 4] = bad;
      Matrix p = Matrix::Constant(4, 4, TestType(0.25));
      const Matrix uniform = p;
      p.reshaped()[at] = bad;

      rejects("effective_rank", [&] { (void)sagitta::effective_rank(A); });
      rejects("effective_rank", [&] { (void)sagitta::effective_rank(A + I); });
      rejects("symmetric_effective_rank", [&] { (void)sagitta::symmetric_effective_rank(lower); });
      rejects("spectrum_effective_rank", [&] { (void)sagitta::spectrum_effective_rank(g); });
      rejects("symmetric_eigenvalues", [&] { (void)sagitta::symmetric_eigenvalues(lower); });
      rejects("singular_values", [&] { (void)sagitta::singular_values(A); });
      rejects("entropy_rank", [&] { (void)sagitta::entropy_rank(A); });
      rejects("stable_rank", [&] { (void)sagitta::stable_rank(A); });
      rejects("gram", [&] { (void)sagitta::gram(A); });
      using Layers = std::vector<sagitta::LayerTrace<TestType>>;
      rejects("gram", [&] { (void)sagitta::gram(Layers{{.inputs = A, .backprops = I}}); });
      rejects("gram", [&] { (void)sagitta::gram(Layers{{.inputs = I, .backprops = A}}); });
      rejects("gram", [&] { (void)sagitta::fisher_rank(Layers{{.inputs = I, .backprops = A}}); });
      rejects("fisher_rank", [&] { (void)sagitta::fisher_rank(A); });
      rejects("softmax", [&] { (void)sagitta::softmax(A); });
      std::mt19937_64 generator(1);
      rejects("sample_labels", [&] { (void)sagitta::sample_labels(p, generator); });
      rejects("cross_entropy_backprops",
              [&] { (void)sagitta::cross_entropy_backprops(p, Eigen::VectorXi::Zero(4)); });
      rejects("softmax_hessian_factor", [&] { (void)sagitta::softmax_hessian_factor(g / 4); });
      rejects("gauss_newton_backprops", [&] { (void)sagitta::gauss_newton_backprops(p); });
      const Matrix J = Matrix::Ones(4, 4), one_row = uniform.topRows(1);
      rejects("gauss_newton_rank", [&] { (void)sagitta::gauss_newton_rank(A, one_row); });
      Matrix broken_row = one_row;
      broken_row(0, at % 4) = bad;
      rejects("gauss_newton_rank", [&] { (void)sagitta::gauss_newton_rank(J, broken_row); });
      for (const double t : {0.99, 1.0}) {
        rejects("gradient_hessian_overlap", [&] { (void)sagitta::gradient_hessian_overlap(lower, ones, t); });
        rejects("gradient_hessian_overlap", [&] { (void)sagitta::gradient_hessian_overlap(I, g, t); });
        rejects("gradient_gram_overlap", [&] { (void)sagitta::gradient_gram_overlap(lower, t); });
      }
      rejects("feature_rank", [&] { (void)sagitta::feature_rank(A); });
      rejects("dormancy", [&] { (void)sagitta::dormancy(A); });
      rejects("per_sample_dormancy", [&] { (void)sagitta::per_sample_dormancy(A); });
      rejects("dormant_fraction", [&] { (void)sagitta::dormant_fraction(A); });
      rejects("l1_norm", [&] { (void)sagitta::l1_norm(A); });
      rejects("l2_norm", [&] { (void)sagitta::l2_norm(A); });
      rejects("l1_distance", [&] { (void)sagitta::l1_distance(A, I); });
      rejects("l2_distance", [&] { (void)sagitta::l2_distance(I, A); });

      rejects("L2InitPenalty", [&] { sagitta::L2InitPenalty penalty(A); });
      rejects("WassersteinPenalty", [&] { sagitta::WassersteinPenalty penalty(A); });
      const auto penalties = [&](const std::string& name, auto penalty) {
        Matrix gradient = Matrix::Constant(4, 4, 77);
        rejects(name, [&] { (void)penalty.value(A); });
        rejects(name, [&] { (void)penalty.value_and_gradient(A, gradient); });
        rejects(name, [&] { (void)penalty.add_gradient(A, 1, gradient); });
        CHECK((gradient.array() == TestType(77)).all());
      };
      penalties("L2Penalty", sagitta::L2Penalty());
      penalties("L2InitPenalty", sagitta::L2InitPenalty(I));
      penalties("WassersteinPenalty", sagitta::WassersteinPenalty(I));
      penalties("FeatureRankPenalty", sagitta::FeatureRankPenalty());
    }
}

TEST_CASE("fast math: numbers beside the matrices are looked at too") {
  const MatrixXd I = MatrixXd::Identity(3, 3), one = MatrixXd::Ones(1, 1);
  for (const double bad : not_finite<double>()) {
    rejects("effective_rank", [&] { (void)sagitta::effective_rank(I, bad); });
    rejects("symmetric_effective_rank", [&] { (void)sagitta::symmetric_effective_rank(I, bad); });
    rejects("symmetric_effective_rank", [&] { (void)sagitta::symmetric_effective_rank(I, 0.99, bad); });
    rejects("spectrum_effective_rank", [&] { (void)sagitta::spectrum_effective_rank(I.col(0), bad); });
    rejects("feature_rank", [&] { (void)sagitta::feature_rank(I, bad); });
    rejects("gauss_newton_rank", [&] { (void)sagitta::gauss_newton_rank(one, one, bad); });
    rejects("gradient_hessian_overlap", [&] { (void)sagitta::gradient_hessian_overlap(I, I.col(0), bad); });
    rejects("gradient_gram_overlap", [&] { (void)sagitta::gradient_gram_overlap(I, bad); });
    rejects("dormant_fraction", [&] { (void)sagitta::dormant_fraction(I, bad); });
  }
}

TEST_CASE("fast math: an undefined quantity is still one") {
  const MatrixXd I = MatrixXd::Identity(3, 3), zero = MatrixXd::Zero(3, 3);
  const auto is_nan = [](double x) { return !sagitta::detail::is_finite(x); };
  CHECK_FALSE(sagitta::gradient_hessian_overlap(zero, VectorXd::Ones(3)).defined());
  CHECK_FALSE(sagitta::gradient_hessian_overlap(I, VectorXd::Zero(3), 1).defined());
  CHECK_FALSE(sagitta::gradient_gram_overlap(zero).defined());
  CHECK(sagitta::gradient_hessian_overlap(I, VectorXd::Ones(3)).defined());
  CHECK(is_nan(sagitta::dormancy(zero)));
  CHECK(is_nan(sagitta::per_sample_dormancy(zero)));
  CHECK(is_nan(sagitta::dormancy(MatrixXd(0, 3))));
  CHECK(is_nan(sagitta::dormancy(MatrixXd(3, 0))));
  CHECK(is_nan(sagitta::dormant_fraction(MatrixXd(0, 3))));
}

TEST_CASE("fast math: squares that overflow are an error") {
  const MatrixXd large = MatrixXd::Constant(3, 3, 1e200), small = MatrixXd::Constant(3, 3, 1e-200);
  rejects("gram", [&] { (void)sagitta::gram(large); });
  rejects("gram", [&] { (void)sagitta::gram(small); });
}

TEST_CASE("fast math: ranks are what they are without") {
  CHECK(sagitta::effective_rank(MatrixXd::Identity(100, 100).eval()).rank == 100);
  CHECK(sagitta::symmetric_effective_rank(MatrixXd::Identity(200, 200).eval()).rank == 199);
  CHECK(sagitta::spectrum_effective_rank(Eigen::Vector2d(99, 1)).rank == 2);
  MatrixXd tiny = MatrixXd::Zero(3, 3);
  tiny.diagonal() << 98e-200, 1.5e-200, 0.5e-200;
  CHECK(sagitta::effective_rank(tiny).rank == 2);
  CHECK(sagitta::effective_rank(MatrixXd::Zero(3, 3)).rank == 0);
}
