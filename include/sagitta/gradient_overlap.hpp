#pragma once

#include <sagitta/detail/language.hpp>

#include <cmath>
#include <sagitta/detail/bracket.hpp>
#include <sagitta/detail/scaling.hpp>
#include <sagitta/detail/spectral_measure.hpp>
#include <sagitta/effective_rank.hpp>
#include <sagitta/gradient_gram.hpp>
#include <sagitta/spectral_density.hpp>

// How much of the gradient lies in the top subspace of the Hessian (the paper, section 6.2 and Figure 5):
//   g^T H_k g / (|g| |H_k g|),
// H_k keeping the k eigenvalues of largest modulus, k the effective rank of H (footnote 6).
namespace sagitta {

struct Overlap {
  // from -1 to 1; a quiet NaN where g or H_k g is zero to rounding: |H_k g| <= n eps |H| |g|
  double value = std::numeric_limits<double>::quiet_NaN();
  Index truncation = 0;  // k

  bool defined() const { return detail::is_finite(value); }
};

// The overlap with a dense symmetric matrix.
//   H: n x n, its lower triangle is read;  g: n;  float or double, any Eigen expression, any scale
//   threshold: of the effective rank at which H is truncated; 1 does not truncate
// The value is right to about n eps |H| |g| / |H_k g|; where eigenvalues on both sides of the cut are equal
// the subspace itself is arbitrary. Throws std::invalid_argument for sizes that differ, NaN or infinity, and
// a threshold outside [0, 1]. 4/3 n^3 operations (no eigenvectors are formed); n^2 without truncation.
template <class Matrix, class Vector>
Overlap gradient_hessian_overlap(const Eigen::MatrixBase<Matrix>& H, const Eigen::MatrixBase<Vector>& g,
                                 double threshold = 0.99) {
  constexpr const char* name = "gradient_hessian_overlap";
  detail::check_square(H.rows(), H.cols(), name, "H");
  detail::check_size(g.size(), H.rows(), name, "g");
  detail::check_threshold(threshold, name);
  const detail::Scaled work = detail::scaled(H, name, "H", true);
  const Eigen::VectorXd gradient = detail::scaled(g.derived().reshaped().matrix(), name, "g").matrix;
  const Index n = H.rows();
  const double length = gradient.norm();

  double projected = 0, product = 0, norm = 0;  // g^T H_k g, |H_k g|, at least |H|
  Overlap result{.truncation = n};
  if (n == 0) return result;
  if (threshold == 1) {
    const Eigen::VectorXd Hg = work.matrix.selfadjointView<Eigen::Lower>() * gradient;
    projected = gradient.dot(Hg);
    product = Hg.norm();
    norm = std::sqrt(2.0) * work.matrix.norm();
  } else {
    const detail::SpectralMeasure measure = detail::spectral_measure(work.matrix, gradient);
    const Eigen::ArrayXd moduli = measure.values.cwiseAbs();
    result.truncation = detail::bracketed_rank(moduli, measure.error, threshold, n).rank;
    const auto values = measure.values.head(result.truncation).array();
    const auto components = measure.components.head(result.truncation).array();
    projected = (values * components.square()).sum();
    product = (values * components).matrix().norm();
    norm = moduli[0];
  }
  if (product > static_cast<double>(n) * epsilon * norm * length)
    result.value = std::clamp(projected / (length * product), -1.0, 1.0);
  return result;
}

namespace detail {

struct GramCurvature {
  EffectiveRank rank;  // its bracket includes input_error
  Overlap overlap;
};

// The effective rank of a Gram matrix and the overlap below, of one decomposition.
//   with_rank: whether the rank is asked for; without it threshold 1 takes no decomposition
template <class Derived>
GramCurvature gram_curvature(const Eigen::MatrixBase<Derived>& K, double threshold, double input_error,
                             bool with_rank, const char* name) {
  check_square(K.rows(), K.cols(), name, "K");
  check_threshold(threshold, name);
  check_input_error(input_error, name);
  const Scaled work = scaled(K, name, "K", true);
  const Index M = K.rows();
  for (Index m = 0; m < M; ++m)
    if (work.matrix(m, m) < 0)
      reject(name, "K(", m, ", ", m, ") is negative, expected a Gram matrix (positive semidefinite)");
  const Eigen::VectorXd ones = Eigen::VectorXd::Ones(M);
  const double scaled_error = std::ldexp(input_error, -work.exponent);

  double whole = 0, square = 0, cube = 0, norm = 0;  // sums of lambda b^2, lambda^2 b^2, lambda^3 b^2; |K|
  GramCurvature result{.rank = {}, .overlap = {.truncation = M}};
  if (M == 0) return result;
  if (threshold == 1) {
    const Eigen::VectorXd K1 = work.matrix.selfadjointView<Eigen::Lower>() * ones;
    whole = K1.sum();
    square = K1.squaredNorm();
    cube = K1.dot(work.matrix.selfadjointView<Eigen::Lower>() * K1);
    norm = std::sqrt(2.0) * work.matrix.norm();
    if (with_rank) result.rank = symmetric_effective_rank(work.matrix, threshold, scaled_error);
  } else {
    const SpectralMeasure measure = spectral_measure(work.matrix, ones);
    const Eigen::ArrayXd values = measure.values.cwiseMax(0);  // below zero is rounding
    const Eigen::VectorXd moduli = measure.values.cwiseAbs();
    result.overlap.truncation = bracketed_rank(moduli, measure.error, threshold, M).rank;
    if (with_rank) result.rank = bracketed_rank(moduli, measure.error + scaled_error, threshold, M);
    const Eigen::ArrayXd weighted = values * measure.components.array().square();
    const auto kept = weighted.head(result.overlap.truncation),
               kept_values = values.head(result.overlap.truncation);
    whole = weighted.sum();
    square = (kept_values * kept).sum();
    cube = (kept_values.square() * kept).sum();
    norm = std::abs(measure.values[0]);
  }
  const double rounding = static_cast<double>(M) * epsilon * norm + scaled_error;
  if (whole > rounding * static_cast<double>(M) && cube > 0 && std::sqrt(cube) > rounding * std::sqrt(whole))
    result.overlap.value = (std::min)(square / std::sqrt(whole * cube), 1.0);
  return result;
}

// both answers of one Gram matrix with its error
template <class = void>
GramCurvature gram_curvature(const GradientGram& gram, double threshold, const char* name) {
  GramCurvature result = gram_curvature(gram.matrix(), threshold, gram.error(), true, name);
  result.rank.max_rank = gram.max_rank();
  for (Index* bound : {&result.rank.rank, &result.rank.lower, &result.rank.upper})
    *bound = (std::min)(*bound, gram.max_rank());
  return result;
}

}  // namespace detail

// The overlap with the empirical Fisher, from the Gram matrix of the per-sample gradients alone, for the mean
// gradient of the same samples: with K = Q diag(lambda) Q^T and b = Q^T 1,
//   sum_{i<=k} lambda_i^2 b_i^2 / sqrt(sum_i lambda_i b_i^2 * sum_{i<=k} lambda_i^3 b_i^2).
//   K: M x M, positive semidefinite, its lower triangle is read; float or double, any scale
//   input_error: a bound on |K - B|_2 where K is a rounded version of the Gram matrix B, in the units of K
// The value is a quiet NaN also where the mean gradient cancels to the rounding of K (1^T K 1 <= M (M eps |K|
// + input_error)). Throws std::invalid_argument for a matrix that is not square, has a diagonal entry below
// zero, NaN or infinity, for a threshold outside [0, 1] and a negative input_error. 4/3 M^3 operations; M^2
// without truncation.
template <class Derived>
Overlap gradient_gram_overlap(const Eigen::MatrixBase<Derived>& K, double threshold = 0.99,
                              double input_error = 0) {
  return detail::gram_curvature(K, threshold, input_error, false, "gradient_gram_overlap").overlap;
}

template <class Derived>
Overlap gradient_gram_overlap(const Eigen::MatrixBase<Derived>& K, const RankOptions& options) {
  return gradient_gram_overlap(K, options.threshold, options.input_error);
}

// The same from a Gram matrix with its error.
template <class = void>
Overlap gradient_gram_overlap(const GradientGram& gram, double threshold = 0.99) {
  return gradient_gram_overlap(gram.matrix(), threshold, gram.error());
}

// An overlap by products alone.
struct EstimatedOverlap : Overlap {
  double error = 0;    // of the truncation: how far the value moves with the cut and the steps; 0 where exact
  Index products = 0;  // with op
};

namespace detail {

// g^T H_k g / (|g| |H_k g|) from the Gauss rule of g's spectral measure, H cut below `modulus`. On the
// positive and on the negative side the cut can be moved by one node outwards (+1) or inwards (-1). 0 where
// nothing is left.
template <class = void>
double truncated_overlap(const Quadrature& rule, double modulus, int positive = 0, int negative = 0) {
  double projected = 0, square = 0;
  for (const double sign : {1.0, -1.0}) {
    std::vector<std::pair<double, double>> side;  // modulus and weight
    for (Index i = 0; i < rule.nodes.size(); ++i)
      if (sign * rule.nodes[i] > 0) side.emplace_back(std::abs(rule.nodes[i]), rule.weights[i]);
    std::sort(side.begin(), side.end(), std::greater<>());
    const auto kept =
        std::count_if(side.begin(), side.end(), [&](const auto& node) { return node.first >= modulus; }) +
        (sign > 0 ? positive : negative);
    for (Index i = 0; i < std::min<Index>(kept, static_cast<Index>(side.size())); ++i) {
      const auto& [size, weight] = side[static_cast<std::size_t>(i)];
      projected += sign * size * weight;
      square += size * size * weight;
    }
  }
  return square > 0 ? std::clamp(projected / std::sqrt(square), -1.0, 1.0) : 0;
}

// unit^T op unit / |op unit|, for a unit vector
template <SymmetricOperator Op>
EstimatedOverlap untruncated_overlap(const Op& op, const Eigen::VectorXd& unit, const char* function) {
  const Index n = unit.size();
  EstimatedOverlap result;
  result.truncation = n;
  Eigen::VectorXd product(n), again(n);
  multiply(op, unit, product, function);
  result.products = 1;
  const double size = product.stableNorm();
  if (size == 0) return result;
  product /= size;
  // A product that is nothing but rounding has no preferred direction, so that another one tells |op|.
  multiply(op, product, again, function);
  result.products = 2;
  if (size > (std::max)(static_cast<double>(n) * epsilon, product_error(op)) * again.stableNorm())
    result.value = std::clamp(unit.dot(product), -1.0, 1.0);
  return result;
}

}  // namespace detail

// The overlap with a Hessian that is known by its products. Without truncation (threshold 1) two products
// give it to rounding. With it, the cut is that of estimated_effective_rank, and the Gauss rule of g's own
// spectral measure tells how much of g lies beyond it.
//   op: n x n;  g: n, float or double;  threshold: of the effective rank at which H is truncated;  steps: >=
//   2
// `error` is no bound but the largest change of the value when, one after the other, the cut moves by a node
// of the rule on either side (by the inequalities of Chebyshev, Markov and Stieltjes, the weight of g beyond
// a point is known to one node's weight), the threshold moves by twice the standard deviation that a random
// start gives the share above the cut, the cut is that of half the steps, and g's rule has half the steps.
// Exact, by n products with unit vectors, where n <= steps. Else at most 2 steps products, n steps doubles
// and 16 n steps^2 operations. A quiet NaN as above. Throws std::invalid_argument for an op that is not
// square, sizes that differ, a threshold outside [0, 1], steps below 2, NaN or infinity in g and where a
// product is not finite.
template <SymmetricOperator Op, class Vector, detail::RandomGenerator Generator>
EstimatedOverlap gradient_hessian_overlap(const Op& op, const Eigen::MatrixBase<Vector>& g, double threshold,
                                          Generator&& generator, Index steps = 320) {
  constexpr const char* name = "gradient_hessian_overlap";
  const Index n = detail::checked_size(op, name);
  detail::check_size(g.size(), n, name, "g");
  detail::check_threshold(threshold, name);
  detail::check_steps(steps, 2, name);
  const Eigen::VectorXd gradient = detail::scaled(g.derived().reshaped().matrix(), name, "g").matrix;
  const double length = gradient.norm();
  EstimatedOverlap result;
  result.truncation = n;
  if (length == 0) return result;
  if (threshold == 1) return detail::untruncated_overlap(op, Eigen::VectorXd(gradient / length), name);
  if (n <= steps) {
    static_cast<Overlap&>(result) =
        gradient_hessian_overlap(detail::dense_matrix(op, name), gradient, threshold);
    result.products = n;
    return result;
  }

  const auto size = static_cast<double>(n);
  double norm = 0;                 // at least |H|, about
  double cut = 0;                  // the modulus where H is truncated
  std::vector<double> other_cuts;  // by half the steps, by other luck
  {
    const detail::LanczosProcess process = detail::random_process(op, steps, generator, name);
    const detail::Quadrature rule = detail::spectrum_rule(process, process.steps);
    const detail::Crossing whole = detail::crossing(rule, size, threshold);
    norm = process.size;
    cut = whole.modulus;
    const auto half = detail::spectrum_rule(process, std::max<Index>(1, process.steps / 2));
    other_cuts.push_back(detail::crossing(half, size, threshold).modulus);
    for (const double sign : {-2.0, 2.0})
      other_cuts.push_back(
          detail::crossing(rule, size, std::clamp(threshold + sign * whole.share_deviation, 0.0, 1.0))
              .modulus);
    result.truncation = static_cast<Index>(std::ceil(whole.rank));
    result.products = process.steps;
  }
  detail::LanczosProcess process(gradient, steps);
  process.extend(op, steps, name);
  result.products += process.steps;
  norm = (std::max)(norm, process.size);
  if (norm == 0) return result;
  // The rule of the first m steps, and below the cuts, in units of norm, so that squares are in range. The
  // same eigenvalue, found from two starts, differs by rounding.
  const auto rule_of = [&](Index m) {
    detail::Quadrature rule = detail::gauss_rule(process, 0, m);
    rule.nodes /= norm;
    return rule;
  };
  const auto cut_at = [&](double modulus) { return modulus / norm - detail::step_error(op); };
  const detail::Quadrature rule = rule_of(process.steps);
  const double whole_cut = cut_at(cut);
  double square = 0;  // (|H_k g| / |g| |H|)^2
  for (Index i = 0; i < rule.nodes.size(); ++i)
    if (std::abs(rule.nodes[i]) >= whole_cut) square += rule.nodes[i] * rule.nodes[i] * rule.weights[i];
  if (!(std::sqrt(square) > (std::max)(size * epsilon, product_error(op)))) return result;
  result.value = detail::truncated_overlap(rule, whole_cut);

  const auto moved = [&](double other) {
    result.error = (std::max)(result.error, std::abs(other - result.value));
  };
  for (const int positive : {-1, 0, 1})
    for (const int negative : {-1, 0, 1})
      moved(detail::truncated_overlap(rule, whole_cut, positive, negative));
  for (const double other : other_cuts) moved(detail::truncated_overlap(rule, cut_at(other)));
  moved(detail::truncated_overlap(rule_of(std::max<Index>(1, process.steps / 2)), whole_cut));
  return result;
}

template <SymmetricOperator Op, class Vector, detail::RandomGenerator Generator>
EstimatedOverlap gradient_hessian_overlap(const Op& op, const Eigen::MatrixBase<Vector>& g,
                                          Generator&& generator, const EstimateOptions& options = {}) {
  return gradient_hessian_overlap(op, g, options.threshold, generator, options.steps);
}

}  // namespace sagitta
