#pragma once

#include <array>
#include <sagitta/detail/band.hpp>
#include <sagitta/detail/tridiagonal_form.hpp>

// The second stage: from a band to a tridiagonal matrix (Schwarz 1968, in blocks).
namespace sagitta::detail {

// Vectors as long as the band is wide, as a few packets, aligned.
struct BandVector {
  static constexpr Index packets = Band::width / double_lanes;
  alignas(64) double values[Band::width];
};

// v with (I - v v^T) x = beta e_1, |v|^2 = 2; v = 0 where x is a multiple of e_1. Returns beta.
template <class = void>
double reflect_band(const BandVector& x, BandVector& v) {
  const double head = x.values[0];
  double rest = 0;
  for (Index i = 1; i < Band::width; ++i) rest += x.values[i] * x.values[i];
  if (rest < 1e-290) {
    std::fill(v.values, v.values + Band::width, 0.0);
    return head;
  }
  const double length = std::sqrt(rest + head * head),
               scale = 1 / std::sqrt(length * (length + std::abs(head)));
  for (Index i = 1; i < Band::width; ++i) v.values[i] = scale * x.values[i];
  v.values[0] = scale * (head + std::copysign(length, head));
  return -std::copysign(length, head);
}

// D = (I - v v^T) D (I - v v^T) for the symmetric block whose lower triangle starts at `block`. What lies
// above the diagonal there is zero (the unused ends of the columns of the band), and stays so.
template <class = void>
void reflect_both_sides(double* block, const BandVector& v) {
  constexpr Index width = Band::width, packets = BandVector::packets, stride = Band::stride();
  static constexpr auto steps = [] {  // zeros, then ones: from `width - c` on, 1 at and below the diagonal
    std::array<double, 2 * width> result{};
    for (Index i = width; i < 2 * width; ++i) result[static_cast<std::size_t>(i)] = 1;
    return result;
  }();
  DoublePacket reflection[packets], q[packets];
#pragma GCC unroll 3
  for (Index a = 0; a < packets; ++a) {
    reflection[a] = load(v.values + a * double_lanes);
    q[a] = broadcast(0);
  }
  BandVector mirrored, w;
  for (Index c = 0; c < width; ++c) {  // q = L v and L^T v, of which both have the diagonal
    const double* column = block + c * stride;
    const DoublePacket factor = broadcast(v.values[c]);
    DoublePacket product = broadcast(0);
#pragma GCC unroll 3
    for (Index a = 0; a < packets; ++a) {
      const DoublePacket d = load_unaligned(column + a * double_lanes);
      q[a] = multiply_add(d, factor, q[a]);
      product = multiply_add(d, reflection[a], product);
    }
    mirrored.values[c] = sum(product) - column[c] * v.values[c];
  }
  DoublePacket dot = broadcast(0);
#pragma GCC unroll 3
  for (Index a = 0; a < packets; ++a) {
    q[a] = add(q[a], load(mirrored.values + a * double_lanes));
    dot = multiply_add(q[a], reflection[a], dot);
  }
  const DoublePacket minus_half = broadcast(sum(dot) * -0.5);
#pragma GCC unroll 3
  for (Index a = 0; a < packets; ++a) {
    q[a] = multiply_add(minus_half, reflection[a], q[a]);
    store(w.values + a * double_lanes, q[a]);
  }
  for (Index c = 0; c < width; ++c) {  // D -= v w^T + w v^T
    double* column = block + c * stride;
    const DoublePacket v_c = broadcast(-v.values[c]), w_c = broadcast(-w.values[c]);
#pragma GCC unroll 3
    for (Index a = 0; a < packets; ++a) {
      const DoublePacket below = load_unaligned(steps.data() + width - c + a * double_lanes);
      const DoublePacket change = multiply_add(reflection[a], w_c, multiply(q[a], v_c));
      store_unaligned(column + a * double_lanes,
                      multiply_add(change, below, load_unaligned(column + a * double_lanes)));
    }
  }
}

// E (I - v v^T) for the full block below, and then from the left the reflection that makes its first column a
// multiple of e_1, which is returned in v.
template <class = void>
void pass_bulge(double* block, BandVector& v) {
  constexpr Index width = Band::width, packets = BandVector::packets, stride = Band::stride();
  DoublePacket u[packets];
#pragma GCC unroll 3
  for (Index a = 0; a < packets; ++a) u[a] = broadcast(0);
  for (Index c = 0; c < width; ++c) {
    const DoublePacket factor = broadcast(v.values[c]);
#pragma GCC unroll 3
    for (Index a = 0; a < packets; ++a)
      u[a] = multiply_add(load_unaligned(block + c * stride + a * double_lanes), factor, u[a]);
  }
  BandVector x, next;
  const DoublePacket first = broadcast(-v.values[0]);
#pragma GCC unroll 3
  for (Index a = 0; a < packets; ++a)
    store(x.values + a * double_lanes, multiply_add(u[a], first, load_unaligned(block + a * double_lanes)));
  std::fill(block + 1, block + width, 0.0);
  block[0] = reflect_band(x, next);
  DoublePacket reflection[packets];
#pragma GCC unroll 3
  for (Index a = 0; a < packets; ++a) reflection[a] = load(next.values + a * double_lanes);
  for (Index c = 1; c < width; ++c) {
    double* column = block + c * stride;
    const DoublePacket factor = broadcast(-v.values[c]);
    DoublePacket e[packets], product = broadcast(0);
#pragma GCC unroll 3
    for (Index a = 0; a < packets; ++a) {
      e[a] = multiply_add(u[a], factor, load_unaligned(column + a * double_lanes));
      product = multiply_add(e[a], reflection[a], product);
    }
    const DoublePacket minus = broadcast(-sum(product));
#pragma GCC unroll 3
    for (Index a = 0; a < packets; ++a)
      store_unaligned(column + a * double_lanes, multiply_add(reflection[a], minus, e[a]));
  }
  v = next;
}

// Column j of the band is reduced to its first two elements by a reflection of the `width` rows below. From
// both sides that fills the block below the band, whose first column the next reflection reduces, and so on
// to the end: the rest of the bulge waits for the columns to come. Leaves the first coordinate where it is.
// About 6 n^2 width operations.
template <class = void>
Tridiagonal chase_bulges(Band& band) {
  constexpr Index width = Band::width;
  const Index n = band.size();
  Tridiagonal T{Eigen::VectorXd(n), Eigen::VectorXd(std::max<Index>(n - 1, 0))};
  BandVector x, v;
  for (Index j = 0; j < n; ++j) {
    T.diagonal[j] = band(j, j);
    if (j + 1 == n) break;
    std::copy(&band(j + 1, j), &band(j + 1, j) + width, x.values);
    T.off_diagonal[j] = reflect_band(x, v);
    for (Index row = j + 1;; row += width) {
      reflect_both_sides(&band(row, row), v);
      if (row + width >= n) break;
      pass_bulge(&band(row + width, row), v);
    }
  }
  return T;
}

}  // namespace sagitta::detail
