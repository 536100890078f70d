#pragma once

#include <ATen/ops/linalg_vector_norm.h>

#include <cmath>
#include <sagitta/libtorch/detail/capture.hpp>
#include <sagitta/libtorch/detail/rounding.hpp>

namespace sagitta::libtorch::detail {

// The check that lets a result be trusted: w^T K w must be |sum_n w_n g_n|^2, and one ordinary backward pass
// gives that sum without any of the structure that K was built from. Colours have told which sample each row
// belongs to; this sees whether the rules make the right gradients of the rows, whether all uses of a
// parameter were seen, and whether the products are right.
//
// w_n = s_n 2^e_n: 2^-e_n is about |g_n|, so that samples count alike, and s_n is 1/2, 1 or 2 with a sign, at
// random. Powers of two, because multiplication by them is exact: the sum consists of the very gradients that
// K is of, and only the sums themselves are rounded. It holds for each parameter by itself at its own scale,
// which tells where a fault lies.
//
// What it cannot see: an error E of K with sum_ij w_i w_j E_ij below the tolerance. A fault of a rule touches
// many samples, and no fault knows w. Errors in few entries are seen down to tolerance * M of their size.
class Verification {
 public:
  explicit Verification(uint64_t seed) : seed_(seed) {}

  // s 2^exponents of the rows from the row `first` on, in double
  at::Tensor weights(const Exponents& exponents, int64_t first, int limit) const {
    at::Tensor w = at::ones({static_cast<int64_t>(exponents.size())}, at::kDouble);
    for (std::size_t n = 0; n < exponents.size(); ++n) {
      const uint64_t bits = mixed_bits(seed_ ^ 0x5a9177a, static_cast<uint64_t>(first) + n);
      const int size = static_cast<int>((bits >> 8) % 3) - 1;
      w.data_ptr<double>()[n] =
          std::ldexp((bits >> 63) != 0 ? -1.0 : 1.0, std::clamp(size + exponents[n], -limit, limit));
    }
    return w;
  }

  // Takes in the gradients of a pass whose first row is `first`.
  void add(const Pass& pass, int64_t first, const Parameters& parameters, const char* function) {
    Exponents exponents;
    for (const int scale : pass.scales)
      exponents.insert(exponents.end(), static_cast<std::size_t>(pass.copies), scale);
    const at::Tensor w = weights(exponents, first, pass.limit());
    weights_.push_back(w);
    const auto gradients = backward(pass.output, pass.cotangent(w), parameter_edges(parameters), function);
    sums_.resize(gradients.size());
    for (std::size_t p = 0; p < gradients.size(); ++p)
      if (gradients[p].defined())
        sums_[p] = sums_[p].defined() ? sums_[p] + gradients[p].to(at::kDouble) : gradients[p];
    type_ = coarser(type_, parameters[0].scalar_type());
    for (const at::Tensor& b : pass.backprops)
      if (b.defined()) type_ = coarser(type_, b.scalar_type());
  }

  // Ends the taking in.
  void finish(at::Device device) {
    weights_ = {at::cat(weights_).to(device)};
    std::vector<at::Tensor> norms;
    for (const at::Tensor& sum : sums_)
      norms.push_back(sum.defined() && sum.numel() > 0 ? at::linalg_vector_norm(sum.to(at::kDouble)).square()
                                                       : at::zeros({}, weights_[0].options()));
    const at::Tensor all = at::stack(norms).cpu();
    squares_.assign(all.data_ptr<double>(), all.data_ptr<double>() + all.numel());
    for (const double square : squares_) total_ += square;
    sums_.clear();
  }

  // [N] in double
  const at::Tensor& weights() const { return weights_[0]; }
  at::ScalarType type() const { return type_; }

  // Whether parameter p has no gradient at all.
  bool silent(std::size_t p) const { return squares_[p] <= floor(); }

  // |sum_n w_n g_n|^2 of some parameters together
  double square(const std::vector<std::size_t>& of) const {
    double sum = 0;
    for (const std::size_t p : of) sum += squares_[p];
    return sum;
  }

  // Whether the lower triangle K, which rounding may have moved by `rounding` (weighted) in the 2-norm,
  // agrees with |sum_n w_n g_n|^2. Takes it into the overall error where it does.
  //   w: the weights of K's rows, [N];  nothing: what counts for nothing beside the gradients by all
  //   parameters
  bool accepts(const at::Tensor& K, const at::Tensor& w, double square, double rounding, double nothing) {
    const at::Tensor lower = K.tril().to(at::kDouble);
    const at::Tensor trace = (lower.diagonal() * w.square()).sum();
    const at::Tensor host = at::stack({lower.mv(w).dot(w) * 2 - trace, trace}).cpu();
    const double form = host.data_ptr<double>()[0], size = host.data_ptr<double>()[1];
    const double allowed =
        tolerance() * size + nothing + std::sqrt(static_cast<double>(K.size(0))) * rounding;
    if (!(std::abs(form - square) <= allowed)) return false;
    if (allowed > 0) error_ = std::max(error_, std::abs(form - square) / allowed * tolerance());
    return true;
  }

  // A gradient that is zero but for rounding agrees in nothing: what is nothing beside the whole is right.
  double floor() const {
    const double eps = unit_of(type_);
    return 16 * eps * eps * std::sqrt(static_cast<double>(weights().size(0))) * total_;
  }
  // the same where single samples were taken, which are right if backward passes are linear
  double floor_of_single_samples(double total) const {
    const double eps = 1e3 * unit_of(type_);
    return eps * eps * (std::isfinite(total_) ? std::max(total, total_) : total);
  }

  double error() const { return error_; }

 private:
  static at::ScalarType coarser(at::ScalarType a, at::ScalarType b) {
    return unit_of(b) > unit_of(a) ? b : a;
  }
  // Right answers stay a hundred times below, wrong ones are a hundred times above.
  double tolerance() const {
    return type_ == at::kDouble ? 1e-10 : type_ == at::kFloat ? 2e-5 : type_ == at::kHalf ? 1e-2 : 5e-2;
  }

  uint64_t seed_;
  at::ScalarType type_ = at::kDouble;
  std::vector<at::Tensor> sums_;     // a parameter each
  std::vector<at::Tensor> weights_;  // of each pass; then [N]
  std::vector<double> squares_;
  double total_ = 0, error_ = 0;
};

}  // namespace sagitta::libtorch::detail
