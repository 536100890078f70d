#pragma once

#include <Eigen/Core>

// The few vector instructions that our kernels need, by Eigen's names for them: as wide as the machine that
// is compiled for allows, plain doubles where there are none. Nothing else of Sagitta touches
// Eigen::internal, which may change with any version of Eigen.
namespace sagitta::detail {

using DoublePacket = Eigen::internal::packet_traits<double>::type;
inline constexpr Eigen::Index double_lanes = Eigen::internal::packet_traits<double>::size;
static_assert(8 % double_lanes == 0, "the kernels work on blocks of eight numbers");

// `source` and `target` are aligned to a packet
inline DoublePacket load(const double* source) { return Eigen::internal::pload<DoublePacket>(source); }
inline void store(double* target, const DoublePacket& value) { Eigen::internal::pstore(target, value); }
// the same anywhere
inline DoublePacket load_unaligned(const double* source) {
  return Eigen::internal::ploadu<DoublePacket>(source);
}
inline void store_unaligned(double* target, const DoublePacket& value) {
  Eigen::internal::pstoreu(target, value);
}
inline DoublePacket broadcast(double value) { return Eigen::internal::pset1<DoublePacket>(value); }
inline DoublePacket add(const DoublePacket& a, const DoublePacket& b) { return Eigen::internal::padd(a, b); }
inline DoublePacket multiply(const DoublePacket& a, const DoublePacket& b) {
  return Eigen::internal::pmul(a, b);
}
// a * b + c
inline DoublePacket multiply_add(const DoublePacket& a, const DoublePacket& b, const DoublePacket& c) {
  return Eigen::internal::pmadd(a, b, c);
}
// asks for the line of the cache that holds `address`, which may be anything
template <class Scalar>
void prefetch(const Scalar* address) {
  Eigen::internal::prefetch(address);
}
inline double sum(const DoublePacket& a) { return Eigen::internal::predux(a); }

}  // namespace sagitta::detail
