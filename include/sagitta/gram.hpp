#pragma once

#include <sagitta/detail/language.hpp>

#include <ranges>
#include <sagitta/detail/layer_gram.hpp>
#include <sagitta/layer_trace.hpp>
#include <vector>

// The Gram matrix K = G^T G of per-sample gradients (the paper, section 4.1). It has the non-zero eigenvalues
// of the empirical Fisher G G^T, and is M x M where that is d x d.
namespace sagitta {

namespace detail {

template <class T>
struct LayerTraceScalar {};
template <class Scalar>
struct LayerTraceScalar<LayerTrace<Scalar>> {
  using type = Scalar;
};

// Fills the upper triangle; a Gram matrix whose values no double can hold is an error, not a wrong rank.
// largest: of the entries of the gradients, or a bound on it; a K of zeros is no underflow where that is
// large
template <class = void>
void finish_gram(MatrixOf<double>& K, double largest) {
  K.triangularView<Eigen::StrictlyUpper>() = K.transpose();
  if (K.size() == 0) return;
  for (const double square : K.diagonal())  // one by one: a maximum passes over NaN
    if (!is_finite(square))
      reject("gram", "the squares of the gradients overflow double; scale the gradients down");
  K.diagonal() = K.diagonal().cwiseMax(0);  // where positions cancel, rounding may leave less
  if (largest > 0 && largest < 1e-140 &&
      K.diagonal().maxCoeff() < (std::numeric_limits<double>::min)() / epsilon)
    reject("gram", "the squares of the gradients underflow double; scale the gradients up");
}

}  // namespace detail

// A range of LayerTrace<float> or LayerTrace<double>: a vector, an array, a span, ...
template <class Range>
concept LayerTraceRange = std::ranges::forward_range<Range> && requires {
  typename detail::LayerTraceScalar<std::remove_cv_t<std::ranges::range_value_t<Range>>>::type;
};

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
//   layers: a range of LayerTrace of the same M samples; see there for shapes and the convention of the sum
//   threads: as above
// Returns M x M in double, symmetric to the bit; float traces are multiplied and summed in double. Entry
// (m, n) is right to a few sqrt(T (fan_in + fan_out)) eps times the product, for m and for n, of
// sum_t |d_mt| |(a_mt, [bias])|: the lengths of the gradients where nothing cancels between positions. Throws
// std::invalid_argument for no layers, for row counts that do not fit, NaN or infinity, and where the squares
// leave the range of double. Each layer takes the cheaper of two ways: M^2 T^2 (fan_in + fan_out) operations,
// or its gradients formed in blocks of at most 32 MiB with M (M + T) fan_in fan_out operations (many
// positions, small weights).
template <LayerTraceRange Layers>
MatrixOf<double> gram(const Layers& layers, Index threads = 1) {
  detail::check_threads(threads, "gram");
  MatrixOf<double> K;
  detail::LayerGramScratch scratch;
  Index number = 0, samples = 0;
  double largest_of_all = 0;
  for (const auto& layer : layers) {
    const double largest = detail::check_layer(layer, number);
    if (number == 0) {
      samples = layer.samples();
      K = MatrixOf<double>::Zero(samples, samples);
    } else if (layer.inputs.rows() != samples * layer.positions) {
      detail::reject("gram", "layer ", number, " has ", layer.inputs.rows(), " rows, expected ",
                     samples * layer.positions, " (", samples, " samples x ", layer.positions, " positions)");
    }
    largest_of_all = (std::max)(largest_of_all, largest);
    if (largest > 0) detail::add_layer_gram(layer, K, scratch, threads);
    ++number;
  }
  if (number == 0) detail::reject("gram", "layers is empty, expected at least one LayerTrace");
  detail::finish_gram(K, largest_of_all);
  return K;
}

// A bound on |K - exact|_2 for the Gram matrix of gradients with at most `terms` summands an entry, for the
// input_error of symmetric_effective_rank. In the units of K. For layer traces it presumes that the positions
// of a sample do not cancel; fisher_rank(layers) does not.
inline double gram_error(const MatrixOf<double>& K, Index terms) {
  return 4 * std::sqrt(static_cast<double>(terms)) * epsilon * K.trace();
}

}  // namespace sagitta
