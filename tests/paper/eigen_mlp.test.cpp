#include "learners/eigen_mlp.hpp"

#include <sagitta/sagitta.hpp>

#include "catch.hpp"

using namespace paper;
using Mlp = EigenMlp<double>;

namespace {

Mlp network(const Activation& activation, std::uint64_t seed = 1) {
  Mlp mlp({5, 7, 6, 4}, activation, .1);
  Generator generator = stream(seed, "test");
  mlp.initialize("glorot_uniform", generator);
  for (double& value : mlp.theta()) value += .1 * normal(generator);  // biases too
  return mlp;
}

Eigen::MatrixXd examples(Index count) {
  Generator generator = stream(2, "examples");
  Eigen::MatrixXd inputs(5, count);
  for (double& value : inputs.reshaped()) value = normal(generator);
  return inputs;
}

// sum over examples of the cross-entropy with label j % 4, and its derivative by the logits
double loss(const Eigen::MatrixXd& logits, Eigen::MatrixXd* gradient = nullptr) {
  const Eigen::MatrixXd p = sagitta::softmax(logits.transpose());
  double sum = 0;
  if (gradient != nullptr) *gradient = p.transpose();
  for (Index j = 0; j < logits.cols(); ++j) {
    sum -= std::log(p(j, j % 4));
    if (gradient != nullptr) (*gradient)(j % 4, j) -= 1;
  }
  return sum;
}

}  // namespace

TEST_CASE("EigenMlp: the gradient is that of central differences", "[paper]") {
  const Eigen::MatrixXd inputs = examples(9);
  for (const Activation& activation : activations()) {
    Mlp mlp = network(activation);
    Eigen::MatrixXd slope;
    loss(mlp.forward(inputs), &slope);
    mlp.backward(slope);
    Eigen::VectorXd gradient;
    mlp.gradient(gradient);
    REQUIRE(gradient.size() == mlp.parameters());
    const double h = 1e-6;  // rounding eps / h and curvature h^2 are both near 1e-10
    for (Index i = 0; i < gradient.size(); ++i) {
      const double before = mlp.theta()[i];
      mlp.theta()[i] = before + h;
      const double above = loss(mlp.forward(inputs));
      mlp.theta()[i] = before - h;
      const double below = loss(mlp.forward(inputs));
      mlp.theta()[i] = before;
      CHECK(std::abs((above - below) / (2 * h) - gradient[i]) <= 1e-7 * std::max(1.0, std::abs(gradient[i])));
    }
  }
}

TEST_CASE("EigenMlp: a derivative by the features is carried to the parameters below", "[paper]") {
  const Eigen::MatrixXd inputs = examples(6);
  Mlp mlp = network(activations().at("tanh"));
  const auto energy = [&] {
    mlp.forward(inputs);
    return mlp.features().squaredNorm();
  };
  energy();
  const Eigen::MatrixXd slope = 2 * mlp.features(), none = Eigen::MatrixXd::Zero(4, 6);
  mlp.backward(none, &slope);
  Eigen::VectorXd gradient;
  mlp.gradient(gradient);
  for (const Index i : {Index{0}, Index{20}, Index{50}, mlp.parameters() - 1}) {
    const double before = mlp.theta()[i], h = 1e-6;
    mlp.theta()[i] = before + h;
    const double above = energy();
    mlp.theta()[i] = before - h;
    const double below = energy();
    mlp.theta()[i] = before;
    CHECK(std::abs((above - below) / (2 * h) - gradient[i]) <= 1e-7);
  }
}

TEST_CASE("EigenMlp: its traces give the Gram matrix of single-sample gradients", "[paper]") {
  const Eigen::MatrixXd inputs = examples(8);
  Mlp mlp = network(activations().at("leaky_relu"));
  Eigen::MatrixXd G(mlp.parameters(), 8), slope, whole_slope;
  loss(mlp.forward(inputs), &whole_slope);
  for (Index m = 0; m < 8; ++m) {
    mlp.forward(inputs.col(m));
    slope = whole_slope.col(m);
    mlp.backward(slope);
    Eigen::VectorXd gradient;
    mlp.gradient(gradient);
    G.col(m) = gradient;
  }
  mlp.forward(inputs);
  mlp.backward(whole_slope);
  const Eigen::MatrixXd K = sagitta::gram(mlp.traces()), expected = G.transpose() * G;
  CHECK((K - expected).norm() <= 1e-13 * expected.norm());  // about sqrt(P) eps
  // every parameter is in the traces
  Index parameters = 0;
  for (const auto& trace : mlp.traces()) parameters += trace.parameters();
  CHECK(parameters == mlp.parameters());
}

TEST_CASE("EigenMlp: initialisations have their variance and bound", "[paper]") {
  const Index in = 300, out = 200;
  for (const std::string word : {"glorot_uniform", "glorot_normal", "he_uniform", "he_normal"}) {
    EigenMlp<float> mlp({in, out}, activations().at("identity"), 0);
    Generator generator = stream(3, word);
    mlp.initialize(word, generator);
    const auto weights = mlp.tensor(std::as_const(mlp).theta(), 0);
    const double variance = word.starts_with("glorot") ? 2.0 / (in + out) : 2.0 / in;
    // 60,000 draws: the sample variance is within 5 standard errors, sqrt(2 / n) of it at most
    CHECK(std::abs(weights.cast<double>().squaredNorm() / (in * out) / variance - 1) <
          5 * std::sqrt(2.0 / (in * out)));
    if (word.ends_with("uniform"))
      CHECK(double(weights.cwiseAbs().maxCoeff()) <= std::sqrt(3 * variance) * (1 + 1e-6));
    CHECK(mlp.tensor(std::as_const(mlp).theta(), 1).isZero(0));
  }
}
