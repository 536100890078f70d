#include "learners/eigen_mlp.hpp"

// The R-operator: R{x} is the derivative of x along a direction V in the parameters. Going through the
// network and back with R{z} = V a + W R{a} yields R{gradient}, the Hessian times V. The examples of all
// directions stand side by side, so that W meets them in one product.
namespace paper {

template <class Scalar>
template <class Forward, class Backward>
typename EigenMlp<Scalar>::Matrix EigenMlp<Scalar>::propagate(Curvature curvature, std::size_t first,
                                                              Index count, Forward add_forward,
                                                              Backward add_backward) const {
  const std::size_t depth = backprops_.size();
  const Index n = outputs_[0].cols();
  const auto part = [n](auto& matrix, Index k) { return matrix.middleCols(k * n, n); };
  const bool whole = curvature == Curvature::hessian;

  // Rz[l], Ra[l]: out x (count * n), of layer l's output before and after its activation
  std::vector<Matrix> Rz(depth), Ra(depth);
  for (std::size_t layer = first; layer < depth; ++layer) {
    Matrix& z = Rz[layer];
    if (layer > first)
      z.noalias() = weights(layer) * Ra[layer - 1];
    else
      z = Matrix::Zero(widths_[layer + 1], count * n);
    for (Index k = 0; k < count; ++k) add_forward(layer, k, part(z, k));
    Ra[layer] = z;
    if (layer + 1 == depth) break;
    for (Index k = 0; k < count; ++k) multiply(layer, part(Ra[layer], k).data());
  }

  // R{softmax - onehot} = (diag(p) - p p^T) R{logits}
  Matrix p = outputs_.back();
  p.rowwise() -= p.colwise().maxCoeff().eval();
  p = p.array().exp();
  p.array().rowwise() /= p.colwise().sum().eval().array();
  Matrix Rd = std::move(Rz.back());  // of the backprops of the current layer
  for (Index k = 0; k < count; ++k) {
    auto block = part(Rd, k);
    const auto mean = (p.array() * block.array()).colwise().sum().eval();
    block.array().rowwise() -= mean;
    block.array() *= p.array();
  }

  Matrix product(theta_.size() - starts_[2 * first], count);
  Matrix below, bent;
  for (std::size_t layer = depth; layer-- > first;) {
    const Matrix &d = backprops_[layer], &inputs = outputs_[layer];
    const Index in = widths_[layer], out = widths_[layer + 1];
    for (Index k = 0; k < count; ++k) {
      Scalar* const at = product.col(k).data() + starts_[2 * layer] - starts_[2 * first];
      Eigen::Map<Matrix> gradient(at, out, in);
      gradient.noalias() = part(Rd, k) * inputs.transpose();
      if (whole && layer > first) gradient.noalias() += d * part(Ra[layer - 1], k).transpose();
      Eigen::Map<Vector>(at + out * in, out) = part(Rd, k).rowwise().sum();
    }
    if (layer == first) break;
    below.noalias() = weights(layer).transpose() * Rd;
    const bool bends = whole && activation_->bends;
    Matrix through;  // the derivative by the input of the layer, before the activation's
    if (bends) through.noalias() = weights(layer).transpose() * d;
    for (Index k = 0; k < count; ++k) {
      if (whole) add_backward(layer, k, part(below, k));
      multiply(layer - 1, part(below, k).data());
      if (!bends) continue;
      bent = part(Rz[layer - 1], k).cwiseProduct(through);
      multiply(layer - 1, bent.data(), true);
      part(below, k) += bent;
    }
    Rd.swap(below);
  }
  return product;
}

template <class Scalar>
typename EigenMlp<Scalar>::Matrix EigenMlp<Scalar>::curvature_product(
    Curvature curvature, const Eigen::Ref<const Matrix>& directions) const {
  const auto weights_of = [&](std::size_t layer, Index k) {
    return Eigen::Map<const Matrix>(directions.col(k).data() + starts_[2 * layer], widths_[layer + 1],
                                    widths_[layer]);
  };
  return propagate(
      curvature, 0, directions.cols(),
      [&](std::size_t layer, Index k, auto Rz) {
        Rz.noalias() += weights_of(layer, k) * outputs_[layer];
        Rz.colwise() += directions.col(k).segment(starts_[2 * layer + 1], widths_[layer + 1]);
      },
      [&](std::size_t layer, Index k, auto Ra) {
        Ra.noalias() += weights_of(layer, k).transpose() * backprops_[layer];
      });
}

template <class Scalar>
typename EigenMlp<Scalar>::Matrix EigenMlp<Scalar>::curvature_matrix(Curvature curvature) const {
  const Index n = outputs_[0].cols();
  const Index block = std::max<Index>(1, 8192 / std::max<Index>(n, 1));
  Matrix result(theta_.size(), theta_.size());
  for (std::size_t layer = 0; layer < backprops_.size(); ++layer) {
    const Index start = starts_[2 * layer], count = starts_[2 * layer + 2] - start, out = widths_[layer + 1];
    for (Index from = 0; from < count; from += block) {
      const Index directions = std::min(block, count - from);
      result.block(start, start + from, theta_.size() - start, directions) = propagate(
          curvature, layer, directions,
          [&](std::size_t at, Index k, auto Rz) {  // the output (from + k) % out moves with one input, or 1
            if (at != layer) return;
            const Index input = (from + k) / out;
            if (input < widths_[layer])
              Rz.row((from + k) % out) = outputs_[layer].row(input);
            else
              Rz.row((from + k) % out).setOnes();
          },
          [](std::size_t, Index, auto) {});
    }
  }
  result.template triangularView<Eigen::StrictlyUpper>() = result.transpose();
  return result;
}

template class EigenMlp<float>;
template class EigenMlp<double>;

}  // namespace paper
