#pragma once

#include <sagitta/detail/bulge_chase.hpp>
#include <sagitta/detail/one_stage.hpp>
#include <sagitta/detail/tridiagonal_form.hpp>

namespace sagitta::detail {

// From here on the dense matrix no longer fits the nearer caches, and two stages are faster than one.
inline constexpr Index smallest_two_stage = 832;
// and from here on threads save more than they cost
inline constexpr Index smallest_shared_reduction = 1200;

// Reduction of a scaled A, n x n, to tridiagonal form by reflections that leave the first coordinate where it
// is. A is used up. Several threads share only the larger of two stages. About 4/3 n^3 operations.
template <class = void>
Tridiagonal tridiagonalize(SymmetricBlocks&& A, Index threads = 1) {
  if (A.size() < smallest_two_stage) return reduce_in_one_stage(A);
  Band band = reduce_to_band(A, A.size() < smallest_shared_reduction ? 1 : threads);
  return chase_bulges(band);
}

// the same for a matrix, of which the lower triangle is read
template <class = void>
Tridiagonal tridiagonalize(const MatrixOf<double>& A) {
  return tridiagonalize(SymmetricBlocks(A));
}

}  // namespace sagitta::detail
