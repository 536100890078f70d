#pragma once

#include <cmath>
#include <sagitta/detail/bracket.hpp>
#include <sagitta/detail/scaling.hpp>
#include <sagitta/detail/spectral_measure.hpp>

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
    norm = n == 0 ? 0 : moduli[0];
  }
  if (product > static_cast<double>(n) * detail::epsilon * norm * length)
    result.value = projected / (length * product);
  return result;
}

// The overlap with the empirical Fisher, from the Gram matrix of the per-sample gradients alone, for the mean
// gradient of the same samples: with K = Q diag(lambda) Q^T and b = Q^T 1,
//   sum_{i<=k} lambda_i^2 b_i^2 / sqrt(sum_i lambda_i b_i^2 * sum_{i<=k} lambda_i^3 b_i^2).
//   K: M x M, positive semidefinite, its lower triangle is read; float or double, any scale
// The value is a quiet NaN also where the mean gradient cancels to the rounding of K (1^T K 1 <= M^2 eps
// |K|). Throws std::invalid_argument for a matrix that is not square, has a diagonal entry below zero, NaN or
// infinity, and for a threshold outside [0, 1]. 4/3 M^3 operations; M^2 without truncation.
template <class Derived>
Overlap gradient_gram_overlap(const Eigen::MatrixBase<Derived>& K, double threshold = 0.99) {
  constexpr const char* name = "gradient_gram_overlap";
  detail::check_square(K.rows(), K.cols(), name, "K");
  detail::check_threshold(threshold, name);
  const detail::Scaled work = detail::scaled(K, name, "K", true);
  const Index M = K.rows();
  for (Index m = 0; m < M; ++m)
    if (work.matrix(m, m) < 0)
      detail::reject(name, "K(", m, ", ", m, ") is negative, expected a Gram matrix (positive semidefinite)");
  const Eigen::VectorXd ones = Eigen::VectorXd::Ones(M);

  double whole = 0, square = 0, cube = 0, norm = 0;  // sums of lambda b^2, lambda^2 b^2, lambda^3 b^2; |K|
  Overlap result{.truncation = M};
  if (threshold == 1) {
    const Eigen::VectorXd K1 = work.matrix.selfadjointView<Eigen::Lower>() * ones;
    whole = K1.sum();
    square = K1.squaredNorm();
    cube = K1.dot(work.matrix.selfadjointView<Eigen::Lower>() * K1);
    norm = std::sqrt(2.0) * work.matrix.norm();
  } else {
    const detail::SpectralMeasure measure = detail::spectral_measure(work.matrix, ones);
    const Eigen::ArrayXd values = measure.values.cwiseMax(0);  // below zero is rounding
    result.truncation = detail::bracketed_rank(measure.values.cwiseAbs(), measure.error, threshold, M).rank;
    const Eigen::ArrayXd weighted = values * measure.components.array().square();
    const auto kept = weighted.head(result.truncation), kept_values = values.head(result.truncation);
    whole = weighted.sum();
    square = (kept_values * kept).sum();
    cube = (kept_values.square() * kept).sum();
    norm = M == 0 ? 0 : std::abs(measure.values[0]);
  }
  const double rounding = static_cast<double>(M) * detail::epsilon * norm;
  if (whole > rounding * static_cast<double>(M) && cube > 0 && std::sqrt(cube) > rounding * std::sqrt(whole))
    result.value = square / std::sqrt(whole * cube);
  return result;
}

}  // namespace sagitta
