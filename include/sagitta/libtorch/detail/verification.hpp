#pragma once

#include <ATen/ops/from_blob.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <cmath>
#include <sagitta/libtorch/detail/capture.hpp>
#include <sagitta/libtorch/detail/rounding.hpp>

namespace sagitta::libtorch::detail {

// The check that lets a result be trusted: for random signs u, u^T K u must be the squared norm of
// sum_n u_n g_n, which one ordinary backward pass gives without any of the structure that K was built from.
// It holds for each parameter by itself, which tells where a fault lies.
class RandomSigns {
 public:
  static constexpr int64_t draws = 2;

  explicit RandomSigns(uint64_t seed) : seed_(seed), sums_(draws) {}

  // The signs of `count` rows from the row `first` on: [draws, count]. Our own numbers, so that no generator
  // of the user's is touched. The first two rows have equal signs in one draw and different ones in the
  // other: two draws of few rows must not ask the same thing twice.
  at::Tensor signs(int64_t first, int64_t count) const {
    at::Tensor u = at::empty({draws, count}, at::kDouble);
    double* values = u.data_ptr<double>();
    for (int64_t draw = 0; draw < draws; ++draw)
      for (int64_t n = first; n < first + count; ++n) {
        uint64_t z = seed_ + 0x9e3779b97f4a7c15 * static_cast<uint64_t>(2 * n + (n < 2 ? 0 : draw) + 1);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;  // splitmix64
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        const bool negative = ((z ^ (z >> 31)) >> 63) != 0;
        *values++ = negative != (draw == 1 && n == 1) ? -1.0 : 1.0;
      }
    return u;
  }

  // Takes in the gradients of a pass whose first row is `first`.
  void add(const Pass& pass, int64_t first, const Parameters& parameters, const char* function) {
    const at::Tensor u = signs(first, pass.rows()).to(pass.factor.options());
    for (int64_t draw = 0; draw < draws; ++draw) {
      const auto gradients =
          backward(pass.output, pass.cotangent(u[draw]), parameter_edges(parameters), function);
      auto& sums = sums_[static_cast<std::size_t>(draw)];
      sums.resize(gradients.size());
      for (std::size_t p = 0; p < gradients.size(); ++p)
        if (gradients[p].defined()) sums[p] = sums[p].defined() ? sums[p] + gradients[p] : gradients[p];
    }
  }

  // Ends the taking in of `rows` rows.
  void finish(int64_t rows, const Parameters& parameters) {
    type_ = parameters[0].scalar_type();
    signs_ = signs(0, rows).t().contiguous().to(parameters[0].device());
    std::vector<at::Tensor> norms;
    for (auto& sums : sums_)
      for (at::Tensor& sum : sums)
        norms.push_back(sum.defined() ? at::linalg_vector_norm(sum.to(at::kDouble)).square()
                                      : at::zeros({}, signs_.options()));
    const at::Tensor all = at::stack(norms).cpu();
    squares_.assign(all.data_ptr<double>(), all.data_ptr<double>() + all.numel());
    const std::size_t count = sums_[0].size();
    for (std::size_t draw = 0; draw < draws; ++draw) {
      double total = 0;
      for (std::size_t p = 0; p < count; ++p) total += squares_[draw * count + p];
      total_ = std::max(total_, total);
    }
    sums_.assign(draws, std::vector<at::Tensor>(count));
  }

  // Whether parameter p has no gradient at all.
  bool silent(std::size_t p) const {
    const std::size_t count = sums_[0].size();
    return std::max(squares_[p], squares_[count + p]) <= epsilon() * total_;
  }

  // Whether the lower triangle K, which rounding may have moved by `rounding` in the 2-norm, agrees for the
  // parameters that it is of. Takes it into the overall error where it does.
  bool accepts(const at::Tensor& K, const std::vector<std::size_t>& of, const at::Tensor& rounding) {
    const at::Tensor lower = K.tril().to(at::kDouble);
    const at::Tensor trace = lower.diagonal().sum();
    // u^T K u = 2 u^T lower u - trace, for signs
    const at::Tensor forms = (lower.mm(signs_) * signs_).sum(0) * 2 - trace;
    const at::Tensor host = at::cat({forms, at::stack({trace, rounding})}).cpu();
    const double* values = host.data_ptr<double>();
    double differences[draws];
    // a gradient that is zero but for rounding agrees in nothing: what is tiny beside the whole is right
    const double allowed = tolerance() * values[draws] + epsilon() * total_ +
                           std::sqrt(static_cast<double>(K.size(0))) / 2 * values[draws + 1];
    for (std::size_t draw = 0; draw < draws; ++draw) {
      differences[draw] = values[draw];
      for (const std::size_t p : of) differences[draw] -= squares_[draw * sums_[0].size() + p];
      if (!(std::abs(differences[draw]) <= allowed)) return false;
    }
    for (std::size_t draw = 0; draw < draws; ++draw) difference_[draw] += differences[draw];
    trace_ += values[draws];
    return true;
  }

  double error() const {
    return trace_ > 0 ? std::max(std::abs(difference_[0]), std::abs(difference_[1])) / trace_ : 0;
  }

 private:
  // Right answers stay a thousand times below, wrong ones are a hundred times above.
  double tolerance() const {
    return type_ == at::kDouble ? 1e-9 : type_ == at::kFloat ? 1e-4 : type_ == at::kHalf ? 1e-2 : 5e-2;
  }
  double epsilon() const { return unit_of(type_); }

  uint64_t seed_;
  at::ScalarType type_ = at::kFloat;
  std::vector<std::vector<at::Tensor>> sums_;  // [draws][parameters]
  at::Tensor signs_;                           // [rows, draws]
  std::vector<double> squares_;                // [draws * parameters]
  double total_ = 0, trace_ = 0, difference_[draws] = {0, 0};
};

}  // namespace sagitta::libtorch::detail
