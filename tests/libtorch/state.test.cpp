#include <atomic>
#include <set>
#include <thread>

#include "oracle.hpp"

using namespace oracle;

// What a forward pass moves, and nobody must notice.
namespace {

struct Buffers {
  std::vector<Tensor> tensors, before;
  explicit Buffers(std::vector<Tensor> all) : tensors(std::move(all)) {
    for (const Tensor& t : tensors) before.push_back(t.clone());
  }
  bool kept() const {
    for (std::size_t i = 0; i < tensors.size(); ++i)
      if (!torch::equal(tensors[i], before[i])) return false;
    return true;
  }
};
std::string fisher(const std::function<Tensor()>& losses, const std::vector<Tensor>& p) {
  return rejection([&] { (void)lt::empirical_fisher_gram(losses, p); });
}

}  // namespace

TEST_CASE("other threads draw no random number twice", "[state]") {
  torch::manual_seed(81);
  nn::Sequential model(nn::Linear(6, 30), nn::Dropout(0.5), nn::Linear(30, 3));
  const Tensor x = torch::randn({8, 6}), y = torch::randint(0, 3, {8});
  std::atomic<bool> done{false};
  std::vector<double> drawn;
  std::thread other([&] {
    while (!done) drawn.push_back(torch::rand({1}, torch::kDouble).item<double>());
  });
  const auto losses = [&] { return cross_entropy(model->forward(x), y); };
  for (int i = 0; i < 100; ++i) {
    (void)lt::empirical_fisher_gram(losses, model->parameters());
    lt::HessianOperator H([&] { return losses().mean(); }, model->parameters());
  }
  done = true;
  other.join();
  CHECK(drawn.size() > 100);
  CHECK(std::set<double>(drawn.begin(), drawn.end()).size() == drawn.size());
}

TEST_CASE("a pass draws what it would draw, from any generator, and moves none", "[state]") {
  const Tensor x = torch::randn({5, 4}, torch::kDouble),
               w = torch::randn({3, 4}, torch::kDouble).requires_grad_();
  at::Generator own = at::detail::createCPUGenerator(4);
  const auto losses = [&] {
    const Tensor mask = torch::empty({5, 3}, torch::kDouble).bernoulli_(0.5, own);
    return some_losses(torch::dropout(F::linear(x, w), 0.3, true) * mask +
                       torch::randn({5, 3}, torch::kDouble));
  };
  torch::manual_seed(82);
  const Tensor state = own.get_state();
  const Tensor first = lt::empirical_fisher_gram(losses, {{w}}).gram;
  CHECK(torch::equal(own.get_state(), state));
  CHECK(torch::equal(lt::empirical_fisher_gram(losses, {{w}}).gram, first));
  CHECK(relative_error(first, gram(losses(), {w})) < 1e-12);
}

TEST_CASE("buffers stay, seen by RecordFunction or not", "[state]") {
  torch::manual_seed(83);
  nn::Sequential model(nn::Linear(4, 6), nn::BatchNorm1d(6), nn::ReLU(), nn::Linear(6, 3));
  model->to(torch::kDouble);  // the counter too
  const Tensor x = torch::randn({8, 4}, torch::kDouble), y = torch::randint(0, 3, {8});
  const Buffers buffers(model->buffers());
  const auto losses = [&] { return cross_entropy(model->forward(x), y); };
  CHECK(holds(fisher(losses, model->parameters()), "batch norm in train mode"));
  CHECK(buffers.kept());
  CHECK(holds(fisher(
                  [&] {
                    const at::RecordFunctionGuard off(false);
                    return losses();
                  },
                  model->parameters()),
              "batch norm in train mode"));
  CHECK(buffers.kept());

  // a target network in train mode beside the one that learns
  nn::Linear online(4, 3);
  online->to(torch::kDouble);
  const auto distances = [&] {
    const torch::NoGradGuard off;
    const Tensor target = model->forward(x);
    const torch::AutoGradMode on(true);
    return (online(x) - target).square().sum(1);
  };
  check_gram(distances, online->parameters());
  Buffers moved(model->buffers());
  check_gram([&] { return (online(x)).square().sum(1); }, online->parameters());
  (void)lt::empirical_fisher_gram(distances, online->parameters());
  CHECK(moved.kept());

  // weights that the lookup renormalises
  nn::Embedding words(nn::EmbeddingOptions(7, 4).max_norm(0.5));
  words->to(torch::kDouble);
  const Buffers weight({words->weight});
  const Tensor tokens = torch::randint(0, 7, {5, 3});
  const auto of_words = [&] { return some_losses(words(tokens).tanh()); };
  const Tensor K = lt::empirical_fisher_gram(of_words, {{words->weight}}).gram;
  CHECK(weight.kept());
  CHECK(relative_error(K, gram(of_words(), {words->weight})) < 1e-12);
}

TEST_CASE("batches of a forward pass that does not repeat are an error", "[state]") {
  const Tensor w = torch::randn({4}, torch::kDouble).requires_grad_(),
               x = torch::randn({6, 4}, torch::kDouble);
  double calls = 0;
  const auto losses = [&](int64_t i) {  // no rule, so that batches are computed again
    return (torch::cumsum(w * x.narrow(0, 3 * i, 3), 1).sin() * ++calls).sum(1);
  };
  lt::GramOptions options;
  options.rules["aten::mul"] = [](const lt::OperatorCall&, const lt::ParameterUse&, const Tensor&,
                                  const lt::Batch&) -> lt::Factor { throw lt::NoAnswer{}; };
  CHECK(holds(rejection([&] { (void)lt::empirical_fisher_gram(2, losses, {{w}}, options); }),
              "empirical_fisher_gram: the forward pass does not repeat"));
}

TEST_CASE("parameters of a copy of the model are an error, not a Gram of zeros", "[state]") {
  nn::Linear model(4, 3), copy(4, 3);
  const Tensor x = torch::randn({5, 4});
  CHECK(holds(fisher([&] { return model(x).square().sum(1); }, copy->parameters()),
              "empirical_fisher_gram: no parameter influences the output"));
}

TEST_CASE("what a pass leaves in older tensors is put back, what it makes stays", "[state]") {
  torch::manual_seed(84);
  Tensor W = torch::randn({3, 4}, torch::kDouble).requires_grad_(), u = torch::randn({3}, torch::kDouble);
  const Tensor x = torch::randn({6, 4}, torch::kDouble), scratch = torch::zeros({6, 3}, torch::kDouble);
  Tensor made;
  const auto losses = [&](int64_t i) {
    const torch::NoGradGuard off;
    u.copy_(torch::mv(W, torch::mv(W.t(), u)));  // a power iteration that the graph holds
    u.div_(u.norm());
    made = torch::zeros({2, 3}, torch::kDouble).add_(1);
    made.mul_(u);
    scratch.narrow(0, 2 * i, 2).copy_(made);
    const torch::AutoGradMode on(true);
    const Tensor sigma = torch::dot(u, torch::mv(W, torch::mv(W.t(), u)));
    return some_losses(torch::tanh(F::linear(x.narrow(0, 2 * i, 2), W / sigma)) +
                       scratch.narrow(0, 2 * i, 2));
  };
  const Buffers buffers({u, scratch});
  const Tensor K = lt::empirical_fisher_gram(3, losses, {{W}}).gram;
  CHECK(buffers.kept());
  CHECK(made.abs().max().item<double>() > 0);
  std::vector<Tensor> parts;  // every batch begins where the call began
  for (int64_t i = 0; i < 3; ++i) {
    parts.push_back(jacobian(losses(i), {W}));
    u.copy_(buffers.before[0]);
    scratch.copy_(buffers.before[1]);
  }
  const Tensor G = torch::cat(parts);
  CHECK(relative_error(K, G.mm(G.t())) < 1e-12);
}
