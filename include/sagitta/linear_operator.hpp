#pragma once

#include <sagitta/detail/language.hpp>

#include <cmath>
#include <concepts>
#include <sagitta/detail/check.hpp>
#include <type_traits>
#include <utility>

// Symmetric matrices that are known by their products alone: a Hessian or Gauss-Newton matrix too large to
// write down, whose product with a vector costs a few passes through the network.
namespace sagitta {

// Anything with these members, no base class asked for; Spectra's matrix operations are such, and such is
// what Spectra takes.
//   Scalar:              float or double
//   rows(), cols():      n, both the same
//   perform_op(in, out): out = A in; in and out are arrays of n numbers that do not overlap
// An operator may also say how precise its products are, where Scalar alone does not tell (arithmetic in
// float behind arrays of double, finite differences):
//   product_error():     double, a bound on |y - A x| / (|A| |x|) in 2-norms, y being the computed A x
// The algorithms call a const operator from one thread, and take its word that A is symmetric, and for this.
template <class T>
concept SymmetricOperator = requires(const T& op, const typename T::Scalar* in, typename T::Scalar* out) {
  requires std::same_as<typename T::Scalar, float> || std::same_as<typename T::Scalar, double>;
  { op.rows() } -> std::convertible_to<Index>;
  { op.cols() } -> std::convertible_to<Index>;
  op.perform_op(in, out);
};

// The relative error of a product of op, as above, with a vector of doubles: what op states, if it does, else
// 8 sqrt(n) roundings of its Scalar. Certificates, tolerances and what counts as zero go by it. Throws
// std::invalid_argument for a statement that is not a finite number >= 0.
template <SymmetricOperator Op>
double product_error(const Op& op) {
  constexpr auto rounding = static_cast<double>(std::numeric_limits<typename Op::Scalar>::epsilon());
  if constexpr (requires {
                  { op.product_error() } -> std::convertible_to<double>;
                }) {
    const auto stated = static_cast<double>(op.product_error());
    if (!detail::is_finite(stated) || stated < 0)
      detail::reject("product_error", "op states ", stated, ", expected a finite number >= 0");
    return std::same_as<typename Op::Scalar, double> ? stated
                                                     : stated + rounding;  // the vector is rounded too
  } else {
    return 8 * std::sqrt(static_cast<double>(op.rows())) * rounding;
  }
}

// A symmetric matrix in memory as an operator; it owns a copy.
//   A: n x n, float or double, any Eigen expression; only its lower triangle is read
// Throws std::invalid_argument for a matrix that is not square, or has NaN or infinity. 2 n^2 operations a
// product. Safe from several threads.
template <class Scalar_>
class DenseOperator {
 public:
  using Scalar = Scalar_;

  template <class Derived>
  explicit DenseOperator(const Eigen::MatrixBase<Derived>& A) {
    detail::check_square(A.rows(), A.cols(), "DenseOperator", "A");
    matrix_ = Matrix::Zero(A.rows(), A.cols());
    matrix_.template triangularView<Eigen::Lower>() = A.derived();
    detail::largest_magnitude(matrix_, "DenseOperator", "A");
  }

  Index rows() const { return matrix_.rows(); }
  Index cols() const { return matrix_.cols(); }
  void perform_op(const Scalar* in, Scalar* out) const {
    if (rows() == 0) return;  // Eigen 3.4 takes the address of the first coefficient
    Eigen::Map<Vector>(out, rows()).noalias() =
        matrix_.template selfadjointView<Eigen::Lower>() * Eigen::Map<const Vector>(in, cols());
  }

 private:
  using Matrix = MatrixOf<Scalar>;
  using Vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;
  Matrix matrix_;  // its strict upper triangle is zero
};
template <class Derived>
DenseOperator(const Eigen::MatrixBase<Derived>&) -> DenseOperator<typename Derived::Scalar>;

// A function that multiplies as an operator: FunctionOperator hessian(d, [&](const auto& in, auto& out) { ...
// });
//   size: n >= 0
//   multiply(in, out): out = A in, called with Eigen::Map<const Eigen::VectorXd> and Eigen::Map
//     <Eigen::VectorXd> of n elements; kept by value. As safe from several threads as it is.
//   error: of a product, as above, where it is not computed in double
// Throws std::invalid_argument for a negative size, and an error that is not a finite number >= 0.
template <class Function>
class FunctionOperator {
 public:
  using Scalar = double;

  FunctionOperator(Index size, Function multiply)
      : FunctionOperator(size, std::move(multiply), 8 * std::sqrt(static_cast<double>(size)) * epsilon) {}
  FunctionOperator(Index size, Function multiply, double error)
      : size_(size), error_(error), multiply_(std::move(multiply)) {
    if (size < 0) detail::reject("FunctionOperator", "size is ", size, ", expected a number >= 0");
    if (!detail::is_finite(error) || error < 0)
      detail::reject("FunctionOperator", "error is ", error, ", expected a finite number >= 0");
  }

  Index rows() const { return size_; }
  Index cols() const { return size_; }
  double product_error() const { return error_; }
  void perform_op(const double* in, double* out) const {
    const Eigen::Map<const Eigen::VectorXd> from(in, size_);
    Eigen::Map<Eigen::VectorXd> to(out, size_);
    multiply_(from, to);
  }

 private:
  Index size_;
  double error_;
  Function multiply_;
};

namespace detail {

template <SymmetricOperator Op>
Index checked_size(const Op& op, const char* function) {
  check_square(static_cast<Index>(op.rows()), static_cast<Index>(op.cols()), function, "op");
  return static_cast<Index>(op.rows());
}

// out = A in in double, for float operators too; in: n, out: n, contiguous. Throws where the product has NaN
// or infinity.
template <SymmetricOperator Op, class In, class Out>
void multiply(const Op& op, const In& in, Out&& out, const char* function) {
  using Scalar = typename Op::Scalar;
  if constexpr (std::same_as<Scalar, double>) {
    op.perform_op(in.data(), out.data());
  } else {
    const Eigen::Matrix<Scalar, Eigen::Dynamic, 1> narrow = in.template cast<Scalar>();
    Eigen::Matrix<Scalar, Eigen::Dynamic, 1> product(out.size());
    op.perform_op(narrow.data(), product.data());
    out = product.template cast<double>();
  }
  for (Index i = 0; i < out.size(); ++i)
    if (!is_finite(static_cast<double>(out[i])))
      reject(function, "element ", i, " of a product of op is NaN or infinite, expected finite values");
}

}  // namespace detail
}  // namespace sagitta
