#include <atomic>
#include <cmath>
#include <map>
#include <sstream>

#include "catch.hpp"
#include "data/random.hpp"
#include "figures/archive.hpp"
#include "figures/report.hpp"
#include "folder.hpp"
#include "learners/activation.hpp"
#include "learners/eigen_mlp.hpp"
#include "learners/learner.hpp"
#include "learners/network.hpp"
#include "learners/regularizer.hpp"
#ifdef SAGITTA_PAPER_TORCH
#include "learners/torch_learner.hpp"
#endif

// One more of each kind, by the door that the program's own have, and a run with all of them.
using namespace paper;

namespace {

// log(1 + e^z): f' is the logistic function s, f'' = s (1 - s)
struct Softplus {
  static constexpr const char *name = "test_softplus", *label = "softplus", *torch = "softplus";
  template <class Values, class Scalar>
  static void apply(Values z, Scalar) {
    z = z.cwiseMax(Scalar(0)) + (-z.abs()).exp().log1p();
  }
  template <class Given, class Values, class Scalar>
  static void times_derivative(Given z, Given, Values x, Scalar) {
    x *= (Scalar(1) + (-z).exp()).inverse();
  }
  template <class Given, class Values, class Scalar>
  static void times_second_derivative(Given z, Given, Values x, Scalar) {
    x *= (Scalar(1) + (-z).exp()).inverse() * (Scalar(1) + z.exp()).inverse();
  }
};

// the sum of |theta|
class Lasso : public Penalty {
 public:
  void add_gradient(const Eigen::Ref<const Eigen::VectorXf>& theta, double strength, Index,
                    Eigen::Ref<Eigen::VectorXf> gradient) override {
    gradient.array() += static_cast<float>(strength) * theta.array().sign();
  }
};

// the inputs change their sign from task to task
class Signs : public Problem {
 public:
  explicit Signs(std::unique_ptr<Problem> other) : other_(std::move(other)) {}
  Task task(Index number) const override {
    Task task = other_->task(0);
    if (number % 2 == 1) task.inputs = std::make_shared<Eigen::MatrixXf>(-*task.inputs);
    task.number = number;
    return task;
  }

 private:
  std::unique_ptr<Problem> other_;
};

Signal narrow(Layers& layers, const Signal& x, const Configuration&) {
  return layers.activate(
      layers.connect(layers.flatten(layers.activate(layers.convolve(x, 2, 3, 2, true))), 5));
}

void add_all() {
  static const bool done = [] {
    activations().add(activation<Softplus>());
    regularizers().add({.name = "test_l1",
                        .label = "L1",
                        .of_tensor = [](const Regularizer::Initial&, const Configuration&) {
                          return std::make_unique<Lasso>();
                        }});
    DataSet noise = data_sets().at("mnist");
    noise.name = "test_noise", noise.label = "noise", noise.stand_in = "noise";
    noise.images = [](const std::filesystem::path&) {
      std::vector<std::uint8_t> pixels(300 * 64), labels(300);
      Generator generator = stream(1, "noise");
      for (std::uint8_t& pixel : pixels) pixel = static_cast<std::uint8_t>(below(generator, 256));
      for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::uint8_t>(i % 3);
      return make_dataset("noise", 1, 8, 8, 3, pixels, labels);
    };
    data_sets().add(noise);
    ProblemType plain = problem_types().at("permuted_mnist");
    plain.name = "test_signs", plain.title = "signs", plain.data_set = "test_noise";
    plain.make = [make = plain.make](const ProblemSettings& settings, const DataSet& set, DataLibrary& data) {
      return std::make_unique<Signs>(make(settings, set, data));
    };
    problem_types().add(plain);
    networks().add({.name = "test_narrow",
                    .title = [](const Configuration&) { return std::string("narrow"); },
                    .features = narrow,
                    .at_once = {2, 2, 64}});
    metrics().add({"test_largest", "largest parameter",
                   [](const TaskEnd& end) { return end.theta.cwiseAbs().maxCoeff(); }});
    claim_kinds().add({"test_positive",
                       "the metric is positive",
                       {"metric"},
                       [](const Claim& claim, const Observations& runs) {
                         bool all = true;
                         for (const auto& [seed, curve] : runs.curves(claim.condition, claim.metric))
                           for (const double value : curve) all = all && value > 0;
                         return Judged{all ? Verdict::holds : Verdict::fails, claim.metric + " > 0", "seen"};
                       }});
    return true;
  }();
  CHECK(done);
}

Configuration small() {
  Configuration c;
  c.problem = "test_signs", c.data = "noise", c.images = 60, c.width = 12, c.depth = 2, c.batch = 20;
  c.epochs = 3, c.rank_samples = 20, c.activation = "test_softplus", c.regularizer = "test_l1",
  c.strength = .001;
  return c;
}

}  // namespace

TEST_CASE("registries: names are found, unknown ones are told with those that are known", "[paper]") {
  add_all();
  CHECK(activations().at("tanh").label == "tanh");
  CHECK(activations().find("sigmoid") == nullptr);
  CHECK_THROWS_AS(activations().add(activation<Softplus>()), std::invalid_argument);
  try {
    regularizers().at("x");
    FAIL("expected an error");
  } catch (const std::invalid_argument& error) {
    CHECK(std::string(error.what()).find("no regulariser \"x\", expected one of none, wasserstein") !=
          std::string::npos);
  }
}

TEST_CASE("registries: every activation's derivatives are those of differences", "[paper]") {
  add_all();
  const double slope = .1, h = 1e-5;
  Eigen::ArrayXd z(41);
  for (Index i = 0; i < z.size(); ++i) z[i] = -4.1 + .2 * static_cast<double>(i) + .013;  // no kink nearby
  for (const Activation& one : activations()) {
    CAPTURE(one.name);
    const auto& rules = one.in_double;
    const auto value = [&](const Eigen::ArrayXd& at) {
      Eigen::ArrayXd a = at;
      rules.apply({a.data(), a.size()}, slope);
      return a;
    };
    const auto derivative = [&](const Eigen::ArrayXd& at, bool second) {
      const Eigen::ArrayXd a = value(at), given = one.from_output ? a : at;
      Eigen::ArrayXd x = Eigen::ArrayXd::Constant(at.size(), 3);  // it multiplies what is there
      (second ? rules.times_second_derivative : rules.times_derivative)(
          {given.data(), given.size()}, {a.data(), a.size()}, {x.data(), x.size()}, slope);
      return Eigen::ArrayXd(x / 3);
    };
    const Eigen::ArrayXd first = (value(z + h) - value(z - h)) / (2 * h);
    const Eigen::ArrayXd second = (derivative(z + h, false) - derivative(z - h, false)) / (2 * h);
    CHECK((derivative(z, false) - first).abs().maxCoeff() <= 1e-9);  // h^2 and eps / h
    CHECK((derivative(z, true) - second).abs().maxCoeff() <= 1e-9);
    CHECK((one.bends || (derivative(z, true) == 0).all()));
    Eigen::ArrayXf single = z.cast<float>();
    one.in_float.apply({single.data(), single.size()}, static_cast<float>(slope));
    CHECK((single.cast<double>() - value(z)).abs().maxCoeff() <= 1e-6);
  }
}

TEST_CASE("registries: what was added is planned, trained, measured and judged", "[paper]") {
  add_all();
  const Condition condition{"test_softplus", "test_l1"};
  Profile profile{.configuration = small(), .strengths = {.001}, .tasks = 6, .seeds = 2, .sweeps = {}};
  Setting setting{.problem = "test_signs", .title = "signs", .own = profile};
  const Figure figure{
      .name = "own",
      .title = "own",
      .settings = {setting},
      .conditions = {condition},
      .panels = {{"test_largest", "t", "a"}},
      .claims = {{.kind = "test_positive", .condition = condition, .words = "w", .metric = "test_largest"}}};
  DataLibrary data;
  const auto settings = plan(figure, {}, data.identity(data_set_of("test_signs")));
  const Folder folder;
  std::ostringstream log, text;
  const std::atomic<bool> stop{false};
  {
    Results results(folder / "a.sqlite", Results::Access::write);
    CHECK(run_all(all_runs(settings), data, results, {2, false}, log, stop));
  }
  std::vector<std::unique_ptr<Results>> files;
  files.push_back(std::make_unique<Results>(folder / "a.sqlite", Results::Access::read));
  Archive archive(std::move(files));
  REQUIRE(archive.choose_data(all_runs(settings)));
  CHECK(check(figure, settings, archive, false, text));
  CHECK(text.str().find("HOLDS         test_largest > 0: seen") != std::string::npos);
  CHECK(label(condition) == "softplus + L1");
  CHECK(archive.numerics_used(settings[0]) == std::set<std::string>{std::to_string(numerics)});
}

TEST_CASE("registries: a network counts its operations and parameters by its own walk", "[paper]") {
  add_all();
  Configuration c;
  c.width = 7, c.depth = 2;
  const auto mlp = size_of(c, Signal{5}, 3);
  CHECK(mlp.multiply_adds == 5 * 7 + 7 * 7 + 7 * 3);
  CHECK(mlp.parameters == mlp.multiply_adds + 7 + 7 + 3);
  c.architecture = "test_narrow";
  const auto narrow_size = size_of(c, Signal{1, 8, 8}, 3);
  CHECK(narrow_size.multiply_adds == 2 * 9 * 16 + 32 * 5 + 5 * 3);
  CHECK(narrow_size.parameters == 2 * 9 + 2 + 32 * 5 + 5 + 5 * 3 + 3);
  c.architecture = "resnet18";
  CHECK(size_of(c, Signal{3, 32, 32}, 10).parameters == 11181642);  // He et al.'s with ten classes
}

#ifdef SAGITTA_PAPER_TORCH
TEST_CASE("registries: LibTorch's learner trains what was added as the other does", "[paper][torch]") {
  add_all();
  DataLibrary data;
  std::vector<Configuration> mixture(4, small());
  mixture[1].activation = "gelu", mixture[1].regularizer = "none";
  mixture[2].activation = "relu", mixture[2].regularizer = "l2", mixture[2].strength = .01;
  mixture[3].activation = "gelu", mixture[3].seed = 1;
  std::vector<Task> tasks;
  std::vector<std::vector<Index>> orders;
  for (const Configuration& c : mixture) {
    tasks.push_back(make_problem(c, data)->task(0));
    orders.emplace_back();
    for (Index i = 0; i < tasks.back().size(); ++i) orders.back().push_back(i);
  }
  const auto torch = make_torch_group(mixture, tasks[0], {});
  torch->begin_task();
  std::vector<EpochReport> together;
  for (int epoch = 0; epoch < 3; ++epoch) together = torch->train_epoch(tasks, orders);
  for (std::size_t k = 0; k < mixture.size(); ++k) {
    CAPTURE(mixture[k].activation);
    const auto eigen = make_learner(mixture[k], tasks[k].inputs->rows(), tasks[k].classes);
    eigen->begin_task();
    EpochReport alone;
    for (int epoch = 0; epoch < 3; ++epoch) alone = eigen->train_epoch(tasks[k], orders[k]);
    CHECK(std::abs(alone.cross_entropy / together[k].cross_entropy - 1) < 1e-4);
    CHECK(std::abs(alone.update_l1 / together[k].update_l1 - 1) < 1e-4);
  }
  Configuration own = small();
  own.architecture = "test_narrow";
  const auto narrow_group = make_torch_group(std::vector{own}, tasks[0], {});
  CHECK(narrow_group->parameters() == 2 * 9 + 2 + 32 * 5 + 5 + 5 * 3 + 3);
  narrow_group->begin_task();
  CHECK(narrow_group->train_epoch(std::span(tasks).first(1), std::span(orders).first(1))[0].updates == 3);
}
#endif
