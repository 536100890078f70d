#pragma once

#include <sagitta/detail/check.hpp>
#include <sagitta/detail/packet.hpp>

namespace sagitta::detail {

// C += L R for small matrices in cache: the one kernel of the two-stage reduction.
//   C: rows x cols, L: rows x depth, both in columns that are aligned to packets; rows is a multiple of 24,
//   cols of 8, and R(k, j) = right[k * step_k + j * step_j] may lie anyhow
// Nothing need be aligned: users can switch the alignment of Eigen's small matrices off.
// Three packets times a few columns of the product stay in registers over the whole depth, so that each
// packet of L and each number of R that is fetched is used several times. The product is summed by itself: a
// long sum that is added up from pieces of 128 or so rounds far less than one that goes through, whose
// roundings can all have one direction.
// ahead: where given, memory that will be wanted next: every step of the innermost loop asks for half a line
// of it, so that it comes from afar while there is enough else to do. rows cols depth / 48 doubles with
// AVX-512, twice or four times that many with smaller packets.
template <class = void>
void add_product(double* C, Index stride_C, const double* L, Index stride_L, const double* right,
                 Index step_k, Index step_j, Index rows, Index cols, Index depth,
                 const double* ahead = nullptr) {
  constexpr Index high = 3,
                  wide = double_lanes == 8 ? 8 : 4;  // 24 of 32 registers with AVX-512, 12 of 16 without
  for (Index j = 0; j < cols; j += wide)
    for (Index i = 0; i < rows; i += high * double_lanes) {
      DoublePacket c[wide][high];
#pragma GCC unroll 8
      for (Index b = 0; b < wide; ++b)
#pragma GCC unroll 3
        for (Index a = 0; a < high; ++a) c[b][a] = broadcast(0);
      const double* l = L + i;
      const double* r = right + j * step_j;
      for (Index k = 0; k < depth; ++k, l += stride_L, r += step_k) {
        if (ahead != nullptr) prefetch(std::exchange(ahead, ahead + 4));
        DoublePacket left[high];
#pragma GCC unroll 3
        for (Index a = 0; a < high; ++a) left[a] = load_unaligned(l + a * double_lanes);
#pragma GCC unroll 8
        for (Index b = 0; b < wide; ++b) {
          const DoublePacket factor = broadcast(r[b * step_j]);
#pragma GCC unroll 3
          for (Index a = 0; a < high; ++a) c[b][a] = multiply_add(left[a], factor, c[b][a]);
        }
      }
#pragma GCC unroll 8
      for (Index b = 0; b < wide; ++b)
#pragma GCC unroll 3
        for (Index a = 0; a < high; ++a) {
          double* target = C + (j + b) * stride_C + i + a * double_lanes;
          store_unaligned(target, add(load_unaligned(target), c[b][a]));
        }
    }
}

}  // namespace sagitta::detail
