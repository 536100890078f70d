#pragma once

#include <algorithm>
#include <array>
#include <sagitta/detail/check.hpp>
#include <utility>
#include <vector>

// Sorting for the Wasserstein penalty: stable by index, -0 equal to +0, and the last pass hands every value
// to the caller at its rank instead of storing it.
namespace sagitta::detail {

// Floating-point numbers as integers of the same order: negative ones have all bits flipped, the others the
// sign bit. With the index beside it, in one integer where 64 bits hold both.
template <class Scalar>
struct SortItem;

template <>
struct SortItem<float> {
  std::uint64_t packed;
  SortItem() = default;
  SortItem(std::uint32_t key, std::uint32_t index) : packed((std::uint64_t{key} << 32) | index) {}
  std::uint32_t key() const { return static_cast<std::uint32_t>(packed >> 32); }
  std::uint32_t index() const { return static_cast<std::uint32_t>(packed); }
  bool operator<(const SortItem& other) const { return packed < other.packed; }
};

template <>
struct SortItem<double> {
  std::uint64_t bits;
  std::uint32_t at;
  SortItem() = default;
  SortItem(std::uint64_t key, std::uint32_t index) : bits(key), at(index) {}
  std::uint64_t key() const { return bits; }
  std::uint32_t index() const { return at; }
  bool operator<(const SortItem& other) const {
    return bits != other.bits ? bits < other.bits : at < other.at;
  }
};

template <class Scalar>
class OrderStatistics {
  using Bits = FloatBits<Scalar>;
  using Key = typename Bits::Integer;
  static constexpr int digit_bits = 11;
  static constexpr int digits = (int(sizeof(Scalar)) * 8 + digit_bits - 1) / digit_bits;
  static constexpr std::size_t buckets = std::size_t{1} << digit_bits;
  static constexpr Index few = 256;  // up to here a comparison sort is faster than counting digits

  static Key key_of(Scalar x) {
    Key bits = std::bit_cast<Key>(x);
    if (bits == Bits::sign) bits = 0;  // -0
    return (bits & Bits::sign) != 0 ? ~bits : bits | Bits::sign;
  }
  static Scalar value_of(Key key) {
    return std::bit_cast<Scalar>((key & Bits::sign) != 0 ? key ^ Bits::sign : ~key);
  }
  static std::size_t digit_of(Key key, int digit) {
    return static_cast<std::size_t>(key >> (digit * digit_bits)) & (buckets - 1);
  }

 public:
  // Calls visit(rank, index, value) once for every element: value = values[index] (a -0 as +0) is the
  // rank-th smallest, equal values in the order of their indices. The order of the calls depends on the
  // values alone. Throws std::invalid_argument for NaN or infinity before the first call. O(n): one counting
  // pass and up to ceil(bits / 11) passes of least significant digit first.
  template <class Visit>
  void visit_sorted(const Scalar* values, Index n, const char* function, Visit visit) {
    if (n > Index{0xFFFFFFFF}) reject(function, "theta has ", n, " elements, expected fewer than 2^32");
    check(values, n, function);
    const auto count = static_cast<std::size_t>(n);
    from_.resize(count);
    if (n <= few) {
      for (std::size_t i = 0; i < count; ++i) from_[i] = {key_of(values[i]), static_cast<std::uint32_t>(i)};
      std::sort(from_.begin(), from_.end());
      for (std::size_t i = 0; i < count; ++i)
        visit(Index(i), Index(from_[i].index()), value_of(from_[i].key()));
      return;
    }
    to_.resize(count);
    for (auto& digit : offsets_) digit.fill(0);
    for (std::size_t i = 0; i < count; ++i) {
      const Key key = key_of(values[i]);
      from_[i] = {key, static_cast<std::uint32_t>(i)};
      for (int digit = 0; digit < digits; ++digit) ++offsets_[std::size_t(digit)][digit_of(key, digit)];
    }
    int last = digits - 1;  // a digit that all keys share needs no pass
    while (last > 0 && shared(last, n)) --last;
    for (int digit = 0; digit < last; ++digit) {
      if (shared(digit, n)) continue;
      auto& offset = start_offsets(digit);
      for (const SortItem<Scalar>& item : from_) to_[offset[digit_of(item.key(), digit)]++] = item;
      std::swap(from_, to_);
    }
    auto& offset = start_offsets(last);
    for (const SortItem<Scalar>& item : from_)
      visit(Index(offset[digit_of(item.key(), last)]++), Index(item.index()), value_of(item.key()));
  }

 private:
  static void check(const Scalar* values, Index n, const char* function) {
    Key largest = 0;
    for (Index i = 0; i < n; ++i) largest = std::max(largest, Bits::magnitude(values[i]));
    if (largest < Bits::infinity) return;
    for (Index i = 0; i < n; ++i)
      if (!is_finite(values[i]))
        reject(function, "theta(", i, ") is NaN or infinite, expected finite values");
  }
  bool shared(int digit, Index n) const {
    const auto& counts = offsets_[std::size_t(digit)];
    return counts[digit_of(from_[0].key(), digit)] == static_cast<std::uint32_t>(n);
  }
  std::array<std::uint32_t, buckets>& start_offsets(
      int digit) {  // counts become the first rank of each bucket
    auto& counts = offsets_[std::size_t(digit)];
    std::uint32_t rank = 0;
    for (std::uint32_t& count : counts) rank += std::exchange(count, rank);
    return counts;
  }

  std::vector<SortItem<Scalar>> from_, to_;
  std::array<std::array<std::uint32_t, buckets>, std::size_t{digits}> offsets_;
};

}  // namespace sagitta::detail
