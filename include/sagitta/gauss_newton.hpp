#pragma once

#include <sagitta/detail/language.hpp>

#include <sagitta/detail/backward_passes.hpp>
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

// the error of a Jacobian is none of the Gauss-Newton matrix
inline void check_no_input_error(const RankOptions& options, const char* function) {
  if (options.input_error != 0) reject(function, "input_error is ", options.input_error, ", expected 0");
}

}  // namespace detail

// L with L L^T = diag(p) - p p^T, the Hessian of the cross-entropy by the logits.
//   p: C probabilities, of any expression of float or double; p = (1, 0, 0) is fine
//   sum_error: how far from 1 p may sum where it is coarser than its scalar, as for sample_labels
// Returns C x (C - 1), in double, right to a few eps. Throws std::invalid_argument for an empty p, and where
// p is no distribution. O(C^2).
template <class Derived>
MatrixOf<double> softmax_hessian_factor(const Eigen::MatrixBase<Derived>& p, double sum_error = 0) {
  const Eigen::VectorXd values = detail::in_memory(p).reshaped().template cast<double>();
  if (values.size() == 0) detail::reject("softmax_hessian_factor", "p is empty, expected a distribution");
  const Eigen::Matrix<detail::RealOf<Derived>, 1, Eigen::Dynamic> row =
      detail::in_memory(p).reshaped().transpose();
  detail::check_probabilities(row, sum_error, "softmax_hessian_factor");
  MatrixOf<double> L(values.size(), values.size() - 1);
  detail::fill_softmax_factor(values, L);
  return L;
}

// The backprops that turn gram(layers) into the Gram matrix B B^T of Gauss-Newton: back-propagate these rows
// as M (C - 1) samples (row m (C - 1) + k starts at the logits of sample m), each with the inputs of its
// sample.
//   probabilities: M x C;  sum_error: as above
// Returns M (C - 1) x C. Throws std::invalid_argument for rows that are no distributions. O(M C^2).
template <class Derived>
MatrixOf<double> gauss_newton_backprops(const Eigen::MatrixBase<Derived>& probabilities,
                                        double sum_error = 0) {
  const auto& p = detail::in_memory(probabilities);
  detail::check_probabilities(p, sum_error, "gauss_newton_backprops");
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
//   probabilities: M x C;  threads: as for symmetric_effective_rank;  sum_error: as above
// max_rank is min(P, M (C - 1)). Jacobians of any scale are right; rounding is in the bracket. Throws
// std::invalid_argument where J has another number of rows, for NaN or infinity, rows that are no
// distributions, and a threshold outside [0, 1].
// M C^2 P operations, and n^2 max(P, M(C-1)) + 4/3 n^3 with n = min(P, M(C-1)).
template <class Derived, class Probabilities>
EffectiveRank gauss_newton_rank(const Eigen::MatrixBase<Derived>& J,
                                const Eigen::MatrixBase<Probabilities>& probabilities,
                                double threshold = 0.99, Index threads = 1, double sum_error = 0) {
  constexpr const char* name = "gauss_newton_rank";
  detail::check_threshold(threshold, name);
  detail::check_threads(threads, name);
  const auto& p = detail::in_memory(probabilities);
  detail::check_probabilities(p, sum_error, name);
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

template <class Derived, class Probabilities>
EffectiveRank gauss_newton_rank(const Eigen::MatrixBase<Derived>& J,
                                const Eigen::MatrixBase<Probabilities>& probabilities,
                                const RankOptions& options) {
  detail::check_no_input_error(options, "gauss_newton_rank");
  return gauss_newton_rank(J, probabilities, options.threshold, options.threads);
}

namespace detail {

// Column k of the factors of all samples, as rows: M x C, times 2^-exponent.
//   tails: M x C, tails(m, j) = p_m,j+1 + ... + p_m,C
template <class Derived>
MatrixOf<double> softmax_factor_columns(const Eigen::MatrixBase<Derived>& p, const MatrixOf<double>& tails,
                                        Index k, int exponent) {
  MatrixOf<double> rows = MatrixOf<double>::Zero(p.rows(), p.cols());
  for (Index m = 0; m < p.rows(); ++m) {
    const double tail = tails(m, k), pk = static_cast<double>(p(m, k));
    if (!(tail > 0)) continue;
    const double share = std::ldexp(std::sqrt(pk / (tail + pk)), -exponent), root = std::sqrt(tail);
    rows(m, k) = share * root;
    for (Index i = k + 1; i < p.cols(); ++i) rows(m, i) = -(static_cast<double>(p(m, i)) / root) * share;
  }
  return rows;
}

}  // namespace detail

// The effective rank of the Gauss-Newton matrix for a code that has a backward pass, and no Jacobian.
//   probabilities: M x C
//   backprop: backprop(logit_backprops) runs a backward pass from these derivatives by the logits, M x C in
//     the scalar of the probabilities (a MatrixOf<float> or MatrixOf<double>, by columns), and returns the
//     layers' traces, a range of LayerTrace with M samples. It is called C - 1 times, each time for the same
//     forward pass; what the traces look at need only last until the next call, but the inputs until the end.
//   threads: as for symmetric_effective_rank;  sum_error: as above
// max_rank is min(P, M (C - 1)). Probabilities that are saturated, and give tiny backprops, are right;
// rounding is in the bracket. Throws std::invalid_argument for rows that are no distributions, a threshold
// outside [0, 1], as gram(layers) does, and where the passes differ in their layers. C - 1 backward passes,
// and the cost of gram(layers) and of a rank with M (C - 1) samples. Memory: the backprops of all passes.
template <class Derived, class Backprop>
requires(!detail::is_eigen<std::remove_cvref_t<Backprop>>) EffectiveRank
    gauss_newton_rank(const Eigen::MatrixBase<Derived>& probabilities, Backprop&& backprop,
                      double threshold = 0.99, Index threads = 1, double sum_error = 0) {
  constexpr const char* name = "gauss_newton_rank";
  detail::check_threshold(threshold, name);
  detail::check_threads(threads, name);
  const auto& p = detail::in_memory(probabilities);
  using Scalar = detail::RealOf<Derived>;
  detail::check_probabilities(p, sum_error, name);
  const Index M = p.rows(), C = p.cols();
  if (M == 0 || C < 2) return {};
  MatrixOf<double> tails = MatrixOf<double>::Zero(M, C);
  double largest = 0;  // of all factors, by whose power of two the passes are scaled
  for (Index j = C - 2; j >= 0; --j)
    for (Index m = 0; m < M; ++m) {
      tails(m, j) = tails(m, j + 1) + static_cast<double>(p(m, j + 1));
      if (tails(m, j) > 0)
        largest = (std::max)(
            largest, std::sqrt(static_cast<double>(p(m, j)) / (tails(m, j) + static_cast<double>(p(m, j)))) *
                         std::sqrt(tails(m, j)));
    }
  const int exponent = detail::exponent_of(largest);
  detail::BackwardPasses passes(C - 1, M, name);
  for (Index k = 0; k < C - 1; ++k)
    passes.add(backprop(
        MatrixOf<Scalar>(detail::softmax_factor_columns(p, tails, k, exponent).template cast<Scalar>())));
  return detail::gradient_rank(detail::gradient_gram_of(passes.weights(), threads), threshold, threads, name);
}

template <class Derived, class Backprop>
requires(!detail::is_eigen<std::remove_cvref_t<Backprop>>) EffectiveRank
    gauss_newton_rank(const Eigen::MatrixBase<Derived>& probabilities, Backprop&& backprop,
                      const RankOptions& options) {
  detail::check_no_input_error(options, "gauss_newton_rank");
  return gauss_newton_rank(probabilities, backprop, options.threshold, options.threads);
}

}  // namespace sagitta
