#pragma once

#include <sagitta/detail/language.hpp>

#include <Eigen/Core>
#include <cmath>
#include <sagitta/detail/random.hpp>
#include <sagitta/effective_rank.hpp>
#include <sagitta/gram.hpp>

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

namespace detail {

// Throws unless every row of p is a distribution: no negative entry, and a sum within 1e-4 of 1.
template <class Derived>
void check_probabilities(const Eigen::MatrixBase<Derived>& p, const char* function) {
  largest_magnitude(p, function, "probabilities");
  constexpr double slack = 1e-4;  // what a softmax in float over thousands of classes is off by
  for (Index m = 0; m < p.rows(); ++m) {
    double sum = 0;
    for (Index c = 0; c < p.cols(); ++c) {
      const auto value = static_cast<double>(p(m, c));
      if (value < 0) reject(function, "probabilities(", m, ", ", c, ") is ", value, ", expected values >= 0");
      sum += value;
    }
    if (std::abs(sum - 1) > slack)
      reject(function, "row ", m, " of probabilities sums to ", sum, ", expected 1");
  }
}

}  // namespace detail

// Softmax by rows: M x C logits -> M x C probabilities, in the scalar of the logits. Any finite logits are
// right: the largest of a row is subtracted first. Throws std::invalid_argument for NaN or infinity.
template <class Derived>
MatrixOf<typename Derived::Scalar> softmax(const Eigen::MatrixBase<Derived>& logits) {
  MatrixOf<typename Derived::Scalar> p = logits;
  detail::largest_magnitude(p, "softmax", "logits");
  if (p.size() == 0) return p;
  p.colwise() -= p.rowwise().maxCoeff().eval();
  p = p.array().exp();
  p.array().colwise() /= p.rowwise().sum().eval().array();
  return p;
}

// One label a row, drawn from the row's distribution; for the sampled-label Fisher.
//   probabilities: M x C, rows that sum to 1
//   generator: any standard generator; the labels depend on its state alone, on every platform
// Returns M labels in [0, C). Throws std::invalid_argument for rows that are no distributions. O(M C).
template <class Derived, std::uniform_random_bit_generator Generator>
Eigen::VectorXi sample_labels(const Eigen::MatrixBase<Derived>& probabilities, Generator& generator) {
  const auto& p = detail::in_memory(probabilities);
  detail::check_probabilities(p, "sample_labels");
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

// Derivatives of the summed cross-entropy by the logits, p - onehot(label): the backprops of the last layer.
//   probabilities: M x C;  labels: M whole numbers in [0, C)
// Returns M x C. Throws std::invalid_argument for rows that are no distributions and labels out of range.
template <class Derived, class Labels>
MatrixOf<typename Derived::Scalar> cross_entropy_backprops(const Eigen::MatrixBase<Derived>& probabilities,
                                                           const Eigen::DenseBase<Labels>& labels) {
  static_assert(std::is_integral_v<typename Labels::Scalar>, "labels are whole numbers");
  MatrixOf<typename Derived::Scalar> backprops = probabilities;
  detail::check_probabilities(backprops, "cross_entropy_backprops");
  detail::check_size(labels.size(), backprops.rows(), "cross_entropy_backprops", "labels");
  for (Index m = 0; m < backprops.rows(); ++m) {
    const auto label = static_cast<Index>(labels.derived().coeff(m));
    if (label < 0 || label >= backprops.cols())
      detail::reject("cross_entropy_backprops", "label ", m, " is ", label, ", expected 0 to ",
                     backprops.cols() - 1);
    backprops(m, label) -= 1;
  }
  return backprops;
}

namespace detail {

// rank K, the Gram matrix of `parameters` x M gradients, known to within `error`
template <class = void>
EffectiveRank gradient_rank(const MatrixOf<double>& K, Index parameters, double error, double threshold,
                            Index threads) {
  check_threshold(threshold, "fisher_rank");
  EffectiveRank result = symmetric_rank(K, threshold, error, true, threads, "fisher_rank");
  result.max_rank = (std::min)(K.rows(), parameters);
  for (Index* bound : {&result.rank, &result.lower, &result.upper})
    *bound = (std::min)(*bound, result.max_rank);
  return result;
}

}  // namespace detail

// The effective rank of the Fisher of M samples, from their layer traces; max_rank is min(M, parameters). The
// rounding of the Gram matrix is in the bracket. Cost and errors: those of gram(layers) and
// symmetric_effective_rank.
template <LayerTraceRange Layers>
EffectiveRank fisher_rank(const Layers& layers, double threshold = 0.99, Index threads = 1) {
  const MatrixOf<double> K = gram(layers, threads);
  Index parameters = 0, widest = 1, positions = 1;
  for (const auto& layer : layers) {
    parameters += layer.parameters();
    widest = (std::max)(widest, layer.positions * (layer.inputs.cols() + layer.backprops.cols()));
    positions = (std::max)(positions, layer.positions);
  }
  double size = K.trace();  // with one position nothing cancels
  if (positions > 1) {
    size = 0;
    for (const auto& layer : layers) size += detail::uncancelled_trace(layer);
  }
  const double error = 4 * std::sqrt(static_cast<double>(widest)) * epsilon * size;
  return detail::gradient_rank(K, parameters, error, threshold, threads);
}

// The same from the gradients themselves, of any scale.
//   G: d x M, a column is the gradient of one sample
// Cost and errors: those of gram(G) and symmetric_effective_rank. Copies G only where its squares would leave
// the range of double.
template <class Derived>
EffectiveRank fisher_rank(const Eigen::MatrixBase<Derived>& G, double threshold = 0.99, Index threads = 1) {
  const auto& gradients = detail::in_memory(G);
  const double largest = detail::largest_magnitude(gradients, "fisher_rank", "G");
  const bool squares_fit = largest == 0 || std::abs(detail::exponent_of(largest)) < 400;
  const MatrixOf<double> K = squares_fit
                                 ? gram(gradients, threads)
                                 : gram(detail::scaled(gradients, "fisher_rank", "G").matrix, threads);
  return detail::gradient_rank(K, G.rows(), gram_error(K, std::max<Index>(1, G.rows())), threshold, threads);
}

}  // namespace sagitta
