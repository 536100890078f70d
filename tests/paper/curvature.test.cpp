#include <map>
#include <sagitta/sagitta.hpp>

#include "catch.hpp"
#include "learners/exact_curvature.hpp"

using namespace paper;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using Mlp = EigenMlp<double>;

namespace {

struct Sample {
  MatrixXd inputs;  // features x n
  Eigen::VectorXi labels;

  Sample(Index features, Index n, int classes, std::uint64_t seed) : inputs(features, n), labels(n) {
    Generator generator = stream(seed, "examples");
    for (double& value : inputs.reshaped()) value = normal(generator);
    for (int& label : labels) label = static_cast<int>(below(generator, static_cast<std::uint64_t>(classes)));
  }
};

Mlp network(const Activation& activation, std::vector<Index> widths = {5, 7, 6, 4}) {
  Mlp mlp(std::move(widths), activation, .1);
  Generator generator = stream(1, "test");
  mlp.initialize("glorot_uniform", generator);
  for (double& value : mlp.theta()) value += .1 * normal(generator);  // biases too
  return mlp;
}

MatrixXd probabilities(Mlp& mlp, const Sample& sample) {
  return sagitta::softmax(mlp.forward(sample.inputs).transpose());
}

// forward and backward of the summed cross-entropy
VectorXd gradient_of(Mlp& mlp, const Sample& sample) {
  const MatrixXd p = probabilities(mlp, sample);
  mlp.backward(sagitta::cross_entropy_backprops(p, sample.labels).transpose());
  VectorXd gradient;
  mlp.gradient(gradient);
  return gradient;
}

// (M C) x P, row m C + c: the gradient of logit c of sample m, one backward pass each
MatrixXd jacobian(Mlp& mlp, const Sample& sample) {
  const Index M = sample.inputs.cols(), C = mlp.forward(sample.inputs).rows();
  MatrixXd J(M * C, mlp.parameters());
  for (Index m = 0; m < M; ++m)
    for (Index c = 0; c < C; ++c) {
      mlp.forward(sample.inputs.col(m));
      MatrixXd unit = MatrixXd::Zero(C, 1);
      unit(c, 0) = 1;
      mlp.backward(unit);
      VectorXd row;
      mlp.gradient(row);
      J.row(m * C + c) = row.transpose();
    }
  return J;
}

}  // namespace

TEST_CASE("EigenMlp: the Hessian is that of central differences of the gradient", "[paper]") {
  const Sample sample(5, 9, 4, 2);
  for (const Activation& activation : activations()) {
    Mlp mlp = network(activation);
    gradient_of(mlp, sample);
    const MatrixXd H = mlp.curvature_matrix(Curvature::hessian);
    REQUIRE(H.rows() == mlp.parameters());
    CHECK(H == H.transpose());
    MatrixXd differences(H.rows(), H.cols());
    const double h = 1e-5;  // no kink of ReLU lies this near; eps / h and h^2 are both near 1e-10
    for (Index i = 0; i < H.cols(); ++i) {
      const double before = mlp.theta()[i];
      mlp.theta()[i] = before + h;
      const VectorXd above = gradient_of(mlp, sample);
      mlp.theta()[i] = before - h;
      const VectorXd below = gradient_of(mlp, sample);
      mlp.theta()[i] = before;
      differences.col(i) = (above - below) / (2 * h);
    }
    CHECK((H - differences).cwiseAbs().maxCoeff() <= 1e-7 * H.cwiseAbs().maxCoeff());
  }
}

TEST_CASE("EigenMlp: products of many directions, of one, and the matrix are the same", "[paper]") {
  const Sample sample(5, 9, 4, 3);
  Generator generator = stream(3, "directions");
  for (const Activation& activation : activations())
    for (const Curvature curvature : {Curvature::hessian, Curvature::gauss_newton}) {
      Mlp mlp = network(activation);
      gradient_of(mlp, sample);
      const MatrixXd A = mlp.curvature_matrix(curvature);
      MatrixXd V(mlp.parameters(), 3);
      for (double& value : V.reshaped()) value = normal(generator);
      const MatrixXd product = mlp.curvature_product(curvature, V);
      const double size = A.norm() * V.norm();  // sums of a few hundred terms
      CHECK((product - A * V).norm() <= 1e-13 * size);
      for (Index k = 0; k < V.cols(); ++k)
        CHECK((mlp.curvature_product(curvature, V.col(k)) - product.col(k)).norm() <= 1e-13 * size);
      // symmetric as an operator
      CHECK((V.transpose() * product - product.transpose() * V).norm() <= 1e-13 * size * V.norm());
    }
}

TEST_CASE("EigenMlp: Gauss-Newton is J^T H_z J, and of one linear layer the Hessian itself", "[paper]") {
  const Sample sample(5, 8, 4, 4);
  for (const Activation& activation : activations()) {
    Mlp mlp = network(activation);
    const MatrixXd J = jacobian(mlp, sample), p = probabilities(mlp, sample);
    gradient_of(mlp, sample);
    const MatrixXd G = mlp.curvature_matrix(Curvature::gauss_newton);
    MatrixXd dense = MatrixXd::Zero(G.rows(), G.cols());
    for (Index m = 0; m < p.rows(); ++m) {
      const MatrixXd Jm = J.middleRows(m * 4, 4);
      const VectorXd pm = p.row(m).transpose();
      dense += Jm.transpose() * (MatrixXd(pm.asDiagonal()) - pm * pm.transpose()) * Jm;
    }
    CHECK((G - dense).norm() <= 1e-13 * dense.norm());
    CHECK(sagitta::symmetric_effective_rank(G).rank == sagitta::gauss_newton_rank(J, p).rank);
  }
  Mlp linear = network(activations().at("identity"), {5, 4});
  gradient_of(linear, sample);
  const MatrixXd H = linear.curvature_matrix(Curvature::hessian);
  CHECK((H - linear.curvature_matrix(Curvature::gauss_newton)).norm() <= 1e-14 * H.norm());
}

TEST_CASE("exact_curvature: every rank is that of the matrix written down", "[paper]") {
  const Sample sample(6, 30, 3, 5);
  for (const std::string activation : {"relu", "tanh"}) {
    Mlp mlp = network(activations().at(activation), {6, 8, 3});
    const Task task{0, std::make_shared<Eigen::MatrixXf>(sample.inputs.cast<float>()),
                    std::vector<int>(sample.labels.begin(), sample.labels.end()), 3};
    Sample rounded = sample;  // the task's images are floats
    rounded.inputs = task.inputs->cast<double>();
    Generator generator = stream(5, "labels"), again = generator;
    std::map<std::string, double> values;
    for (const Measured& one : measured(exact_curvature(mlp, task, .99, generator)))
      values[one.name] = one.value;

    const MatrixXd p = probabilities(mlp, rounded);
    const auto per_sample = [&](const Eigen::VectorXi& labels) {
      MatrixXd G(mlp.parameters(), 30);
      for (Index m = 0; m < 30; ++m) {
        Sample one(6, 1, 3, 0);
        one.inputs = rounded.inputs.col(m);
        one.labels[0] = labels[m];
        G.col(m) = gradient_of(mlp, one);
      }
      return sagitta::fisher_rank(G).relative();
    };
    const double empirical = per_sample(sample.labels);
    const double sampled = per_sample(sagitta::sample_labels(p, again));
    const double newton = sagitta::gauss_newton_rank(jacobian(mlp, rounded), p).relative();
    gradient_of(mlp, rounded);
    const auto hessian = sagitta::symmetric_effective_rank(mlp.curvature_matrix(Curvature::hessian));
    const double exact = hessian.relative();
    CHECK(values ==
          std::map<std::string, double>{{"hessian_rank", static_cast<double>(hessian.rank)},
                                        {"hessian_rank_relative", exact},
                                        {"empirical_fisher_rank_relative", empirical},
                                        {"sampled_fisher_rank_relative", sampled},
                                        {"gauss_newton_rank_relative", newton},
                                        {"empirical_fisher_rank_difference", std::abs(empirical - exact)},
                                        {"sampled_fisher_rank_difference", std::abs(sampled - exact)},
                                        {"gauss_newton_rank_difference", std::abs(newton - exact)}});
  }
}
