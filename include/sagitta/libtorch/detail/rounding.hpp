#pragma once

#include <ATen/Context.h>
#include <ATen/ops/maximum.h>

#include <cstdlib>
#include <sagitta/libtorch/rule.hpp>
#include <string_view>

// How far the rounding of products moves a Gram matrix. Where the positions of a sample (pixels, tokens, the
// uses of a shared weight) nearly cancel, it is far above eps times the Gram matrix: it goes with the size of
// what was summed.
namespace sagitta::libtorch::detail {

inline double unit_of(at::ScalarType type) {
  return type == at::kDouble ? 2.3e-16 : type == at::kFloat ? 1.2e-7 : type == at::kHalf ? 1e-3 : 8e-3;
}

// The unit roundoff of products in float where the settings of the process let hardware take a shorter type:
// TF32, or bfloat16 on a CPU. 0 for other types.
inline double unit_of_hardware(at::ScalarType type, at::Device device, bool convolves) {
  if (type != at::kFloat) return 0;
  const at::Context& context = at::globalContext();
  const auto precision = context.float32MatmulPrecision();
  if (device.is_cpu()) return precision == at::Float32MatmulPrecision::MEDIUM ? unit_of(at::kBFloat16) : 0;
  const char* const override = std::getenv("NVIDIA_TF32_OVERRIDE");
  if (override != nullptr && std::string_view(override) == "0") return 0;
  const bool tf32 = precision != at::Float32MatmulPrecision::HIGHEST || context.allowTF32CuBLAS() ||
                    (convolves && context.allowTF32CuDNN());
  return tf32 ? unit_of(at::kHalf) / 2 : 0;  // as many digits as half precision, rounded to nearest
}

// [N]: at least the lengths that gradients by one factor would have if nothing cancelled,
//   sum_t |d_nt| |a_mt| <= |d_n| |a_m|.
// Norms over all positions at once, which take one pass over memory in the order in which it lies.
inline at::Tensor uncancelled_lengths(const Factor& f) {
  if (!f.is_outer()) return f.lengths.defined() ? f.lengths : row_lengths(f.backprops);
  const at::Tensor d = row_lengths(f.backprops);
  if (!f.inputs.defined()) return d * std::sqrt(static_cast<double>(f.indices.size(1)));
  const at::Tensor a = row_lengths(f.inputs);
  return (d.view({a.size(0), -1}) * a.unsqueeze(1)).flatten();
}

// whether the gradients by a factor are sums in which something can cancel
inline bool may_cancel(const Factor& f) {
  return f.is_outer() ? f.backprops.size(1) > 1 : f.lengths.defined();
}

// A bound on the 2-norm of what rounding did to K = G G^T: [] in double.
//   S: [N], the lengths above
//   formed: whether the gradients G were formed, rounded by eps S_n each, and then multiplied; else the
//     products of all positions were summed, where entry (n, m) is off by eps S_n S_m
//   weights: [N] in double, of w_n K_nm w_m in the place of K
// Errors of different entries are independent, so that a matrix of them has about the norm of its largest
// row.
inline at::Tensor rounding_of_products(const at::Tensor& S, const at::Tensor& K, bool formed,
                                       const at::Tensor& weights = {}) {
  const double unit = unit_of(K.scalar_type());
  at::Tensor lengths = S.to(at::kDouble), squares = K.diagonal().to(at::kDouble).clamp_min(0);
  if (weights.defined()) {
    lengths = lengths * weights.abs();
    squares = squares * weights.square();
  }
  const at::Tensor whole = at::linalg_vector_norm(lengths), top = lengths.max();
  if (!formed) return top * whole * (8 * unit);
  return (at::maximum(top * squares.sum().sqrt(), squares.max().sqrt() * whole) + top * whole * unit) *
         (8 * unit);
}

}  // namespace sagitta::libtorch::detail
