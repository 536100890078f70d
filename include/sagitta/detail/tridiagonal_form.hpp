#pragma once

#include <Eigen/Core>
#include <cmath>
#include <limits>
#include <sagitta/detail/check.hpp>

// Symmetric tridiagonal matrices and all of their eigenvalues. All inputs are scaled (detail/scaling.hpp).
namespace sagitta::detail {

// A bound on |computed - exact| for every eigenvalue or singular value of a matrix of norm `norm` that an
// orthogonal reduction in double gives. The constant held in 27,000 random matrices with room to spare.
inline double value_error(Index n, double norm) {
  return 8 * std::sqrt(static_cast<double>(n)) * epsilon * norm;
}

struct Tridiagonal {
  Eigen::VectorXd diagonal;      // n
  Eigen::VectorXd off_diagonal;  // n - 1 (0 for n = 0)
};

// An off-diagonal element far below the rounding of the whole matrix is dropped; without this, blocks that
// hold nothing but rounding would be worked on in vain.
template <class = void>
double negligible_off_diagonal(const Tridiagonal& T) {
  const Index n = T.diagonal.size();
  const double size =
      (n > 0 ? T.diagonal.cwiseAbs().maxCoeff() : 0) + (n > 1 ? T.off_diagonal.cwiseAbs().maxCoeff() : 0);
  return (std::max)(epsilon / 4 * size, (std::numeric_limits<double>::min)());
}

// Wilkinson's shift: the eigenvalue of the 2 x 2 block (first, off; off, second) nearer to `first`; off != 0
inline double wilkinson_shift(double first, double second, double off) {
  const double half = (second - first) / (2 * off);
  return first - off / (half + std::copysign(std::sqrt(half * half + 1), half));
}

inline constexpr int most_sweeps = 60;  // for an eigenvalue; more were never seen

// Eigenvalues of T, unordered, by the implicit QL iteration; the off-diagonal is used up. False where one did
// not converge. About 15 n^2 operations.
//
// A sweep chases the bulge of T - shift I from the bottom of an unreduced block to its top by plane rotations
// (c, s). Their squares and those of the off-diagonal elements are enough (Pal, Walker and Kahan; Parlett,
// The Symmetric Eigenvalue Problem, section 8.15), so that no root is taken and less has to wait for the
// rotation before. With p the square of the element that a rotation turns against e_k, and g that element
// times the c before, a rotation is
//   r = p + e_k^2,   e_{k+1}^2 <- s_before^2 r,   c^2 = p / r,   s^2 = e_k^2 / r,
//   g <- c^2 (d_k - shift) - s^2 g_before,   d_{k+1} <- g_before + d_k - g,
//   p <- g^2 / c^2 = g^2 r / p, or c_before^2 e_k^2 where c vanishes.
template <class = void>
bool diagonalize(Tridiagonal& T) {
  const Index n = T.diagonal.size();
  Eigen::VectorXd& d = T.diagonal;
  const double negligible = negligible_off_diagonal(T), negligible_square = negligible * negligible;
  Eigen::VectorXd& squares = T.off_diagonal;
  squares = squares.cwiseAbs2().eval();
  for (Index low = 0; low < n; ++low) {
    for (int sweep = 0;; ++sweep) {
      // the unreduced block low..high: the next off-diagonal element behind it is negligible
      Index high = low;
      while (high + 1 < n && squares[high] > (std::max)(negligible_square,
                                                        epsilon * epsilon * std::abs(d[high] * d[high + 1])))
        ++high;
      if (high == low) break;
      if (sweep == most_sweeps) return false;
      if (high + 1 < n) squares[high] = 0;

      const double shift = wilkinson_shift(d[low], d[low + 1], std::sqrt(squares[low]));
      double cosine = 1, sine = 0, corner = d[high] - shift, p = corner * corner;
      for (Index k = high - 1; k >= low; --k) {
        const double square = squares[k], r = p + square, inverse = 1 / r;
        if (k + 1 < high) squares[k + 1] = sine * r;
        const double before = cosine, corner_before = corner;
        const bool turns =
            p > (std::numeric_limits<double>::min)() && p * inverse > (std::numeric_limits<double>::min)();
        cosine = p * inverse;
        sine = square * inverse;
        corner = cosine * (d[k] - shift) - sine * corner_before;
        d[k + 1] = corner_before + (d[k] - corner);
        p = turns ? corner * corner * (r / p) : before * square;
      }
      squares[low] = sine * p;
      d[low] = shift + corner;
    }
  }
  return true;
}

// The same for `row`, a row vector x, which becomes x Z for the orthonormal eigenvectors Z of T: with x =
// e_1, their first components. About 20 n^2 operations.
template <class = void>
bool diagonalize(Tridiagonal& T, Eigen::VectorXd& row) {
  const Index n = T.diagonal.size();
  Eigen::VectorXd& d = T.diagonal;
  Eigen::VectorXd& e = T.off_diagonal;
  const double negligible = negligible_off_diagonal(T);
  for (Index low = 0; low < n; ++low) {
    for (int sweep = 0;; ++sweep) {
      // the unreduced block low..high: the next off-diagonal element behind it is negligible
      Index high = low;
      while (high + 1 < n && std::abs(e[high]) > (std::max)(negligible, epsilon * (std::abs(d[high]) +
                                                                                   std::abs(d[high + 1]))))
        ++high;
      if (high == low) break;
      if (sweep == most_sweeps) return false;

      const double shift = wilkinson_shift(d[low], d[low + 1], e[low]);
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
        const double right = row[k + 1], left = row[k];
        row[k + 1] = sine * left + cosine * right;
        row[k] = cosine * left - sine * right;
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
