#pragma once

#include <sagitta/fisher.hpp>
#include <sagitta/libtorch/gram.hpp>

namespace sagitta::libtorch {

namespace detail {

// A symmetric tensor on the host, in double.
inline MatrixOf<double> on_host(const at::Tensor& A, const char* function) {
  if (!A.defined() || A.dim() != 2 || A.size(0) != A.size(1)) {
    std::ostringstream shape;
    if (A.defined()) shape << "A is of shape " << A.sizes();
    reject(function, A.defined() ? shape.str() : "A is an undefined tensor", ", expected a square matrix");
  }
  const at::Tensor host = A.detach().to(at::kCPU, at::kDouble).contiguous();
  return Eigen::Map<const MatrixOf<double>>(host.data_ptr<double>(), host.size(0), host.size(1)).transpose();
}

// A bound on what the rounding of the products has done to a Gram matrix, in the 2-norm: errors of its
// entries are independent and of the size eps |g_m| |g_n|.
inline double rounding_of(const at::Tensor& A, const MatrixOf<double>& K) {
  const double bound = 8 * unit_of(A.scalar_type()) * K.reshaped().stableNorm();
  return sagitta::detail::is_finite(bound) ? bound : 0;  // then K is not finite, which the core tells
}
inline double rounding_of(const GramResult& result, const MatrixOf<double>& K) {
  const double bound = rounding_of(result.gram, K) + result.cancellation;
  // an error that no double can tell excludes no rank
  return sagitta::detail::is_finite(bound) ? bound : std::numeric_limits<double>::max();
}

}  // namespace detail

// The effective rank of a symmetric tensor, of its |eigenvalues| (the paper, section 4).
//   A: [n, n] on any device, of any floating-point type; its lower triangle is read. It goes to the host,
//   where the core computes its eigenvalues in double.
// The bracket includes the rounding of a Gram matrix that was formed in the tensor's type. Throws
// std::invalid_argument for a tensor that is not square, NaN or infinity, and a threshold outside [0, 1].
// 4/3 n^3 operations.
inline EffectiveRank symmetric_effective_rank(const at::Tensor& A, double threshold = 0.99) {
  const MatrixOf<double> K = detail::on_host(A, "symmetric_effective_rank");
  return sagitta::symmetric_effective_rank(K, threshold, detail::rounding_of(A, K));
}

// The Gram matrix on the host with all that must be known of it, once, for every answer: fisher_rank,
// gradient_gram_overlap and rank_interval take it. Its error is what the rounding of the products and, where
// the positions of a sample cancel, of their sums may have moved it by (GramResult::cancellation); the
// gradients count as exact as the model's own arithmetic gives its activations and backprops.
inline GradientGram gradient_gram(const GramResult& result) {
  MatrixOf<double> K = detail::on_host(result.gram, "gradient_gram");
  const double error = detail::rounding_of(result, K);
  return {std::move(K), error, static_cast<Index>(result.parameter_count)};
}

// The effective rank of a Gram matrix, whose max_rank is min(N, number of parameters): that of gradient_gram.
inline EffectiveRank symmetric_effective_rank(const GramResult& result, double threshold = 0.99) {
  return sagitta::detail::gradient_rank(gradient_gram(result), threshold, 1, "symmetric_effective_rank");
}

}  // namespace sagitta::libtorch
