#pragma once

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <map>
#include <optional>
#include <sagitta/libtorch/rule.hpp>

// Which sample does a row of a layer's backprop belong to? Two backward passes tell, one with cotangent 1 for
// every sample and one with a colour c_n for sample n, all different: B_r = sum_n B_rn, B'_r = sum_n c_n
// B_rn. Where row r belongs to sample n alone, B'_r = c_n B_r, whatever the layout.
//
// Colours are powers of two with a sign. To multiply by one is exact in floating point and commutes with
// every rounding on the way, so that in a network that does not mix samples B'_r = c_n B_r holds to the last
// bit, also where a backward pass is ill-conditioned (a sample that is fit so well that rounding is all of
// its gradient). What is not an equality is a mixture. A few roundings are allowed all the same: sums on a
// GPU come in an order of their own.
//
// What can they not see? A row that mixes samples passes for sample k only if sum_n (c_n - c_k) B_rn vanishes
// in every element, and every row of the layer must pass. Colours span 2^128 in float and lie at least 2^2
// apart for up to 65 samples, so that equal shares of a few samples, as means and sums have them, are no
// colour of another. A share |B_rn| < eps |B_rk| is not seen; therefore the cotangents are first brought to
// where the gradients of all samples are of about one size, and a sample that shows nowhere is looked for by
// itself (Capture).
namespace sagitta::libtorch::detail {

// splitmix64: our own numbers, so that no generator of the user's is touched
inline uint64_t mixed_bits(uint64_t seed, uint64_t i) {
  uint64_t z = seed + 0x9e3779b97f4a7c15 * (i + 1);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// The sizes of samples, as powers of two: 2^-exponent is about the length of a sample's gradient.
using Exponents = std::vector<int>;

// [N] in double: 2^exponents
inline at::Tensor powers_of_two(const Exponents& exponents) {
  const at::Tensor result = at::ones({static_cast<int64_t>(exponents.size())}, at::kDouble);
  for (std::size_t n = 0; n < exponents.size(); ++n)
    result.data_ptr<double>()[n] = std::ldexp(1.0, exponents[n]);
  return result;
}

class Colours {
 public:
  // type: the narrowest of the backprops;  largest: |exponent| of the cotangents that colours are given to
  Colours(int64_t samples, at::ScalarType type, int largest, uint64_t seed) : type_(type) {
    const int limit = type == at::kDouble ? 900 : type == at::kHalf ? 10 : 120;
    const int wide = type == at::kDouble ? 250 : type == at::kHalf ? 4 : 64;
    const int half_range = std::clamp(limit - largest, 3, wide);
    const auto M = static_cast<std::size_t>(samples);
    const std::size_t slots = 2 * static_cast<std::size_t>(2 * half_range + 1);  // of one draw
    std::size_t draws = 1;
    for (std::size_t names = slots; names < M; names *= slots) ++draws;
    while (!draw(M, draws, half_range, seed++)) {
    }
  }

  std::size_t draws() const { return colours_.size(); }
  // [M] in double
  const at::Tensor& weights(std::size_t draw) const { return colours_[draw]; }

  // How an output's elements belong to samples, from its backprops under cotangents 1 and under the colours
  // of each draw. Nothing where samples are mixed.
  std::optional<Batch> find(const at::Tensor& plain, const std::vector<at::Tensor>& coloured) const {
    const int64_t M = samples(), dims = plain.dim();
    Batch batch;
    batch.samples = M;
    if (dims == 0 || plain.numel() == 0) return {};
    if (M == 1) return named(plain, coloured, {0});
    for (int64_t d = 0; d < dims; ++d)
      if (plain.size(d) == M && same_along(plain, coloured, d)) {
        batch.dims = {d};
        return batch;
      }
    for (int64_t d = 0; d < dims; ++d)
      if (const auto found = named(plain, coloured, {d})) return found;
    std::vector<int64_t> leading;
    for (int64_t d = 0; d + 1 < dims; ++d) leading.push_back(d);
    if (leading.size() > 1) return named(plain, coloured, leading);
    return {};
  }

 private:
  int64_t samples() const { return colours_[0].size(0); }

  struct Colour {
    int exponent;
    bool negative;
    auto operator<=>(const Colour&) const = default;
  };

  // False where two samples got the same colours. The samples, shuffled, are numbered in digits, one a draw.
  bool draw(std::size_t M, std::size_t draws, int half_range, uint64_t seed) {
    std::vector<std::pair<uint64_t, std::size_t>> shuffled;
    for (std::size_t n = 0; n < M; ++n) shuffled.emplace_back(mixed_bits(seed, n), n);
    std::sort(shuffled.begin(), shuffled.end());
    const std::size_t exponents = static_cast<std::size_t>(2 * half_range + 1);
    const std::size_t digits = draws == 1 ? M : 2 * exponents;
    const bool signs_differ = digits > exponents;  // the sign is needed to tell samples apart
    const std::size_t places = signs_differ ? (digits + 1) / 2 : digits;
    // as far apart as there is room
    const int step = places <= 1 ? 0 : std::min(6, 2 * half_range / static_cast<int>(places - 1));
    std::vector<std::vector<Colour>> all(M);
    for (std::size_t i = 0; i < M; ++i) {
      const auto [bits, n] = shuffled[i];
      std::size_t rest = i;
      for (std::size_t d = 0; d < draws; ++d, rest /= digits) {
        // the first digits of neighbours run through all places, and those of the next draw are shifted by
        // them
        const std::size_t digit = (rest + (d > 0 ? i : 0)) % digits;
        const int grid = static_cast<int>(digit % places) - static_cast<int>(places - 1) / 2;
        const bool negative = signs_differ ? digit >= places : ((bits >> d) & 1) == 1;
        // one sample alone would have the colour 1, with which nothing can be seen
        all[n].push_back({grid * step + (M == 1 ? 3 : 0), negative});
      }
    }
    names_.clear();
    for (std::size_t n = 0; n < M; ++n)
      if (!names_.emplace(all[n], static_cast<int64_t>(n)).second) return false;
    colours_.clear();
    for (std::size_t d = 0; d < draws; ++d) {
      at::Tensor c = at::zeros({static_cast<int64_t>(M)}, at::kDouble);
      for (std::size_t n = 0; n < M; ++n)
        c.data_ptr<double>()[n] = std::ldexp(all[n][d].negative ? -1.0 : 1.0, all[n][d].exponent);
      colours_.push_back(c);
    }
    return true;
  }

  // How large a part of a sample's backprop may not agree: far below what matters, far above roundings.
  double tolerance() const { return type_ == at::kDouble ? 1e-11 : type_ == at::kFloat ? 2e-5 : 1e-2; }

  // Whether the backprops are colour times plain, with the sample of each place along dimension d known.
  //   names: [size of d], -1 where there is none;  identity: names are 0, 1, ...
  bool same_along(const at::Tensor& plain, const std::vector<at::Tensor>& coloured, int64_t d,
                  const at::Tensor& names = {}) const {
    std::vector<int64_t> shape(static_cast<std::size_t>(plain.dim()), 1);
    shape[static_cast<std::size_t>(d)] = plain.size(d);
    // places without a name take a weight that nothing but zero agrees with
    const at::Tensor who = names.defined() ? at::where(names.lt(0), samples(), names) : names;
    for (std::size_t k = 0; k < coloured.size(); ++k) {
      at::Tensor c = at::cat({colours_[k], at::zeros({1}, at::kDouble)});
      c = who.defined() ? c.index_select(0, who) : c.narrow(0, 0, samples());
      const at::Tensor weight = c.to(plain.options()).view(shape);
      if (!equal(plain, coloured[k], weight) && !nearly(plain, coloured[k], c.view(shape), d, who))
        return false;
    }
    return true;
  }

  // plain * weight == coloured, in slices that stay small
  static bool equal(const at::Tensor& plain, const at::Tensor& coloured, const at::Tensor& weight) {
    const int64_t rows = plain.size(0), step = std::max<int64_t>(1, (int64_t{1} << 18) * rows /
                                                                        std::max<int64_t>(1, plain.numel()));
    for (int64_t first = 0; first < rows; first += step) {
      const int64_t count = std::min(step, rows - first);
      const at::Tensor w = weight.size(0) == 1 ? weight : weight.narrow(0, first, count);
      if (!at::equal(plain.narrow(0, first, count) * w, coloured.narrow(0, first, count))) return false;
    }
    return true;
  }

  // the same but for rounding, sample by sample
  bool nearly(const at::Tensor& plain, const at::Tensor& coloured, const at::Tensor& c, int64_t d,
              const at::Tensor& who) const {
    std::vector<int64_t> others;
    for (int64_t i = 0; i < plain.dim(); ++i)
      if (i != d) others.push_back(i);
    const at::Tensor weight = c.to(plain.device()), p = plain.to(at::kDouble);
    const at::Tensor safe = at::where(weight.eq(0), 1.0, weight);
    const at::Tensor off = coloured.to(at::kDouble) / safe - at::where(weight.eq(0), 0.0, p);
    const auto squares = [&](const at::Tensor& t) {
      const at::Tensor largest = t.abs().amax();  // so that squares stay in range
      if (largest.item<double>() == 0) return std::pair(at::zeros({plain.size(d)}, at::kDouble), 1.0);
      const at::Tensor s = (t / largest).square();
      return std::pair((others.empty() ? s : s.sum(others)).cpu(), largest.item<double>());
    };
    auto [errors, error_unit] = squares(off);
    auto [sums, sum_unit] = squares(p);
    if (!std::isfinite(error_unit) || !std::isfinite(sum_unit)) return false;
    const int64_t M = samples();
    at::Tensor E = at::zeros({M + 1}, at::kDouble), S = at::zeros({M + 1}, at::kDouble);
    const at::Tensor place = who.defined() ? who : at::arange(M);
    E.index_add_(0, place, errors);
    S.index_add_(0, place, sums);
    const double ratio = error_unit / sum_unit;
    for (int64_t n = 0; n <= M; ++n)
      if (!(std::sqrt(E.data_ptr<double>()[n]) * ratio <= tolerance() * std::sqrt(S.data_ptr<double>()[n])))
        return false;
    return true;
  }

  // The layout where the places along some dimensions belong to a sample each.
  std::optional<Batch> named(const at::Tensor& plain, const std::vector<at::Tensor>& coloured,
                             const std::vector<int64_t>& dims) const {
    const auto flat = [&](at::Tensor t) {
      for (std::size_t i = 0; i < dims.size(); ++i) t = t.movedim(dims[i], static_cast<int64_t>(i));
      if (dims.size() > 1) t = t.flatten(0, static_cast<int64_t>(dims.size()) - 1);
      return t;
    };
    const at::Tensor rows = flat(plain);
    std::vector<at::Tensor> coloured_rows;
    for (const at::Tensor& c : coloured) coloured_rows.push_back(flat(c));
    const auto names = names_of(rows, coloured_rows);
    if (!names || !same_along(rows, coloured_rows, 0, *names)) return {};
    return layout(*names, plain, dims);
  }

  // [rows] the sample of each row, from its largest element; -1 for a row of zeros. Nothing where one has a
  // colour that is none.
  std::optional<at::Tensor> names_of(const at::Tensor& rows, const std::vector<at::Tensor>& coloured) const {
    const int64_t count = rows.size(0);
    const at::Tensor flat = rows.reshape({count, -1});
    const at::Tensor where = flat.abs().argmax(1, true);
    const auto at_largest = [&](const at::Tensor& t) {
      return t.reshape({count, -1}).gather(1, where).squeeze(1).to(at::kDouble).cpu();
    };
    const at::Tensor plain = at_largest(rows);
    std::vector<at::Tensor> values;
    for (const at::Tensor& c : coloured) values.push_back(at_largest(c));
    at::Tensor names = at::zeros({count}, at::kLong);
    std::vector<Colour> key(coloured.size());
    for (int64_t r = 0; r < count; ++r) {
      const double base = plain.data_ptr<double>()[r];
      int64_t& name = names.data_ptr<int64_t>()[r];
      name = -1;
      if (base == 0) continue;
      for (std::size_t k = 0; k < key.size(); ++k) {
        const double colour = values[k].data_ptr<double>()[r] / base;
        if (!std::isfinite(colour) || colour == 0) return {};
        key[k] = {static_cast<int>(std::lround(std::log2(std::abs(colour)))), colour < 0};
      }
      const auto found = names_.find(key);
      if (found == names_.end()) return {};
      name = found->second;
    }
    return names;
  }

  // names: of all places along `dims`
  std::optional<Batch> layout(const at::Tensor& names, const at::Tensor& plain,
                              std::vector<int64_t> dims) const {
    const int64_t M = samples();
    std::vector<int64_t> sizes;
    for (const int64_t d : dims) sizes.push_back(plain.size(d));
    at::Tensor grid = names.view(sizes);
    // dimensions along which the sample never changes tell nothing
    for (std::size_t i = dims.size(); dims.size() > 1 && i-- > 0;) {
      const auto d = static_cast<int64_t>(i);
      const at::Tensor most = grid.amax(d, true);
      if (!grid.eq(most).logical_or(grid.lt(0)).all().item<bool>()) continue;
      grid = most.squeeze(d);
      dims.erase(dims.begin() + d);
    }
    const at::Tensor flat = grid.flatten().contiguous();
    Batch batch;
    batch.samples = M;
    batch.dims = dims;
    const int64_t count = flat.size(0);
    const int64_t* who = flat.data_ptr<int64_t>();
    std::vector<std::vector<int64_t>> places(static_cast<std::size_t>(M));
    bool samples_lead = count % M == 0, positions_lead = samples_lead;
    for (int64_t r = 0; r < count; ++r) {
      if (who[r] < 0) continue;
      samples_lead = samples_lead && who[r] == r / (count / M);
      positions_lead = positions_lead && who[r] == r % M;
      places[static_cast<std::size_t>(who[r])].push_back(r);
    }
    if (samples_lead || positions_lead) {
      if (count == M && dims.size() == 1) return batch;
      batch.order = samples_lead ? Batch::sample_major : Batch::position_major;
      batch.positions = count / M;
      return batch;
    }
    batch.positions = 1;
    for (const auto& of : places)
      batch.positions = std::max(batch.positions, static_cast<int64_t>(of.size()));
    const int64_t T = batch.positions;
    at::Tensor list = at::zeros({M * T}, at::kLong), absent = at::ones({M, T}, at::kBool);
    bool complete = true;
    for (int64_t n = 0; n < M; ++n) {
      const auto& of = places[static_cast<std::size_t>(n)];
      std::copy(of.begin(), of.end(), list.data_ptr<int64_t>() + n * T);
      std::fill_n(absent.data_ptr<bool>() + n * T, of.size(), false);
      complete = complete && static_cast<int64_t>(of.size()) == T;
    }
    batch.places = list.to(plain.device());
    if (!complete) batch.absent = absent.to(plain.device());
    return batch;
  }

  at::ScalarType type_;
  std::vector<at::Tensor> colours_;
  std::map<std::vector<Colour>, int64_t> names_;
};

}  // namespace sagitta::libtorch::detail
