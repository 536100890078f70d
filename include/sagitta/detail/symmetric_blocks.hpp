#pragma once

#include <sagitta/detail/check.hpp>
#include <sagitta/detail/packet.hpp>
#include <sagitta/detail/scaling.hpp>

// A symmetric matrix as our kernels want it, and the one pass over it that they are made of.
namespace sagitta::detail {

// The lower triangle of A, n x n, padded with zeros to a whole number of 8 x 8 blocks; the blocks on the
// diagonal are stored in full, what lies above them never touched. Columns are aligned and one block further
// apart than they are long, or columns of a power of two would compete for the same few lines of the cache.
class SymmetricBlocks {
 public:
  static constexpr Index block = 8;

  explicit SymmetricBlocks(Index n)
      : size_(n), padded_((n + block - 1) / block * block), storage_(padded_ + block, padded_) {}

  // A, of which only the lower triangle is read; any Eigen expression of float or double
  template <class Derived>
  explicit SymmetricBlocks(const Eigen::MatrixBase<Derived>& A) : SymmetricBlocks(A.rows()) {
    const auto& source = in_memory(A);
    Bits::Integer largest[block] = {};  // in as many strands, which the compiler can make a vector
    for (Index j = 0; j < padded_; j += block) {
      const Index width = (std::min)(block, size_ - j), below = std::max<Index>(0, size_ - j - block);
      storage_.block(j, j, padded_ - j, block).setZero();
      for (Index b = 0; b < width; ++b)
        for (Index a = b; a < width; ++a)
          storage_(j + a, j + b) = storage_(j + b, j + a) = static_cast<double>(source.coeff(j + a, j + b));
      if (below > 0)
        storage_.block(j + block, j, below, block) =
            source.block(j + block, j, below, block).template cast<double>();
      for (Index b = 0; b < block; ++b)  // while it is near
        for (Index i = j; i < padded_; i += block)
          for (Index c = 0; c < block; ++c)
            largest[c] = (std::max)(largest[c], Bits::magnitude(column(j + b)[i + c]));
    }
    largest_ = *std::max_element(largest, largest + block);
  }

  Index size() const { return size_; }
  Index padded() const { return padded_; }
  // only rows from the block of the diagonal downwards hold anything
  double* column(Index j) { return storage_.data() + j * storage_.rows(); }
  const double* column(Index j) const { return storage_.data() + j * storage_.rows(); }
  Index stride() const { return storage_.rows(); }

  double trace() const { return storage_.diagonal().head(size_).sum(); }
  double squared_norm() const {
    double sum = 0;
    for (Index j = 0; j < padded_; j += block)
      sum += storage_.block(j, j, block, block).squaredNorm() +
             2 * storage_.block(j + block, j, padded_ - j - block, block).squaredNorm();
    return sum;
  }

  // Divides the matrix that was copied by the power of two that brings its largest magnitude into [1, 2), and
  // returns the exponent; 0 where the magnitude lies within 2^-16 and 2^16, which is as good, and spares
  // large matrices a pass. Throws where an element is NaN or infinite.
  int scale(const char* function, const char* argument);

 private:
  using Bits = FloatBits<double>;

  Index size_, padded_;
  MatrixOf<double> storage_;
  Bits::Integer largest_ = 0;  // magnitude of what was copied
};

inline int SymmetricBlocks::scale(const char* function, const char* argument) {
  if (largest_ >= Bits::infinity)
    for (Index row = 0; row < size_; ++row)
      for (Index col = 0; col <= row; ++col)
        if (!is_finite(storage_(row, col)))
          reject(function, argument, "(", row, ", ", col, ") is ",
                 Bits::magnitude(storage_(row, col)) == Bits::infinity ? "infinite" : "NaN",
                 ", expected finite values");
  const int exponent = exponent_of(std::bit_cast<double>(largest_));
  if (std::abs(exponent) <= 16) return 0;
  for (Index j = 0; j < padded_; ++j) {
    auto rows = storage_.col(j).segment(j / block * block, padded_ - j / block * block);
    multiply_by_power_of_two(rows, -exponent);
  }
  return exponent;
}

// A -= sum over l of (v_l w_l^T + w_l v_l^T), then y = A x, in one pass: every element of the triangle is
// fetched once for both, and serves the product twice, in its own row and mirrored in its column's.
//   pairs: v_1, w_1, v_2, w_2, ... : padded() x 2 Pairs;  x, y, mirrored: padded() (mirrored is scratch)
//   first: x is zero above row `first`, columns before it are finished and not read, and y is only computed
//     from there on (from its block)
// (8 Pairs + 4) operations an element.
template <int Pairs>
void update_and_multiply(SymmetricBlocks& A, const MatrixOf<double>& pairs, Index first,
                         const Eigen::VectorXd& x, Eigen::VectorXd& y, Eigen::VectorXd& mirrored) {
  constexpr Index block = SymmetricBlocks::block,
                  group = 4;  // columns at a time, to reuse x, y and the pairs
  constexpr int factors = 2 * Pairs;
  constexpr std::size_t room = factors + 1;  // an array of none is no array
  const Index padded = A.padded(), start = first / block * block;
  y.segment(start, padded - start).setZero();
  const double* vectors[room] = {};
  for (int l = 0; l < factors; ++l) vectors[l] = pairs.data() + l * pairs.rows();

  for (Index j = first / group * group; j < padded; j += group) {
    double* columns[group];
    DoublePacket x_j[group], dot[group], factor[group][room];
#pragma GCC unroll 4
    for (Index c = 0; c < group; ++c) {
      columns[c] = A.column(j + c);
      x_j[c] = broadcast(x[j + c]);
      dot[c] = broadcast(0);
#pragma GCC unroll 8
      for (int l = 0; l < factors; ++l) factor[c][l] = broadcast(-vectors[l ^ 1][j + c]);
    }
    const auto updated = [&](Index c, Index i, const DoublePacket* left) {
      DoublePacket a = load(columns[c] + i);
      if constexpr (Pairs > 0) {
#pragma GCC unroll 8
        for (int l = 0; l < factors; ++l) a = multiply_add(left[l], factor[c][l], a);
        store(columns[c] + i, a);
      }
      return a;
    };
    const auto rows = [&](Index i, auto below) {
      DoublePacket left[room];
#pragma GCC unroll 8
      for (int l = 0; l < factors; ++l) left[l] = load(vectors[l] + i);
      DoublePacket y_i = load(y.data() + i);
      const DoublePacket x_i = load(x.data() + i);
#pragma GCC unroll 4
      for (Index c = 0; c < group; ++c) {
        const DoublePacket a = updated(c, i, left);
        y_i = multiply_add(a, x_j[c], y_i);
        if constexpr (below) dot[c] = multiply_add(a, x_i, dot[c]);
      }
      store(y.data() + i, y_i);
    };
    Index i = j / block * block;
    for (const Index end = i + block; i < end; i += double_lanes) rows(i, std::false_type());
    for (; i < padded; i += double_lanes) rows(i, std::true_type());
#pragma GCC unroll 4
    for (Index c = 0; c < group; ++c) mirrored[j + c] = detail::sum(dot[c]);
  }
  const Index from = first / group * group;
  y.segment(from, padded - from) += mirrored.segment(from, padded - from);
}

}  // namespace sagitta::detail
