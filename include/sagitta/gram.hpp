#pragma once

#include <sagitta/detail/language.hpp>

#include <ranges>
#include <sagitta/detail/layer_gram.hpp>
#include <sagitta/layer_trace.hpp>
#include <span>
#include <vector>

// The Gram matrix K = G^T G of per-sample gradients (the paper, section 4.1). It has the non-zero eigenvalues
// of the empirical Fisher G G^T, and is M x M where that is d x d. gradient_gram.hpp has it with its error.
namespace sagitta {

namespace detail {

template <class T>
struct LayerTraceScalar {};
template <class Scalar>
struct LayerTraceScalar<LayerTrace<Scalar>> {
  using type = Scalar;
};
template <class T>
concept IsLayerTrace = requires {
  typename LayerTraceScalar<std::remove_cvref_t<T>>::type;
};

// A Gram matrix whose values no double can hold is an error, not a wrong rank.
// largest: of the entries of the gradients, or a bound on it; a K of zeros is no underflow where that is
// large
template <class = void>
void check_gram(const MatrixOf<double>& K, double largest) {
  if (K.size() == 0) return;
  for (const double square : K.diagonal())  // one by one: a maximum passes over NaN
    if (!is_finite(square))
      reject("gram", "the squares of the gradients overflow double; scale the gradients down");
  if (largest > 0 && largest < 1e-140 &&
      K.diagonal().maxCoeff() < (std::numeric_limits<double>::min)() / epsilon)
    reject("gram", "the squares of the gradients underflow double; scale the gradients up");
}

// Fills the upper triangle and checks.
template <class = void>
void finish_gram(MatrixOf<double>& K, double largest) {
  K.triangularView<Eigen::StrictlyUpper>() = K.transpose();
  check_gram(K, largest);
  K.diagonal() = K.diagonal().cwiseMax(0);  // where positions cancel, rounding may leave less
}

// K of the samples of checked traces
template <class = void>
MatrixOf<double> gram_of(const std::vector<Weight>& weights, Index threads) {
  const Index samples = weights.front().front().samples();
  MatrixOf<double> K = MatrixOf<double>::Zero(samples, samples);
  LayerGramScratch scratch;
  double largest_of_all = 0;
  for (const Weight& weight : weights) {
    double largest = 0;
    for (const Use& use : weight) largest = (std::max)(largest, use.largest);
    largest_of_all = (std::max)(largest_of_all, largest);
    if (largest > 0) add_weight_gram(weight, weight, {K, true, scratch, threads});
  }
  finish_gram(K, largest_of_all);
  return K;
}

// the same of two sets of samples
template <class = void>
MatrixOf<double> gram_of(const std::vector<Weight>& weights, const std::vector<Weight>& others,
                         Index threads) {
  MatrixOf<double> K =
      MatrixOf<double>::Zero(weights.front().front().samples(), others.front().front().samples());
  LayerGramScratch scratch;
  double largest = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    double one = 0, other = 0;
    for (const Use& use : weights[i]) one = (std::max)(one, use.largest);
    for (const Use& use : others[i]) other = (std::max)(other, use.largest);
    if (one == 0 || other == 0) continue;
    largest = (std::max)(largest, std::sqrt(one) * std::sqrt(other));
    add_weight_gram(weights[i], others[i], {K, false, scratch, threads});
  }
  for (const double product : K.reshaped())
    if (!is_finite(product))
      reject("gram", "the products of the gradients overflow double; scale the gradients down");
  if (largest > 0 && largest < 1e-140)
    reject("gram", "the products of the gradients underflow double; scale the gradients up");
  return K;
}

}  // namespace detail

// A range of LayerTrace<float> or LayerTrace<double>: a vector, an array, a span, ...
template <class Range>
concept LayerTraceRange =
    std::ranges::forward_range<const Range> && detail::IsLayerTrace<std::ranges::range_value_t<Range>>;

// Such a range, or a single LayerTrace.
template <class T>
concept LayerTraces = LayerTraceRange<T> || detail::IsLayerTrace<T>;

namespace detail {

template <LayerTraces Layers>
std::vector<Weight> weights_of_traces(const Layers& layers, const char* function) {
  if constexpr (IsLayerTrace<Layers>)
    return weights_of(std::span<const Layers, 1>(&layers, 1), function);
  else
    return weights_of(layers, function);
}

}  // namespace detail

// K = G^T G in double.
//   G: d x M, float or double, any Eigen expression; a column is the gradient of one sample
//   threads: how many to use at most; they share the work from M = 480 on, and give the same bits for any
//     number
// Returns M x M, symmetric to the bit. Products and sums are formed in double for float input too. M = 0
// gives 0 x 0. Throws std::invalid_argument for NaN or infinity, and where the squares leave the range of
// double. d M^2 operations; G is copied in blocks only.
template <class Derived>
MatrixOf<double> gram(const Eigen::MatrixBase<Derived>& G, Index threads = 1) {
  detail::check_threads(threads, "gram");
  const auto& gradients = detail::in_memory(G);
  const auto largest = detail::largest_magnitude(gradients, "gram", "G");
  MatrixOf<double> K = detail::row_gram(gradients.transpose(), threads);
  detail::finish_gram(K, largest);
  return K;
}

// K = sum over layers of the Gram matrix of the layer's gradients, without forming a gradient:
//   K_mn = sum_l sum_t,s (d_mt . d_ns) (a_mt . a_ns + [bias]).
//   layers: a range of LayerTrace of the same M samples, or a single one; see there for shapes and the
//     convention of the sum
//   threads: as above
// Returns M x M in double, symmetric to the bit; float traces are multiplied and summed in double. Entry
// (m, n) is right to a few sqrt(T (fan_in + fan_out)) eps times the product, for m and for n, of
// sum_t |d_mt| |(a_mt, [bias])|: the lengths of the gradients where nothing cancels between positions. Throws
// std::invalid_argument for no layers, for row counts that do not fit, a softmax's backprops that lie in
// columns, NaN or infinity, and where the squares leave the range of double. Each weight takes the cheaper of
// two ways: M^2 T^2 (fan_in + fan_out) operations, or its gradients formed in blocks of at most 32 MiB with
// M (M + T) fan_in fan_out operations (many positions, small weights); an embedding that of the pairs of
// samples that share a token, times its width.
template <LayerTraces Layers>
MatrixOf<double> gram(const Layers& layers, Index threads = 1) {
  detail::check_threads(threads, "gram");
  return detail::gram_of(detail::weights_of_traces(layers, "gram"), threads);
}

// The products of the gradients of M samples with those of M' others, G^T G': what the Gram matrix of a
// stream, or of samples on several machines, is put together from.
//   layers, other_layers: the traces of the same layers, in the same order, by both sets
// Returns M x M' in double, entry (m, n) for sample m of layers and n of other_layers. Errors, cost and
// exceptions are those above, with M M' in the place of M^2. Memory beside the result: twice the blocks of 32
// MiB, or a few MiB.
template <LayerTraces Layers, LayerTraces OtherLayers>
MatrixOf<double> gram(const Layers& layers, const OtherLayers& other_layers, Index threads = 1) {
  detail::check_threads(threads, "gram");
  const auto weights = detail::weights_of_traces(layers, "gram"),
             others = detail::weights_of_traces(other_layers, "gram");
  detail::check_same_weights(weights, others, "gram");
  return detail::gram_of(weights, others, threads);
}

// A bound on |K - exact|_2 for the Gram matrix of gradients with at most `terms` summands an entry, for the
// input_error of symmetric_effective_rank. In the units of K. For layer traces it presumes that the positions
// of a sample do not cancel; gradient_gram(layers) does not.
inline double gram_error(const MatrixOf<double>& K, Index terms) {
  return detail::product_rounding(terms, K.trace());
}

}  // namespace sagitta
