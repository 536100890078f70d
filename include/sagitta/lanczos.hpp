#pragma once

#include <sagitta/detail/language.hpp>

#include <Eigen/Eigenvalues>
#include <sagitta/detail/krylov.hpp>
#include <vector>

// Eigenvalues of a symmetric matrix from its products with vectors: the Lanczos process and the outer
// eigenpairs. No partial decomposition can tell a rank that depends on all eigenvalues (the paper, section
// 4.1), except where the trace and the Frobenius norm are known too: see partial_rank.hpp; and estimates:
// spectral_density.hpp.
namespace sagitta {

// op V = V T + residual e_m^T, with T symmetric and tridiagonal.
struct Lanczos {
  MatrixOf<double> basis;        // V: n x m, orthonormal to rounding; its first column is the start
  Eigen::VectorXd diagonal;      // m
  Eigen::VectorXd off_diagonal;  // m - 1
  Eigen::VectorXd residual;      // n, orthogonal to V; exactly zero where the space of V is invariant

  Index steps() const { return diagonal.size(); }
};

// The Lanczos process with full reorthogonalisation.
//   start: n, not zero, of any length;  steps: at least 1
// Ends before `steps` where the space is invariant, that is where the residual is rounding: with the start in
// a sum of m eigenspaces, after m steps. As many products as steps taken, and 8 n m^2 operations; n m
// doubles. Throws std::invalid_argument for an op that is not square, for sizes that differ, a start that is
// zero or not finite, steps below 1, and where a product is not finite.
template <SymmetricOperator Op, class Derived>
Lanczos lanczos(const Op& op, const Eigen::MatrixBase<Derived>& start, Index steps) {
  const Index n = detail::checked_size(op, "lanczos");
  detail::check_size(start.size(), n, "lanczos", "start");
  if (steps < 1) detail::reject("lanczos", "steps is ", steps, ", expected at least 1");
  const Eigen::VectorXd from = detail::scaled(start.derived().reshaped().matrix(), "lanczos", "start").matrix;
  if (n > 0 && from.isZero(0)) detail::reject("lanczos", "start is zero, expected a direction");
  if (n == 0) return {};
  detail::LanczosProcess process(from, (std::min)(n, steps));
  process.extend(op, steps, "lanczos");
  const Index m = process.steps;
  process.basis.conservativeResize(Eigen::NoChange, m);
  return {std::move(process.basis), process.diagonal.head(m), process.off_diagonal.head(m - 1),
          std::move(process.residual)};
}

// The same from a start drawn at random.
template <SymmetricOperator Op, detail::RandomGenerator Generator>
Lanczos lanczos(const Op& op, Index steps, Generator&& generator) {
  return lanczos(op, detail::normal_vector(detail::checked_size(op, "lanczos"), generator), steps);
}

// Which eigenvalues are extreme. The sharpness of a loss, which the paper names in section 6, is the largest
// eigenvalue of its Hessian.
enum class Extreme { modulus, largest, smallest };

struct EigenpairOptions {
  Extreme extreme = Extreme::modulus;  // modulus: from both ends of the spectrum
  double tolerance = 1e-10;            // of a residual, as a share of the largest |eigenvalue|
  Index max_products = 0;              // at least 3 k + 20 are spent; 0: 40 (2 k + 20)
};

struct Eigenpairs {
  Eigen::VectorXd values;     // k, the most extreme first
  MatrixOf<double> vectors;   // n x k, orthonormal
  Eigen::VectorXd residuals;  // |A v - value v|: an eigenvalue of A lies within it of the value
  Index products = 0;
  bool converged = false;  // all residuals reached the tolerance, and the confirming pass found nothing else
};

namespace detail {

// the indices of the `count` most extreme of `values`, the most extreme first
inline std::vector<Index> extreme_indices(const Eigen::VectorXd& values, Extreme extreme, Index count) {
  std::vector<Index> order(static_cast<std::size_t>(values.size()));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<Index>(i);
  const auto key = [&](Index i) {
    return extreme == Extreme::modulus   ? std::abs(values[i])
           : extreme == Extreme::largest ? values[i]
                                         : -values[i];
  };
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return key(a) > key(b); });
  order.resize(static_cast<std::size_t>(count));
  return order;
}

// Rayleigh and Ritz on a growing orthonormal basis: `projected` is V^T A V in full, whatever the columns are.
struct RitzSpace {
  MatrixOf<double> basis;      // n x capacity, `size` columns in use
  MatrixOf<double> projected;  // capacity x capacity
  Eigen::VectorXd next;        // n, unit, orthogonal to the basis: the next column
  double coupling = 0;         // |A v - V V^T A v| of the last column v, which points along `next`
  Index size = 0;
};

}  // namespace detail

// The k most extreme eigenvalues with their eigenvectors, by Lanczos with full reorthogonalisation and thick
// restarts (Wu and Simon 2000). Memory: 2 k + 20 vectors, and where convergence is slow twice as many from
// time to time, up to 320 or 4 k + 40 of them if that is more; so that it is certain for n up to that.
//   op: n x n;  k: from 0 to n
// Repeated eigenvalues are found as often as they occur: when all pairs have converged, one more pass from a
// direction drawn orthogonal to them looks for what the first start lacked, and the answer stands only where
// it finds nothing. The residuals are computed at the end from products, not estimated. Non-convergence is
// `converged` false, with residuals that still hold. Throws std::invalid_argument for an op that is not
// square, k out of range, a tolerance below 0 or not finite, and where a product is not finite.
template <SymmetricOperator Op, detail::RandomGenerator Generator>
Eigenpairs extreme_eigenpairs(const Op& op, Index k, Generator&& generator, EigenpairOptions options = {}) {
  constexpr const char* name = "extreme_eigenpairs";
  const Index n = detail::checked_size(op, name);
  if (k < 0 || k > n) detail::reject(name, "k is ", k, ", expected 0 to ", n);
  if (!detail::is_finite(options.tolerance) || options.tolerance < 0)
    detail::reject(name, "tolerance is ", options.tolerance, ", expected a finite number >= 0");
  if (options.max_products < 0)
    detail::reject(name, "max_products is ", options.max_products, ", expected at least 0");
  Index capacity = (std::min)(n, 2 * k + 20);
  const Index largest = (std::min)(n, std::max<Index>(320, 2 * capacity));
  const Index budget = options.max_products > 0 ? options.max_products : 40 * capacity;
  const double roundoff = detail::step_error(op);
  Eigenpairs result;
  result.vectors.resize(n, k);
  result.converged = k == 0;
  if (k == 0) return result;

  detail::RitzSpace space{MatrixOf<double>(n, capacity), MatrixOf<double>::Zero(capacity, capacity),
                          detail::random_unit_vector(MatrixOf<double>(n, 0), generator)};
  Eigen::VectorXd checked;  // the values that the last pass from a new direction started with
  double norm = 0;          // the largest |Ritz value| so far
  for (;;) {
    while (space.size < capacity) {
      const Index j = space.size++;
      space.basis.col(j) = space.next;
      detail::multiply(op, space.basis.col(j), space.next, name);
      ++result.products;
      const Eigen::VectorXd column = detail::orthogonalize(space.basis.leftCols(space.size), space.next);
      space.projected.col(j).head(space.size) = column;
      space.projected.row(j).head(space.size) = column.transpose();
      space.coupling = space.next.stableNorm();
      norm = (std::max)(norm, column.stableNorm());
      if (space.size == n) {
        space.coupling = 0;
      } else if (space.coupling <= roundoff * norm) {  // invariant: what is missing lies elsewhere
        space.coupling = 0;
        space.next = detail::random_unit_vector(space.basis.leftCols(space.size), generator);
      } else {
        space.next /= space.coupling;
      }
    }
    const int exponent = detail::exponent_of(norm);
    MatrixOf<double> projected = space.projected;
    detail::multiply_by_power_of_two(projected, -exponent);
    const Eigen::SelfAdjointEigenSolver<MatrixOf<double>> ritz(projected);
    Eigen::VectorXd values = ritz.eigenvalues();
    detail::multiply_by_power_of_two(values, exponent);
    norm = (std::max)(norm, values.cwiseAbs().maxCoeff());

    const Index keep = (std::min)(k + (capacity - k) / 2, capacity - 1);
    const auto order = detail::extreme_indices(values, options.extreme, (std::max)(k, keep));
    const auto wanted = Eigen::Map<const Eigen::Array<Index, Eigen::Dynamic, 1>>(order.data(), k);
    const auto every = Eigen::seqN(0, capacity);
    const double allowed = (std::max)(options.tolerance, roundoff) * norm;
    const Eigen::VectorXd residuals =
        space.coupling * ritz.eigenvectors().row(capacity - 1)(wanted).cwiseAbs();
    const bool reached = residuals.maxCoeff() <= allowed;
    const bool confirmed = capacity == n || (checked.size() == k &&
                                             (values(wanted) - checked).cwiseAbs().maxCoeff() <= 2 * allowed);
    const Index kept = reached ? k : keep;  // by a restart
    result.converged = reached && confirmed;
    if (result.converged || result.products + capacity - kept + k > budget) {
      result.values = values(wanted);
      result.vectors.noalias() = space.basis * ritz.eigenvectors()(every, wanted);
      break;
    }
    if (!reached && capacity < largest && result.products >= 4 * capacity) {
      const Index grown = (std::min)({largest, 2 * capacity, budget - result.products - k + capacity});
      space.basis.conservativeResize(Eigen::NoChange, grown);
      space.projected.conservativeResizeLike(MatrixOf<double>::Zero(grown, grown));
      capacity = grown;
      continue;
    }
    // restart: from the pairs found and a new direction to confirm them, or from the better half of all pairs
    // and the direction in which the space was growing
    checked = reached ? Eigen::VectorXd(values(wanted)) : Eigen::VectorXd();
    const auto chosen = Eigen::Map<const Eigen::Array<Index, Eigen::Dynamic, 1>>(order.data(), kept);
    space.basis.leftCols(kept) = (space.basis * ritz.eigenvectors()(every, chosen)).eval();
    space.projected.setZero();
    space.projected.diagonal().head(kept) = values(chosen);
    space.size = kept;
    if (reached) {
      space.next = detail::random_unit_vector(space.basis.leftCols(kept), generator);
    } else {  // rounding of the new basis
      detail::orthogonalize(space.basis.leftCols(kept), space.next);
      space.next.normalize();
    }
  }
  result.residuals.resize(k);
  Eigen::VectorXd product(n);
  for (Index i = 0; i < k; ++i) {
    detail::multiply(op, result.vectors.col(i), product, name);
    result.residuals[i] = (product - result.values[i] * result.vectors.col(i)).stableNorm();
  }
  result.products += k;
  result.converged &= result.residuals.maxCoeff() <= 2 * (std::max)(options.tolerance, roundoff) * norm;
  return result;
}

}  // namespace sagitta
