#pragma once

#include <Eigen/Core>
#include <cmath>
#include <limits>
#include <sagitta/detail/check.hpp>

// Symmetric tridiagonal matrices and all of their eigenvalues. All inputs are scaled (detail/scaling.hpp).
namespace sagitta::detail {

inline constexpr double epsilon = std::numeric_limits<double>::epsilon();

// A bound on |computed - exact| for every eigenvalue or singular value of a matrix of norm `norm` that an
// orthogonal reduction in double gives. The constant held in 27,000 random matrices with room to spare.
inline double value_error(Index n, double norm) {
  return 8 * std::sqrt(static_cast<double>(n)) * epsilon * norm;
}

struct Tridiagonal {
  Eigen::VectorXd diagonal;      // n
  Eigen::VectorXd off_diagonal;  // n - 1 (0 for n = 0)
};

// Eigenvalues of T, unordered, by the implicit QL iteration with Wilkinson's shift. `row`, where given, is a
// row vector x; it becomes x Z for the orthonormal eigenvectors Z of T: with x = e_1, their first components.
// False where an eigenvalue did not converge in 60 sweeps (not seen). About 20 n^2 operations.
template <class = void>
bool diagonalize(Tridiagonal& T, Eigen::VectorXd* row = nullptr) {
  const Index n = T.diagonal.size();
  Eigen::VectorXd& d = T.diagonal;
  Eigen::VectorXd& e = T.off_diagonal;
  // An off-diagonal element far below the rounding of the whole matrix is dropped; without this, blocks that
  // hold nothing but rounding would be worked on in vain.
  const double size = (n > 0 ? d.cwiseAbs().maxCoeff() : 0) + (n > 1 ? e.cwiseAbs().maxCoeff() : 0);
  const double negligible = std::max(epsilon / 4 * size, std::numeric_limits<double>::min());
  for (Index low = 0; low < n; ++low) {
    for (int sweep = 0;; ++sweep) {
      // the unreduced block low..high: the next off-diagonal element behind it is negligible
      Index high = low;
      while (high + 1 < n &&
             std::abs(e[high]) > std::max(negligible, epsilon * (std::abs(d[high]) + std::abs(d[high + 1]))))
        ++high;
      if (high == low) break;
      if (sweep == 60) return false;

      // Wilkinson: the eigenvalue of the leading 2 x 2 block nearer to d[low]
      const double half = (d[low + 1] - d[low]) / (2 * e[low]);
      const double shift = d[low] - e[low] / (half + std::copysign(std::sqrt(half * half + 1), half));

      if (high + 1 < n) e[high] = 0;

      // chase the bulge of (T - shift I) from the bottom of the block to its top by plane rotations
      double cosine = 1, sine = 1, moved = 0, corner = d[high] - shift;
      Index k = high;
      while (k > low) {
        --k;
        const double bulge = sine * e[k], rest = cosine * e[k];
        const double length = std::sqrt(bulge * bulge + corner * corner);
        if (k + 1 < high) e[k + 1] = length;
        if (length == 0) {  // the block splits here by underflow: what was moved is put back, start again
          d[k + 1] -= moved;
          break;
        }
        sine = bulge / length;
        cosine = corner / length;
        const double before = d[k + 1] - moved;
        const double gain = (d[k] - before) * sine + 2 * cosine * rest;
        moved = sine * gain;
        d[k + 1] = before + moved;
        corner = cosine * gain - rest;
        if (row != nullptr) {
          const double right = (*row)[k + 1], left = (*row)[k];
          (*row)[k + 1] = sine * left + cosine * right;
          (*row)[k] = cosine * left - sine * right;
        }
        if (k == low) {
          d[low] -= moved;
          e[low] = corner;
        }
      }
    }
  }
  return true;
}

}  // namespace sagitta::detail
