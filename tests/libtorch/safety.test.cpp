#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "oracle.hpp"

using namespace oracle;

// What must never be silently wrong, and what a call must leave as it was.
namespace {

struct Doubled : torch::autograd::Function<Doubled> {  // an operation that no rule can know
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const Tensor& w) {
    context->save_for_backward({x, w});
    return x.matmul(w.t()) * 2;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list g) {
    const auto saved = context->get_saved_variables();
    return {g[0].matmul(saved[1]) * 2, g[0].t().matmul(saved[0]) * 2};
  }
};

struct Clipped : torch::autograd::Function<Clipped> {  // a backward pass that is not linear
  static Tensor forward(torch::autograd::AutogradContext*, const Tensor& x) { return x.clone(); }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 torch::autograd::variable_list g) {
    return {g[0].clamp_min(-1e-3)};
  }
};

std::vector<Tensor> leaves(const std::vector<std::vector<int64_t>>& shapes,
                           torch::Dtype type = torch::kDouble) {
  std::vector<Tensor> result;
  result.reserve(shapes.size());
  for (const auto& shape : shapes) result.push_back(torch::randn(shape, type).requires_grad_());
  return result;
}

std::size_t resident_bytes() {
  std::size_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

TEST_CASE("what no rule covers falls back, and only that", "[safety]") {
  torch::manual_seed(21);
  const auto p = leaves({{5, 4}, {3, 5}, {3}});
  const Tensor x = torch::randn({6, 4}, torch::kDouble);

  SECTION("a custom function") {
    const auto result = check_gram(
        [&] { return some_losses(F::linear(torch::tanh(Doubled::apply(x, p[0])), p[1], p[2])); }, p);
    REQUIRE(result.fallback_parameters.size() == 1);
    CHECK(result.fallback_parameters[0].index == 0);
    CHECK(result.fallback_parameters[0].name == "parameter 0 of shape [5, 4]");
  }
  SECTION("a custom function beside a rule") {
    const auto result = check_gram(
        [&] {
          return some_losses(
              F::linear(torch::tanh(Doubled::apply(x, p[0]) + F::linear(x, p[0])), p[1], p[2]));
        },
        p);
    REQUIRE(result.fallback_parameters.size() == 1);
    CHECK(result.fallback_parameters[0].index == 0);
  }
  SECTION("a weight that is computed") {
    const auto result = check_gram(
        [&] { return some_losses(F::linear(torch::tanh(F::linear(x, p[0] / p[0].norm())), p[1], p[2])); }, p);
    CHECK(result.fallback_parameters.empty());
  }
  SECTION("losses from elsewhere") {
    Tensor before = some_losses(F::linear(torch::tanh(F::linear(x, p[0])), p[1], p[2]));
    CHECK(check_gram([&] { return before; }, p).fallback_parameters.size() == 3);
  }
  SECTION("samples that the model couples") {
    CHECK_FALSE(check_gram(
                    [&] {
                      const Tensor h = torch::tanh(F::linear(x, p[0]));
                      return some_losses(F::linear(h - h.mean(0, true), p[1], p[2]));
                    },
                    p)
                    .fallback_parameters.empty());
  }
  SECTION("a parameter with a part for each sample") {
    const auto own = leaves({{6, 4}});
    CHECK(check_gram([&] { return some_losses(torch::tanh(x * own[0])); }, own).fallback_parameters.size() ==
          1);
  }
  SECTION("an input that is overwritten afterwards is an error of autograd, not a wrong number") {
    CHECK_THROWS(lt::empirical_fisher_gram(
        [&] {
          Tensor y = x.clone();
          const Tensor z = F::linear(y, p[0]);
          y.zero_();
          return some_losses(z);
        },
        std::vector<Tensor>{p[0]}));
  }
}

TEST_CASE("the check sees a wrong rule", "[safety]") {
  torch::manual_seed(22);
  const auto p = leaves({{5, 4}, {3, 5}});
  const Tensor x = torch::randn({6, 4}, torch::kDouble);
  lt::GramOptions options;
  options.rules["aten::linear"] = [](const lt::OperatorCall& call, const lt::ParameterUse& use,
                                     const Tensor& backprop, const lt::Batch& batch) {
    lt::Factor factor = lt::standard_rules().at("aten::linear")(call, use, backprop, batch);
    factor.inputs = factor.inputs * 1.01;
    return factor;
  };
  const auto losses = [&] { return some_losses(torch::linear(torch::tanh(torch::linear(x, p[0])), p[1])); };
  CHECK(check_gram(losses, p, options).fallback_parameters.size() == 2);
  options.check = false;
  const Tensor unchecked = lt::empirical_fisher_gram(losses, p, options).gram;
  CHECK(relative_error(unchecked, gram(losses(), p)) > 1e-3);
}

TEST_CASE("a rule of one's own", "[safety]") {
  torch::manual_seed(23);
  const auto p = leaves({{1}});
  const Tensor x = torch::rand({6, 4}, torch::kDouble) + 0.5;
  const auto losses = [&] { return some_losses(torch::pow(x, p[0])); };
  CHECK(check_gram(losses, p).fallback_parameters.size() == 1);
  lt::GramOptions options;
  options.rules["aten::pow"] = [](const lt::OperatorCall& call, const lt::ParameterUse& use,
                                  const Tensor& backprop, const lt::Batch& batch) {
    if (use.argument != 1) throw lt::NoAnswer{};
    const Tensor& base = call.tensor(0);
    return lt::broadcast_factor(backprop * base.pow(call.tensor(1).detach()) * base.log(), use.view, batch);
  };
  CHECK(check_gram(losses, p, options).fallback_parameters.empty());
}

TEST_CASE("bad input is told apart", "[safety]") {
  torch::manual_seed(24);
  auto p = leaves({{5, 4}, {5}});
  const Tensor x = torch::randn({6, 4}, torch::kDouble);
  const auto losses = [&] { return some_losses(F::linear(x, p[0], p[1])); };
  const auto message = [&](const std::function<Tensor()>& f, const lt::Parameters& parameters) {
    return rejection([&] { (void)lt::empirical_fisher_gram(f, parameters); });
  };
  CHECK(holds(message(losses, {}), "empirical_fisher_gram: the list of parameters is empty"));
  CHECK(holds(message(losses, std::vector<Tensor>{p[0], Tensor()}), "parameter 1 is an undefined tensor"));
  CHECK(holds(message(losses, std::vector<Tensor>{p[0], p[1].detach()}),
              "parameter 1 of shape [5] does not require grad"));
  CHECK(holds(message(losses, std::vector<Tensor>{p[0] * 2}), "not a leaf"));
  CHECK(holds(message(losses, std::vector<Tensor>{p[0], torch::randn({3}).requires_grad_()}),
              "is of type Float, expected Double"));
  CHECK(holds(message([&] { return losses().mean(); }, p), "losses is of shape [], expected [M]"));
  CHECK(holds(message([&] { return torch::stack({losses(), losses()}); }, p), "losses is of shape [2, 6]"));
  CHECK(holds(message([&] { return Tensor(); }, p), "undefined"));
  CHECK(holds(message([&] { return losses().detach(); }, p), "does not require grad"));
  CHECK(holds(message(
                  [&] {
                    return losses() / torch::tensor({1., 1., 0., 1., 1., 1.}, torch::kDouble);
                  },
                  p),
              "the loss of sample 2 is NaN or infinite"));
  CHECK(holds(rejection([&] {
                const torch::NoGradGuard off;
                (void)lt::empirical_fisher_gram(losses, p);
              }),
              "no-grad"));
  CHECK(holds(message(
                  [&] {
                    Tensor used = losses();
                    used.sum().backward();
                    for (Tensor& t : p) t.mutable_grad().reset();
                    return used;
                  },
                  p),
              "graph of the forward pass was freed"));
  CHECK(holds(message([&] { return some_losses(Clipped::apply(F::linear(x, p[0], p[1]))); }, p),
              "do not add up"));
  CHECK(holds(
      message([&] { return torch::sqrt(F::linear(x * 0, p[0]).abs()).sum(1); }, std::vector<Tensor>{p[0]}),
      "NaN or infinity"));
  lt::GramOptions none;
  none.chunk_bytes = 0;
  CHECK(holds(rejection([&] { (void)lt::empirical_fisher_gram(losses, p, none); }),
              "options.chunk_bytes is 0"));
  CHECK(holds(rejection([&] { (void)lt::gauss_newton_gram(losses, p); }),
              "logits is of shape [6], expected [M, C]"));
  CHECK(holds(rejection([&] {
                (void)lt::symmetric_effective_rank(torch::randn({3, 4}));
              }),
              "A is of shape [3, 4]"));
  CHECK(holds(rejection([&] { (void)lt::symmetric_effective_rank(Tensor()); }), "undefined"));
  CHECK_THROWS_AS(lt::empirical_fisher_gram([]() -> Tensor { throw std::runtime_error("mine"); }, p),
                  std::runtime_error);
}

TEST_CASE("batch norm in train mode is refused and its statistics are put back", "[safety]") {
  torch::manual_seed(25);
  nn::Sequential model(nn::Linear(4, 6), nn::BatchNorm1d(6), nn::ReLU(), nn::Linear(6, 6),
                       nn::BatchNorm1d(6));
  nn::Sequential plain(nn::Linear(4, 6), nn::BatchNorm1d(nn::BatchNormOptions(6).affine(false)));
  const Tensor x = torch::randn({8, 4});
  model->train();
  plain->train();
  std::vector<Tensor> before;
  for (const Tensor& b : model->buffers()) before.push_back(b.clone());
  const std::string message = rejection([&] {
    (void)lt::empirical_fisher_gram([&] { return some_losses(model->forward(x)); }, model->parameters());
  });
  CHECK(holds(message, "batch norm in train mode"));
  CHECK(holds(message, "eval()"));
  const auto after = model->buffers();
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(torch::equal(before[i], after[i]));
  CHECK(holds(rejection([&] {
                (void)lt::empirical_fisher_gram([&] { return some_losses(plain->forward(x)); },
                                                plain->parameters());
              }),
              "batch norm in train mode"));
  // instance norm does not couple samples; it moves its statistics all the same
  nn::InstanceNorm1d instance(nn::InstanceNorm1dOptions(4).affine(true).track_running_stats(true));
  const Tensor s = torch::randn({5, 4, 6}), mean = instance->running_mean.clone();
  CHECK(check_gram([&] { return some_losses(instance->forward(s)); }, instance->parameters())
            .fallback_parameters.empty());
}

TEST_CASE("gradients, generators and the graph stay as they were", "[safety]") {
  torch::manual_seed(26);
  nn::Sequential model(nn::Linear(4, 6), nn::Dropout(0.5), nn::Linear(6, 3));
  const Tensor x = torch::randn({5, 4}), y = torch::randint(0, 3, {5});
  cross_entropy(model->forward(x), y).mean().backward();
  std::vector<Tensor> gradients;
  for (const Tensor& p : model->parameters()) gradients.push_back(p.grad().clone());
  Tensor losses = cross_entropy(model->forward(x), y);
  const Tensor state = at::globalContext().defaultGenerator(torch::Device(torch::kCPU)).get_state();
  (void)lt::empirical_fisher_gram([&] { return cross_entropy(model->forward(x), y); }, model->parameters());
  (void)lt::HessianOperator([&] { return cross_entropy(model->forward(x), y).mean(); }, model->parameters());
  CHECK(torch::equal(state, at::globalContext().defaultGenerator(torch::Device(torch::kCPU)).get_state()));
  const auto result = lt::empirical_fisher_gram([&] { return losses; }, model->parameters());
  CHECK(result.check_error < 1e-6);
  CHECK(model->is_training());
  const auto parameters = model->parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) CHECK(torch::equal(parameters[i].grad(), gradients[i]));
  losses.sum().backward();  // its graph is still there
}

TEST_CASE("memory holds steady over a thousand calls", "[safety]") {
  torch::manual_seed(27);
  nn::Sequential model(nn::Conv2d(nn::Conv2dOptions(3, 8, 3)), nn::ReLU(), nn::Flatten(),
                       nn::Linear(288, 10));
  const Tensor x = torch::randn({16, 3, 8, 8}), y = torch::randint(0, 10, {16});
  const auto parameters = model->parameters();
  const auto call = [&] {
    (void)lt::empirical_fisher_gram([&] { return cross_entropy(model->forward(x), y); }, parameters);
    lt::HessianOperator hessian([&] { return cross_entropy(model->forward(x), y).mean(); }, parameters);
  };
  for (int i = 0; i < 200; ++i) call();
  const std::size_t before = resident_bytes();
  for (int i = 0; i < 1000; ++i) call();
  const std::size_t after = resident_bytes();
  CHECK(after < before + (std::size_t{8} << 20));  // one call that kept its graph would be 100 MiB in all
}

TEST_CASE("two threads at once", "[safety]") {
  torch::manual_seed(28);
  const auto work = [](int64_t width, double& error) {
    nn::Sequential model(nn::Linear(6, width), nn::Tanh(), nn::Linear(width, 4));
    model->to(torch::kDouble);
    const Tensor x = torch::randn({8, 6}, torch::kDouble), y = torch::randint(0, 4, {8});
    const auto losses = [&] { return cross_entropy(model->forward(x), y); };
    const Tensor want = gram(losses(), model->parameters());
    for (int i = 0; i < 100; ++i) {
      const auto result = lt::empirical_fisher_gram(losses, model->parameters());
      error = std::max(
          {error, relative_error(result.gram, want), static_cast<double>(result.fallback_parameters.size())});
    }
  };
  double first = 0, second = 0;
  std::thread other([&] { work(9, first); });
  work(12, second);
  other.join();
  CHECK(first < 1e-12);
  CHECK(second < 1e-12);
}

TEST_CASE("the same tests on a GPU", "[safety]") {
  if (devices().size() == 1) WARN("no GPU here: the adapter was tested on the CPU only");
}
