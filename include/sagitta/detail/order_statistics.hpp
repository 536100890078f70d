#pragma once

#include <algorithm>
#include <array>
#include <sagitta/detail/check.hpp>
#include <sagitta/detail/packet.hpp>
#include <utility>
#include <vector>

// The matching of the Wasserstein penalty: every element of an array gets the element of a sorted array that
// has its rank. Equal elements rank by index, -0 equals +0. The array itself is never put in order.
//
// 1. Buckets. A non-decreasing map sends the values to some n / 12 buckets (n / 6 for double) of about equal
//    population. They are moved there in the order of their indices, and where each went is noted. The map is
//    an estimate of the distribution function: a histogram of a sample over equal cells of the key (below),
//    and a straight line within each cell. Keys are linear in the values within an octave and logarithmic
//    from octave to octave, so a cell is a small part of an octave, where most densities hardly change.
// 2. Ranks. In a bucket of m elements the rank of x among them is the number of smaller ones: m comparisons
//    of a packet of x with one element each, without a branch. What lies behind the bucket is larger than
//    all of it and counts nothing, so a fixed number of comparisons serves every m up to it. The counts of a
//    bucket add up to 0 + 1 + ... + m - 1 unless there are equal elements; only then are those compared, too.
//    The match takes the place of the element in the bucket.
// 3. Back. Each element fetches its match from where it went. Gathering here, rather than scattering from the
//    buckets, is what makes it fast: a store that misses the cache costs several times a load that does.
//
// A bucket of more than `dense` elements is matched as an array of its own, with a map of its own, so a
// distribution that defies the first map (narrow clusters, masses of equal values, all exponents at once)
// costs another round on the elements concerned; after `rounds` of them, a comparison sort. Arrays that do
// not fit the caches begin with a round of some hundred large buckets, so that all of step 2 is in cache and
// steps 1 and 3 run along as many streams.
namespace sagitta::detail {

template <class Scalar>
class OrderStatistics {
  using Bits = FloatBits<Scalar>;
  using Key = typename Bits::Integer;
  static constexpr std::size_t group = 64 / sizeof(Scalar);  // elements whose ranks are counted together
  static constexpr std::size_t usual = group * 3 / 4;        // mean population of a bucket
  static constexpr std::size_t dense = 64;                   // a multiple of group
  static constexpr std::size_t chunk = 256;                  // elements handed on at a time
  static constexpr std::size_t in_cache = (std::size_t{1} << 20) / sizeof(Scalar);
  static constexpr std::size_t ahead = 128;  // elements whose matches are fetched before their turn
  static constexpr std::size_t rounds = 6;

  // widths of cells times 16 bits must fit into 32
  static_assert(dense % group == 0 && in_cache / usual < 32766);

  // Floating-point numbers as integers of the same order: negative ones have all bits flipped, the others the
  // sign bit; -0 becomes +0 first.
  static Key key_of(Scalar x) {
    Key bits = std::bit_cast<Key>(x);
    bits = bits == Bits::sign ? 0 : bits;
    return bits ^ ((Key{0} - (bits >> (8 * sizeof(Key) - 1))) | Bits::sign);
  }

  // From a value to its bucket, non-decreasing. Cells are the leading bits of the distance from the smallest
  // key, stretched to 32 bits; bucket = floor(start + rest * width) for the next 16 bits, the start in units
  // of 2^-16 of a bucket, the width in halves. The smallest value goes to bucket 0 and the largest to
  // another: the first cell is a bucket at least, and the largest value, whose leading bit is set, is not in
  // it.
  class BucketMap {
   public:
    // buckets: wanted, fewer than 32766; up to two more are used
    void fit(const Scalar* values, std::size_t n, Key smallest, Key largest, std::size_t buckets) {
      low_ = smallest;
      stretch_ = std::countl_zero(static_cast<Key>(largest - low_));
      const int bits = n > in_cache ? 11 : n > 16384 ? 10 : n > 2048 ? 9 : 8;
      cell_shift_ = 32 - bits;
      cells_.assign(std::size_t{1} << bits, {0, 0});
      const std::size_t step = n / 2048 + 2, sample = (n + step - 1) / step;
      for (std::size_t i = 0; i < n; i += step)
        ++cells_[distance(values[i], low_, stretch_) >> cell_shift_].half_width;
      const auto unit = static_cast<std::uint32_t>((buckets << 16) / sample);
      std::uint32_t start = 0, width = 1u << 16;  // one bucket for the first cell
      for (Cell& cell : cells_) {
        width += cell.half_width * unit;
        cell = {start, width >> 15};
        start += std::exchange(width, 0u);
      }
    }
    // buckets[i] of values[i], for up to `chunk` of them; buckets must be known to the compiler as an array
    // of its own, for packets that gather cells
    void operator()(const Scalar* values, std::size_t n, std::array<std::uint32_t, chunk>& buckets) const {
      const Cell* const cells = cells_.data();
      const int shift = cell_shift_, stretch = stretch_;
      const Key low = low_;
      for (std::size_t i = 0; i < n; ++i) {
        const std::uint32_t from_low = distance(values[i], low, stretch);
        const std::uint32_t cell = from_low >> shift, rest = (from_low >> (shift - 16)) & 0xFFFF;
        buckets[i] = (cells[cell].start + ((rest * cells[cell].half_width) >> 1)) >> 16;
      }
    }

   private:
    struct Cell {
      std::uint32_t start, half_width;
    };
    static std::uint32_t distance(Scalar x, Key low, int stretch) {
      return static_cast<std::uint32_t>(((key_of(x) - low) << stretch) >> (8 * sizeof(Key) - 32));
    }
    Key low_ = 0;
    int stretch_ = 0, cell_shift_ = 0;
    std::vector<Cell> cells_;
  };

  struct Into {
    Scalar* out;
    void operator()(Index first, Index count, const Scalar* matches) const {
      std::copy_n(matches, count, out + first);
    }
  };

  // what a round remembers
  struct Round {
    BucketMap map;
    std::vector<std::uint32_t> place;  // of each element: its bucket, then its place among `values`
    std::vector<std::uint32_t> end;    // of each bucket
    std::vector<Scalar> values;        // bucket by bucket, then `dense` of the largest number there is
  };

 public:
  // a < b, also where a thread treats subnormal numbers as zeros (set_flush_denormal of LibTorch)
  static bool less(Scalar a, Scalar b) { return key_of(a) < key_of(b); }

  // Calls visit(first, count, matches) for consecutive blocks of indices first, ..., first + count - 1, from
  // the first index to the last, where matches[i] = sorted[rank of values[first + i]].
  //   sorted: n numbers in ascending order
  // A block has at most 256 elements.
  // Throws std::invalid_argument for NaN or infinity before the first call. O(n) for values of a density,
  // O(n log n) at worst; 8 (float) or 12 bytes of scratch an element.
  template <class Visit>
  void match(const Scalar* values, Index n, const Scalar* sorted, const char* function, Visit visit) {
    if (static_cast<std::uint64_t>(n) > 0xFFFFFFFF)
      reject(function, "theta has ", n, " elements, expected fewer than 2^32");
    if (!all_finite(values, n))
      for (Index i = 0; i < n; ++i)
        if (!is_finite(values[i]))
          reject(function, "theta(", i, ") is NaN or infinite, expected finite values");
    match_run(values, static_cast<std::size_t>(n), sorted, 0, visit);
  }

 private:
  template <class Visit>
  void match_run(const Scalar* values, std::size_t n, const Scalar* sorted, std::size_t depth,
                 const Visit& visit) {
    if (n == 0) return;
    const auto [smallest, largest] = extreme_keys(values, n);
    if (smallest == largest) {
      hand_on(sorted, n, visit);
      return;
    }
    if (depth == rounds) return match_by_comparison(values, n, sorted, visit);

    Round& round = rounds_[depth];
    distribute(values, n, smallest, largest, round);
    Scalar* const moved = round.values.data();
    std::size_t begin = 0;
    for (std::size_t bucket = 0; bucket < round.end.size();) {
      if (const std::size_t size = round.end[bucket] - begin; size > dense) {
        Scalar* const out = moved + begin;  // in place: the call has its own copy of what it has to read
        match_run(out, size, sorted + begin, depth + 1, Into{out});
        begin += size;
        ++bucket;
      } else {
        // parts of a large array are as narrow as it is large, and equal elements the rule
        bucket =
            depth > 0 ? rank_buckets<true>(round, bucket, begin) : rank_buckets<false>(round, bucket, begin);
        const std::size_t count = round.end[bucket - 1] - begin;
        for (std::size_t i = 0; i < count; ++i) moved[begin + i] = sorted[begin + rank_[i]];
        begin += count;
      }
    }
    std::array<Scalar, chunk> matches;
    for (std::size_t first = 0; first < n; first += chunk) {
      const std::size_t count = (std::min)(chunk, n - first);
      const std::uint32_t* const place = round.place.data() + first;
      if (n > in_cache && first + chunk + ahead < n)
        for (std::size_t i = 0; i < count; ++i) prefetch(moved + place[i + ahead]);
      for (std::size_t i = 0; i < count; ++i) matches[i] = moved[place[i]];
      visit(static_cast<Index>(first), static_cast<Index>(count), matches.data());
    }
  }

  // The keys of the smallest and the largest value. Where a thread treats subnormal numbers as zeros, they
  // all compare equal, so that a smallest or largest of that size is looked for among the keys.
  static std::pair<Key, Key> extreme_keys(const Scalar* values, std::size_t n) {
    const Eigen::Map<const Eigen::Array<Scalar, Eigen::Dynamic, 1>> all(values, static_cast<Index>(n));
    const Scalar smallest = all.minCoeff(), largest = all.maxCoeff();
    std::pair<Key, Key> keys{key_of(smallest), key_of(largest)};
    constexpr Key normal = std::bit_cast<Key>((std::numeric_limits<Scalar>::min)());
    if (Bits::magnitude(smallest) < normal)
      for (std::size_t i = 0; i < n; ++i) keys.first = (std::min)(keys.first, key_of(values[i]));
    if (Bits::magnitude(largest) < normal)
      for (std::size_t i = 0; i < n; ++i) keys.second = (std::max)(keys.second, key_of(values[i]));
    return keys;
  }

  static void distribute(const Scalar* values, std::size_t n, Key smallest, Key largest, Round& round) {
    const std::size_t wanted = n > in_cache ? std::min<std::size_t>(n / 16384, 512) : n / usual;
    if (round.place.size() < n) round.place.resize(n), round.values.resize(n + dense);
    round.map.fit(values, n, smallest, largest, wanted);
    std::uint32_t* const place = round.place.data();
    round.end.assign(wanted + 2, 0);
    std::uint32_t* const end = round.end.data();
    std::array<std::uint32_t, chunk> buckets;
    for (std::size_t first = 0; first < n; first += chunk) {
      const std::size_t count = (std::min)(chunk, n - first);
      round.map(values + first, count, buckets);
      for (std::size_t i = 0; i < count; ++i) ++end[place[first + i] = buckets[i]];
    }
    std::uint32_t start = 0;
    for (std::uint32_t& count : round.end) start += std::exchange(count, start);
    Scalar* const moved = round.values.data();
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint32_t to = end[place[i]]++;  // the start of a bucket becomes its end
      place[i] = to;
      moved[to] = values[i];
    }
    std::fill_n(moved + n, dense, (std::numeric_limits<Scalar>::max)());
  }

  // Ranks of the elements of some whole buckets from `bucket` on, whose first element is `begin`, counted
  // from there; returns the bucket behind the last one. With `ties` each bucket is asked whether it has equal
  // elements, without a branch, as nobody foresees the answer; else only all of them together.
  template <bool ties>
  std::size_t rank_buckets(const Round& round, std::size_t bucket, std::size_t begin) {
    const std::size_t first = bucket;
    const Scalar* const values = round.values.data() + begin;
    std::size_t done = 0, number = 0;
    for (; bucket < round.end.size(); ++bucket) {
      const std::size_t size = round.end[bucket] - begin - done;
      if (size > dense || done + size > chunk) break;
      std::size_t sum = 0;
      for (std::size_t i = 0; i < size; i += group)  // the last group may write on, into the next bucket
        sum += count_smaller<ties>(values + done, i, size, done, rank_.data() + done + i);
      if constexpr (ties) {
        tied_[number] = {done, size};
        number += 2 * (sum - size * done) != size * (size - 1);
      }
      done += size;
    }
    if constexpr (!ties) {
      std::size_t sum = 0;
      for (std::size_t i = 0; i < done; ++i) sum += rank_[i];
      return 2 * sum == done * (done - 1) ? bucket : rank_buckets<true>(round, first, begin);
    }
    for (std::size_t tie = 0; tie < number; ++tie) {
      const auto [start, size] = tied_[tie];
      if (has_subnormal(values + start, size)) {  // they may be taken for equal, and for zero
        for (std::size_t i = start; i < start + size; ++i)
          for (std::size_t j = start; j < i; ++j)
            if (values[j] == values[i]) ++rank_[less(values[i], values[j]) ? j : i];
        continue;
      }
      for (std::size_t i = 0; i < size; i += group)
        add_equal_before(values + start, i, size, rank_.data() + start + i);
    }
    return bucket;
  }

  // rank[i] = start + how many elements of a bucket of `size` are below values[first + i], for a group of
  // them; counted in Scalar, which is exact. With `ties` returns the sum of those in the bucket, else 0.
  template <bool ties>
  static std::size_t count_smaller(const Scalar* values, std::size_t first, std::size_t size,
                                   std::size_t start, std::uint32_t* rank) {
    using Packet = detail::Packet<Scalar>;
    constexpr std::size_t strands = lanes<Scalar>, packets = group / strands;
    static_assert(group % strands == 0);
    const Packet one = broadcast<Scalar>(Scalar(1));
    Packet xs[packets], counts[packets];
    for (std::size_t p = 0; p < packets; ++p) {
      xs[p] = load_unaligned(values + first + p * strands);
      counts[p] = broadcast<Scalar>(static_cast<Scalar>(start));
    }
    const auto compare = [&](std::size_t i) {
      const Packet value = broadcast<Scalar>(values[i]);
      for (std::size_t p = 0; p < packets; ++p)
        counts[p] = add(counts[p], both(detail::less(value, xs[p]), one));
    };
    for (std::size_t i = 0; i < group; ++i) compare(i);
    for (std::size_t i = group; i < size; ++i) compare(i);
    alignas(64) Scalar smaller[group];
    for (std::size_t p = 0; p < packets; ++p) store(smaller + p * strands, counts[p]);
    for (std::size_t i = 0; i < group; ++i)
      rank[i] = static_cast<std::uint32_t>(static_cast<std::int32_t>(smaller[i]));
    if constexpr (!ties) return 0;
    const Packet end = broadcast<Scalar>(static_cast<Scalar>(size));
    Packet sum = broadcast<Scalar>(Scalar(0));
    for (std::size_t p = 0; p < packets; ++p) {
      const Packet place = ramp(static_cast<Scalar>(first + p * strands));
      sum = add(sum, both(detail::less(place, end), counts[p]));
    }
    return static_cast<std::size_t>(detail::sum(sum));
  }

  static bool has_subnormal(const Scalar* values, std::size_t n) {
    constexpr Key normal = std::bit_cast<Key>((std::numeric_limits<Scalar>::min)());
    Key found = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const Key magnitude = Bits::magnitude(values[i]);
      found |= Key{magnitude != 0} & Key{magnitude < normal};
    }
    return found != 0;
  }

  // adds to the ranks of a group, values[first] and the following of a bucket of `size`, how many equal ones
  // come before each
  static void add_equal_before(const Scalar* values, std::size_t first, std::size_t size,
                               std::uint32_t* rank) {
    using Packet = detail::Packet<Scalar>;
    constexpr std::size_t strands = lanes<Scalar>;
    const Packet one = broadcast<Scalar>(Scalar(1));
    alignas(64) Scalar equal[group];
    for (std::size_t p = 0; p < group; p += strands) {
      const Packet x = load_unaligned(values + first + p);
      const Packet place = ramp(static_cast<Scalar>(first + p));
      Packet count = broadcast<Scalar>(Scalar(0)), j = count;
      for (std::size_t before = 0; before < (std::min)(first + p + strands, size);
           ++before, j = add(j, one)) {
        const Packet is_equal = detail::equal(broadcast<Scalar>(values[before]), x);
        count = add(count, both(both(is_equal, detail::less(j, place)), one));
      }
      store(equal + p, count);
    }
    const std::size_t number = (std::min)(group, size - first);  // behind it lie the ranks of the next bucket
    for (std::size_t i = 0; i < number; ++i)
      rank[i] += static_cast<std::uint32_t>(static_cast<std::int32_t>(equal[i]));
  }

  template <class Visit>
  static void hand_on(const Scalar* matches, std::size_t n, const Visit& visit) {
    for (std::size_t first = 0; first < n; first += chunk)
      visit(static_cast<Index>(first), static_cast<Index>((std::min)(chunk, n - first)), matches + first);
  }

  template <class Visit>
  static void match_by_comparison(const Scalar* values, std::size_t n, const Scalar* sorted,
                                  const Visit& visit) {
    std::vector<std::uint32_t> order(n);
    for (std::size_t i = 0; i < n; ++i) order[i] = static_cast<std::uint32_t>(i);
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      const Key left = key_of(values[a]), right = key_of(values[b]);
      return left != right ? left < right : a < b;
    });
    std::vector<Scalar> matches(n);
    for (std::size_t i = 0; i < n; ++i) matches[order[i]] = sorted[i];
    hand_on(matches.data(), n, visit);
  }

  std::array<Round, rounds> rounds_;
  std::array<std::uint32_t, chunk + group> rank_;
  std::array<std::pair<std::size_t, std::size_t>, chunk / 2 + 1> tied_;  // begin and size of a bucket
};

}  // namespace sagitta::detail
