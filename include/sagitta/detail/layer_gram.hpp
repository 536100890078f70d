#pragma once

#include <algorithm>
#include <sagitta/detail/tridiagonal.hpp>
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
  if (layer.has_bias) largest_input = std::max(largest_input, 1.0);
  const double largest_backprop =
      largest_magnitude(layer.backprops.matrix(), "gram", (name + "backprops").c_str());
  if (largest_input == 0 || largest_backprop == 0) return 0;
  return std::max(largest_input * largest_backprop, std::numeric_limits<double>::denorm_min());
}

// Calls work(X) with rows [first, first + count) of the view as a matrix of doubles with unit stride along
// rows or columns: a map of the view's own memory where that is such a matrix, else a copy in `scratch`, in
// the order in which the view lies.
template <class Scalar, class Work>
void with_rows(const MatrixView<Scalar>& view, Index first, Index count, Eigen::MatrixXd& scratch,
               Work work) {
  using Stride = Eigen::OuterStride<>;
  const Scalar* start = view.data() + first * view.row_stride();
  const auto use = [&](const auto& rows) {
    using Rows = typename std::remove_cvref_t<decltype(rows)>::PlainObject;
    constexpr int order = Rows::IsRowMajor ? Eigen::RowMajor : Eigen::ColMajor;
    using Wide = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, order>;
    if constexpr (std::is_same_v<Scalar, double>) {
      if (rows.innerStride() == 1)
        return work(
            Eigen::Map<const Wide, 0, Stride>(rows.data(), count, view.cols(), Stride(rows.outerStride())));
    }
    scratch.resize(count * view.cols(), 1);
    const Stride stride(order == Eigen::RowMajor ? view.cols() : count);
    Eigen::Map<Wide, 0, Stride>(scratch.data(), count, view.cols(), stride) = rows.template cast<double>();
    work(Eigen::Map<const Wide, 0, Stride>(scratch.data(), count, view.cols(), stride));
  };
  using Columns = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;
  using Rows = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  if (view.row_stride() == 1)
    use(Eigen::Map<const Columns, 0, Stride>(start, count, view.cols(), Stride(view.col_stride())));
  else if (view.col_stride() == 1)
    use(Eigen::Map<const Rows, 0, Stride>(start, count, view.cols(), Stride(view.row_stride())));
  else
    use(view.matrix().middleRows(first, count));
}

// out = X_i X_j^T for two blocks of rows of a view; only the lower triangle where the blocks are the same one
template <class Scalar>
void row_products(const MatrixView<Scalar>& view, Index first_i, Index count_i, Index first_j, Index count_j,
                  Eigen::MatrixXd (&scratch)[2], Eigen::MatrixXd& out) {
  out.setZero(count_i, count_j);
  if (view.cols() == 0) return;  // Eigen 3.4 divides by zero in products of depth 0
  with_rows(view, first_i, count_i, scratch[0], [&](const auto& Xi) {
    if (first_i == first_j) {
      out.selfadjointView<Eigen::Lower>().rankUpdate(Xi);
    } else {
      with_rows(view, first_j, count_j, scratch[1],
                [&](const auto& Xj) { out.noalias() += Xi * Xj.transpose(); });
    }
  });
}

// K += (D D^T) o (A A^T + [bias]), summed over positions, block by block of samples; lower triangle.
// M^2 T^2 (fan_in + fan_out) operations, half of them saved on the diagonal blocks.
template <class Scalar>
void add_structured(const LayerTrace<Scalar>& layer, Eigen::MatrixXd& K) {
  const Index T = layer.positions, M = layer.samples();
  const Index block = std::max<Index>(1, 512 / T);  // rows of a block: two tables of them stay in cache
  Eigen::MatrixXd scratch[2], P, Q;
  for (Index i = 0; i < M; i += block) {
    const Index ni = std::min(block, M - i);
    for (Index j = 0; j <= i; j += block) {
      const Index nj = std::min(block, M - j);
      row_products(layer.backprops, i * T, ni * T, j * T, nj * T, scratch, P);
      row_products(layer.inputs, i * T, ni * T, j * T, nj * T, scratch, Q);
      if (layer.has_bias) Q.array() += 1;
      P.array() *= Q.array();
      if (T == 1) {
        K.block(i, j, ni, nj) += P;
      } else {
        if (i == j) P.triangularView<Eigen::StrictlyUpper>() = P.transpose();  // a sample's own T x T block
        for (Index b = 0; b < nj; ++b)
          for (Index a = i == j ? b : 0; a < ni; ++a) K(i + a, j + b) += P.block(a * T, b * T, T, T).sum();
      }
    }
  }
}

// K += G^T G with the layer's gradients G formed for some inputs at a time; lower triangle.
// M T fan_in fan_out operations for G and M^2 fan_in fan_out for the product.
template <class Scalar>
void add_materialized(const LayerTrace<Scalar>& layer, Eigen::MatrixXd& K) {
  const Index T = layer.positions, M = layer.samples();
  const Index in = layer.inputs.cols(), out = layer.backprops.cols();
  if (M == 0 || out == 0) return;  // as in row_products
  const auto inputs = layer.inputs.matrix(), backprops = layer.backprops.matrix();
  constexpr Index block_doubles = Index{32} * 1024 * 1024 / 8;
  const Index width =
      std::clamp<Index>(block_doubles / std::max<Index>(1, M * out), 1, std::max<Index>(1, in));
  Eigen::MatrixXd G, d, a;
  for (Index first = 0; first < in; first += width) {
    const Index count = std::min(width, in - first);
    G.resize(out * count, M);
    for (Index m = 0; m < M; ++m) {
      d = backprops.middleRows(m * T, T).template cast<double>();
      a = inputs.block(m * T, first, T, count).template cast<double>();
      Eigen::Map<Eigen::MatrixXd>(G.col(m).data(), out, count).noalias() = d.transpose() * a;
    }
    K.selfadjointView<Eigen::Lower>().rankUpdate(G.transpose());
  }
  if (layer.has_bias) {
    G.resize(out, M);
    for (Index m = 0; m < M; ++m)
      G.col(m) = backprops.middleRows(m * T, T).template cast<double>().colwise().sum().transpose();
    K.selfadjointView<Eigen::Lower>().rankUpdate(G.transpose());
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
void add_layer_gram(const LayerTrace<Scalar>& layer, Eigen::MatrixXd& K) {
  if (K.size() == 0) return;
  if (structured_is_cheaper(layer))
    add_structured(layer, K);
  else
    add_materialized(layer, K);
}

}  // namespace sagitta::detail
