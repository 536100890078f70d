#include <sagitta/sagitta.hpp>

#include "catch.hpp"
#include "generate.hpp"

// The listings of docs/training_codes.md, each against gradients that are formed: tests/readme.test.py holds
// the page to these lines. What every trace stands for is tested in layer_trace.test.cpp, all of a network in
// examples/gpt2.cpp.
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::MatrixXf;
using generate::Generator;
using sagitta::LayerTrace;

namespace {

// sum_t d_mt a_mt^T of sample m, and behind it sum_t d_mt
MatrixXd gradients(const MatrixXd& a, const MatrixXd& d, Index T, bool bias) {
  const Index M = a.rows() / T;
  MatrixXd G(a.cols() * d.cols() + (bias ? d.cols() : 0), M);
  for (Index m = 0; m < M; ++m) {
    const MatrixXd w = d.middleRows(m * T, T).transpose() * a.middleRows(m * T, T);
    G.col(m).head(w.size()) = w.reshaped();
    if (bias) G.col(m).tail(d.cols()) = d.middleRows(m * T, T).colwise().sum().transpose();
  }
  return G;
}

bool near(const MatrixXd& K, const MatrixXd& G) {
  return (K - G.transpose() * G).norm() <= 1e-5 * (G.transpose() * G).norm();
}

}  // namespace

TEST_CASE("training codes: dense layers as they lie in memory") {
  Generator generator(221);
  const Index samples = 8, in = 5, out = 3;
  // a row a sample
  const MatrixXd x = generate::matrix(generator, samples, in), d = generate::matrix(generator, samples, out);
  const MatrixXd G = gradients(x, d, 1, true);
  {
    const LayerTrace<double> dense{.inputs = x, .backprops = d};
    CHECK(near(sagitta::gram(dense), G));
  }
  {  // samples in columns: Armadillo, MiniDNN
    const sagitta::MatrixOf<double> xt = x.transpose(), dt = d.transpose();
    const LayerTrace<double> dense{.inputs = xt.transpose(), .backprops = dt.transpose()};
    CHECK(near(sagitta::gram(dense), G));
    const double *x_memory = xt.data(), *d_memory = dt.data();
    const LayerTrace<double> armadillo{.inputs = {x_memory, samples, in, in, 1},
                                       .backprops = {d_memory, samples, out, out, 1}};
    CHECK(near(sagitta::gram(armadillo), G));
  }
  {  // C arrays of float
    const Eigen::Matrix<float, -1, -1, Eigen::RowMajor> xf = x.cast<float>(), df = d.cast<float>();
    const float *x_array = xf.data(), *d_array = df.data();
    const LayerTrace<float> c_array{.inputs = {x_array, samples, in, in, 1},
                                    .backprops = {d_array, samples, out, out, 1}};
    CHECK(near(sagitta::gram(c_array), G));
  }
  // means and sums have the same rank
  const MatrixXd mean_d = d / static_cast<double>(samples);
  CHECK(sagitta::fisher_rank(LayerTrace<double>{.inputs = x, .backprops = mean_d}).rank ==
        sagitta::fisher_rank(LayerTrace<double>{.inputs = x, .backprops = d}).rank);
}

TEST_CASE("training codes: a residual block with its convolution and batch norm") {
  Generator generator(222);
  const Index samples = 4, channels = 2, maps = 3, side = 5;
  const Eigen::VectorXf images = generate::vector(generator, samples * channels * side * side).cast<float>();
  const sagitta::Convolution convolution{
      .channels = channels, .image = {side, side}, .kernel = {3, 3}, .padding = {1, 1}};
  const Index pixels = convolution.positions();
  const Eigen::VectorXf conv_d = generate::vector(generator, samples * maps * pixels).cast<float>();
  const Eigen::VectorXf normalised = generate::vector(generator, samples * maps * pixels).cast<float>();
  const Eigen::VectorXf norm_d = generate::vector(generator, samples * maps * pixels).cast<float>();

  // a row of patches an output pixel; what comes back lies as samples x maps x pixels
  const auto patches = sagitta::im2col(images.data(), samples, convolution);
  const std::vector<LayerTrace<float>> block{
      {.inputs = patches,
       .backprops = sagitta::nchw(conv_d.data(), samples, maps, pixels),
       .positions = pixels,
       .has_bias = false},
      {.inputs = sagitta::nchw(normalised.data(), samples, maps, pixels),
       .backprops = sagitta::nchw(norm_d.data(), samples, maps, pixels),
       .positions = pixels,
       .elementwise = true}};
  MatrixXd d(samples * pixels, maps), G(2 * maps, samples);
  G.setZero();
  for (Index m = 0; m < samples; ++m)
    for (Index c = 0; c < maps; ++c)
      for (Index t = 0; t < pixels; ++t) {
        const Index at = (m * maps + c) * pixels + t;
        d(m * pixels + t, c) = conv_d[at];
        G(c, m) += static_cast<double>(normalised[at]) * static_cast<double>(norm_d[at]);
        G(maps + c, m) += norm_d[at];
      }
  const MatrixXd convolved = gradients(patches.cast<double>(), d, pixels, false);
  MatrixXd all(convolved.rows() + G.rows(), samples);
  all << convolved, G;
  CHECK(near(sagitta::gram(block), all));
  CHECK(sagitta::gradient_gram(block).parameters() == all.rows());

  // its units are channels
  const float* activations = normalised.data();
  const auto activity = sagitta::channel_activity(sagitta::nchw(activations, samples, maps, pixels), pixels);
  CHECK(activity.cols() == maps);
  CHECK(sagitta::dormant_fraction(activity) == 0);
}

TEST_CASE("training codes: sentences of unequal length, and gradients that are there") {
  Generator generator(223);
  const Index width = 4, vocabulary = 9;
  const std::vector<int> offsets{0, 3, 3, 8}, tokens{1, 1, 4, 8, 0, 2, 2, 2};
  const MatrixXd d = generate::matrix(generator, 8, width);
  const LayerTrace<double> embedding{
      .inputs = sagitta::one_hot(tokens, vocabulary), .backprops = d, .has_bias = false, .offsets = offsets};
  MatrixXd G = MatrixXd::Zero(vocabulary * width, 3);
  for (Index m = 0; m < 3; ++m)
    for (int t = offsets[std::size_t(m)]; t < offsets[std::size_t(m) + 1]; ++t)
      for (Index i = 0; i < width; ++i) G(tokens[std::size_t(t)] * width + i, m) += d(t, i);
  CHECK(near(sagitta::gram(embedding), G));
  const MatrixXd rows = G.transpose();
  const auto gradients_of = sagitta::explicit_gradients(rows);
  CHECK(near(sagitta::gram(gradients_of), G));
}

TEST_CASE("training codes: a stream of samples") {
  Generator generator(224);
  const MatrixXd x = generate::matrix(generator, 9, 5), d = generate::matrix(generator, 9, 3);
  const MatrixXd x2 = generate::matrix(generator, 6, 5), d2 = generate::matrix(generator, 6, 3);
  const LayerTrace<double> first{.inputs = x, .backprops = d}, second{.inputs = x2, .backprops = d2};
  const auto both = sagitta::joined(sagitta::gradient_gram(first), sagitta::gradient_gram(second),
                                    sagitta::gram(first, second));
  MatrixXd G(5 * 3 + 3, 15);
  G << gradients(x, d, 1, true), gradients(x2, d2, 1, true);
  CHECK(near(both.matrix(), G));
  CHECK(sagitta::fisher_rank(both).rank == sagitta::fisher_rank(G).rank);
}

TEST_CASE("training codes: Gauss-Newton from a backward pass") {
  Generator generator(225);
  const Index samples = 6, in = 4, hidden = 5, classes = 3;
  const MatrixXd x = generate::matrix(generator, samples, in), W1 = generate::matrix(generator, hidden, in),
                 W2 = generate::matrix(generator, classes, hidden);
  const MatrixXd activity = (x * W1.transpose()).array().tanh();
  const MatrixXd probabilities = sagitta::softmax(activity * W2.transpose());
  MatrixXd d1, d2;
  const auto backprop = [&](const MatrixXd& logit_backprops) {
    d2 = logit_backprops;
    d1 = (d2 * W2).array() * (1 - activity.array().square());
    return std::vector<LayerTrace<double>>{{.inputs = x, .backprops = d1},
                                           {.inputs = activity, .backprops = d2}};
  };
  const sagitta::EffectiveRank rank = sagitta::gauss_newton_rank(probabilities, backprop);
  const sagitta::GradientGram kernel = sagitta::neural_tangent_gram(samples, classes, backprop);
  MatrixXd J(samples * classes, in * hidden + hidden + hidden * classes + classes);
  for (Index m = 0; m < samples; ++m)
    for (Index c = 0; c < classes; ++c) {
      const MatrixXd one = MatrixXd::Identity(classes, classes).row(c);
      const MatrixXd back = (one * W2).array() * (1 - activity.row(m).array().square());
      J.row(m * classes + c) << gradients(x.row(m), back, 1, true).transpose(),
          gradients(activity.row(m), one, 1, true).transpose();
    }
  CHECK(rank.rank == sagitta::gauss_newton_rank(J, probabilities).rank);
  CHECK(rank.max_rank == sagitta::gauss_newton_rank(J, probabilities).max_rank);
  CHECK((kernel.matrix() - J * J.transpose()).norm() <= 1e-13 * J.squaredNorm());
}
