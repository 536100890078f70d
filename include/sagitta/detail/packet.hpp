#pragma once

#include <Eigen/Core>

// The few vector instructions that our kernels need, by Eigen's names for them: as wide as the machine that
// is compiled for allows, plain doubles where there are none.
namespace sagitta::detail {

using Packet = Eigen::internal::packet_traits<double>::type;
inline constexpr Eigen::Index lanes = Eigen::internal::packet_traits<double>::size;
static_assert(8 % lanes == 0, "the kernels work on blocks of eight numbers");

// `source` and `target` are aligned to a packet
inline Packet load(const double* source) { return Eigen::internal::pload<Packet>(source); }
inline void store(double* target, const Packet& value) { Eigen::internal::pstore(target, value); }
// the same anywhere
inline Packet load_unaligned(const double* source) { return Eigen::internal::ploadu<Packet>(source); }
inline void store_unaligned(double* target, const Packet& value) { Eigen::internal::pstoreu(target, value); }
inline Packet broadcast(double value) { return Eigen::internal::pset1<Packet>(value); }
// a * b + c
inline Packet multiply_add(const Packet& a, const Packet& b, const Packet& c) {
  return Eigen::internal::pmadd(a, b, c);
}
inline double sum(const Packet& a) { return Eigen::internal::predux(a); }

}  // namespace sagitta::detail
