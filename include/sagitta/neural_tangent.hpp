#pragma once

#include <sagitta/detail/language.hpp>

#include <sagitta/detail/backward_passes.hpp>
#include <sagitta/gradient_gram.hpp>

namespace sagitta {

// The empirical neural tangent kernel J J^T of M samples, J the (M*C) x P Jacobian of all outputs by the
// parameters (Jacot, Gabriel and Hongler 2018), for a code that has a backward pass. From a Jacobian it is
// gradient_gram(J.transpose()).
//   samples: M;  outputs: C
//   backprop: backprop(output_backprops) runs a backward pass from these derivatives by the outputs, M x C (a
//     MatrixOf<double>; for a code in float, neural_tangent_gram<float>), and returns the layers' traces. It
//     is called C times, as by gauss_newton_rank; see there.
// Returns the kernel with its error: (M C) x (M C), row m*C + c for output c of sample m. C backward passes
// and the cost of gram(layers) with M C samples. Memory: the backprops of all passes.
template <class Scalar = double, class Backprop>
GradientGram neural_tangent_gram(Index samples, Index outputs, Backprop&& backprop, Index threads = 1) {
  constexpr const char* name = "neural_tangent_gram";
  detail::check_threads(threads, name);
  if (samples < 0 || outputs < 0)
    detail::reject(name, "samples is ", samples, " and outputs ", outputs, ", expected numbers >= 0");
  if (samples == 0 || outputs == 0) return {};
  detail::BackwardPasses passes(outputs, samples, name);
  for (Index c = 0; c < outputs; ++c) {
    MatrixOf<Scalar> rows = MatrixOf<Scalar>::Zero(samples, outputs);
    rows.col(c).setOnes();
    passes.add(backprop(rows));
  }
  const GradientGram by_pass = detail::gradient_gram_of(passes.weights(), threads);
  const auto place = [&](Index i) { return i % outputs * samples + i / outputs; };
  MatrixOf<double> K(by_pass.samples(), by_pass.samples());
  for (Index j = 0; j < K.cols(); ++j)
    for (Index i = 0; i < K.rows(); ++i) K(i, j) = by_pass.matrix()(place(i), place(j));
  return {std::move(K), by_pass.error(), by_pass.parameters()};
}

}  // namespace sagitta
