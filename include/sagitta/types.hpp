#pragma once

#include <sagitta/detail/language.hpp>

#include <Eigen/Core>
#include <limits>

// The types that all of Sagitta shares.
namespace sagitta {

using Index = Eigen::Index;

// A matrix of our own, by columns whatever storage order a user's Eigen defaults to
// (EIGEN_DEFAULT_TO_ROW_MAJOR). Every matrix that Sagitta returns, keeps or works on is one; those that it
// is given may lie in either order. (A column vector has no order: Eigen::VectorXd.)
template <class Scalar, int Rows = Eigen::Dynamic, int Cols = Eigen::Dynamic>
using MatrixOf = Eigen::Matrix<Scalar, Rows, Cols, Eigen::ColMajor>;

// The distance from 1 to the next double, in which all bounds on rounding are counted.
inline constexpr double epsilon = std::numeric_limits<double>::epsilon();

// How many directions hold more than a share `threshold` of a spectrum (the paper, section 4):
//   erank = min { j : (sigma_1 + ... + sigma_j) / (sigma_1 + ... + sigma_n) > threshold }, sigma descending.
// The comparison is strict, and an exact tie does not exceed: the identity of size 100 has rank 100 at 0.99.
// effective_rank.hpp has the functions that compute it.
struct EffectiveRank {
  Index rank = 0;      // smallest j whose leading sum exceeds threshold * total; 0 for a zero or empty matrix
  Index lower = 0;     // rounding (and a stated input error) cannot exclude a true rank
  Index upper = 0;     //   from lower to upper
  Index max_rank = 0;  // the largest rank that the matrix allows

  bool certified() const { return lower == upper; }
  // rank / max_rank, the paper's "effective rank divided by the maximum rank"; 0 where max_rank is 0
  double relative() const {
    return max_rank == 0 ? 0 : static_cast<double>(rank) / static_cast<double>(max_rank);
  }
};

// What a rank is asked for with, by name: fisher_rank(layers, {.threads = 4}). Not all functions use all.
struct RankOptions {
  double threshold = 0.99;
  double input_error = 0;  // a bound on |A - B|_2 where A is a rounded version of the matrix B that is meant
  Index threads = 1;       // how many to use at most; any number gives the same bits
};

}  // namespace sagitta
