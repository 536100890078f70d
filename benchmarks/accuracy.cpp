// How far estimates are off, measured where the truth can be had: the figures in the comments of
// spectral_density.hpp and rank_interval.hpp.
//
//   accuracy rank|interval|figure3 [FOLDER with MNIST, else synthetic digits]
//
// rank: estimated_effective_rank with 320 products against all eigenvalues, on Hessians of networks that have
//   learned none to five tasks of random labels
// interval: how often rank_interval holds the rank of fresh samples, of distributions and of the gradients of
//   trained networks
// figure3: the size of the paper's appendix C.2 without its cost: EF, and the Hessian and Gauss-Newton by 320
//   products, at the start of each of 16 tasks
#include <cstdio>
#include <functional>
#include <numeric>
#include <sagitta/sagitta.hpp>

#include "data/problem.hpp"
#include "learners/eigen_mlp.hpp"
#include "learners/optimizer.hpp"

namespace {

using namespace paper;
using Eigen::MatrixXd;

// A network that learns the tasks of a configuration one after the other, in the order of sagitta-paper.
struct Course {
  Course(Configuration chosen, DataLibrary& data)
      : configuration(std::move(chosen)),
        problem(make_problem(configuration, data)),
        widths(static_cast<std::size_t>(configuration.depth), configuration.width),
        activation(activations().at(configuration.activation)) {
    widths.insert(widths.begin(), dimensions(configuration, data).inputs);
    widths.push_back(10);
    network.emplace(widths, activation, static_cast<float>(configuration.leaky_slope));
    optimizer.emplace(configuration, network->parameters());
    Generator generator = stream(configuration.seed, "initialization");
    network->initialize(configuration.initialization, generator);
  }

  void learn(Index number) {
    const Task task = problem->task(number);
    Generator generator = stream(configuration.seed, "order", static_cast<std::uint64_t>(number));
    std::vector<Index> order(static_cast<std::size_t>(task.size()));
    std::iota(order.begin(), order.end(), Index{0});
    Eigen::VectorXf gradient;
    for (Index epoch = 0; epoch < configuration.epochs; ++epoch) {
      shuffle(order, generator);
      for (Index first = 0; first < task.size(); first += configuration.batch) {
        const Index count = std::min(configuration.batch, task.size() - first);
        const auto chosen =
            Eigen::Map<const Eigen::Array<Index, Eigen::Dynamic, 1>>(&order[std::size_t(first)], count);
        backward(*network, (*task.inputs)(Eigen::all, chosen),
                 Eigen::Map<const Eigen::VectorXi>(task.labels.data(), task.size())(chosen));
        network->gradient(gradient);
        optimizer->update(gradient / static_cast<float>(count), network->theta());
      }
    }
  }

  // forward and backward of the summed cross-entropy
  template <class Scalar>
  static MatrixXd backward(EigenMlp<Scalar>& mlp,
                           const Eigen::Ref<const typename EigenMlp<Scalar>::Matrix>& inputs,
                           const Eigen::VectorXi& labels) {
    const typename EigenMlp<Scalar>::Matrix p = sagitta::softmax(mlp.forward(inputs).transpose());
    mlp.backward(sagitta::cross_entropy_backprops(p, labels).transpose());
    return p.template cast<double>();
  }

  // the network in double, at all examples of a task
  EigenMlp<double> at(const Task& task) const {
    EigenMlp<double> mlp(widths, activation, configuration.leaky_slope);
    mlp.theta() = network->theta().cast<double>();
    backward(mlp, task.inputs->cast<double>(),
             Eigen::Map<const Eigen::VectorXi>(task.labels.data(), task.size()));
    return mlp;
  }

  Configuration configuration;
  std::unique_ptr<Problem> problem;
  std::vector<Index> widths;
  const Activation& activation;
  std::optional<EigenMlp<float>> network;
  std::optional<Optimizer<float>> optimizer;
};

Configuration projected(const char* activation, Index width, Index images, std::uint64_t seed) {
  Configuration configuration;
  configuration.problem = "projected_mnist";
  configuration.images = images;
  configuration.width = width;
  configuration.activation = activation;
  configuration.epochs = 200;
  configuration.batch = std::min<Index>(256, images / 3);
  configuration.seed = seed;
  return configuration;
}

void ranks(DataLibrary& data) {
  std::vector<double> errors;
  std::mt19937_64 generator(1);
  std::printf("d     activation  seed  tasks learned  exact  estimates with 320 products\n");
  for (const auto& [width, seeds] : {std::pair<Index, int>{16, 3}, {24, 2}, {32, 1}})
    for (const char* activation : {"relu", "leaky_relu", "tanh"})
      for (int seed = 0; seed < seeds; ++seed) {
        Course course(projected(activation, width, 384, static_cast<std::uint64_t>(seed)), data);
        for (Index number = 0; number <= 5; ++number) {
          if (number == 0 || number == 1 || number == 5) {
            const MatrixXd H = course.at(course.problem->task(number)).curvature_matrix(Curvature::hessian);
            const auto exact = static_cast<double>(sagitta::symmetric_effective_rank(H).rank);
            std::printf("%4ld  %-10s  %4d  %13ld  %5.0f ", long(H.rows()), activation, seed, long(number),
                        exact);
            const sagitta::DenseOperator op(H);
            for (int probe = 0; probe < 3; ++probe) {
              const auto estimate = sagitta::estimated_effective_rank(op, .99, generator);
              errors.push_back(std::abs(estimate.rank / exact - 1));
              std::printf(" %6.1f (%+.1f %%)", estimate.rank, 100 * (estimate.rank / exact - 1));
            }
            std::printf("\n");
            std::fflush(stdout);
          }
          if (number < 5) course.learn(number);
        }
      }
  std::sort(errors.begin(), errors.end());
  const auto at = [&](double share) {
    return 100 * errors[static_cast<std::size_t>(share * double(errors.size() - 1))];
  };
  std::printf("%zu estimates: median error %.1f %%, 95 %% below %.1f %%, largest %.1f %%\n", errors.size(),
              at(.5), at(.95), at(1));
}

// `fresh` draws the Gram matrix of M samples that no earlier one shares
void coverage(const std::string& name, int intervals, int fresh_each,
              const std::function<MatrixXd()>& fresh) {
  std::mt19937_64 generator(2);
  const std::pair<double, const char*> levels[] = {{.8, ".80"}, {.95, ".95"}};
  double held[2] = {}, width[2] = {};
  for (int i = 0; i < intervals; ++i) {
    const MatrixXd K = fresh();
    sagitta::RankInterval interval[2];
    for (int level = 0; level < 2; ++level) {
      interval[level] = sagitta::rank_interval(K, .99, levels[level].first, generator);
      width[level] += static_cast<double>(interval[level].upper - interval[level].lower);
    }
    for (int j = 0; j < fresh_each; ++j) {
      const Index rank = sagitta::symmetric_effective_rank(fresh()).rank;
      for (int level = 0; level < 2; ++level)
        held[level] += interval[level].lower <= rank && rank <= interval[level].upper;
    }
  }
  std::printf("%-44s", name.c_str());
  for (int level = 0; level < 2; ++level)
    std::printf("  level %s: held %.3f, width %4.1f", levels[level].second,
                held[level] / (intervals * fresh_each), width[level] / intervals);
  std::printf("\n");
  std::fflush(stdout);
}

void intervals(DataLibrary& data) {
  Generator generator(3);
  const auto gaussian = [&](Index d, Index M) {
    return MatrixXd(MatrixXd::NullaryExpr(d, M, [&] { return normal(generator); }));
  };
  for (const auto& [d, M] : {std::pair<Index, Index>{60, 40}, {200, 100}, {40, 100}})
    coverage("Gaussian, d = " + std::to_string(d) + ", M = " + std::to_string(M), 40, 10,
             [&, d = d, M = M] { return sagitta::gram(gaussian(d, M)); });
  coverage("decaying, heavy tails, d = 150, M = 100", 40, 10, [&] {
    MatrixXd G = gaussian(150, 100);
    for (Index j = 0; j < 150; ++j) G.row(j) *= std::pow(.97, static_cast<double>(j));
    for (Index m = 0; m < 100; ++m) G.col(m) *= std::exp(normal(generator));
    return sagitta::gram(G);
  });
  // Gradients of networks trained on random labels: what is fresh is drawn from 5,120 images that the network
  // has learned. Two samples of 256 share 13 on average, which makes them a little too alike.
  for (const char* activation : {"relu", "leaky_relu"}) {
    Configuration configuration;
    configuration.images = 5120;
    configuration.pool = 2;
    configuration.width = 64;
    configuration.activation = activation;
    configuration.epochs = 40;
    configuration.batch = 64;
    Course course(configuration, data);
    for (Index number = 0; number < 2; ++number) course.learn(number);
    const Task task = course.problem->task(2);  // its labels are new to the network
    const MatrixXd inputs = task.inputs->cast<double>();
    std::vector<Index> order(static_cast<std::size_t>(task.size()));
    std::iota(order.begin(), order.end(), Index{0});
    EigenMlp<double> mlp = course.at(task);
    for (const Index M : {64, 256})
      coverage(std::string("network, ") + activation + ", M = " + std::to_string(M), 25, 10, [&, M = M] {
        shuffle(order, generator);
        const auto chosen = Eigen::Map<const Eigen::Array<Index, Eigen::Dynamic, 1>>(order.data(), M);
        Course::backward(mlp, inputs(Eigen::all, chosen),
                         Eigen::Map<const Eigen::VectorXi>(task.labels.data(), task.size())(chosen));
        return sagitta::gram(mlp.traces());
      });
  }
}

void figure3(DataLibrary& data) {
  std::mt19937_64 generator(1);
  for (const char* activation : {"relu", "leaky_relu"}) {
    Course course(projected(activation, 32, 1280, 0), data);
    std::printf("%s\ntask  EF     Hessian (drift)  Gauss-Newton\n", activation);
    for (Index number = 0; number < 16; ++number) {
      const Task task = course.problem->task(number);
      EigenMlp<double> mlp = course.at(task);
      const auto d = static_cast<double>(mlp.parameters());
      const auto relative = [&](Curvature curvature) {
        const sagitta::FunctionOperator op(
            mlp.parameters(), [&](const auto& in, auto& out) { out = mlp.curvature_product(curvature, in); });
        return sagitta::estimated_effective_rank(op, .99, generator);
      };
      const auto hessian = relative(Curvature::hessian), newton = relative(Curvature::gauss_newton);
      std::printf("%4ld  %.3f  %.3f (%.3f)    %.3f\n", long(number),
                  sagitta::fisher_rank(mlp.traces()).relative(), hessian.rank / d, hessian.drift / d,
                  newton.rank / d);
      std::fflush(stdout);
      course.learn(number);
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  const std::string what = count > 1 ? arguments[1] : "";
  DataLibrary data(count > 2 ? arguments[2] : "");
  if (what == "rank")
    ranks(data);
  else if (what == "interval")
    intervals(data);
  else if (what == "figure3")
    figure3(data);
  else {
    std::fprintf(stderr, "usage: accuracy rank|interval|figure3 [FOLDER with MNIST]\n");
    return 2;
  }
}
