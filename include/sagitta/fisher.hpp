#pragma once

#include <sagitta/detail/language.hpp>

#include <Eigen/Core>
#include <cmath>
#include <sagitta/detail/probabilities.hpp>
#include <sagitta/detail/random.hpp>
#include <sagitta/effective_rank.hpp>
#include <sagitta/gradient_gram.hpp>

// The Fisher information of a softmax classifier (the paper, sections 4.1 and C.2), F = sum_m g_m g_m^T over
// per-sample gradients g_m of the cross-entropy. With the labels of the data it is the empirical Fisher, the
// paper's stand-in for the Hessian; with labels drawn from the model's own distribution it is a one-sample
// estimate of the true one. They differ only in the labels that start the backward pass:
//
//   probabilities = softmax(logits)
//   labels        = the data's, or sample_labels(probabilities, generator)
//   backprops     = cross_entropy_backprops(probabilities, labels)   // of the last layer; then
//   back-propagate rank          = fisher_rank(layers)
namespace sagitta {

// Softmax by rows: M x C logits -> M x C probabilities, in the scalar of the logits. Any finite logits are
// right: the largest of a row is subtracted first. Throws std::invalid_argument for NaN or infinity.
template <class Derived>
MatrixOf<detail::RealOf<Derived>> softmax(const Eigen::MatrixBase<Derived>& logits) {
  MatrixOf<detail::RealOf<Derived>> p = detail::in_memory(logits);
  detail::largest_magnitude(p, "softmax", "logits");
  if (p.size() == 0) return p;
  p.colwise() -= p.rowwise().maxCoeff().eval();
  p = p.array().exp();
  p.array().colwise() /= p.rowwise().sum().eval().array();
  return p;
}

// One label a row, drawn from the row's distribution; for the sampled-label Fisher.
//   probabilities: M x C, rows that sum to 1: within 1e-4 or, where that is more, 2^-24 a class of a float
//   row, as
//     a softmax in float over 100,000 words leaves it
//   sum_error: how far from 1 coarser rows may sum; .01 does for rows that were bfloat16 once
//   generator: any standard generator, a temporary one too; the labels depend on its state alone, on every
//     platform
// Returns M labels in [0, C). Throws std::invalid_argument for rows that are no distributions. O(M C).
template <class Derived, detail::RandomGenerator Generator>
Eigen::VectorXi sample_labels(const Eigen::MatrixBase<Derived>& probabilities, Generator&& generator,
                              double sum_error = 0) {
  const auto& p = detail::in_memory(probabilities);
  detail::check_probabilities(p, sum_error, "sample_labels");
  Eigen::VectorXi labels(p.rows());
  for (Index m = 0; m < p.rows(); ++m) {
    double sum = 0;  // one by one: a sum in packets would depend on the processor
    for (Index c = 0; c < p.cols(); ++c) sum += static_cast<double>(p(m, c));
    double rest = detail::uniform(generator) * sum;
    Index label = 0;
    for (Index c = 0; c < p.cols(); ++c) {
      if (p(m, c) > 0) label = c;  // rounding at the end of the row falls to the last possible class
      rest -= static_cast<double>(p(m, c));
      if (rest < 0) break;
    }
    labels[m] = static_cast<int>(label);
  }
  return labels;
}

namespace detail {

template <class Derived>
MatrixOf<RealOf<Derived>> cross_entropy_backprops(const Eigen::MatrixBase<Derived>& probabilities,
                                                  IndexView labels, double sum_error) {
  MatrixOf<RealOf<Derived>> backprops = in_memory(probabilities);
  check_probabilities(backprops, sum_error, "cross_entropy_backprops");
  check_size(labels.size(), backprops.rows(), "cross_entropy_backprops", "labels");
  for (Index m = 0; m < backprops.rows(); ++m) {
    const Index label = labels[m];
    if (label < 0 || label >= backprops.cols())
      reject("cross_entropy_backprops", "label ", m, " is ", label, ", expected 0 to ", backprops.cols() - 1);
    backprops(m, label) -= 1;
  }
  return backprops;
}

}  // namespace detail

// Derivatives of the summed cross-entropy by the logits, p - onehot(label): the backprops of the last layer.
//   probabilities: M x C
//   labels: M whole numbers in [0, C), of any integer type: any Eigen expression, a std::vector, a span, ...
//   sum_error: as above
// Returns M x C. Throws std::invalid_argument for rows that are no distributions and labels out of range.
template <class Derived, class Labels>
MatrixOf<detail::RealOf<Derived>> cross_entropy_backprops(const Eigen::MatrixBase<Derived>& probabilities,
                                                          const Labels& labels, double sum_error = 0) {
  if constexpr (!detail::is_eigen<Labels>) {
    return detail::cross_entropy_backprops(probabilities, IndexView(labels), sum_error);
  } else if constexpr (!std::is_integral_v<typename Labels::Scalar>) {
    static_assert(std::is_integral_v<typename Labels::Scalar>, "labels are whole numbers");
    return {};
  } else {
    const auto& numbers = detail::value_of(labels);
    return detail::cross_entropy_backprops(probabilities, IndexView(numbers), sum_error);
  }
}

namespace detail {

// rank K, the Gram matrix of gradients
template <class = void>
EffectiveRank gradient_rank(const GradientGram& gram, double threshold, Index threads, const char* function) {
  check_threshold(threshold, function);
  EffectiveRank result = symmetric_rank(gram.matrix(), threshold, gram.error(), true, threads, function);
  result.max_rank = gram.max_rank();
  for (Index* bound : {&result.rank, &result.lower, &result.upper})
    *bound = (std::min)(*bound, result.max_rank);
  return result;
}

}  // namespace detail

// The effective rank of the Fisher of M samples, from their Gram matrix; max_rank is min(M, parameters). The
// rounding of the Gram matrix is in the bracket. Throws std::invalid_argument for NaN or infinity, a
// threshold outside [0, 1] and threads below 1. Cost: that of symmetric_effective_rank.
template <class = void>
EffectiveRank fisher_rank(const GradientGram& gram, double threshold = 0.99, Index threads = 1) {
  return detail::gradient_rank(gram, threshold, threads, "fisher_rank");
}

// The same from layer traces. Cost and errors: those of gram(layers), too.
template <LayerTraces Layers>
EffectiveRank fisher_rank(const Layers& layers, double threshold = 0.99, Index threads = 1) {
  detail::check_threshold(threshold, "fisher_rank");
  return fisher_rank(gradient_gram(layers, threads), threshold, threads);
}

// The same from the gradients themselves, of any scale.
//   G: d x M, a column is the gradient of one sample. (A Gram matrix, which has the shape of gradients too,
//   is
//     refused where it can be told: square, and symmetric but for rounding.)
// Cost and errors: those of gram(G) and symmetric_effective_rank. Copies G only where its squares would leave
// the range of double.
template <class Derived>
EffectiveRank fisher_rank(const Eigen::MatrixBase<Derived>& G, double threshold = 0.99, Index threads = 1) {
  detail::check_threshold(threshold, "fisher_rank");
  const auto& gradients = detail::in_memory(G);
  const double largest = detail::largest_magnitude(gradients, "fisher_rank", "G");
  detail::refuse_gram(gradients, "fisher_rank");
  const bool squares_fit = largest == 0 || std::abs(detail::exponent_of(largest)) < 400;
  return fisher_rank(squares_fit
                         ? gradient_gram(gradients, threads)
                         : gradient_gram(detail::scaled(gradients, "fisher_rank", "G").matrix, threads),
                     threshold, threads);
}

// The same with options by name.
template <class Gradients>
requires(LayerTraces<Gradients> || std::same_as<Gradients, GradientGram> ||
         detail::is_eigen<Gradients>) EffectiveRank
    fisher_rank(const Gradients& gradients, const RankOptions& options) {
  constexpr const char* name = "fisher_rank";
  detail::check_input_error(options.input_error, name);
  detail::check_threshold(options.threshold, name);
  if (options.input_error == 0) return fisher_rank(gradients, options.threshold, options.threads);
  GradientGram gram;
  if constexpr (std::same_as<Gradients, GradientGram>)
    gram = gradients;
  else
    gram = gradient_gram(gradients, options.threads);
  return fisher_rank(GradientGram(gram.matrix(), gram.error() + options.input_error, gram.parameters()),
                     options.threshold, options.threads);
}

}  // namespace sagitta
