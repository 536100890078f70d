#pragma once

#include <sagitta/detail/language.hpp>

#include <concepts>
#include <ranges>
#include <sagitta/detail/check.hpp>
#include <type_traits>
#include <utility>

// What a training code keeps of a backward pass: views of its own memory, one LayerTrace a layer.
// docs/training_codes.md has a line for every kind of layer.
namespace sagitta {

namespace detail {

template <class Derived>
void take_dense(const Eigen::DenseBase<Derived>&);
template <class T>
inline constexpr bool is_eigen = requires(const T& value) {
  take_dense(value);
};

template <class Derived>
void take_plain(const Eigen::PlainObjectBase<Derived>&);
template <class T>
inline constexpr bool owns_memory = requires(const T& value) {
  take_plain(value);
};

template <class T>
struct NumberIn {
  using type = std::ranges::range_value_t<T>;
};
template <class T>
requires is_eigen<T>
struct NumberIn<T> {
  using type = typename T::Scalar;
};
template <class T>
using NumberOf = typename NumberIn<T>::type;

// Whether an expression looks at memory that it can only have been shown: a map, or a part of one. A part of
// a matrix that is not constant may be of a temporary one, f().transpose() for instance: its type is the
// same.
template <class T>
inline constexpr bool looks_at_a_map = false;
template <class Plain, int Options, class Stride>
inline constexpr bool looks_at_a_map<Eigen::Map<Plain, Options, Stride>> = true;
template <class Plain, int Options, class Stride>
inline constexpr bool looks_at_a_map<Eigen::Ref<Plain, Options, Stride>> = !std::is_const_v<Plain>;
template <class T>
inline constexpr bool looks_at_a_map<Eigen::Transpose<T>> = looks_at_a_map<std::remove_const_t<T>>;
template <class T, int Rows, int Cols, bool Inner>
inline constexpr bool looks_at_a_map<Eigen::Block<T, Rows, Cols, Inner>> =
    looks_at_a_map<std::remove_const_t<T>>;
template <class T, int Size>
inline constexpr bool looks_at_a_map<Eigen::VectorBlock<T, Size>> = looks_at_a_map<std::remove_const_t<T>>;
template <class T, int Which>
inline constexpr bool looks_at_a_map<Eigen::Diagonal<T, Which>> = looks_at_a_map<std::remove_const_t<T>>;

template <class T>
inline constexpr bool is_part_of_constant =
    is_eigen<T> && !owns_memory<T> && (int(T::Flags) & int(Eigen::LvalueBit)) == 0;

// Whether what `Argument&&` binds to may be looked at after the expression that it is part of.
template <class Argument, class T = std::remove_cvref_t<Argument>>
inline constexpr bool outlives_its_expression =
    std::is_lvalue_reference_v<Argument> || looks_at_a_map<T> || is_part_of_constant<T>;

}  // namespace detail

// A look at whole numbers in memory: tokens, labels, offsets. Of any integer type, in a std::vector, a span,
// an array, an Eigen vector or a bare pointer; never a copy, so what it looks at must outlive it.
class IndexView {
 public:
  IndexView() = default;

  template <std::integral Number>
  IndexView(const Number* data, Index size, Index stride = 1)
      : data_(data), size_(size), stride_(stride), read_(&read<Number>) {}

  template <class Numbers, class Range = std::remove_cvref_t<Numbers>>
  requires(!std::same_as<Range, IndexView> && (std::ranges::range<Range> || detail::is_eigen<Range>))
      IndexView(Numbers&& numbers) {
    using Number = detail::NumberOf<Range>;
    constexpr bool in_memory = [] {
      if constexpr (detail::is_eigen<Range>) return detail::has_direct_access<Range>;
      return std::ranges::contiguous_range<Range>;
    }();
    if constexpr (!std::is_integral_v<Number>) {
      static_assert(std::is_integral_v<Number>, "labels, tokens and offsets are whole numbers");
    } else if constexpr (!in_memory) {
      static_assert(in_memory,
                    "IndexView looks at numbers that lie in memory: give their value a name first");
    } else if constexpr (detail::is_eigen<Range>) {
      static_assert(detail::outlives_its_expression<Numbers>,
                    "an IndexView of a temporary would dangle: give it a name first");
      *this = IndexView(numbers.data(), numbers.size(), numbers.innerStride());
    } else {
      static_assert(std::is_lvalue_reference_v<Numbers> || std::ranges::borrowed_range<Range>,
                    "an IndexView of a temporary would dangle: give it a name first");
      *this = IndexView(std::ranges::data(numbers), static_cast<Index>(std::ranges::size(numbers)));
    }
  }

  Index size() const { return size_; }
  Index operator[](Index i) const { return read_(data_, i * stride_); }

 private:
  template <class Number>
  static Index read(const void* data, Index i) {
    return static_cast<Index>(static_cast<const Number*>(data)[i]);
  }

  const void* data_ = nullptr;
  Index size_ = 0, stride_ = 1;
  Index (*read_)(const void*, Index) = nullptr;
};

// Rows that are 0 but for a 1 in the column that an index names: what an embedding multiplies by.
struct OneHot {
  IndexView indices;
  Index cols = 0;
};
template <class Numbers>
OneHot one_hot(Numbers&& indices, Index cols) {
  return {IndexView(std::forward<Numbers>(indices)), cols};
}

// A look at a matrix that lies in memory, in either storage order or with any strides, or at one-hot rows
// that are given by their indices: never a copy. What it looks at must outlive it, so it cannot be made from
// a temporary matrix, a part of one, or an expression that would have to be computed.
template <class Scalar>
class MatrixView {
  static_assert(std::same_as<Scalar, float> || std::same_as<Scalar, double>,
                "Sagitta's views and traces are of float or double");

 public:
  MatrixView() = default;

  // rows x cols, element (i, j) at data[i * row_stride + j * col_stride]
  MatrixView(const Scalar* data, Index rows, Index cols, Index row_stride, Index col_stride)
      : data_(data), rows_(rows), cols_(cols), row_stride_(row_stride), col_stride_(col_stride) {}

  // (samples * positions) x cols, element (m * positions + t, j) at
  // data[m * sample_stride + t * position_stride + j * col_stride]
  MatrixView(const Scalar* data, Index samples, Index positions, Index cols, Index sample_stride,
             Index position_stride, Index col_stride)
      : MatrixView(data, samples * positions, cols, position_stride, col_stride) {
    group_ = positions;
    group_stride_ = sample_stride;
    if (positions == 1) row_stride_ = sample_stride;
    if (positions == 1 || samples <= 1 || sample_stride == positions * position_stride) group_ = 0;
  }

  MatrixView(OneHot rows)
      : rows_(rows.indices.size()),
        cols_(rows.cols),
        row_stride_(1),
        indices_(rows.indices),
        one_hot_(true) {}

  // a matrix, or a map, block or transpose of one
  template <class Argument, class Expression = std::remove_cvref_t<Argument>>
  requires(detail::is_eigen<Expression>) MatrixView(Argument&& A) {
    using Given = typename Expression::Scalar;
    constexpr bool is_double = std::same_as<Scalar, double>;
    if constexpr (!std::same_as<Given, Scalar>) {
      static_assert(std::same_as<Given, Scalar> || !std::same_as<Given, float> || !is_double,
                    "a matrix of float for a LayerTrace<double>: use LayerTrace<float>; sums are in double");
      static_assert(std::same_as<Given, Scalar> || !std::same_as<Given, double> || is_double,
                    "a matrix of double for a LayerTrace<float>: use LayerTrace<double>");
      static_assert(std::same_as<Given, float> || std::same_as<Given, double>,
                    "Sagitta takes matrices of float or double, no integers, half precision or complex ones");
    } else if constexpr (!detail::has_direct_access<Expression>) {
      static_assert(detail::has_direct_access<Expression>,
                    "a view looks at a matrix in memory: give this expression's value a name first");
    } else {
      static_assert(detail::outlives_its_expression<Argument>,
                    "a view of a temporary would dangle: name the matrix, and write "
                    "std::as_const(matrix).transpose() for a part of it");
      *this =
          MatrixView(A.data(), A.rows(), A.cols(), Expression::IsRowMajor ? A.outerStride() : A.innerStride(),
                     Expression::IsRowMajor ? A.innerStride() : A.outerStride());
    }
  }

  const Scalar* data() const { return data_; }
  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  Index row_stride() const { return row_stride_; }
  Index col_stride() const { return col_stride_; }
  // rows of a group are row_stride apart, the first rows of groups group_stride; 0: all rows are one group
  Index group() const { return group_; }
  Index group_stride() const { return group_stride_; }
  bool is_one_hot() const { return one_hot_; }
  const IndexView& indices() const { return indices_; }

  // the same as an Eigen expression; of a matrix whose rows are one group
  auto matrix() const {
    if (group_ != 0 || one_hot_)
      detail::reject("MatrixView::matrix", "the rows lie in groups or are one-hot, expected two strides");
    using Stride = Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>;
    return Eigen::Map<const MatrixOf<Scalar>, 0, Stride>(data_, rows_, cols_,
                                                         Stride(col_stride_, row_stride_));
  }

 private:
  const Scalar* data_ = nullptr;
  Index rows_ = 0, cols_ = 0, row_stride_ = 0, col_stride_ = 0, group_ = 0, group_stride_ = 0;
  IndexView indices_;
  bool one_hot_ = false;
};

// The outputs of a convolution, or their derivatives, as samples x channels x pixels: row m * pixels + t is
// pixel t of sample m, a column a channel.
template <class Scalar>
MatrixView<Scalar> nchw(const Scalar* data, Index samples, Index channels, Index pixels) {
  return {data, samples, pixels, channels, channels * pixels, 1, pixels};
}

// What one layer z = W a + b leaves behind when M samples pass forward and back, enough for every inner
// product of per-sample gradients without forming one: sample m's gradient of W is sum_t d_mt a_mt^T.
//
//   inputs:      (M*T) x fan_in,  row m*T + t: the input a of sample m at position t
//   backprops:   (M*T) x fan_out, row m*T + t: the derivative d of the loss of sample m by its output z
//   positions:   T, 1 for a fully connected layer, the number of output pixels for a convolution (whose input
//                rows are patches), of tokens for a layer of a language model, the number of uses for a
//                weight that is used several times
//   has_bias:    whether the bias is a parameter too
//   elementwise: z = w * a + b, element by element: layer norm and batch norm, a being what is normalised;
//                fan_in = fan_out
//   offsets:     in the place of positions, where samples have different numbers of them: M + 1 numbers from
//   0
//                on, sample m in the rows offsets[m] to offsets[m + 1] - 1
//   weight:      the address of W, or any other, where several layers share W (and b): traces with the same
//                address are uses of one weight, and their gradients add up
//   transposed:  z = W^T a + b. Only of interest where the weight is shared: an embedding whose table of
//                vocabulary x width is also the last layer's W is such a use
//
// The backprops are those of the SUMMED loss: one backward pass of loss_1 + ... + loss_M. Those of the mean
// are M times smaller, and their Gram matrix M^2 times, which changes no rank.
template <class Scalar>
struct LayerTrace {
  MatrixView<Scalar> inputs;
  MatrixView<Scalar> backprops;
  Index positions = 1;
  bool has_bias = true;
  bool elementwise = false;
  IndexView offsets = {};
  const void* weight = nullptr;
  bool transposed = false;

  Index samples() const {
    return offsets.size() > 0 ? offsets.size() - 1 : positions > 0 ? inputs.rows() / positions : 0;
  }
  // of this layer alone; uses of a shared weight count it each
  Index parameters() const {
    if (elementwise) return (has_bias ? 2 : 1) * backprops.cols();
    return (inputs.cols() + (has_bias ? 1 : 0)) * backprops.cols();
  }
};

// Per-sample gradients that a code has already, of any parameters: M x P, a row a sample. (Also: the table of
// learned positions, whose gradient is what comes back, T * width numbers a sample.)
template <class Scalar>
LayerTrace<Scalar> explicit_gradients(MatrixView<Scalar> gradients) {
  return {.inputs = MatrixView<Scalar>(nullptr, gradients.rows(), 0, 0, 0), .backprops = gradients};
}
template <class Gradients>
requires(detail::is_eigen<std::remove_cvref_t<Gradients>>) auto explicit_gradients(Gradients&& gradients) {
  using Scalar = typename std::remove_cvref_t<Gradients>::Scalar;
  return explicit_gradients(MatrixView<Scalar>(std::forward<Gradients>(gradients)));
}

}  // namespace sagitta
