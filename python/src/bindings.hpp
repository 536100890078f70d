#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <Eigen/Core>
#include <sagitta/detail/bracket.hpp>
#include <tuple>

// What the parts of the module share. Python has checked dimensions, alignment and strides before (see
// pysagitta/_arrays.py): a matrix lies in memory by rows or by columns, so that nothing is copied here.
namespace nb = nanobind;
using nb::literals::operator""_a;

namespace pysagitta {

using sagitta::EffectiveRank;
using sagitta::Index;

using Matrix = nb::ndarray<nb::ro, nb::ndim<2>, nb::device::cpu>;  // of float or double
using Vector = nb::ndarray<nb::ro, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Doubles = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using DoubleMatrix = nb::ndarray<const double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

inline bool is_float(const nb::dlpack::dtype& type) { return type == nb::dtype<float>(); }

template <class Scalar, class Function>
decltype(auto) with_layout(const Matrix& A, Function&& function) {
  using Stride = Eigen::OuterStride<>;
  const auto* data = static_cast<const Scalar*>(A.data());
  const auto rows = static_cast<Index>(A.shape(0)), cols = static_cast<Index>(A.shape(1));
  if (A.stride(1) == 1 || cols == 1) {
    using RowMajor = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    return function(Eigen::Map<const RowMajor, 0, Stride>(data, rows, cols, Stride(A.stride(0))));
  }
  using ColMajor = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;
  return function(Eigen::Map<const ColMajor, 0, Stride>(data, rows, cols, Stride(A.stride(1))));
}

// function(A as an Eigen map of its own type and order), without the GIL
template <class Function>
decltype(auto) with_matrix(const Matrix& A, Function&& function) {
  const nb::gil_scoped_release no_gil;
  if (is_float(A.dtype())) return with_layout<float>(A, function);
  return with_layout<double>(A, function);
}

inline Eigen::Map<const Eigen::VectorXd> map(const Doubles& v) {
  return {v.data(), static_cast<Index>(v.shape(0))};
}
inline auto map(const DoubleMatrix& A) {
  using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  return Eigen::Map<const RowMajor>(A.data(), static_cast<Index>(A.shape(0)), static_cast<Index>(A.shape(1)));
}

// (rank, lower, upper, max_rank)
using RankFields = std::tuple<Index, Index, Index, Index>;
inline RankFields fields(const EffectiveRank& r) { return {r.rank, r.lower, r.upper, r.max_rank}; }

// Results go to NumPy as they lie in memory, which the array then owns.
inline nb::object to_numpy(Eigen::MatrixXd&& values, bool one_dimensional) {
  auto* owned = new Eigen::MatrixXd(std::move(values));
  nb::capsule owner(owned, [](void* p) noexcept { delete static_cast<Eigen::MatrixXd*>(p); });
  const auto rows = static_cast<std::size_t>(owned->rows()), cols = static_cast<std::size_t>(owned->cols());
  if (one_dimensional) return nb::cast(nb::ndarray<nb::numpy, double>(owned->data(), {rows * cols}, owner));
  const auto column = static_cast<std::int64_t>(rows);
  return nb::cast(nb::ndarray<nb::numpy, double>(owned->data(), {rows, cols}, owner, {1, column}));
}
inline nb::object matrix_to_numpy(Eigen::MatrixXd values) { return to_numpy(std::move(values), false); }
inline nb::object vector_to_numpy(Eigen::VectorXd values) {
  return to_numpy(Eigen::MatrixXd(std::move(values)), true);
}

void bind_ranks(nb::module_& m);
void bind_penalties(nb::module_& m);
void bind_operators(nb::module_& m);

}  // namespace pysagitta
