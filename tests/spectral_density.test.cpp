#include <vector>

#include <sagitta/estimated_trace.hpp>
#include <sagitta/gradient_overlap.hpp>
#include <sagitta/spectral_density.hpp>

#include "catch.hpp"
#include "generate.hpp"
#include "rejection.hpp"

using Eigen::MatrixXd;
using Eigen::VectorXd;
using generate::Index;
using sagitta::DenseOperator;

namespace {

MatrixXd with_spectrum(generate::Generator& generator, const VectorXd& values) {
  const MatrixXd Q = generate::orthogonal(generator, values.size(), values.size());
  const MatrixXd A = Q * values.asDiagonal() * Q.transpose();
  return (A + A.transpose()) / 2;
}

// a bulk of both signs and a few outer values, as Hessians have
VectorXd hessian_like(Index n) {
  VectorXd s(n);
  for (Index i = 0; i < n; ++i) {
    const double x = static_cast<double>(i) / static_cast<double>(n);
    s[i] = i < 12 ? 40.0 / static_cast<double>(1 + i) : (i % 3 == 0 ? -.3 : 1) * std::exp(-6 * x);
  }
  return s;
}

}  // namespace

TEST_CASE("a Gauss rule has mass 1 and the moments of its vector") {
  generate::Generator generator(91);
  for (const Index n : {1, 4, 30, 80})
    for (const generate::Kind kind : generate::kinds)
      for (const double scale : {1.0, 0x1p-700, 0x1p600}) {
        const VectorXd s = generate::with_random_signs(generator, generate::spectrum(generator, kind, n));
        const MatrixXd A = with_spectrum(generator, s);
        const VectorXd v = generate::vector(generator, n).normalized();
        const auto density = sagitta::spectral_density(DenseOperator(A * scale), v, 6);
        const double norm = std::max(s.cwiseAbs().maxCoeff(), 1.0);
        const VectorXd nodes = density.nodes / scale;
        CHECK(std::abs(density.weights.sum() - 1) <= 1e-14);
        CHECK(density.weights.minCoeff() >= 0);
        CHECK(std::abs(nodes.dot(density.weights) - v.dot(A * v)) <= 1e-12 * norm);
        CHECK(std::abs(nodes.cwiseAbs2().dot(density.weights) - (A * v).squaredNorm()) <=
              1e-12 * norm * norm);
        CHECK(std::is_sorted(nodes.begin(), nodes.end()));
        CHECK(density.products <= 6);
      }
}

TEST_CASE("the density of an operator: mass 1, its mean and its second moment") {
  generate::Generator generator(92);
  const VectorXd s = hessian_like(400);
  const DenseOperator op(with_spectrum(generator, s));
  for (const sagitta::DensityOptions options :
       {sagitta::DensityOptions{.steps = 80, .probes = 4}, {.steps = 400}}) {
    const auto density = sagitta::spectral_density(op, generator, options);
    CHECK(std::abs(density.weights.sum() - 1) <= 1e-13);
    CHECK(density.weights.minCoeff() >= 0);
    // of the bulk only the probes know: 1 / sqrt(n probes), times a few
    CHECK(std::abs(density.nodes.dot(density.weights) - s.mean()) <= .1 * s.cwiseAbs().mean());
    CHECK(std::abs(density.nodes.cwiseAbs2().dot(density.weights) / s.cwiseAbs2().mean() - 1) <= .02);
    CHECK(density.products == (options.steps == 400 ? 400 : 320));

    const auto curve = sagitta::density_curve(density, .05, 4000);
    const double step = curve.x[1] - curve.x[0];
    CHECK(std::abs(curve.y.sum() * step - 1) <= 1e-12);
    CHECK(curve.y.minCoeff() >= -1e-12);
    const double mean = curve.x.dot(curve.y) * step;
    CHECK(std::abs(mean - density.nodes.dot(density.weights)) <= 1e-6);
    CHECK(std::abs(curve.x.cwiseAbs2().dot(curve.y) * step -
                   (density.nodes.cwiseAbs2().dot(density.weights) + .05 * .05 + step * step / 12)) <= 1e-5);
  }
  const auto coarse = sagitta::density_curve(sagitta::spectral_density(op, generator), 1e-9, 16);
  CHECK(std::abs(coarse.y.sum() * (coarse.x[1] - coarse.x[0]) - 1) <= 1e-12);  // whatever the width
}

TEST_CASE("the estimated rank is near the rank, and exact where that costs no more") {
  generate::Generator generator(93);
  double worst = 0;
#ifdef __SANITIZE_ADDRESS__
  const std::vector<Index> sizes{500};  // unoptimised and sanitized, the larger one takes minutes
#else
  const std::vector<Index> sizes{500, 900};
#endif
  for (const Index n : sizes)
    for (const double threshold : {.9, .99}) {
      const VectorXd s = hessian_like(n);
      const MatrixXd A = with_spectrum(generator, s);
      const auto truth = static_cast<double>(sagitta::symmetric_effective_rank(A, threshold).rank);
      const auto estimate = sagitta::estimated_effective_rank(DenseOperator(A), threshold, generator, 120);
      worst = std::max(worst, std::abs(estimate.rank / truth - 1));
      CHECK(std::abs(estimate.rank / truth - 1) <= .1);
      CHECK(estimate.products == 120);
      const auto exact = sagitta::estimated_effective_rank(DenseOperator(A), threshold, generator, n);
      CHECK(exact.rank == truth);
      CHECK(exact.drift == 0);
      CHECK(exact.products == n);
    }
  INFO("largest relative error " << worst);
  CHECK(worst <= .1);
}

TEST_CASE("few distinct eigenvalues: a low rank is found, multiplicities are estimated") {
  generate::Generator generator(94);
  VectorXd s = VectorXd::Zero(600);
  for (Index i = 0; i < 25; ++i) s[i] = static_cast<double>(1 + i) * (i % 2 == 0 ? 1 : -1);
  const auto low =
      sagitta::estimated_effective_rank(DenseOperator(with_spectrum(generator, s)), .99, generator, 100);
  const auto truth = static_cast<double>(sagitta::spectrum_effective_rank(s.cwiseAbs().eval()).rank);
  CHECK(std::abs(low.rank - truth) <= 1);  // fractions of an eigenvalue aside, exact
  CHECK(low.products <= 27);
  for (Index i = 0; i < 600; ++i)
    s[i] = i < 300 ? 1 : 0;  // two eigenvalues: the probe's weights are all there is
  const auto half =
      sagitta::estimated_effective_rank(DenseOperator(with_spectrum(generator, s)), .99, generator, 100);
  CHECK(std::abs(half.rank - 297) <= 5 * std::sqrt(300.0));
  const auto zero =
      sagitta::estimated_effective_rank(DenseOperator(MatrixXd::Zero(600, 600)), .99, generator, 10);
  CHECK(zero.rank == 0);
  CHECK(zero.drift == 0);
}

TEST_CASE("the trace estimate lies within its standard errors, which are about right") {
  generate::Generator generator(95);
  for (const double rate : {.7, .95, 1.0}) {
    VectorXd s(150);
    for (Index i = 0; i < 150; ++i) s[i] = std::pow(rate, static_cast<double>(i)) * (i % 4 == 0 ? -2 : 1);
    const DenseOperator op(with_spectrum(generator, s));
    double squares = 0, claimed = 0, far = 0;
    const int repeats = 100;
    for (int i = 0; i < repeats; ++i) {
      const auto trace = sagitta::estimated_trace(op, 40, generator);
      const double error = trace.value - s.sum();
      squares += error * error;
      claimed += trace.standard_error * trace.standard_error;
      far += std::abs(error) > 5 * trace.standard_error + 1e-12 ? 1 : 0;
      CHECK(trace.products == 40);
    }
    CHECK(far <= 1);
    const double ratio = std::sqrt((claimed + 1e-24) / (squares + 1e-24));
    INFO("rate " << rate << ": claimed error / actual error " << ratio);
    CHECK(ratio > .5);
    CHECK(ratio < 3);
  }
  CHECK(std::abs(sagitta::estimated_trace(DenseOperator(MatrixXd::Identity(10, 10)), 30, generator).value -
                 10) <= 1e-14);
  const auto zero = sagitta::estimated_trace(DenseOperator(MatrixXd::Zero(90, 90)), 30, generator);
  CHECK(zero.value == 0);
  CHECK(zero.standard_error == 0);
  MatrixXd one = MatrixXd::Zero(90, 90);  // of lower rank than the sketch
  one(3, 3) = 0x1p-800;
  CHECK(std::abs(sagitta::estimated_trace(DenseOperator(one), 30, generator).value * 0x1p800 - 1) <= 1e-12);
}

TEST_CASE("the overlap by products is that of the dense matrix, within the error it states") {
  generate::Generator generator(96);
  for (const Index n : {300, 600}) {
    const MatrixXd A = with_spectrum(generator, hessian_like(n));
    const DenseOperator op(A);
    for (const double threshold : {.8, .9, .99}) {
      const VectorXd g = A * generate::vector(generator, n) + .1 * generate::vector(generator, n);
      const auto dense = sagitta::gradient_hessian_overlap(A, g, threshold);
      const auto free = sagitta::gradient_hessian_overlap(op, g, threshold, generator, 100);
      CHECK(std::abs(free.value - dense.value) <= free.error + 1e-9);
      CHECK(free.error <= .05);
      CHECK(free.products <= 200);
      const auto exact = sagitta::gradient_hessian_overlap(op, g, threshold, generator, n);
      CHECK(std::abs(exact.value - dense.value) <= 1e-12);
      CHECK(exact.truncation == dense.truncation);
      CHECK(exact.error == 0);
      CHECK(sagitta::gradient_hessian_overlap(op, g, 1, generator).products == 1);
    }
    CHECK_FALSE(sagitta::gradient_hessian_overlap(op, VectorXd::Zero(n), .99, generator).defined());
    CHECK_FALSE(sagitta::gradient_hessian_overlap(DenseOperator(MatrixXd::Zero(n, n)), VectorXd::Ones(n), .99,
                                                  generator, 50)
                    .defined());
  }
}

TEST_CASE("estimates reject what they cannot answer") {
  generate::Generator generator(97);
  const DenseOperator I(MatrixXd::Identity(3, 3));
  CHECK(rejection([&] { (void)sagitta::estimated_effective_rank(I, 2, generator); }) ==
        "estimated_effective_rank: threshold is 2, expected a number from 0 to 1");
  CHECK(rejection([&] { (void)sagitta::estimated_effective_rank(I, .99, generator, 1); }) ==
        "estimated_effective_rank: steps is 1, expected at least 2");
  CHECK(rejection([&] { (void)sagitta::estimated_trace(I, 3, generator); }) ==
        "estimated_trace: probes is 3, expected at least 4");
  CHECK(rejection([&] { (void)sagitta::spectral_density(I, generator, {.probes = 0}); }) ==
        "spectral_density: probes is 0, expected at least 1");
  CHECK(rejection([&] { (void)sagitta::density_curve({}, 0); }) ==
        "density_curve: width is 0, expected a finite number > 0");
  CHECK(rejection([&] { (void)sagitta::gradient_hessian_overlap(I, VectorXd::Ones(4), .99, generator); }) ==
        "gradient_hessian_overlap: g has 4 elements, expected 3");
}
