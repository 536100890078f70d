#pragma once

#include <algorithm>
#include <sagitta/detail/check.hpp>
#include <sagitta/detail/row_products.hpp>
#include <sagitta/layer_trace.hpp>
#include <string>

// The Gram matrix of one layer's per-sample gradients, by two ways that give the same sums.
namespace sagitta::detail {

// Throws where the layer's two matrices do not fit together or hold NaN or infinity.
// Returns the product of their largest magnitudes, which no entry of a gradient exceeds by more than a factor
// of `positions`: 0 only where one of them is 0 throughout.
template <class Scalar>
double check_layer(const LayerTrace<Scalar>& layer, Index number) {
  if (layer.positions < 1)
    reject("gram", "layer ", number, " has ", layer.positions, " positions, expected 1 or more");
  if (layer.inputs.rows() != layer.backprops.rows())
    reject("gram", "layer ", number, " has ", layer.inputs.rows(), " rows of inputs and ",
           layer.backprops.rows(), " of backprops, expected the same number");
  if (layer.inputs.rows() % layer.positions != 0)
    reject("gram", "layer ", number, " has ", layer.inputs.rows(), " rows, expected a multiple of its ",
           layer.positions, " positions");
  const std::string name = "layer " + std::to_string(number) + ": ";
  double largest_input = largest_magnitude(layer.inputs.matrix(), "gram", (name + "inputs").c_str());
  if (layer.has_bias) largest_input = (std::max)(largest_input, 1.0);
  const double largest_backprop =
      largest_magnitude(layer.backprops.matrix(), "gram", (name + "backprops").c_str());
  if (largest_input == 0 || largest_backprop == 0) return 0;
  return (std::max)(largest_input * largest_backprop, std::numeric_limits<double>::denorm_min());
}

// Calls work(X) with the view as an Eigen matrix, in the order in which it lies, so that it is read in
// packets where that is possible.
template <class Scalar, class Work>
void with_matrix(const MatrixView<Scalar>& view, Work work) {
  using Columns = MatrixOf<Scalar>;
  if (view.row_stride() == 1)
    work(Eigen::Map<const Columns, 0, Eigen::OuterStride<>>(view.data(), view.rows(), view.cols(),
                                                            Eigen::OuterStride<>(view.col_stride())));
  else
    work(view.matrix());
}

// out = X_i X_j^T for two blocks of rows of a view, padded as by the function above; only the lower triangle
// where the blocks are the same one
template <class Scalar>
void row_products(const MatrixView<Scalar>& view, Index first_i, Index count_i, Index first_j, Index count_j,
                  RowPanels (&scratch)[2], MatrixOf<double>& out, Index threads) {
  with_matrix(view, [&](const auto& X) {
    row_products(X.middleRows(first_i, count_i), X.middleRows(first_j, count_j), first_i == first_j, scratch,
                 out, threads);
  });
}

// Memory that the layers of a Gram matrix share: fresh pages for each of them would take longer to come than
// a small layer's arithmetic.
struct LayerGramScratch {
  RowPanels panels[2];
  MatrixOf<double> backprops, inputs;  // products of their rows
};

// K += (D D^T) o (A A^T + [bias]), summed over positions, block by block of samples; lower triangle.
// M^2 T^2 (fan_in + fan_out) operations, half of them saved on the diagonal blocks.
template <class Scalar>
void add_structured(const LayerTrace<Scalar>& layer, MatrixOf<double>& K, LayerGramScratch& scratch,
                    Index threads = 1) {
  const Index T = layer.positions, M = layer.samples();
  const Index block = std::max<Index>(1, 512 / T);  // rows of a block: two tables of them stay in cache
  MatrixOf<double>&P = scratch.backprops, &Q = scratch.inputs;
  for (Index i = 0; i < M; i += block) {
    const Index ni = (std::min)(block, M - i);
    for (Index j = 0; j <= i; j += block) {
      const Index nj = (std::min)(block, M - j);
      row_products(layer.backprops, i * T, ni * T, j * T, nj * T, scratch.panels, P, threads);
      row_products(layer.inputs, i * T, ni * T, j * T, nj * T, scratch.panels, Q, threads);
      for (Index c = 0; c < nj * T; ++c) {
        const Index from = i == j ? c / 8 * 8 : 0, rows = ni * T - from;  // packets stay aligned
        auto p = P.col(c).segment(from, rows).array();
        const auto q = Q.col(c).segment(from, rows).array() + (layer.has_bias ? 1.0 : 0.0);
        if (T == 1)
          K.col(j + c).segment(i + from, rows).array() += p * q;
        else
          p *= q;
      }
      if (T == 1) continue;
      if (i == j) P.triangularView<Eigen::StrictlyUpper>() = P.transpose();  // a sample's own T x T block
      for (Index b = 0; b < nj; ++b)
        for (Index a = i == j ? b : 0; a < ni; ++a) K(i + a, j + b) += P.block(a * T, b * T, T, T).sum();
    }
  }
}

// K += G^T G with the layer's gradients G formed for some inputs at a time; lower triangle.
// M T fan_in fan_out operations for G and M^2 fan_in fan_out for the product.
template <class Scalar>
void add_materialized(const LayerTrace<Scalar>& layer, MatrixOf<double>& K, Index threads = 1) {
  const Index T = layer.positions, M = layer.samples();
  const Index in = layer.inputs.cols(), out = layer.backprops.cols();
  if (M == 0 || out == 0) return;
  const auto inputs = layer.inputs.matrix(), backprops = layer.backprops.matrix();
  constexpr Index block_doubles = Index{32} * 1024 * 1024 / 8;
  const Index width =
      std::clamp<Index>(block_doubles / std::max<Index>(1, M * out), 1, std::max<Index>(1, in));
  MatrixOf<double> G, d, a;
  for (Index first = 0; first < in; first += width) {
    const Index count = (std::min)(width, in - first);
    G.resize(out * count, M);
    for (Index m = 0; m < M; ++m) {
      d = backprops.middleRows(m * T, T).template cast<double>();
      a = inputs.block(m * T, first, T, count).template cast<double>();
      Eigen::Map<MatrixOf<double>>(G.col(m).data(), out, count).noalias() = d.transpose() * a;
    }
    K += row_gram(G.transpose(), threads);
  }
  if (layer.has_bias) {
    G.resize(out, M);
    for (Index m = 0; m < M; ++m)
      G.col(m) = backprops.middleRows(m * T, T).template cast<double>().colwise().sum().transpose();
    K += row_gram(G.transpose(), threads);
  }
}

// sum_m (sum_t |d_mt| |(a_mt, [bias])|)^2: the trace of K where nothing cancels between the positions of a
// sample. The rounding of K goes with this, which can be far above its trace.
template <class Scalar>
double uncancelled_trace(const LayerTrace<Scalar>& layer) {
  const auto squares = [](const MatrixView<Scalar>& view) -> Eigen::ArrayXd {
    return view.matrix().template cast<double>().rowwise().squaredNorm();
  };
  const Eigen::VectorXd lengths =
      ((squares(layer.inputs) + (layer.has_bias ? 1 : 0)) * squares(layer.backprops)).sqrt();
  return lengths.reshaped(layer.positions, layer.samples()).colwise().sum().squaredNorm();
}

// the cheaper way by its count of operations
template <class Scalar>
bool structured_is_cheaper(const LayerTrace<Scalar>& layer) {
  const auto M = static_cast<double>(layer.samples()), T = static_cast<double>(layer.positions);
  const auto in = static_cast<double>(layer.inputs.cols()), out = static_cast<double>(layer.backprops.cols());
  return M * T * T * (in + out) <= in * out * (M + T);
}

template <class Scalar>
void add_layer_gram(const LayerTrace<Scalar>& layer, MatrixOf<double>& K, LayerGramScratch& scratch,
                    Index threads = 1) {
  if (K.size() == 0) return;
  if (structured_is_cheaper(layer))
    add_structured(layer, K, scratch, threads);
  else
    add_materialized(layer, K, threads);
}

}  // namespace sagitta::detail
