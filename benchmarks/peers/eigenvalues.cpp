// What eigenvalues.py measures of this library, behind a C interface that Python can call, and Eigen's own
// solver in the same binary.
#include <Eigen/Eigenvalues>
#include <sagitta/gauss_newton.hpp>

namespace {

using Index = Eigen::Index;
template <class Scalar>
using Matrix = Eigen::Map<const Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>>;
template <class Scalar>
using Rows = Eigen::Map<const Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

// the rank, or minus the number of ranks that are left
Index told(const sagitta::EffectiveRank& rank) {
  return rank.certified() ? rank.rank : -(rank.upper - rank.lower + 1);
}

template <class Scalar>
Index fisher(const Scalar* const* inputs, const Scalar* const* backprops, const Index* widths, Index number,
             Index samples) {
  std::vector<sagitta::LayerTrace<Scalar>> layers;
  for (Index l = 0; l < number; ++l)
    layers.push_back({.inputs = {inputs[l], samples, widths[l], widths[l], 1},
                      .backprops = {backprops[l], samples, widths[l + 1], widths[l + 1], 1}});
  return told(sagitta::fisher_rank(layers));
}

}  // namespace

extern "C" {

Index rank_float64(const double* A, Index n, Index threads) {
  return told(sagitta::symmetric_effective_rank(Matrix<double>(A, n, n), 0.99, 0, threads));
}

Index rank_float32(const float* A, Index n, Index threads) {
  return told(sagitta::symmetric_effective_rank(Matrix<float>(A, n, n), 0.99, 0, threads));
}

void eigenvalues_float64(const double* A, Index n, Index threads, double* values) {
  Eigen::Map<Eigen::VectorXd>(values, n) = sagitta::symmetric_eigenvalues(Matrix<double>(A, n, n), threads);
}

void eigen_float64(const double* A, Index n, double* values) {
  Eigen::Map<Eigen::VectorXd>(values, n) =
      Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(Matrix<double>(A, n, n), Eigen::EigenvaluesOnly)
          .eigenvalues();
}

Index fisher_float64(const double* const* inputs, const double* const* backprops, const Index* widths,
                     Index number, Index samples) {
  return fisher(inputs, backprops, widths, number, samples);
}

Index fisher_float32(const float* const* inputs, const float* const* backprops, const Index* widths,
                     Index number, Index samples) {
  return fisher(inputs, backprops, widths, number, samples);
}

// J: (M C) x P in rows, p: M x C in rows
Index gauss_newton_float64(const double* J, const double* p, Index M, Index C, Index P, Index threads) {
  return told(sagitta::gauss_newton_rank(Rows<double>(J, M * C, P), Rows<double>(p, M, C), 0.99, threads));
}
}
