#include "experiment.hpp"

using namespace paper;

TEST_CASE("TorchLearner: starts as EigenMlp to the bit and agrees with it for 20 updates", "[paper][torch]") {
  for (const std::string optimizer : {"adam", "sgd"})
    for (const Index resort : {1, 3})
      for (const std::string regularized : {"all", "weights"}) {
        Configuration base = small();
        base.optimizer = optimizer, base.resort_every = resort, base.regularized = regularized;
        base.weight_decay = resort == 3 ? "decoupled" : "loss";
        base.learning_rate = optimizer == "sgd" ? .05 : 1e-3, base.momentum = optimizer == "sgd" ? .9 : 0;
        Experiment eigen(mixture(base));
        Experiment torch(mixture(base), {});
        const Index count = torch.group().parameters();
        REQUIRE(count == eigen.group().parameters());
        const auto difference = [&](std::size_t k) {
          return largest_difference(parameters<float>(eigen.state(k), eigen_header, count),
                                    parameters<float>(torch.state(k), torch_header, count));
        };
        for (std::size_t k = 0; k < torch.size(); ++k) CHECK(difference(k) == 0);
        eigen.begin();
        torch.begin();
        for (Index epoch = 0; epoch < 7; ++epoch) {  // of three updates, the last with half a batch
          const auto one = eigen.epoch(epoch), other = torch.epoch(epoch);
          for (std::size_t k = 0; k < torch.size(); ++k) {
            CHECK(one[k].updates == other[k].updates);
            CHECK(std::abs(one[k].cross_entropy / other[k].cross_entropy - 1) < 1e-4);
            CHECK(std::abs(one[k].update_l1 / other[k].update_l1 - 1) < 1e-4);
          }
        }
        for (std::size_t k = 0; k < torch.size(); ++k) {
          CAPTURE(optimizer, resort, regularized, k);
          CHECK(difference(k) < 1e-4);  // an update moves a parameter by about 1e-3
        }
      }
}

TEST_CASE("TorchLearner: a batch of networks is the networks one by one", "[paper][torch]") {
  for (const std::string optimizer : {"adam", "sgd"}) {
    Configuration base = small();
    base.optimizer = optimizer, base.momentum = .9;
    if (optimizer == "sgd") base.learning_rate = .05;
    {
      Experiment together(mixture(base), {}), apart(mixture(base), {}, true);
      together.train(7);
      apart.train(7);
      for (std::size_t k = 0; k < together.size(); ++k) {
        const Index count = together.group().parameters();
        CHECK(largest_difference(parameters<float>(together.state(k), torch_header, count),
                                 parameters<float>(apart.state(k), torch_header, count)) < 1e-4);
      }
    }
    const TorchOptions in_double{.in_double = true};
    Experiment together(mixture(base), in_double), apart(mixture(base), in_double, true);
    together.train(base.epochs);
    apart.train(base.epochs);
    for (std::size_t k = 0; k < together.size(); ++k) {
      const Index count = together.group().parameters();
      CHECK(largest_difference(parameters<double>(together.state(k), torch_header, count),
                               parameters<double>(apart.state(k), torch_header, count)) < 1e-9);
    }
  }
}

TEST_CASE("TorchLearner: a GPU's operations compute what the loops of the CPU do", "[paper][torch]") {
  for (const std::string optimizer : {"adam", "sgd"}) {
    Configuration base = small();
    base.optimizer = optimizer, base.momentum = .9, base.weight_decay = "decoupled";
    if (optimizer == "sgd") base.learning_rate = .05;
    Experiment loops(mixture(base), {.in_double = true});
    Experiment operations(mixture(base), {.in_double = true, .device_operations = true});
    loops.begin();
    operations.begin();
    for (Index epoch = 0; epoch < 20; ++epoch) {
      const auto one = loops.epoch(epoch), other = operations.epoch(epoch);
      for (std::size_t k = 0; k < loops.size(); ++k)
        CHECK(std::abs(one[k].update_l1 / other[k].update_l1 - 1) < 1e-9);
    }
    for (std::size_t k = 0; k < loops.size(); ++k) {
      const Index count = loops.group().parameters();
      CHECK(largest_difference(parameters<double>(loops.state(k), torch_header, count),
                               parameters<double>(operations.state(k), torch_header, count)) < 1e-9);
    }
  }
}

TEST_CASE("TorchLearner: measures what EigenMlp measures at the same weights", "[paper][torch]") {
  const std::string rank_parameters = GENERATE("all", "weights");
  Configuration base = small();
  base.rank_parameters = rank_parameters;
  Experiment eigen(mixture(base));
  eigen.train(30);
  Experiment torch(mixture(base), {.threads = 2});
  const Index count = torch.group().parameters();
  for (std::size_t k = 0; k < torch.size(); ++k) {
    std::vector<std::byte> state = torch.state(k);
    std::memcpy(state.data() + torch_header, eigen.state(k).data() + eigen_header,
                static_cast<std::size_t>(count) * sizeof(float));
    torch.group().restore(static_cast<Index>(k), state);
  }
  for (const Index number : {0, 1}) {
    eigen.set_task(number);
    torch.set_task(number);
    for (const bool start : {true, false}) {
      const auto one = eigen.measure(start), other = torch.measure(start);
      for (std::size_t k = 0; k < torch.size(); ++k) {
        REQUIRE(one[k].size() == other[k].size());
        for (const auto& [name, value] : one[k]) {
          if (name.starts_with("update_l1")) continue;  // of the training, which only one has seen
          CAPTURE(name, value, other[k].at(name), k);
          if (name.ends_with("rank") || name.ends_with("uncertain") || name == "error")
            CHECK(other[k].at(name) == value);
          else
            CHECK(std::abs(other[k].at(name) - value) <= 2e-5 * std::abs(value));
        }
      }
    }
  }
}

TEST_CASE("TorchLearner: a network that diverges does not disturb the others", "[paper][torch]") {
  for (const bool device_operations : {false, true}) {
    Configuration base = small();
    base.optimizer = "sgd", base.learning_rate = .05;
    std::vector<Configuration> calm = mixture(base);
    std::vector<Configuration> wild = calm;
    for (Configuration& c : wild)
      if (c.regularizer == "l2" || c.regularizer == "feature_rank" || c.seed == 1) c.strength = 1e20;
    const auto is_wild = [&](std::size_t k) {
      return wild[k].strength == 1e20 && wild[k].regularizer != "none";
    };
    Experiment one(calm, {.device_operations = device_operations});
    Experiment other(wild, {.device_operations = device_operations});
    one.train(10);
    other.train(10);
    const auto end = other.measure(false), start = other.measure(true);
    std::size_t diverged = 0;
    for (std::size_t k = 0; k < calm.size(); ++k) {
      CAPTURE(k, calm[k].regularizer);
      CHECK(other.diverged(k) == is_wild(k));
      CHECK_FALSE(one.diverged(k));
      diverged += other.diverged(k);
      for (const auto& [name, value] : end[k]) CHECK(std::isnan(value) == is_wild(k));
      CHECK(std::isnan(start[k].at("ef_rank")) == is_wild(k));
      if (!is_wild(k)) CHECK(one.state(k) == other.state(k));
    }
    CHECK(diverged >= 4);
  }
}

TEST_CASE("TorchLearner: a restored group goes on to the bit", "[paper][torch]") {
  const std::vector<Configuration> configurations = mixture(small());
  Experiment one(configurations, {}), other(configurations, {});
  one.train(5);
  for (std::size_t k = 0; k < one.size(); ++k) other.group().restore(static_cast<Index>(k), one.state(k));
  for (Experiment* experiment : {&one, &other}) {
    experiment->set_task(1);
    experiment->train(5);
  }
  for (std::size_t k = 0; k < one.size(); ++k) CHECK(one.state(k) == other.state(k));
  std::vector<std::byte> longer = one.state(0), shorter(longer.begin(), longer.end() - 1);
  longer.push_back({});
  Experiment third(configurations, {});
  CHECK_THROWS_AS(third.group().restore(0, shorter), std::runtime_error);
  CHECK_THROWS_AS(third.group().restore(0, longer), std::runtime_error);
  Experiment fourth(configurations, {});
  const std::vector<std::byte> untrained = fourth.state(1);
  fourth.group().restore(0, one.state(0));
  CHECK_THROWS_AS(fourth.group().restore(1, untrained), std::runtime_error);
}

TEST_CASE("TorchLearner: optimiser and head are reset as EigenMlp resets them", "[paper][torch]") {
  Configuration c = small();
  c.optimizer_state = "reset", c.head = "reset", c.learning_rate = 1e-3;
  Experiment eigen({c});
  Experiment torch({c}, {});
  for (Experiment* experiment : {&eigen, &torch}) {
    experiment->train(2);
    experiment->set_task(1);
    experiment->measure(true);
    experiment->train(5);
  }
  const Index count = torch.group().parameters();
  CHECK(largest_difference(parameters<float>(eigen.state(0), eigen_header, count),
                           parameters<float>(torch.state(0), torch_header, count)) < 1e-4);
}

TEST_CASE("TorchLearner: the exact curvature is EigenMlp's", "[paper][torch]") {
  Configuration c = small();
  c.problem = "projected_mnist", c.pool = 1, c.curvature = "exact", c.width = 4, c.depth = 1;
  Experiment eigen({c});
  Experiment torch({c}, {});
  CHECK(eigen.measure(true)[0].at("hessian_rank_relative") ==
        torch.measure(true)[0].at("hessian_rank_relative"));
}

TEST_CASE("TorchLearner: what cannot be trained is refused by name", "[paper][torch]") {
  Configuration a = small(), b = small();
  b.learning_rate = 1;
  const Task task = make_problem(a, digits())->task(0);
  const auto message = [&](std::vector<Configuration> configurations,
                           const TorchOptions& options) -> std::string {
    try {
      make_torch_group(configurations, task, options);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  };
  CHECK(message({a, b}, {}).find("differ in more than") != std::string::npos);
  CHECK(message({}, {}).find("no configurations") != std::string::npos);
  CHECK(message({a}, {.device = "cpu:0"}).find("expected cpu, cuda or cuda:N") != std::string::npos);
  CHECK(message({a}, {.device = "gpu"}).find("expected cpu, cuda or cuda:N") != std::string::npos);
  CHECK(message({a}, {.device = "cuda:99"}).find("cuda:99") != std::string::npos);
  CHECK(message({a}, {}).empty());
}
