#pragma once

#include <sagitta/detail/language.hpp>

#include <concepts>
#include <sagitta/detail/check.hpp>
#include <type_traits>
#include <utility>

namespace sagitta {

// A look at a matrix that lies in memory, in either storage order or with any strides: never a copy. What it
// looks at must outlive it, so it cannot be made from a temporary matrix, nor from an expression that would
// have to be computed.
template <class Scalar>
class MatrixView {
  template <class Expression>
  static constexpr bool lies_in_memory = requires {
    requires std::derived_from<Expression, Eigen::DenseBase<Expression>>;
    requires std::same_as<typename Expression::Scalar, Scalar>;
    requires detail::has_direct_access<Expression>;
  };
  template <class Expression>
  static constexpr bool owns_memory = std::derived_from<Expression, Eigen::PlainObjectBase<Expression>>;

 public:
  MatrixView() = default;

  // rows x cols, element (i, j) at data[i * row_stride + j * col_stride]
  MatrixView(const Scalar* data, Index rows, Index cols, Index row_stride, Index col_stride)
      : data_(data), rows_(rows), cols_(cols), row_stride_(row_stride), col_stride_(col_stride) {}

  // a matrix, or a map, block or transpose of one
  template <class Argument, class Expression = std::remove_cvref_t<Argument>>
  requires(lies_in_memory<Expression> && (std::is_lvalue_reference_v<Argument> || !owns_memory<Expression>))
      MatrixView(Argument&& A)
      : MatrixView(A.data(), A.rows(), A.cols(), Expression::IsRowMajor ? A.outerStride() : A.innerStride(),
                   Expression::IsRowMajor ? A.innerStride() : A.outerStride()) {}

  const Scalar* data() const { return data_; }
  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  Index row_stride() const { return row_stride_; }
  Index col_stride() const { return col_stride_; }

  // the same as an Eigen expression
  auto matrix() const {
    using Stride = Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>;
    return Eigen::Map<const MatrixOf<Scalar>, 0, Stride>(data_, rows_, cols_,
                                                         Stride(col_stride_, row_stride_));
  }

 private:
  const Scalar* data_ = nullptr;
  Index rows_ = 0, cols_ = 0, row_stride_ = 0, col_stride_ = 0;
};

// What one layer z = W a + b leaves behind when M samples pass forward and back, enough for every inner
// product of per-sample gradients without forming one: sample m's gradient of W is sum_t d_mt a_mt^T.
//
//   inputs:    (M*T) x fan_in,  row m*T + t: the input a of sample m at position t
//   backprops: (M*T) x fan_out, row m*T + t: the derivative d of the loss of sample m by its output z
//   positions: T, 1 for a fully connected layer, the number of output pixels for a convolution (whose input
//              rows are patches), the number of uses for a weight that is used several times
//   has_bias:  whether the bias is a parameter too
//
// The backprops are those of the SUMMED loss: one backward pass of loss_1 + ... + loss_M. Those of the mean
// are M times smaller, and their Gram matrix M^2 times.
template <class Scalar>
struct LayerTrace {
  MatrixView<Scalar> inputs;
  MatrixView<Scalar> backprops;
  Index positions = 1;
  bool has_bias = true;

  Index samples() const { return inputs.rows() / positions; }
  Index parameters() const { return (inputs.cols() + (has_bias ? 1 : 0)) * backprops.cols(); }
};

}  // namespace sagitta
