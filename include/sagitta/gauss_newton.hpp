#pragma once

#include <sagitta/detail/language.hpp>

#include <sagitta/fisher.hpp>

// The Gauss-Newton matrix of softmax cross-entropy (the paper, section C.2),
//   sum_m J_m^T H_m J_m,  H_m = diag(p_m) - p_m p_m^T,  J_m the C x P Jacobian of the logits of sample m.
//
// The paper leaves its rank out as too expensive because of the middle matrix. But H_m = L_m L_m^T with L_m
// of size C x (C - 1), so the matrix is B^T B with B = (L_1^T J_1; ...; L_M^T J_M), and its non-zero
// eigenvalues are those of the Gram matrix B B^T of size M (C - 1).
namespace sagitta {

namespace detail {

// The Cholesky factor of diag(p) - p p^T in closed form, without its last column, which is zero. With the
// tail sums q_j = p_{j+1} + ... + p_C:  L_jj = sqrt(p_j q_j / q_{j-1}),  L_ij = -p_i / sqrt(q_j) sqrt(p_j /
// q_{j-1}). No subtraction occurs, so entries are right to a few eps each; where a tail is zero so is the
// column.
template <class Vector, class Factor>
void fill_softmax_factor(const Vector& p, Factor&& L) {
  const Index C = p.size();
  L.setZero();
  double tail = static_cast<double>(p[C - 1]);
  for (Index j = C - 2; j >= 0; --j) {
    const auto pj = static_cast<double>(p[j]);
    const double whole = tail + pj;
    if (whole > 0 && tail > 0) {
      const double share = std::sqrt(pj / whole), root = std::sqrt(tail);
      L(j, j) = share * root;
      for (Index i = j + 1; i < C; ++i) L(i, j) = -(static_cast<double>(p[i]) / root) * share;
    }
    tail = whole;
  }
}

}  // namespace detail

// L with L L^T = diag(p) - p p^T, the Hessian of the cross-entropy by the logits.
//   p: C probabilities, of any expression of float or double; p = (1, 0, 0) is fine
// Returns C x (C - 1), in double, right to a few eps. Throws std::invalid_argument for an empty p, and where
// p is no distribution. O(C^2).
template <class Derived>
MatrixOf<double> softmax_hessian_factor(const Eigen::MatrixBase<Derived>& p) {
  const Eigen::VectorXd values = p.derived().reshaped().template cast<double>();
  if (values.size() == 0) detail::reject("softmax_hessian_factor", "p is empty, expected a distribution");
  Eigen::Matrix<typename Derived::Scalar, 1, Eigen::Dynamic> row = p.derived().reshaped().transpose();
  detail::check_probabilities(row, "softmax_hessian_factor");
  MatrixOf<double> L(values.size(), values.size() - 1);
  detail::fill_softmax_factor(values, L);
  return L;
}

// The backprops that turn gram(layers) into the Gram matrix B B^T of Gauss-Newton: back-propagate these rows
// as M (C - 1) samples (row m (C - 1) + k starts at the logits of sample m), each with the inputs of its
// sample.
//   probabilities: M x C
// Returns M (C - 1) x C. Throws std::invalid_argument for rows that are no distributions. O(M C^2).
template <class Derived>
MatrixOf<double> gauss_newton_backprops(const Eigen::MatrixBase<Derived>& probabilities) {
  const auto& p = detail::in_memory(probabilities);
  detail::check_probabilities(p, "gauss_newton_backprops");
  const Index M = p.rows(), C = p.cols(), columns = std::max<Index>(C - 1, 0);
  MatrixOf<double> rows(M * columns, C), L(C, columns);
  for (Index m = 0; m < M && columns > 0; ++m) {
    detail::fill_softmax_factor(p.row(m), L);
    rows.middleRows(m * columns, columns) = L.transpose();
  }
  return rows;
}

// The effective rank of the Gauss-Newton matrix.
//   J: (M*C) x P, the Jacobian of all logits, row m*C + c, float or double
//   probabilities: M x C;  threads: as for symmetric_effective_rank
// max_rank is min(P, M (C - 1)). Jacobians of any scale are right; rounding is in the bracket. Throws
// std::invalid_argument where J has another number of rows, for NaN or infinity, rows that are no
// distributions, and a threshold outside [0, 1].
// M C^2 P operations, and n^2 max(P, M(C-1)) + 4/3 n^3 with n = min(P, M(C-1)).
template <class Derived, class Probabilities>
EffectiveRank gauss_newton_rank(const Eigen::MatrixBase<Derived>& J,
                                const Eigen::MatrixBase<Probabilities>& probabilities,
                                double threshold = 0.99, Index threads = 1) {
  constexpr const char* name = "gauss_newton_rank";
  detail::check_threshold(threshold, name);
  detail::check_threads(threads, name);
  const auto& p = detail::in_memory(probabilities);
  detail::check_probabilities(p, name);
  const Index M = p.rows(), C = p.cols(), columns = std::max<Index>(C - 1, 0), P = J.cols();
  if (J.rows() != M * C)
    detail::reject(name, "J has ", J.rows(), " rows, expected ", M * C, " (", M, " samples x ", C,
                   " classes)");
  const detail::Scaled work = detail::scaled(J, name, "J");
  const Index n = (std::min)(P, M * columns);
  if (n == 0) return {};

  MatrixOf<double> B(M * columns, P), L(C, columns);
  for (Index m = 0; m < M; ++m) {
    detail::fill_softmax_factor(p.row(m), L);
    // what all logits share is taken off first: L^T (1, ..., 1) = 0, but rounding would keep some of it
    const auto Jm = work.matrix.middleRows(m * C, C);
    const Eigen::RowVectorXd mean = p.row(m).template cast<double>() * Jm;
    B.middleRows(m * columns, columns).noalias() = L.transpose() * (Jm.rowwise() - mean);
  }
  // saturated probabilities can make B tiny: bring it back to scale before it is squared
  B = detail::scaled(B, name, "J").matrix;
  const MatrixOf<double> K = n == P ? detail::row_gram(B.transpose(), threads) : detail::row_gram(B, threads);
  return detail::symmetric_rank(K, threshold, gram_error(K, (std::max)(P, M * columns)), true, threads, name);
}

}  // namespace sagitta
