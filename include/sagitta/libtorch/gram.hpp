#pragma once

#include <sagitta/libtorch/parameters.hpp>  // first: see there

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/multinomial.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/where.h>

#include <sagitta/libtorch/detail/assembly.hpp>

// The Gram matrix K = G^T G of per-sample gradients (the paper, sections 4.1 and C.2), of any unmodified
// model. Gradients are those of the SUMMED loss, so that K_mn = g_m . g_n for the gradients of the samples'
// own losses.
//
// The forward pass is called once, recorded from outside, and followed by two backward passes that stop at
// the layers' outputs. The second gives each sample a power of two of its own, which names the sample of
// every row, whatever the layout, and shows where samples mix (detail/colours.hpp): nothing is guessed from
// shapes. Parameters of operators without a rule (docs/adding_a_layer.md), and of layers whose rows mix
// samples, fall back to a backward pass a sample, and the result says which. The check adds one backward pass
// down to the parameters (detail/verification.hpp): for weights that make samples count alike, w^T K w must
// be |sum_n w_n g_n|^2, for each layer at its own scale. What a call leaves untouched: gradients,
// generators (whose numbers other threads go on drawing), and all older tensors that the forward pass writes
// to, running statistics above all (detail/isolation.hpp). While a recurrent layer runs, MKLDNN and cuDNN are
// off for the whole process.
//
// What is not seen: with the check off, a rule that is wrong; shares of another sample below rounding; with
// the check on, an error E of K with |w^T E w| below 2e-5 (float; 1e-10 in double) of a layer's weighted
// trace. Where float cannot hold a Gram matrix (losses of 1e-30), it is double and product_type says so.
//
// Cost at one thread: about a forward pass, two backward passes to the layers' outputs and half of the
// products, M^2 (inputs + outputs) a linear layer. Samples whose gradients differ by more than 2^12 take
// those passes twice or more. Memory: what a backward pass holds, the backprops twice, N^2 for the result,
// chunks of options.chunk_bytes, N numel(p) for the largest parameter p that falls back, and as much for each
// that lies behind a computed tensor.
//
// All throw std::invalid_argument for no parameters, parameters that do not require grad or differ in device
// or type, no-grad mode, an output of another shape, NaN or infinity, a graph that was freed, batch norm in
// train mode that mixes samples, and where the check fails even for single-sample gradients.
namespace sagitta::libtorch {

// Which loss follows the model's output, for Gauss-Newton.
//   softmax_cross_entropy: rows are M (C - 1), H = diag(p) - p p^T
//   squared_error: |output - target|^2 a sample, rows are M C, H = 2 I
enum class OutputLoss { softmax_cross_entropy, squared_error };

namespace detail {

// The Cholesky factor of diag(p) - p p^T without its last column, which is zero: [M, C] -> [M, C, C - 1] in
// double. In closed form with tail sums, as in the core's softmax_hessian_factor: no subtraction occurs.
inline at::Tensor softmax_factor(const at::Tensor& logits) {
  const at::Tensor p = at::softmax(logits, 1, at::kDouble);
  const int64_t C = p.size(1), columns = std::max<int64_t>(C - 1, 0);
  const at::Tensor whole = p.flip(1).cumsum(1).flip(1);  // sum of p_i over i >= j
  const at::Tensor tail = whole.narrow(1, C - columns, columns), head = whole.narrow(1, 0, columns);
  const at::Tensor share = (p.narrow(1, 0, columns) / head).sqrt(), root = tail.sqrt();
  const at::Tensor below = (p.unsqueeze(2) / root.unsqueeze(1) * share.unsqueeze(1)).tril(-1);
  at::Tensor L = at::where(tail.gt(0).unsqueeze(1), -below, at::zeros({}, below.options()));
  L.narrow(1, 0, columns).diagonal(0, 1, 2).copy_(share.nan_to_num(0) * root);
  return L;
}

inline void check_finite(const at::Tensor& output, const char* function, const char* what) {
  if (output.isfinite().all().item<bool>()) return;
  const int64_t sample = output.isfinite().flatten(1).all(1).to(at::kLong).argmin().item<int64_t>();
  reject(function, what, " of sample ", sample, " is NaN or infinite, expected finite values");
}

inline void check_defined(const at::Tensor& output, const char* function, const char* what) {
  if (!output.defined()) reject(function, what, " is an undefined tensor");
  if (!output.is_floating_point())
    reject(function, what, " is of type ", output.scalar_type(), ", expected a floating-point type");
}

// M losses -> [M, 1, 1]
inline at::Tensor losses_factor(const at::Tensor& losses, const char* function) {
  check_defined(losses, function, "losses");
  if (losses.dim() != 1)
    reject(function, "losses is of shape ", losses.sizes(),
           ", expected [M]: one loss a sample (reduction none)");
  check_finite(losses.unsqueeze(1), function, "the loss");
  return at::ones({losses.size(0), 1, 1}, losses.options().requires_grad(false));
}

inline void check_logits(const at::Tensor& logits, const char* function) {
  check_defined(logits, function, "logits");
  if (logits.dim() != 2 || logits.size(1) == 0)
    reject(function, "logits is of shape ", logits.sizes(), ", expected [M, C], a row a sample");
  check_finite(logits, function, "the output");
}

}  // namespace detail

// K of the empirical Fisher. `losses` computes the loss of every sample, [M], from a forward pass; K is M x
// M, 0 x 0 for M = 0.
inline GramResult empirical_fisher_gram(const std::function<at::Tensor()>& losses,
                                        const Parameters& parameters, const GramOptions& options = {}) {
  constexpr const char* name = "empirical_fisher_gram";
  const detail::Question question{
      name, [&](int64_t) { return losses(); },
      [](const at::Tensor& output) { return detail::losses_factor(output, name); }};
  return detail::GramAssembly(question, parameters, options).run();
}

// The same for more samples than one forward pass holds: `losses(i)` computes those of micro-batch i, for i
// from 0 to batches - 1; K is of all samples in that order. Between batches only inputs and backprops are
// kept. Parameters that fall back take the forward passes a second time.
inline GramResult empirical_fisher_gram(int64_t batches, const std::function<at::Tensor(int64_t)>& losses,
                                        const Parameters& parameters, const GramOptions& options = {}) {
  constexpr const char* name = "empirical_fisher_gram";
  if (batches < 0) reject(name, "batches is ", batches, ", expected a number >= 0");
  const detail::Question question{
      name, losses, [](const at::Tensor& output) { return detail::losses_factor(output, name); }, batches};
  return detail::GramAssembly(question, parameters, options).run();
}

// K of the Fisher with one label a sample drawn from the model's own distribution, softmax(logits), in the
// place of the data's. `logits` computes [M, C]; the labels come from `generator`, a CPU generator or one of
// the logits' device.
inline GramResult sampled_fisher_gram(const std::function<at::Tensor()>& logits, const Parameters& parameters,
                                      at::Generator generator, const GramOptions& options = {}) {
  constexpr const char* name = "sampled_fisher_gram";
  if (!generator.defined())
    reject(name, "generator is undefined, expected one, as at::detail::createCPUGenerator(seed) gives");
  const detail::Question question{name, [&](int64_t) { return logits(); },
                                  [&](const at::Tensor& output) {
                                    detail::check_logits(output, name);
                                    const at::Tensor p = at::softmax(output.detach(), 1, at::kDouble);
                                    if (p.size(0) == 0) return p.unsqueeze(2);
                                    at::Tensor drawn = generator.device().is_cpu() ? p.cpu() : p;
                                    drawn = at::multinomial(drawn, 1, true, generator).to(p.device());
                                    return p.scatter_add(1, drawn, -at::ones_like(drawn, p.options()))
                                        .to(output.scalar_type())
                                        .unsqueeze(2);
                                  }};
  return detail::GramAssembly(question, parameters, options).run();
}

// The Gram matrix B B^T whose non-zero eigenvalues are those of the Gauss-Newton matrix sum_m J_m^T H_m J_m,
// H_m = L_m L_m^T, B = (L_1^T J_1; ...). `logits` computes [M, C]. Row m (C - 1) + k belongs to column k of
// L_m (m C + k for the squared error). C - 1 backward passes in the place of one; products of inputs are
// shared by the rows of a sample.
inline GramResult gauss_newton_gram(const std::function<at::Tensor()>& logits, const Parameters& parameters,
                                    const GramOptions& options = {},
                                    OutputLoss loss = OutputLoss::softmax_cross_entropy) {
  constexpr const char* name = "gauss_newton_gram";
  const detail::Question question{
      name, [&](int64_t) { return logits(); },
      [&](const at::Tensor& output) {
        detail::check_logits(output, name);
        const at::Tensor z = output.detach();
        if (loss == OutputLoss::softmax_cross_entropy) return detail::softmax_factor(z).to(z.scalar_type());
        return (at::eye(z.size(1), z.options()) * std::sqrt(2.0)).expand({z.size(0), z.size(1), z.size(1)});
      }};
  return detail::GramAssembly(question, parameters, options).run();
}

}  // namespace sagitta::libtorch
