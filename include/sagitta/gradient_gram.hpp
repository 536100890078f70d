#pragma once

#include <sagitta/detail/language.hpp>

#include <sagitta/detail/scaling.hpp>
#include <sagitta/gram.hpp>

// One Gram matrix, many answers: fisher_rank, gradient_gram_overlap and rank_interval take it as it is.
namespace sagitta {

// The Gram matrix of per-sample gradients, with what must be known of it to tell a rank.
class GradientGram {
 public:
  GradientGram() = default;  // of no samples

  //   K: M x M, positive semidefinite, its lower triangle is read
  //   error: a bound on |K - exact|_2, in the units of K;  parameters: how many numbers a gradient has
  // Throws std::invalid_argument for a K that is not square, an error that is negative or not finite, and a
  // negative number of parameters.
  GradientGram(MatrixOf<double> K, double error, Index parameters)
      : matrix_(std::move(K)), error_(error), parameters_(parameters) {
    detail::check_square(matrix_.rows(), matrix_.cols(), "GradientGram", "K");
    if (!detail::is_finite(error) || error < 0)
      detail::reject("GradientGram", "error is ", error, ", expected a finite number >= 0");
    if (parameters < 0) detail::reject("GradientGram", "parameters is ", parameters, ", expected >= 0");
  }

  const MatrixOf<double>& matrix() const { return matrix_; }
  double error() const { return error_; }
  Index parameters() const { return parameters_; }
  Index samples() const { return matrix_.rows(); }
  Index max_rank() const { return (std::min)(samples(), parameters_); }

  // Adds further parameters of the same samples: the layers of a network that has float and double ones, or
  // whose traces do not fit into memory together.
  template <class = void>
  GradientGram& operator+=(const GradientGram& others) {
    if (others.samples() != samples())
      detail::reject("GradientGram", "a Gram matrix of ", others.samples(), " samples is added, expected ",
                     samples());
    matrix_ += others.matrix_;
    error_ += others.error_;
    parameters_ += others.parameters_;
    return *this;
  }

 private:
  MatrixOf<double> matrix_;
  double error_ = 0;
  Index parameters_ = 0;
};

namespace detail {

// how far rounding may have moved the Gram matrix K of these weights, in the 2-norm
template <class = void>
double rounding_of(const std::vector<Weight>& weights, const MatrixOf<double>& K) {
  Index widest = 1;
  bool cancels = false;  // with one position nothing does
  for (const Weight& weight : weights) {
    Index terms = 0;
    for (const Use& use : weight) {
      Index longest = use.positions;
      for (Index m = 0; m + 1 < use.offsets.size(); ++m)
        longest = (std::max)(longest, use.offsets[m + 1] - use.offsets[m]);
      const auto width = [](const Factor& factor) { return factor.one_hot() ? Index{1} : factor.cols(); };
      terms += longest * (width(use.inputs) + width(use.backprops));
      cancels = cancels || weight.size() > 1 || !use.single_rows();
    }
    widest = (std::max)(widest, terms);
  }
  double size = K.trace();
  if (cancels) {
    size = 0;
    for (const Weight& weight : weights) size += uncancelled_trace(weight);
  }
  return product_rounding(widest, size);
}

template <class = void>
GradientGram gradient_gram_of(const std::vector<Weight>& weights, Index threads) {
  MatrixOf<double> K = gram_of(weights, threads);
  Index count = 0;
  for (const Weight& weight : weights) count += parameters(weight);
  const double bound = rounding_of(weights, K);
  // an error that no double can tell excludes no rank
  return {std::move(K), is_finite(bound) ? bound : (std::numeric_limits<double>::max)(), count};
}

// Whether G, in the place of gradients, is a Gram matrix instead: symmetric but for rounding, not diagonal,
// and no entry larger than the diagonal allows.
template <class Derived>
bool is_gram(const Eigen::MatrixBase<Derived>& G) {
  if (G.rows() != G.cols()) return false;
  constexpr double slack = std::is_same_v<typename Derived::Scalar, float> ? 1e-5 : 1e-10;
  bool diagonal = true;
  for (Index j = 0; j < G.cols(); ++j) {
    if (G(j, j) < 0) return false;
    for (Index i = 0; i < j; ++i) {
      const auto upper = static_cast<double>(G(i, j)), lower = static_cast<double>(G(j, i));
      const double most = std::sqrt(static_cast<double>(G(i, i))) * std::sqrt(static_cast<double>(G(j, j)));
      if (std::abs(upper - lower) > slack * most || std::abs(upper) > (1 + slack) * most) return false;
      diagonal = diagonal && upper == 0;
    }
  }
  return !diagonal;
}

template <class Derived>
void refuse_gram(const Eigen::MatrixBase<Derived>& G, const char* function) {
  if (is_gram(G))
    reject(function,
           "G is symmetric, as a Gram matrix is, expected gradients, a column a sample; for a Gram "
           "matrix there are gradient_gram(layers) and GradientGram(K, error, parameters)");
}

}  // namespace detail

// The Gram matrix of the gradients of M samples, from their layer traces or from the gradients themselves (G:
// d x M, a column a sample; one that is a Gram matrix already is refused). A weight that several traces share
// is counted once. Cost and exceptions: those of gram; where samples have several positions, the lengths of
// the rows for the error too.
template <LayerTraces Layers>
GradientGram gradient_gram(const Layers& layers, Index threads = 1) {
  detail::check_threads(threads, "gram");
  return detail::gradient_gram_of(detail::weights_of_traces(layers, "gram"), threads);
}
template <class Derived>
GradientGram gradient_gram(const Eigen::MatrixBase<Derived>& G, Index threads = 1) {
  const auto& gradients = detail::in_memory(G);
  MatrixOf<double> K = gram(gradients, threads);
  detail::refuse_gram(gradients, "gradient_gram");
  const double error = gram_error(K, std::max<Index>(1, G.rows()));
  return {std::move(K), error, G.rows()};
}

// The Gram matrix of two sets of samples, from those of each and from the block between them.
//   block: M x M', gram(layers, other_layers)
// Returns (M + M') x (M + M'), the samples of `first` first. Errors add up. Throws std::invalid_argument for
// other shapes, other numbers of parameters, NaN or infinity.
template <class Derived>
GradientGram joined(const GradientGram& first, const GradientGram& second,
                    const Eigen::MatrixBase<Derived>& block) {
  const Index M = first.samples(), N = second.samples();
  if (block.rows() != M || block.cols() != N)
    detail::reject("joined", "block is ", block.rows(), " x ", block.cols(), ", expected ", M, " x ", N);
  if (first.parameters() != second.parameters())
    detail::reject("joined", "the gradients have ", first.parameters(), " and ", second.parameters(),
                   " parameters, expected the same");
  const auto& between = detail::in_memory(block);
  detail::largest_magnitude(between, "joined", "block");
  MatrixOf<double> K(M + N, M + N);
  K.topLeftCorner(M, M) = first.matrix();
  K.bottomRightCorner(N, N) = second.matrix();
  K.topRightCorner(M, N) = between.template cast<double>();
  K.bottomLeftCorner(N, M) = K.topRightCorner(M, N).transpose();
  return {std::move(K), first.error() + second.error(), first.parameters()};
}

}  // namespace sagitta
