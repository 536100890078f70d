#include "experiment.hpp"

using namespace paper;

namespace {

Configuration convolutional(const std::string& architecture) {
  Configuration c = small();
  c.architecture = architecture;
  // 14 x 14 pixels; a ResNet18 of 11 million parameters takes its time even over few images
  c.pool = 2, c.images = architecture == "cnn" ? 24 : 12, c.batch = 8, c.rank_samples = 12;
  c.learning_rate = 1e-3;
  return c;
}

// two activations, two regularisers, two seeds
std::vector<Configuration> three(const Configuration& base) {
  std::vector<Configuration> result(3, base);
  result[1].activation = "leaky_relu", result[1].regularizer = "wasserstein", result[1].strength = .01;
  result[1].seed = 1;
  result[2].activation = "leaky_relu", result[2].regularizer = "l2_init", result[2].strength = .01;
  return result;
}

const std::vector<std::string> architectures{"cnn", "resnet18"};

}  // namespace

TEST_CASE("TorchLearner: CNN and ResNet18 have the parameters of their papers", "[paper][torch]") {
  const auto count = [](Configuration c, Index channels, Index size, Index classes) {
    Task task{0,
              std::make_shared<Eigen::MatrixXf>(Eigen::MatrixXf::Zero(channels * size * size, 3)),
              {0, 0, 0},
              classes,
              {channels, size, size}};
    return make_torch_group(std::vector{c}, task, {})->parameters();
  };
  Configuration c;
  c.architecture = "cnn";
  const Index linear = 512 * 512 + 512 + 512 * 10 + 10, inner = 4640 + 18496 + 73856;
  CHECK(count(c, 3, 32, 10) == 448 + inner + linear);
  CHECK(count(c, 1, 28, 10) == 160 + inner + linear);
  c.architecture = "resnet18";
  CHECK(count(c, 3, 64, 1000) == 11689512);  // as published with every implementation
  CHECK(count(c, 3, 32, 10) == 11689512 - 513 * 990);
  c.stem = "cifar";
  CHECK(count(c, 3, 32, 10) == 11173962);
  c.batch_norm = "none";  // a bias for scale and shift
  CHECK(count(c, 3, 32, 10) == 11173962 - 4800);
}

TEST_CASE("TorchLearner: stacked CNNs and ResNets are the networks one by one", "[paper][torch]") {
  for (const std::string& architecture : architectures)
    for (const bool in_double : {false, true}) {
      if (architecture == "resnet18" && !in_double) continue;  // the same code
      CAPTURE(architecture, in_double);
      auto configurations = three(convolutional(architecture));
      if (architecture == "resnet18") configurations.pop_back();
      const TorchOptions options{.in_double = in_double};
      Experiment together(configurations, options), apart(configurations, options, true);
      const Index epochs = architecture == "cnn" ? 7 : 1, count = together.group().parameters();
      together.begin();
      apart.begin();
      for (Index epoch = 0; epoch < epochs; ++epoch) {
        const auto one = together.epoch(epoch), other = apart.epoch(epoch);
        for (std::size_t k = 0; k < one.size(); ++k)
          CHECK(std::abs(one[k].cross_entropy / other[k].cross_entropy - 1) < (in_double ? 1e-9 : 1e-3));
      }
      for (std::size_t k = 0; k < together.size(); ++k) {
        CAPTURE(k);
        if (in_double)
          CHECK(largest_difference(parameters<double>(together.state(k), torch_header, count),
                                   parameters<double>(apart.state(k), torch_header, count)) < 1e-8);
        else if (configurations[k].regularizer != "wasserstein")
          // with it, Adam makes whole steps of the rounding of gradients that are zero but for it
          CHECK(largest_difference(parameters<float>(together.state(k), torch_header, count),
                                   parameters<float>(apart.state(k), torch_header, count)) < 1e-4);
      }
      if (!in_double) continue;
      for (const bool start : {true, false}) {
        const auto one = together.measure(start), other = apart.measure(start);
        for (std::size_t k = 0; k < together.size(); ++k)
          for (const auto& [name, value] : one[k]) {
            CAPTURE(k, name);
            CHECK(std::abs(other[k].at(name) - value) <= 1e-5 * std::abs(value));
          }
      }
    }
}

TEST_CASE("TorchLearner: an update of gradient descent follows the gradient of the loss", "[paper][torch]") {
  for (const std::string& architecture : architectures)
    for (const std::string batch_norm : {"running", "none"}) {
      if (architecture == "cnn" && batch_norm == "none") continue;
      Configuration c = convolutional(architecture);
      c.batch_norm = batch_norm, c.activation = "tanh", c.optimizer = "sgd";
      c.batch = c.rank_samples = c.images;
      c.learning_rate = 1e-6;
      Experiment experiment({c}, {.in_double = true});
      const Index count = experiment.group().parameters();
      const double measured = experiment.measure(true)[0].at("gradient_norm");
      const auto before = parameters<double>(experiment.state(0), torch_header, count);
      experiment.begin();
      const double loss = experiment.epoch(0)[0].cross_entropy;
      const auto after = parameters<double>(experiment.state(0), torch_header, count);
      const double lower = experiment.epoch(1)[0].cross_entropy;
      double square = 0;
      for (std::size_t i = 0; i < before.size(); ++i) square += std::pow(after[i] - before[i], 2);
      CAPTURE(architecture, batch_norm);
      // f(theta - r g) = f(theta) - r |g|^2 + O(r^2)
      const double fall = (loss - lower) / static_cast<double>(c.images), expected = square / c.learning_rate;
      CHECK(std::abs(fall / expected - 1) < 1e-2);
      // the adapter's per-sample gradients add up to it; batch norm measures with other statistics
      if (architecture == "cnn" || batch_norm == "none")
        CHECK(std::abs(std::sqrt(square) / c.learning_rate / measured - 1) < 1e-6);
    }
}

TEST_CASE("TorchLearner: a CNN learns a task by heart and goes on where it was stopped", "[paper][torch]") {
  Configuration c = convolutional("cnn");
  Experiment one(three(c), {}), other(three(c), {});
  one.train(40);
  for (const auto& end : one.measure(false)) CHECK(end.at("error") <= .05);
  for (std::size_t k = 0; k < one.size(); ++k) other.group().restore(static_cast<Index>(k), one.state(k));
  one.set_task(1);
  other.set_task(1);
  one.train(2);
  other.train(2);
  for (std::size_t k = 0; k < one.size(); ++k) CHECK(one.state(k) == other.state(k));
}

TEST_CASE("TorchLearner: batch norm is measured with running statistics, which a checkpoint keeps",
          "[paper][torch]") {
  Configuration c = convolutional("resnet18");
  Experiment one({c}, {}), other({c}, {});
  const Index count = one.group().parameters();
  // eight stages of two normalisations, the stem's, and three of shortcuts: mean and variance of each channel
  const std::size_t statistics = 2 * (64 * 5 + 128 * 5 + 256 * 5 + 512 * 5) * sizeof(float);
  CHECK(one.state(0).size() ==
        torch_header + 3 * static_cast<std::size_t>(count) * sizeof(float) + statistics);
  one.train(1);
  other.group().restore(0, one.state(0));
  CHECK(one.measure(false)[0].at("cross_entropy") == other.measure(false)[0].at("cross_entropy"));
  // measuring moves nothing
  CHECK(one.state(0) == other.state(0));
  CHECK(one.measure(true)[0].at("ef_rank") >= 1);
  CHECK(one.state(0) == other.state(0));

  c.images = 9;
  const Task task = make_problem(c, digits())->task(0);
  CHECK_THROWS_AS(make_torch_group(std::vector{c}, task, {}), std::invalid_argument);  // 9 = 8 + 1
}
