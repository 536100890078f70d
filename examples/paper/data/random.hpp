#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <random>
#include <sagitta/detail/random.hpp>
#include <string_view>
#include <vector>

// Every random choice of an experiment comes from a stream named by (seed, purpose, index), so that a killed
// run continues with the numbers it would have drawn, runs that differ in one condition share all other
// draws, and the numbers do not depend on the order or the thread in which runs are trained.
namespace paper {

using Generator = std::mt19937_64;

inline Generator stream(std::uint64_t seed, std::string_view purpose, std::uint64_t index = 0) {
  std::uint64_t state = 14695981039346656037ull;  // FNV-1a over the name, then splitmix64 over the numbers
  for (const char c : purpose) state = (state ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  for (const std::uint64_t number : {seed, index}) {
    state += number * 0x9E3779B97F4A7C15ull + 0x9E3779B97F4A7C15ull;
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9ull;
    state = (state ^ (state >> 27)) * 0x94D049BB133111EBull;
    state ^= state >> 31;
  }
  return Generator(state);
}

using sagitta::detail::uniform;

inline double uniform(Generator& generator, double low, double high) {
  return low + (high - low) * uniform(generator);
}

// a whole number in [0, count), unbiased
inline std::uint64_t below(Generator& generator, std::uint64_t count) {
  const std::uint64_t excess = (~std::uint64_t{0} % count + 1) % count;  // 2^64 mod count
  std::uint64_t draw = generator();
  while (draw > ~std::uint64_t{0} - excess) draw = generator();
  return draw % count;
}

inline double normal(Generator& generator) {  // Box and Muller, one of the pair
  const double radius = std::sqrt(-2 * std::log1p(-uniform(generator)));
  return radius * std::cos(2 * std::numbers::pi * uniform(generator));
}

template <class T>
void shuffle(std::vector<T>& values, Generator& generator) {
  for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(generator, i)]);
}

}  // namespace paper
