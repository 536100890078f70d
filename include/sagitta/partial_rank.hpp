#pragma once

#include <sagitta/detail/language.hpp>

#include <sagitta/effective_rank.hpp>
#include <sagitta/lanczos.hpp>

// The effective rank of a positive semidefinite matrix without all of its eigenvalues. The paper rules
// Lanczos methods out because the rank depends on the whole spectrum (section 4.1); but two sums over the
// whole spectrum, the trace and the Frobenius norm, cost n^2, and what they leave to the part that is not yet
// known can be bounded. Where the rank is low, a few dozen products then decide it exactly.
namespace sagitta {

namespace detail {

// What is known of A, n x n and positive semidefinite, in the basis [V, W] of m Lanczos vectors and any
// completion: A = (T, B^T; B, C), B = |residual| in one entry. All scaled by one power of two.
struct PartialSpectrum {
  Index n, m;
  double trace, frobenius;                 // of A
  Eigen::VectorXd diagonal, off_diagonal;  // of T; the last of the m off-diagonal elements is |residual|
  double error;                            // of op's products, relative to |A|
};

// C, of which only this is known, and how far rounding may have it off. Products are right to delta = error
// |A| each, so that V^T A V is within |E|_F <= sqrt(m) delta of T, sums of its eigenvalues are within sqrt(m)
// |E|_F of T's, and B is within sqrt(m) delta of what it is said to be. trace and frobenius are taken to be
// as right as the products are.
struct Remainder {
  double beta = 0;       // |B|
  double trace, square;  // tr C and |C|_F^2, as computed
  double delta = 0, trace_slack = 0, square_slack = 0;
};

// largest: the largest eigenvalue of T
inline Remainder remainder(const PartialSpectrum& known, double largest) {
  const auto size = static_cast<double>(known.n), steps = static_cast<double>(known.m);
  const double square = known.frobenius * known.frobenius;
  Remainder C{.trace = known.trace, .square = square};
  double norm = known.frobenius;  // |A|, at most
  if (known.m > 0) {
    C.beta = known.off_diagonal[known.m - 1];
    C.trace -= known.diagonal.sum();
    C.square -= known.diagonal.squaredNorm() + 2 * known.off_diagonal.squaredNorm();
    norm = (std::min)(norm, (std::max)(largest, 0.0) + C.beta);
  }
  C.delta = known.error * norm;
  C.trace_slack = (8 * size * epsilon + known.error) * known.trace + 2 * steps * C.delta;
  C.square_slack = (16 * size * epsilon + 2 * known.error) * square +
                   (2 * steps + 8 * std::sqrt(steps)) * known.frobenius * C.delta;
  return C;
}

// Throws where no positive semidefinite matrix has this trace, this norm and these products: where T's part
// exceeds the whole, or no C has what they leave to it, |C|_F <= tr C <= sqrt(N) |C|_F and beta^2 <= T_mm
// C_11. A Gram matrix that was formed in float has negative eigenvalues that sum up to 1e-5 of its trace or
// so: such a C is not refused, but has more slack.
inline void check_consistent(const PartialSpectrum& known, Remainder& C, int exponent, const char* function) {
  if (known.m == 0) return;
  const double rest = static_cast<double>(known.n - known.m), noise = 1e-5 * known.trace;
  const auto contradict = [&](const auto&... found) {
    reject(function, "trace is ", std::ldexp(known.trace, exponent), " and frobenius ",
           std::ldexp(known.frobenius, exponent), ", but after ", known.m, " products ", found...);
  };
  const double most_trace = C.trace + C.trace_slack, most_square = C.square + C.square_slack;
  if (most_trace < -noise)
    contradict("op has a trace of at least ", std::ldexp(known.diagonal.sum(), exponent));
  if (most_square < 0)
    contradict("op has a Frobenius norm of at least ",
               std::ldexp(std::sqrt(known.frobenius * known.frobenius - C.square), exponent));
  const double least_trace = (std::max)(C.trace - C.trace_slack, 0.0),
               least_norm = std::sqrt((std::max)(C.square - C.square_slack, 0.0));
  const double largest = (std::min)(most_trace, std::sqrt(most_square));  // eigenvalue of C
  if (least_norm > most_trace + noise || least_trace > std::sqrt(rest * most_square) ||
      std::pow((std::max)(C.beta - C.delta, 0.0), 2) >
          (known.diagonal[known.m - 1] + C.delta + noise) * (largest + noise))
    contradict("what they leave to the rest of op, a trace of ", std::ldexp(C.trace, exponent),
               " and a Frobenius norm of ", std::ldexp(std::sqrt((std::max)(C.square, 0.0)), exponent),
               ", is not that of a positive semidefinite matrix");
  if (least_norm > most_trace) C.trace_slack += 2 * std::sqrt(rest * most_square);
}

// The bracket of the rank at threshold t that follows. Sums of the j largest eigenvalues lambda of A:
//   from below  theta_1 + ... + theta_j, the eigenvalues of T (Ky Fan), and beyond m the mean of C's trace;
//   from above  the same plus the j largest eigenvalues of C, which are at most tr C, sqrt(j) |C|_F and
//               j c each, c >= |C|_2 from its trace and Frobenius norm; or sqrt(j) |A|_F; or, above any
//               sigma > c, where A has no more eigenvalues than T + e_m e_m^T |residual|^2 / (sigma - c)
//               (inertia of the Schur complement), the larger of sigma and that matrix's eigenvalues.
template <class = void>
EffectiveRank certificate(const PartialSpectrum& known, double threshold, int exponent,
                          const char* function) {
  const Index n = known.n, m = known.m;
  const auto rest = static_cast<double>(n - m);
  Eigen::VectorXd theta(0), shifted(0);
  if (m > 0) theta = ritz_values(known.diagonal, known.off_diagonal, 0).values;
  std::sort(theta.begin(), theta.end(), std::greater<>());
  Remainder C = remainder(known, m > 0 ? theta[0] : 0);
  if (m > 0 && theta[m - 1] < -1e-6 * known.trace - C.trace_slack)
    reject(function, "op has an eigenvalue of at most ", std::ldexp(theta[m - 1], exponent),
           ", expected a positive semidefinite operator");
  check_consistent(known, C, exponent, function);
  const double beta = C.beta, slack = C.trace_slack;
  const double missing = (std::max)(C.trace, 0.0), squares = (std::max)(C.square, 0.0) + C.square_slack;
  double c = 0;
  if (m < n) {
    const double spread = (std::max)(squares - missing * missing / rest, 0.0);
    c = (std::min)(
        {missing + slack, std::sqrt(squares),
         (missing + slack) / rest + std::sqrt((rest - 1) / rest * (spread + 2 * missing * slack / rest))});
  }

  const double target = threshold * known.trace;
  EffectiveRank result{.max_rank = n};
  // at least: j is excluded while its largest possible sum does not exceed the target
  const double share = (std::max)(target - slack, 0.0) / known.frobenius;
  result.lower = std::clamp<Index>(static_cast<Index>(std::floor(share * share * (1 - 8 * epsilon))), 1, n);
  double sum = 0;
  Index first = 0;  // where the sums of T exceed the target
  for (Index j = 0; j < m && first == 0; ++j) {
    sum += theta[j];
    if (sum > target) first = j + 1;
  }
  double sigma = std::numeric_limits<double>::infinity(), shift_error = 0;
  if (first > 1 && theta[first - 2] > c) {
    sigma = (c + theta[first - 2]) / 2;
    Eigen::VectorXd diagonal = known.diagonal;
    diagonal[m - 1] += beta * beta / (sigma - c);
    const double off = std::sqrt(static_cast<double>(m)) * C.delta;  // of B
    shift_error = off * (2 * beta + off) / (sigma - c);
    shifted = ritz_values(diagonal, known.off_diagonal, 0).values;
    std::sort(shifted.begin(), shifted.end(), std::greater<>());
  }
  double above = 0, inertia = 0;
  for (Index j = 0; j < m; ++j) {
    const auto count = static_cast<double>(j + 1);
    above += theta[j];
    double bound = above + (std::min)({missing, std::sqrt(count * squares), count * c});
    if (sigma < std::numeric_limits<double>::infinity()) {
      inertia += (std::max)(shifted[j] + shift_error, sigma);
      bound = (std::min)(bound, inertia);
    }
    if (bound - target > -slack) break;
    result.lower = (std::max)(result.lower, (std::min)(n, j + 2));
  }
  // at most: j is reached when its smallest possible sum exceeds the target
  double below = 0;
  for (Index j = 0; j < m && result.upper == 0; ++j) {
    below += theta[j];
    if (below - target > slack) result.upper = j + 1;
  }
  if (result.upper == 0) {
    result.upper = n;
    const double steps =
        missing > slack && m < n ? rest * (target + slack - below) / (missing - slack) : rest;
    if (steps < rest) result.upper = (std::min)(n, m + static_cast<Index>(std::floor(steps)) + 1);
  }
  result.lower = (std::min)(result.lower, result.upper);
  result.rank = first > 0 ? std::clamp(first, result.lower, result.upper) : result.upper;
  return result;
}

}  // namespace detail

// The effective rank of a positive semidefinite operator whose trace and Frobenius norm are known, as those
// of a Gram matrix are.
//   op: n x n;  trace, frobenius: of op, right to about n eps, or to product_error(op) if that is more
//   threshold: from 0 to 1
//   max_steps: of Lanczos; 0 decides by a rigorous gate: the rank is at least (threshold trace /
//     frobenius)^2, and only where that is below n / 16 are products spent, at most n / 5
// Certified, it is the rank that the full decomposition gives; else lower and upper still hold that rank,
// `rank` is the best bound from above, and a full decomposition must decide. At threshold 1, which asks for
// every eigenvalue, the answer is the bracket 1 to n. How far the products are off, by product_error(op), is
// in the bracket: products in float certify only ranks that are no close call. Throws std::invalid_argument
// for an op that is not square or has a negative eigenvalue among the extreme ones, for a trace and norm that
// no such matrix has (frobenius <= trace <= sqrt(n) frobenius) or that the products contradict, a threshold
// outside [0, 1], and where a product is not finite. A wrong trace or norm that some other matrix with the
// same products has cannot be noticed. One product and 8 n m operations a step m.
template <SymmetricOperator Op, detail::RandomGenerator Generator>
EffectiveRank partial_effective_rank(const Op& op, double trace, double frobenius, double threshold,
                                     Generator&& generator, Index max_steps = 0) {
  constexpr const char* name = "partial_effective_rank";
  const Index n = detail::checked_size(op, name);
  detail::check_threshold(threshold, name);
  if (!detail::is_finite(trace) || !detail::is_finite(frobenius) || trace < 0 || frobenius < 0)
    detail::reject(name, "trace is ", trace, " and frobenius ", frobenius, ", expected finite numbers >= 0");
  const double root = std::sqrt(static_cast<double>(n));
  if (frobenius > trace * (1 + 1e-6) || trace > root * frobenius * (1 + 1e-6))
    detail::reject(name, "trace is ", trace, " and frobenius ", frobenius,
                   ", expected frobenius <= trace <= sqrt(n) frobenius of a positive semidefinite matrix");
  if (max_steps < 0) detail::reject(name, "max_steps is ", max_steps, ", expected at least 0");
  if (trace == 0) return {.max_rank = n};
  if (threshold == 1) return {.rank = n, .lower = 1, .upper = n, .max_rank = n};

  const int exponent = detail::exponent_of(trace);
  detail::PartialSpectrum known{n,  0,  std::ldexp(trace, -exponent), std::ldexp(frobenius, -exponent),
                                {}, {}, detail::step_error(op)};
  EffectiveRank result = detail::certificate(known, threshold, exponent, name);
  Index steps = (std::min)(n, max_steps);
  if (max_steps == 0) steps = 16 * result.lower < n ? n / 5 : 0;
  if (steps == 0 || result.certified()) return result;

  detail::LanczosProcess process(detail::normal_vector(n, generator), std::min<Index>(steps, 32));
  while (process.steps < steps && !result.certified()) {
    if (process.invariant()) process.restart(generator);  // eigenvalues that repeat
    const Index left = steps - process.steps;
    process.extend(op, (std::min)(left, (std::max<Index>)(4, process.steps / 8)), name);
    known.m = process.steps;
    known.diagonal = process.diagonal.head(known.m);
    known.off_diagonal = process.off_diagonal.head(known.m);
    detail::multiply_by_power_of_two(known.diagonal, -exponent);
    detail::multiply_by_power_of_two(known.off_diagonal, -exponent);
    const EffectiveRank now = detail::certificate(known, threshold, exponent, name);
    result.lower = (std::max)(result.lower, now.lower);
    result.upper = (std::max)(result.lower, (std::min)(result.upper, now.upper));
    result.rank = std::clamp(now.rank, result.lower, result.upper);
    if (known.m == n) break;
  }
  return result;
}

// The effective rank of a Gram matrix, or any positive semidefinite matrix in memory: by a partial
// decomposition where the rank is low enough to allow it, else in full. The same rank as
// symmetric_effective_rank gives, always.
//   K: n x n, its lower triangle is read; float or double, any scale
// Errors are those of symmetric_effective_rank and of the overload above. n^2 operations for the gate, 2 n^2
// a product of the partial decomposition, 4/3 n^3 in full.
template <class Derived, detail::RandomGenerator Generator>
EffectiveRank partial_effective_rank(const Eigen::MatrixBase<Derived>& K, double threshold,
                                     Generator&& generator) {
  constexpr const char* name = "partial_effective_rank";
  detail::check_square(K.rows(), K.cols(), name, "K");
  detail::check_threshold(threshold, name);
  const MatrixOf<double> lower = detail::scaled(K, name, "K", true).matrix;
  const double trace = lower.trace();
  const double frobenius = std::sqrt(2 * lower.squaredNorm() - lower.diagonal().squaredNorm());
  if (trace > 0 && threshold < 1 && frobenius <= trace * (1 + 1e-6)) {
    const EffectiveRank partial =
        partial_effective_rank(DenseOperator(lower), trace, frobenius, threshold, generator);
    if (partial.certified()) return partial;
  }
  return symmetric_effective_rank(lower, threshold);
}

// The options of a partial decomposition by name.
struct PartialRankOptions {
  double threshold = 0.99;
  Index max_steps = 0;  // of Lanczos; 0: as above
};
template <SymmetricOperator Op, detail::RandomGenerator Generator>
EffectiveRank partial_effective_rank(const Op& op, double trace, double frobenius, Generator&& generator,
                                     const PartialRankOptions& options = {}) {
  return partial_effective_rank(op, trace, frobenius, options.threshold, generator, options.max_steps);
}

}  // namespace sagitta
