#include <functional>
#include <sagitta/estimated_trace.hpp>
#include <sagitta/gradient_overlap.hpp>
#include <sagitta/lanczos.hpp>
#include <sagitta/linear_operator.hpp>
#include <sagitta/partial_rank.hpp>
#include <sagitta/spectral_density.hpp>

#include "bindings.hpp"

// Symmetric matrices known by their products: a function of Python that multiplies, or an array.
namespace pysagitta {
namespace {

// A sagitta::SymmetricOperator of any kind, so that the algorithms are compiled once.
class Operator {
 public:
  using Scalar = double;
  using Multiply = std::function<void(const double* in, double* out)>;

  // product_error: as sagitta::product_error tells it
  Operator(Index size, double product_error, Multiply multiply)
      : size_(size), product_error_(product_error), multiply_(std::move(multiply)) {}

  Index rows() const { return size_; }
  Index cols() const { return size_; }
  double product_error() const { return product_error_; }
  void perform_op(const double* in, double* out) const { multiply_(in, out); }

 private:
  Index size_;
  double product_error_;
  Multiply multiply_;
};

// multiply: of Python, from an array of n numbers to another one, which pysagitta has checked
Operator operator_of(Index size, double product_error, const nb::callable& multiply) {
  return {size, product_error, [size, multiply = multiply.ptr()](const double* in, double* out) {
            const nb::gil_scoped_acquire gil;
            const auto n = static_cast<std::size_t>(size);
            auto* copy = new double[n];  // the function may keep what it gets
            std::copy_n(in, n, copy);
            const nb::capsule owner(copy, [](void* p) noexcept { delete[] static_cast<double*>(p); });
            const nb::object x = nb::cast(nb::ndarray<nb::numpy, double>(copy, {n}, owner));
            const auto product = nb::cast<Doubles>(nb::borrow<nb::callable>(multiply)(x));
            std::copy_n(product.data(), n, out);
          }};
}

// function(op), without the GIL
//   op: a matrix, or (size, product_error, multiply)
template <class Function>
auto with_operator(const nb::object& op, Function function) {
  if (nb::isinstance<nb::tuple>(op)) {
    const auto parts = nb::cast<nb::tuple>(op);
    const Operator given =
        operator_of(nb::cast<Index>(parts[0]), nb::cast<double>(parts[1]), nb::cast<nb::callable>(parts[2]));
    const nb::gil_scoped_release no_gil;
    return function(given);
  }
  const auto A = nb::cast<DoubleMatrix>(op);
  const nb::gil_scoped_release no_gil;
  const sagitta::DenseOperator<double> dense(map(A));
  return function(Operator(dense.rows(), sagitta::product_error(dense),
                           [&](const double* in, double* out) { dense.perform_op(in, out); }));
}

}  // namespace

void bind_operators(nb::module_& m) {
  m.def("extreme_eigenpairs", [](const nb::object& op, Index k, std::uint64_t seed, int extreme,
                                 double tolerance, Index max_products) {
    sagitta::Eigenpairs pairs = with_operator(op, [&](const auto& of) {
      std::mt19937_64 generator(seed);
      return sagitta::extreme_eigenpairs(of, k, generator,
                                         {.extreme = static_cast<sagitta::Extreme>(extreme),
                                          .tolerance = tolerance,
                                          .max_products = max_products});
    });
    return nb::make_tuple(vector_to_numpy(std::move(pairs.values)), matrix_to_numpy(std::move(pairs.vectors)),
                          vector_to_numpy(std::move(pairs.residuals)), pairs.products, pairs.converged);
  });
  m.def("partial_effective_rank", [](const nb::object& op, double trace, double frobenius, double threshold,
                                     std::uint64_t seed, Index max_steps) {
    return with_operator(op, [&](const auto& of) {
      std::mt19937_64 generator(seed);
      return fields(sagitta::partial_effective_rank(of, trace, frobenius, threshold, generator, max_steps));
    });
  });
  m.def("partial_effective_rank_of_matrix", [](const DoubleMatrix& K, double threshold, std::uint64_t seed) {
    const nb::gil_scoped_release no_gil;
    std::mt19937_64 generator(seed);
    return fields(sagitta::partial_effective_rank(map(K), threshold, generator));
  });
  m.def("estimated_effective_rank",
        [](const nb::object& op, double threshold, std::uint64_t seed, Index steps) {
          return with_operator(op, [&](const auto& of) {
            std::mt19937_64 generator(seed);
            const auto estimate = sagitta::estimated_effective_rank(of, threshold, generator, steps);
            return std::tuple(estimate.rank, estimate.drift, estimate.products);
          });
        });
  m.def("estimated_trace", [](const nb::object& op, Index probes, std::uint64_t seed) {
    return with_operator(op, [&](const auto& of) {
      std::mt19937_64 generator(seed);
      const auto trace = sagitta::estimated_trace(of, probes, generator);
      return std::tuple(trace.value, trace.standard_error, trace.products);
    });
  });
  m.def("spectral_density", [](const nb::object& op, Index steps, Index probes, std::uint64_t seed) {
    sagitta::SpectralDensity density = with_operator(op, [&](const auto& of) {
      std::mt19937_64 generator(seed);
      return sagitta::spectral_density(of, generator, {.steps = steps, .probes = probes});
    });
    return nb::make_tuple(vector_to_numpy(std::move(density.nodes)),
                          vector_to_numpy(std::move(density.weights)), density.products);
  });
  m.def("operator_overlap",
        [](const nb::object& op, const Doubles& g, double threshold, std::uint64_t seed, Index steps) {
          return with_operator(op, [&](const auto& of) {
            std::mt19937_64 generator(seed);
            const auto overlap = sagitta::gradient_hessian_overlap(of, map(g), threshold, generator, steps);
            return std::tuple(overlap.value, overlap.truncation, overlap.defined(), overlap.error,
                              overlap.products);
          });
        });
}

}  // namespace pysagitta
