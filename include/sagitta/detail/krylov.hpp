#pragma once

#include <numbers>
#include <sagitta/detail/random.hpp>
#include <sagitta/detail/scaling.hpp>
#include <sagitta/detail/tridiagonal.hpp>
#include <sagitta/linear_operator.hpp>

// What the methods by products alone share: directions drawn at random, orthogonalisation, and the Lanczos
// process.
namespace sagitta::detail {

// n independent standard normal numbers, the same with every standard library up to the last bits of its
// logarithm and cosine.
template <std::uniform_random_bit_generator Generator>
Eigen::VectorXd normal_vector(Index n, Generator& generator) {
  Eigen::VectorXd x(n);
  for (double& value : x) {  // Box and Muller, one of the pair
    const double radius = std::sqrt(-2 * std::log1p(-uniform(generator)));
    value = radius * std::cos(2 * std::numbers::pi * uniform(generator));
  }
  return x;
}

// n x n, column by column from n products with unit vectors, its two triangles averaged
template <SymmetricOperator Op>
MatrixOf<double> dense_matrix(const Op& op, const char* function) {
  const Index n = checked_size(op, function);
  MatrixOf<double> A(n, n);
  Eigen::VectorXd unit = Eigen::VectorXd::Zero(n);
  for (Index j = 0; j < n; ++j) {
    unit[j] = 1;
    multiply(op, unit, A.col(j), function);
    unit[j] = 0;
  }
  return (A + A.transpose()) / 2;
}

// Takes from w what lies in the span of the orthonormal columns of V, until what is left is orthogonal to
// them to rounding. Returns the coefficients, V^T w. |w| = 0 afterwards where w lay in the span.
template <class Basis>
Eigen::VectorXd orthogonalize(const Basis& V, Eigen::VectorXd& w) {
  Eigen::VectorXd coefficients = Eigen::VectorXd::Zero(V.cols());
  double before = w.stableNorm();
  for (int pass = 0; pass < 4 && before > 0; ++pass) {
    const Eigen::VectorXd part = V.transpose() * w;
    w.noalias() -= V * part;
    coefficients += part;
    const double after = w.stableNorm();
    if (pass > 0 && after > before / 2) return coefficients;
    before = after;
  }
  w.setZero();
  return coefficients;
}

// A unit vector orthogonal to the columns of V, n x m with m < n, of a direction drawn at random.
template <class Basis, std::uniform_random_bit_generator Generator>
Eigen::VectorXd random_unit_vector(const Basis& V, Generator& generator) {
  for (;;) {
    Eigen::VectorXd w = normal_vector(V.rows(), generator);
    orthogonalize(V, w);
    const double length = w.norm();
    if (length > 0) return w / length;
  }
}

// The error of a step that multiplies by op and orthogonalises in double, relative to |op|.
template <SymmetricOperator Op>
double step_error(const Op& op) {
  return (std::max)(product_error(op), 8 * std::sqrt(static_cast<double>(op.rows())) * epsilon);
}

// The Lanczos process with full reorthogonalisation: after m steps
//   A V = V T + residual e_m^T,  V^T V = I,  V^T residual = 0,
// T tridiagonal, for a symmetric A of any scale. 2 n (m + 1) operations a step and pass beside the product.
struct LanczosProcess {
  MatrixOf<double> basis;        // n x capacity, its first m columns are V
  Eigen::VectorXd diagonal;      // capacity, m in use
  Eigen::VectorXd off_diagonal;  // capacity; entry m - 1 is |residual|, 0 where the space is invariant
  Eigen::VectorXd residual;      // n
  Index steps = 0;               // m
  double size = 0;               // a lower bound on |A|, of its order
  double error = 0;              // of a step, relative to |A|

  // start: n, not zero
  LanczosProcess(const Eigen::VectorXd& start, Index capacity)
      : basis(start.size(), capacity), diagonal(capacity), off_diagonal(capacity), residual(start) {
    residual /= residual.stableNorm();
  }

  // whether products lead nowhere new: restart, or stop
  bool invariant() const { return steps > 0 && off_diagonal[steps - 1] == 0 && !restarted_; }

  // Goes on from a direction drawn at random outside an invariant space that is not all of R^n. T then is of
  // several blocks, each with eigenvalues of op on what the ones before it have left; one that repeats
  // appears once a block.
  template <std::uniform_random_bit_generator Generator>
  void restart(Generator& generator) {
    residual = random_unit_vector(basis.leftCols(steps), generator);
    restarted_ = true;
  }

  // Adds `count` steps, fewer where the space becomes invariant.
  template <SymmetricOperator Op>
  void extend(const Op& op, Index count, const char* function) {
    const Index n = basis.rows();
    error = step_error(op);
    reserve((std::min)(n, steps + count));
    for (; count > 0 && steps < n && !invariant(); --count) {
      if (steps > 0 && !restarted_) residual /= off_diagonal[steps - 1];
      restarted_ = false;
      basis.col(steps) = residual;
      multiply(op, basis.col(steps), residual, function);
      const Eigen::VectorXd coefficients = orthogonalize(basis.leftCols(steps + 1), residual);
      diagonal[steps] = coefficients[steps];
      double beta = residual.stableNorm();
      size = (std::max)(size, std::abs(diagonal[steps]) + beta);
      if (beta <= error * size || steps + 1 == n) {
        beta = 0;
        residual.setZero();
      }
      off_diagonal[steps++] = beta;
    }
  }

 private:
  bool restarted_ = false;

  void reserve(Index capacity) {
    if (capacity <= basis.cols()) return;
    capacity = (std::min)(basis.rows(), (std::max)(capacity, 2 * basis.cols()));
    basis.conservativeResize(Eigen::NoChange, capacity);
    diagonal.conservativeResize(capacity);
    off_diagonal.conservativeResize(capacity);
  }
};

// The eigenvalues of a symmetric tridiagonal matrix of any scale, unordered, with one row of its orthonormal
// eigenvectors.
struct RitzValues {
  Eigen::VectorXd values;      // m
  Eigen::VectorXd components;  // m, entry `row` of each eigenvector, up to its sign
};

// diagonal: m, off_diagonal: at least m - 1, row: from 0 to m - 1. The order of the values depends on the
// matrix alone. About 30 m^2 operations.
template <class Diagonal, class OffDiagonal>
RitzValues ritz_values(const Diagonal& diagonal, const OffDiagonal& off_diagonal, Index row) {
  const Index m = diagonal.size();
  Tridiagonal T{diagonal, off_diagonal.head(std::max<Index>(m - 1, 0))};
  RitzValues result{{}, Eigen::VectorXd::Zero(m)};
  if (m == 0) return result;
  const double largest =
      (std::max)(T.diagonal.cwiseAbs().maxCoeff(), m > 1 ? T.off_diagonal.cwiseAbs().maxCoeff() : 0.0);
  const int exponent = exponent_of(largest);
  multiply_by_power_of_two(T.diagonal, -exponent);
  multiply_by_power_of_two(T.off_diagonal, -exponent);
  result.components[row] = 1;
  diagonalize(T, result.components);
  multiply_by_power_of_two(T.diagonal, exponent);
  result.values = std::move(T.diagonal);
  return result;
}

}  // namespace sagitta::detail
