#include <sagitta/features.hpp>
#include <sagitta/fisher.hpp>
#include <sagitta/gauss_newton.hpp>
#include <sagitta/gradient_overlap.hpp>
#include <sagitta/norms.hpp>
#include <sagitta/rank_interval.hpp>

#include "bindings.hpp"

// Ranks, Gram matrices, features, overlaps and norms of arrays.
namespace pysagitta {
namespace {

template <class Scalar>
std::vector<sagitta::LayerTrace<Scalar>> traces(const nb::list& layers) {
  std::vector<sagitta::LayerTrace<Scalar>> result;
  const auto view = [](const Matrix& A) {
    return sagitta::MatrixView<Scalar>(static_cast<const Scalar*>(A.data()), static_cast<Index>(A.shape(0)),
                                       static_cast<Index>(A.shape(1)), A.stride(0), A.stride(1));
  };
  for (const nb::handle layer : layers) {
    const auto fields = nb::cast<nb::tuple>(layer);
    result.push_back({view(nb::cast<Matrix>(fields[0])), view(nb::cast<Matrix>(fields[1])),
                      nb::cast<Index>(fields[2]), nb::cast<bool>(fields[3])});
  }
  return result;
}

// function(layers), all of which are of one type
template <class Function>
auto with_layers(const nb::list& layers, bool of_float, Function function) {
  const auto call = [&](const auto& views) {
    const nb::gil_scoped_release no_gil;
    return function(views);
  };
  return of_float ? call(traces<float>(layers)) : call(traces<double>(layers));
}

template <class Function>
auto with_pair(const Vector& x, const Vector& y, Function function) {
  const auto call = [&]<class Scalar>(Scalar) {
    using Values = Eigen::Map<const Eigen::Matrix<Scalar, Eigen::Dynamic, 1>>;
    const nb::gil_scoped_release no_gil;
    return function(Values(static_cast<const Scalar*>(x.data()), static_cast<Index>(x.shape(0))),
                    Values(static_cast<const Scalar*>(y.data()), static_cast<Index>(y.shape(0))));
  };
  return is_float(x.dtype()) ? call(float()) : call(double());
}

using OverlapFields = std::tuple<double, Index, bool>;
OverlapFields overlap_fields(const sagitta::Overlap& o) { return {o.value, o.truncation, o.defined()}; }

void bind_spectra(nb::module_& m) {
  m.def("effective_rank", [](const Matrix& A, double threshold) {
    return with_matrix(A, [&](const auto& a) { return fields(sagitta::effective_rank(a, threshold)); });
  });
  m.def("symmetric_effective_rank", [](const Matrix& A, double threshold, double input_error, Index threads) {
    return with_matrix(A, [&](const auto& a) {
      return fields(sagitta::symmetric_effective_rank(a, threshold, input_error, threads));
    });
  });
  m.def("spectrum_effective_rank", [](const Doubles& values, double threshold) {
    const nb::gil_scoped_release no_gil;
    return fields(sagitta::spectrum_effective_rank(map(values), threshold));
  });
  m.def("entropy_rank", [](const Matrix& A) {
    return with_matrix(A, [](const auto& a) { return sagitta::entropy_rank(a); });
  });
  m.def("stable_rank", [](const Matrix& A) {
    return with_matrix(A, [](const auto& a) { return sagitta::stable_rank(a); });
  });
  m.def("symmetric_eigenvalues", [](const Matrix& A, Index threads) {
    return vector_to_numpy(
        with_matrix(A, [&](const auto& a) { return sagitta::symmetric_eigenvalues(a, threads); }));
  });
  m.def("singular_values", [](const Matrix& A) {
    return vector_to_numpy(with_matrix(A, [](const auto& a) { return sagitta::singular_values(a); }));
  });
  m.def("rank_interval",
        [](const DoubleMatrix& K, double threshold, double level, std::uint64_t seed, Index replicates) {
          const nb::gil_scoped_release no_gil;
          std::mt19937_64 generator(seed);
          const auto interval = sagitta::rank_interval(map(K), threshold, level, generator, replicates);
          return std::tuple(interval.rank, interval.lower, interval.upper);
        });
}

void bind_grams(nb::module_& m) {
  m.def("gram", [](const nb::list& layers, bool of_float, Index threads) {
    return matrix_to_numpy(
        with_layers(layers, of_float, [&](const auto& views) { return sagitta::gram(views, threads); }));
  });
  m.def("fisher_rank", [](const nb::list& layers, bool of_float, double threshold, Index threads) {
    return with_layers(layers, of_float, [&](const auto& views) {
      return fields(sagitta::fisher_rank(views, threshold, threads));
    });
  });
  // of gradients, a row a sample
  m.def("gradients_gram", [](const Matrix& G, Index threads) {
    return matrix_to_numpy(
        with_matrix(G, [&](const auto& g) { return sagitta::gram(g.transpose(), threads); }));
  });
  m.def("gradients_fisher_rank", [](const Matrix& G, double threshold, Index threads) {
    return with_matrix(
        G, [&](const auto& g) { return fields(sagitta::fisher_rank(g.transpose(), threshold, threads)); });
  });
  m.def("sample_labels", [](const DoubleMatrix& probabilities, std::uint64_t seed) {
    const nb::gil_scoped_release no_gil;
    std::mt19937_64 generator(seed);
    const Eigen::VectorXi labels = sagitta::sample_labels(map(probabilities), generator);
    return std::vector<std::int64_t>(labels.begin(), labels.end());
  });
  m.def("cross_entropy_backprops", [](const DoubleMatrix& probabilities, const std::vector<Index>& labels) {
    const Eigen::Map<const Eigen::Array<Index, Eigen::Dynamic, 1>> whole(labels.data(),
                                                                         static_cast<Index>(labels.size()));
    return matrix_to_numpy(sagitta::cross_entropy_backprops(map(probabilities), whole));
  });
  m.def("softmax_hessian_factor",
        [](const Doubles& p) { return matrix_to_numpy(sagitta::softmax_hessian_factor(map(p))); });
  m.def("gauss_newton_backprops", [](const DoubleMatrix& probabilities) {
    return matrix_to_numpy(sagitta::gauss_newton_backprops(map(probabilities)));
  });
  m.def("gauss_newton_rank",
        [](const Matrix& J, const DoubleMatrix& probabilities, double threshold, Index threads) {
          return with_matrix(J, [&](const auto& j) {
            return fields(sagitta::gauss_newton_rank(j, map(probabilities), threshold, threads));
          });
        });
}

void bind_features(nb::module_& m) {
  m.def("feature_rank", [](const Matrix& features, double threshold) {
    return with_matrix(features, [&](const auto& f) { return fields(sagitta::feature_rank(f, threshold)); });
  });
  m.def("dormancy", [](const Matrix& features) {
    return with_matrix(features, [](const auto& f) { return sagitta::dormancy(f); });
  });
  m.def("per_sample_dormancy", [](const Matrix& features) {
    return with_matrix(features, [](const auto& f) { return sagitta::per_sample_dormancy(f); });
  });
  m.def("dormant_fraction", [](const Matrix& features, double tau) {
    return with_matrix(features, [&](const auto& f) { return sagitta::dormant_fraction(f, tau); });
  });
  m.def("gradient_gram_overlap", [](const Matrix& K, double threshold, double input_error) {
    return with_matrix(K, [&](const auto& k) {
      return overlap_fields(sagitta::gradient_gram_overlap(k, threshold, input_error));
    });
  });
  m.def("gradient_hessian_overlap", [](const Matrix& H, const Doubles& g, double threshold) {
    return with_matrix(H, [&](const auto& h) {
      return overlap_fields(sagitta::gradient_hessian_overlap(h, map(g), threshold));
    });
  });
  m.def("l1_norm", [](const Vector& x) {
    return with_pair(x, x, [](const auto& a, const auto&) { return sagitta::l1_norm(a); });
  });
  m.def("l2_norm", [](const Vector& x) {
    return with_pair(x, x, [](const auto& a, const auto&) { return sagitta::l2_norm(a); });
  });
  m.def("l1_distance", [](const Vector& x, const Vector& y) {
    return with_pair(x, y, [](const auto& a, const auto& b) { return sagitta::l1_distance(a, b); });
  });
  m.def("l2_distance", [](const Vector& x, const Vector& y) {
    return with_pair(x, y, [](const auto& a, const auto& b) { return sagitta::l2_distance(a, b); });
  });
}

}  // namespace

void bind_ranks(nb::module_& m) {
  bind_spectra(m);
  bind_grams(m);
  bind_features(m);
}

}  // namespace pysagitta
