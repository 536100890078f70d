#pragma once

#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <sagitta/libtorch/detail/rounding.hpp>
#include <sagitta/libtorch/detail/rules.hpp>

// Gram matrices of factors. They are symmetric, so that only their lower triangle is computed, panel by panel
// of rows; what a result holds above the diagonal means nothing. N = M * copies throughout, the rows of a
// factor's backprops; M are those of its inputs.
namespace sagitta::libtorch::detail {

struct Products {
  int64_t chunk_bytes = 0;  // bound on each temporary
  at::Tensor weights;       // [N] in double: those of the check; undefined: none

  // [N, N] of one factor; with_bias adds the gradients by a bias with the same backprops (T = 1 only). What
  // positions that cancel add to its rounding is appended to `roundings`, [2]: as it is, and weighted.
  at::Tensor gram(const Factor& factor, std::vector<at::Tensor>& roundings, bool with_bias = false) const {
    const int64_t N = rows(factor);
    at::Tensor K = at::zeros({N, N}, factor.backprops.options());
    const bool structured = factor.is_outer() && (with_bias || prefers_structure(factor));
    if (!factor.is_outer())
      add_lower(K, factor.backprops.reshape({N, factor.backprops.numel() / N}));
    else if (structured)
      add_structured(K, factor, with_bias);
    else
      add_formed(K, factor);
    if (may_cancel(factor)) {
      const at::Tensor lengths = uncancelled_lengths(factor);
      const at::Tensor plain = rounding_of_products(lengths, K, !structured);
      roundings.push_back(at::stack(
          {plain, weights.defined() ? rounding_of_products(lengths, K, !structured, weights) : plain}));
    }
    return K;
  }

  // The gradients themselves by the `size` elements of the parameter in memory: [N, size], added to G.
  static void add_gradients(at::Tensor& G, const Factor& factor) {
    const ParameterView& view = factor.view;
    std::vector<int64_t> sizes{rows(factor)}, strides{G.stride(0)};
    sizes.insert(sizes.end(), view.sizes.begin(), view.sizes.end());
    strides.insert(strides.end(), view.strides.begin(), view.strides.end());
    at::Tensor gradients = factor.backprops;
    if (factor.is_outer()) {
      const int64_t a = factor.backprops.size(2) / factor.groups;
      std::vector<at::Tensor> groups;
      if (rows(factor) == samples(factor))
        groups.push_back(formed(factor, 0, a, 0, factor.groups));  // [N, g, a, b]
      else
        for (int64_t g = 0; g < factor.groups; ++g) groups.push_back(formed(factor, 0, a, g, g + 1));
      gradients = at::cat(groups, 1);
      if (factor.flipped) gradients = gradients.transpose(2, 3);
    }
    G.as_strided(sizes, strides, view.offset).add_(gradients.reshape(sizes));
  }

  // K += A A^T, A: [N, d]
  static void add_lower(at::Tensor& K, const at::Tensor& A) {
    const int64_t step = panel(A, A.size(0), 64);
    for (int64_t first = 0; first < A.size(0); first += step) {
      const int64_t end = std::min(A.size(0), first + step);
      at::Tensor block = K.narrow(0, first, end - first).narrow(1, 0, end);
      block.addmm_(A.narrow(0, first, end - first), A.narrow(0, 0, end).t());
    }
  }

 private:
  static int64_t rows(const Factor& f) { return f.backprops.size(0); }
  static int64_t samples(const Factor& f) {
    return f.indices.defined() ? f.indices.size(0) : f.inputs.size(0);
  }
  static int64_t panel(const at::Tensor& x, int64_t rows, int64_t smallest) {
    if (!x.device().is_cpu()) smallest = 512;
    return std::max(smallest, (rows / 8 + 15) / 16 * 16);
  }
  static int64_t width(const Factor& f) { return f.indices.defined() ? 1 : f.inputs.size(2) / f.groups; }

  // Operations of both ways; the elementwise part of the first moves memory, which counts more.
  static bool prefers_structure(const Factor& f) {
    const auto N = static_cast<double>(rows(f)), M = static_cast<double>(samples(f)),
               T = static_cast<double>(f.backprops.size(1)), g = static_cast<double>(f.groups);
    const double a = static_cast<double>(f.backprops.size(2)) / g, b = static_cast<double>(width(f));
    const double columns = f.indices.defined() ? static_cast<double>(f.classes) : b;
    const double structured = g * T * T * (N * N * (a + (T > 1 ? 8 : 1)) + M * M * b) / 2;
    const double formed = g * (N * T * a * b + N * N * a * columns / 2);
    return structured <= formed;
  }

  // K_mn += sum_t,s (d_mt . d_ns) (a_mt . a_ns [+ 1])
  void add_structured(at::Tensor& K, const Factor& f, bool with_bias) const {
    const int64_t N = rows(f), M = samples(f), q = N / M, T = f.backprops.size(1),
                  a = f.backprops.size(2) / f.groups;
    const int64_t size = static_cast<int64_t>(f.backprops.element_size());
    const int64_t bytes_a_sample = 2 * q * T * N * T * size;
    const int64_t step = std::clamp<int64_t>(chunk_bytes / std::max<int64_t>(1, bytes_a_sample), 1,
                                             panel(f.backprops, M, T > 1 || q > 1 ? 32 : 64));
    for (int64_t g = 0; g < f.groups; ++g) {
      const at::Tensor D = f.backprops.narrow(2, g * a, a).reshape({N * T, a});
      const at::Tensor X = f.indices.defined()
                               ? f.indices.reshape({M * T})
                               : f.inputs.narrow(2, g * width(f), width(f)).reshape({M * T, width(f)});
      for (int64_t first = 0; first < M; first += step) {
        const int64_t end = std::min(M, first + step), m = end - first;
        at::Tensor left = at::mm(D.narrow(0, first * q * T, m * q * T), D.narrow(0, 0, end * q * T).t());
        at::Tensor right = similarity(X, first * T, end * T, f.backprops);
        if (with_bias) right.add_(1);
        at::Tensor block = K.narrow(0, first * q, m * q).narrow(1, 0, end * q);
        if (T == 1 && q == 1 && f.groups == 1) {
          at::mul_out(block, left, right);
          continue;
        }
        left = left.view({m, q, T, end, q, T}).mul_(right.view({m, 1, T, end, 1, T}));
        block.add_((T == 1 ? left : left.sum({2, 5})).reshape({m * q, end * q}));
      }
    }
  }

  // inner products of the inputs in rows [first, end) with all before `end`
  static at::Tensor similarity(const at::Tensor& X, int64_t first, int64_t end, const at::Tensor& like) {
    const at::Tensor rows = X.narrow(0, first, end - first), all = X.narrow(0, 0, end);
    if (X.dim() == 2) return at::mm(rows, all.t());
    return rows.unsqueeze(1).eq(all.unsqueeze(0)).to(like.scalar_type());
  }

  // gradients by groups [g0, g1) and outputs [a0, a1) in each: [N, g, a, b]. Written into `memory` where that
  // is given. With copies, one group at a time.
  static at::Tensor formed(const Factor& f, int64_t a0, int64_t a1, int64_t g0, int64_t g1,
                           const at::Tensor& memory = {}) {
    const int64_t N = rows(f), M = samples(f), q = N / M, T = f.backprops.size(1), a = a1 - a0, g = g1 - g0;
    const at::Tensor D = f.backprops.unflatten(2, {f.groups, f.backprops.size(2) / f.groups})
                             .narrow(2, g0, g)
                             .narrow(3, a0, a);  // [N, T, g, a]
    if (f.indices.defined()) {
      at::Tensor sums = at::zeros({N * f.classes, a}, f.backprops.options());
      const at::Tensor sample = at::arange(N, f.indices.options()).unsqueeze(1) * f.classes;
      const at::Tensor rows_of = (f.indices.repeat_interleave(q, 0) + sample).reshape({N * T});
      sums.index_add_(0, rows_of, D.reshape({N * T, a}));
      return sums.view({N, f.classes, a}).transpose(1, 2).unsqueeze(1);
    }
    const int64_t b = width(f);
    const at::Tensor left = D.reshape({M, q, T, g, a}).permute({0, 3, 1, 4, 2}).reshape({M * g, q * a, T});
    const at::Tensor right =
        f.inputs.unflatten(2, {f.groups, b}).narrow(2, g0, g).permute({0, 2, 1, 3}).reshape({M * g, T, b});
    if (!memory.defined()) return at::bmm(left, right).view({N, g, a, b});
    at::Tensor out = memory.narrow(0, 0, N * g * a * b).view({M * g, q * a, b});
    return at::bmm_out(out, left, right).view({N, g, a, b});
  }

  // K += G G^T with the gradients G formed in bounded chunks: on a CPU small ones, which stay in its cache
  void add_formed(at::Tensor& K, const Factor& f) const {
    const int64_t a = f.backprops.size(2) / f.groups;
    const int64_t b = f.indices.defined() ? f.classes : width(f);
    const int64_t size = static_cast<int64_t>(f.backprops.element_size());
    const int64_t row = std::max<int64_t>(1, rows(f) * b * size);
    int64_t outputs = std::clamp<int64_t>(chunk_bytes / row, 1, std::max<int64_t>(1, a));
    if (f.backprops.device().is_cpu() && !f.indices.defined())
      outputs = std::min(outputs, std::max<int64_t>(16, (int64_t{5} << 20) / row));
    const int64_t chunks = (a + outputs - 1) / outputs;
    if (chunks > 1) outputs = (a + chunks - 1) / chunks;  // of one size
    const bool single = outputs < a || rows(f) != samples(f);
    const int64_t groups =
        single ? 1 : std::clamp<int64_t>(chunk_bytes / (row * std::max<int64_t>(1, a)), 1, f.groups);
    at::Tensor memory;
    if (!f.indices.defined()) memory = at::empty({rows(f) * groups * outputs * b}, f.backprops.options());
    for (int64_t g = 0; g < f.groups; g += groups)
      for (int64_t first = 0; first < a; first += outputs) {
        const int64_t end = std::min(a, first + outputs), g_end = std::min(f.groups, g + groups);
        add_lower(
            K, formed(f, first, end, g, g_end, memory).reshape({rows(f), (g_end - g) * (end - first) * b}));
      }
  }
};

// Several uses of the same window of a parameter as one, their positions side by side. Where one use has the
// window transposed, inputs and backprops change places in it, which takes an input for each copy. The
// gradients themselves add up.
inline Factor merged(const std::vector<Factor>& factors, int64_t copies) {
  Factor whole = factors[0];
  if (factors.size() == 1) return whole;
  if (!whole.is_outer()) {
    whole.lengths = uncancelled_lengths(whole);
    for (std::size_t i = 1; i < factors.size(); ++i) {
      whole.backprops = whole.backprops + factors[i].backprops;
      whole.lengths = whole.lengths + uncancelled_lengths(factors[i]);
    }
    return whole;
  }
  std::vector<at::Tensor> backprops, inputs;
  bool mixed = false;
  for (const Factor& f : factors) mixed = mixed || f.flipped != whole.flipped || f.indices.defined();
  if (mixed && whole.groups != 1) throw NoAnswer{};
  for (const Factor& f : factors) {
    at::Tensor x = f.inputs;
    if (f.indices.defined())
      x = f.indices.unsqueeze(-1)
              .eq(at::arange(f.classes, f.indices.options()))
              .to(f.backprops.scalar_type());
    if (mixed) x = x.repeat_interleave(copies, 0);
    backprops.push_back(mixed && f.flipped ? x : f.backprops);
    inputs.push_back(mixed && f.flipped ? f.backprops : x);
  }
  whole.backprops = at::cat(backprops, 1);
  whole.inputs = at::cat(inputs, 1);
  whole.indices = at::Tensor();
  if (mixed) whole.flipped = false;
  return whole;
}

}  // namespace sagitta::libtorch::detail
