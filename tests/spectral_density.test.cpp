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
  }
}

TEST_CASE("a smoothed density has mass 1 and the mean and variance of its vector, whatever the width") {
  generate::Generator generator(98);
  for (const Index n : {1, 2, 30, 400})
    for (int trial = 0; trial < 6; ++trial) {
      const VectorXd s = hessian_like(n);
      const MatrixXd A = with_spectrum(generator, s);
      const VectorXd v = generate::vector(generator, n).normalized();
      const auto density = sagitta::spectral_density(DenseOperator(A), v, 2 + 8 * trial);
      const double mean = v.dot(A * v), variance = (A * v).squaredNorm() - mean * mean;
      for (const double width : {.001, .02, .7}) {  // below and above the grid's step
        const auto curve = sagitta::density_curve(density, width, 300);
        const double step = (curve.x[299] - curve.x[0]) / 299;
        CHECK(curve.y.minCoeff() >= 0);
        CHECK(std::abs(curve.y.sum() * step - 1) <= 1e-10);  // eps |node| / (x_299 - x_0)
        // 6 widths hold all but 1e-9 of a Gaussian, whose rest is counted to the ends
        CHECK(std::abs(curve.x.dot(curve.y) * step - mean) <= 1e-8);
        const double got = (curve.x.array() - mean).square().matrix().dot(curve.y) * step;
        CHECK(got >= variance + width * width - 1e-6);
        CHECK(got <= variance + width * width + step * step / 4 + 1e-6);
        if (width > step) CHECK(std::abs(got - variance - width * width - step * step / 6) <= 1e-6);
      }
    }
  const auto density = sagitta::spectral_density(DenseOperator(MatrixXd(0, 0)), generator);
  CHECK(density.nodes.size() == 0);
  CHECK(sagitta::density_curve(density, 1, 8).y.isZero(0));
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
  CHECK(low.products <= 30);  // 25, the null space, one that finds nothing else, and some for rounding
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

TEST_CASE("eigenvalues that repeat are counted one by one where few are distinct") {
  generate::Generator generator(99);
  const auto check = [&](const VectorXd& s, double threshold, double tolerance) {
    const MatrixXd A = with_spectrum(generator, s);
    for (const double scale : {1.0, 0x1p-660, 0x1p600}) {
      const auto estimate =
          sagitta::estimated_effective_rank(DenseOperator(A * scale), threshold, generator, 120);
      const auto truth = static_cast<double>(sagitta::symmetric_effective_rank(A, threshold).rank);
      INFO(estimate.rank << " of " << truth);
      CHECK(std::abs(estimate.rank - truth) <= tolerance);
      CHECK(estimate.products <= 120);
    }
    const auto density = sagitta::spectral_density(DenseOperator(A), generator, {.steps = 120});
    CHECK(std::abs(density.weights.sum() - 1) <= 1e-13);
    return density;
  };
  VectorXd s(400);
  for (Index i = 0; i < 400; ++i) s[i] = i < 5 ? -100 : 1e-3;
  // five times a block of both, then one that is a multiple of the identity: all is known
  const auto density = check(s, .99, 1);
  CHECK(density.products == 11);
  CHECK(std::abs(density.nodes.dot(density.weights) - s.mean()) <= 1e-12 * 100);
  check(s, .9999, 1);
  for (Index i = 0; i < 400; ++i) {
    const Index pair = i / 2;
    s[i] = std::pow(.7, static_cast<double>(pair)) * (pair % 3 == 0 ? -1 : 1);
  }
  check(s, .99, 1);  // pairs: one of each in the first block, the other one among the deflated of the second
  s.setConstant(-3);
  CHECK(check(s, .99, 1).products == 1);
  check(VectorXd::Zero(400), .99, 0);
}

TEST_CASE("a bulk far below what stands out does not blur the rank, and the drift holds the error") {
  generate::Generator generator(101);
  const Index n = 300;
  int estimates = 0, silent = 0, exact = 0;
  const auto look = [&](const VectorXd& s, double threshold) {
    const sagitta::FunctionOperator op(n, [&](const auto& in, auto& out) { out = s.cwiseProduct(in); });
    const auto estimate = sagitta::estimated_effective_rank(op, threshold, generator, 96);
    const auto truth =
        static_cast<double>(sagitta::spectrum_effective_rank(s.cwiseAbs().eval(), threshold).rank);
    const double error = std::abs(estimate.rank - truth);
    ++estimates;
    exact += error == 0;
    silent += error > .1 * truth && estimate.drift < error / 2;
    return error;
  };
  for (const double bulk : {1e-5, 1e-6, 1e-8, 1e-10, 1e-12, 0.0})
    for (const Index outliers : {1, 3, 10}) {
      VectorXd s(n);
      for (Index i = 0; i < n; ++i)
        s[i] = i < outliers ? 1 + generate::uniform(generator, 0, 1)
                            : bulk * std::abs(sagitta::detail::normal_vector(1, generator)[0]);
      INFO(outliers << " outliers over a bulk of " << bulk);
      if (bulk < 1e-5) CHECK(look(s, .99) <= .1 * static_cast<double>(outliers));
      look(s, .999);
      look(generate::with_random_signs(generator, s), .9);
    }
  for (const double decades : {4.0, 8.0, 12.0}) {
    VectorXd s(n);
    for (Index i = 0; i < n; ++i)
      s[i] = std::pow(10, -decades * static_cast<double>(i) / static_cast<double>(n));
    for (const double threshold : {.9, .99}) look(s, threshold);
  }
  for (const Index rank : {5, 25}) {  // G G^T + 1e-5
    VectorXd s = VectorXd::Constant(n, 1e-5);
    for (Index i = 0; i < rank; ++i) s[i] += 100 * generate::uniform(generator, .1, 2);
    CHECK(look(s, .99) == 0);
  }
  INFO(silent << " of " << estimates << " errors above a tenth have a drift below half of them; " << exact
              << " are exact");
  CHECK(silent == 0);
  CHECK(exact > estimates / 2);
}

TEST_CASE("an estimate that knows every eigenvalue is the rank, and does not drift") {
  generate::Generator generator(102);
  const Index n = 400;
  const auto check = [&](const VectorXd& s, double threshold, Index products) {
    const sagitta::FunctionOperator op(n, [&](const auto& in, auto& out) { out = s.cwiseProduct(in); });
    const auto estimate = sagitta::estimated_effective_rank(op, threshold, generator, 100);
    CHECK(estimate.rank ==
          static_cast<double>(sagitta::spectrum_effective_rank(s.cwiseAbs().eval(), threshold).rank));
    CHECK(estimate.drift == 0);
    CHECK(estimate.products == products);
  };
  VectorXd one = VectorXd::Zero(n);
  one[7] = n;  // the spectrum of a matrix of ones
  check(one, .99, 3);
  check(VectorXd::Constant(n, -2), .99, 1);
  VectorXd few = VectorXd::Constant(n, .5);
  few.head(4) << 90, -70, 40, 20;
  for (const double threshold : {.3, .6, .9, .99}) check(few, threshold, 6);
  const auto ones =
      sagitta::estimated_effective_rank(DenseOperator(MatrixXd::Ones(n, n)), .99, generator, 100);
  CHECK(ones.rank == 1);
  CHECK(ones.drift == 0);
}

TEST_CASE("the trace estimate lies within its standard errors, which are about right") {
  generate::Generator generator(95);
  const Index n = 120;
  for (int kind = 0; kind < 4; ++kind)
    for (const Index probes : {10, 20, 40}) {
      VectorXd s(n);
      for (Index i = 0; i < n; ++i) {
        const auto at = static_cast<double>(i);
        s[i] = kind == 0   ? std::pow(.7, at)
               : kind == 1 ? std::pow(.95, at) * (i % 4 == 0 ? -2 : 1)
               : kind == 2 ? (i % 4 == 0 ? -2 : 1)
                           : std::pow(1 + at, -1.5);
      }
      const DenseOperator op(with_spectrum(generator, s));
      double squares = 0, claimed = 0;
      int within_one = 0, within_two = 0, far = 0;
      const int repeats = 200;
      for (int i = 0; i < repeats; ++i) {
        const auto trace = sagitta::estimated_trace(op, probes, generator);
        const double error = std::abs(trace.value - s.sum());
        squares += error * error;
        claimed += trace.standard_error * trace.standard_error;
        within_one += error <= trace.standard_error;
        within_two += error <= 2 * trace.standard_error;
        far += error > 5 * trace.standard_error;
        CHECK(trace.products == probes);
      }
      const double ratio = std::sqrt(claimed / squares);
      INFO("spectrum " << kind << ", " << probes << " products: claimed error / actual error " << ratio
                       << ", within 1 and 2 errors " << within_one << " and " << within_two << " of "
                       << repeats);
      // a normal distribution has .68 and .95; a standard deviation of these counts is .03 and .02
      CHECK(within_one >= .55 * repeats);
      CHECK(within_two >= .8 * repeats);
      CHECK(far <= .04 * repeats);
      CHECK(ratio > .85);
      CHECK(ratio < 1.8);
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
      CHECK(sagitta::gradient_hessian_overlap(op, g, 1, generator).products == 2);
    }
    CHECK_FALSE(sagitta::gradient_hessian_overlap(op, VectorXd::Zero(n), .99, generator).defined());
    CHECK_FALSE(sagitta::gradient_hessian_overlap(DenseOperator(MatrixXd::Zero(n, n)), VectorXd::Ones(n), .99,
                                                  generator, 50)
                    .defined());
  }
}

TEST_CASE("the overlap by products: where the definition is 0 / 0, and where the cut is arbitrary") {
  generate::Generator generator(100);
  const Index n = 400;
  VectorXd s = VectorXd::Zero(n);
  for (Index i = 0; i < 30; ++i) s[i] = std::pow(.8, static_cast<double>(i)) * (i % 3 == 1 ? -1 : 1);
  const MatrixXd Q = generate::orthogonal(generator, n, n);
  for (const double scale : {1.0, 0x1p-660, 0x1p600}) {  // squares of the eigenvalues are out of range
    const DenseOperator op(Q * s.asDiagonal() * Q.transpose() * scale);
    const VectorXd outside = Q.col(n - 1) + Q.col(n - 2);  // in the null space, up to rounding
    for (const double threshold : {.9, .99, 1.0}) {
      CHECK_FALSE(sagitta::gradient_hessian_overlap(op, outside, threshold, generator, 100).defined());
      // a low rank: everything is found exactly, the eigenvalue at the cut from either start
      const VectorXd g = generate::vector(generator, n);
      const auto dense = sagitta::gradient_hessian_overlap(Q * s.asDiagonal() * Q.transpose(), g, threshold);
      const auto free = sagitta::gradient_hessian_overlap(op, g, threshold, generator, 100);
      CHECK(std::abs(free.value - dense.value) <= 1e-9);
      CHECK(free.truncation == dense.truncation);
    }
  }
  // H = I: which directions are above the cut is anyone's choice, from none of g to all of it
  const auto any = sagitta::gradient_hessian_overlap(DenseOperator(MatrixXd::Identity(n, n)),
                                                     generate::vector(generator, n), .99, generator, 100);
  CHECK(any.value == 1);
  CHECK(any.error == 1);
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

TEST_CASE("density_curve rejects widths that doubles cannot tell beside the nodes") {
  const sagitta::SpectralDensity density{Eigen::Vector3d(0, 1, 2), Eigen::Vector3d(.25, .5, .25), 3};
  const sagitta::SpectralDensity single{VectorXd::Constant(1, 5), VectorXd::Ones(1), 1};
  for (const double width : {1e-300, 1e-17, 1e17, 1e300, 1e308})
    for (const auto& of : {density, single})
      CHECK(holds(rejection([&] { (void)sagitta::density_curve(of, width); }), "density_curve: width is "));
  CHECK(holds(rejection([&] { (void)sagitta::density_curve(single, 1e-14, 100000); }),
              "density_curve: width is "));
  for (const double width : {1e-12, 1e-3, 1.0, 1e6}) {
    const auto curve = sagitta::density_curve(density, width);
    const double step = (curve.x[511] - curve.x[0]) / 511;
    CHECK(std::abs(curve.y.sum() * step - 1) <= 1e-9);
    CHECK(std::abs(curve.x.dot(curve.y) * step - 1) <= 1e-8 * (1 + width));
  }
}
