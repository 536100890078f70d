#pragma once

#include <cstdint>
#include <random>
#include <type_traits>

namespace sagitta::detail {

// A standard generator as an argument `Generator&&`: one with a name, whose state moves on, or a temporary.
template <class Generator>
concept RandomGenerator = std::uniform_random_bit_generator<std::remove_reference_t<Generator>>;

// A uniform draw from [0, 1) with 53 random bits, the same with every standard library for the same
// generator state (std::uniform_real_distribution is not). Takes as many numbers from the generator as 53
// bits need: one from mt19937_64, two from mt19937.
template <std::uniform_random_bit_generator Generator>
double uniform(Generator& generator) {
  constexpr std::uint64_t span = static_cast<std::uint64_t>((Generator::max)() - (Generator::min)());
  if constexpr (span == ~std::uint64_t{0}) {
    return static_cast<double>(generator() >> 11) * 0x1p-53;
  } else {
    // digits of the draw in base span + 1, the most significant first, until 2^53 values are told apart
    constexpr double base = static_cast<double>(span) + 1;
    double draw = 0, resolution = 1;
    while (resolution > 0x1p-53) {
      resolution /= base;
      draw += static_cast<double>(static_cast<std::uint64_t>(generator() - (Generator::min)())) * resolution;
    }
    return draw < 1 ? draw : 1 - 0x1p-53;
  }
}

}  // namespace sagitta::detail
