#pragma once

#include <Eigen/Core>
#include <type_traits>

// The few vector instructions that our kernels need, by Eigen's names for them: as wide as the machine that
// is compiled for allows, plain numbers where there are none. Nothing else of Sagitta touches
// Eigen::internal, which may change with any version of Eigen.
namespace sagitta::detail {

template <class Scalar>
using Packet = typename Eigen::internal::packet_traits<Scalar>::type;
template <class Scalar>
inline constexpr Eigen::Index lanes = Eigen::internal::packet_traits<Scalar>::size;

using DoublePacket = Packet<double>;
inline constexpr Eigen::Index double_lanes = lanes<double>;
static_assert(8 % double_lanes == 0, "the kernels work on blocks of eight numbers");

// `source` and `target` are aligned to a packet
inline DoublePacket load(const double* source) { return Eigen::internal::pload<DoublePacket>(source); }
template <class Scalar>
void store(Scalar* target, const Packet<Scalar>& value) {
  Eigen::internal::pstore(target, value);
}
// the same anywhere
template <class Scalar>
Packet<Scalar> load_unaligned(const Scalar* source) {
  return Eigen::internal::ploadu<Packet<Scalar>>(source);
}
inline void store_unaligned(double* target, const DoublePacket& value) {
  Eigen::internal::pstoreu(target, value);
}
template <class Scalar = double>
Packet<Scalar> broadcast(std::type_identity_t<Scalar> value) {
  return Eigen::internal::pset1<Packet<Scalar>>(value);
}
// first, first + 1, ...
template <class Scalar>
Packet<Scalar> ramp(Scalar first) {
  return Eigen::internal::plset<Packet<Scalar>>(first);
}
template <class P>
P add(const P& a, const P& b) {
  return Eigen::internal::padd(a, b);
}
inline DoublePacket multiply(const DoublePacket& a, const DoublePacket& b) {
  return Eigen::internal::pmul(a, b);
}
inline DoublePacket subtract(const DoublePacket& a, const DoublePacket& b) {
  return Eigen::internal::psub(a, b);
}
inline DoublePacket magnitude(const DoublePacket& a) { return Eigen::internal::pabs(a); }
// a * b + c
inline DoublePacket multiply_add(const DoublePacket& a, const DoublePacket& b, const DoublePacket& c) {
  return Eigen::internal::pmadd(a, b, c);
}
// a comparison's bits are all 1 where it holds
template <class P>
P less(const P& a, const P& b) {
  return Eigen::internal::pcmp_lt(a, b);
}
template <class P>
P equal(const P& a, const P& b) {
  return Eigen::internal::pcmp_eq(a, b);
}
// bit by bit: and, or, exclusive or
template <class P>
P both(const P& a, const P& b) {
  return Eigen::internal::pand(a, b);
}
inline DoublePacket either(const DoublePacket& a, const DoublePacket& b) {
  return Eigen::internal::por(a, b);
}
inline DoublePacket differing(const DoublePacket& a, const DoublePacket& b) {
  return Eigen::internal::pxor(a, b);
}
template <class P>
auto sum(const P& a) {
  return Eigen::internal::predux(a);
}
// asks for the line of the cache that holds `address`, which may be anything
template <class Scalar>
void prefetch(const Scalar* address) {
  Eigen::internal::prefetch(address);
}

}  // namespace sagitta::detail
