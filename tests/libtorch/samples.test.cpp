#include "oracle.hpp"

using namespace oracle;

// Which sample a row belongs to is found, not guessed: samples that trade places, mix, or lie far apart.
namespace {

// whether some entry is wrong beside the two samples that it belongs to
bool wrong(const Tensor& got, const Tensor& want, double tolerance) {
  const Tensor length = want.diagonal().clamp_min(0).sqrt();
  return ((got.to(torch::kDouble) - want).abs() > tolerance * length.unsqueeze(1) * length + 1e-290)
      .any()
      .item<bool>();
}

int64_t below(int64_t bound) { return torch::randint(0, bound, {1}).item<int64_t>(); }

}  // namespace

TEST_CASE("samples that are shuffled, coupled and scaled apart are right or an error", "[samples]") {
  int64_t answered = 0, runs = 0, without_fallback = 0;
  for (int trial = 0; trial < 200; ++trial) {
    torch::manual_seed(trial);
    const auto type = below(2) == 0 ? torch::kFloat : torch::kDouble;
    const int64_t M = 1 + below(trial % 8 == 0 ? 64 : 9), T = 1 + below(3), d = 1 + below(5),
                  h = 1 + below(6);
    const auto options = torch::TensorOptions().dtype(type);
    const std::vector<Tensor> p{torch::randn({h, d}, options).requires_grad_(),
                                torch::randn({h}, options).requires_grad_(),
                                torch::randn({3, h}, options).requires_grad_()};
    const Tensor x = torch::randn({M, T, d}, options), order = torch::randperm(M);
    const double range = static_cast<double>(below(4)) * 10, share = std::pow(10.0, -below(5));
    const Tensor scale = torch::pow(10.0, (torch::rand({M}, torch::kDouble) * 2 - 1) * range).to(type);
    const int64_t kind = below(7), layout = below(3), i = below(M), j = below(M);
    const auto losses = [&] {
      Tensor y = layout == 0 ? x : layout == 1 ? x.transpose(0, 1) : x.reshape({M * T, d});
      y = torch::tanh(F::linear(y, p[0], p[1]));
      y = layout == 0 ? y : layout == 1 ? y.transpose(0, 1) : y.view({M, T, h});
      Tensor z = y;
      if (kind == 0) z = y.index_select(0, order);
      if (kind == 1) z = y.flip(0);
      if (kind == 2) z = y + y.index_select(0, order) * share;
      if (kind == 3) z = y - y.mean(0, true) * share;
      if (kind == 4) {
        const Tensor other = y[j] * share;
        z = y.index_add(0, torch::tensor({i}), other.unsqueeze(0));
      }
      return F::linear(z, p[2]).flatten(1).square().sum(1) * scale;
    };
    const Tensor want = gram(losses(), p);
    for (const bool check : {true, false}) {
      lt::GramOptions gram_options;
      gram_options.check = check;
      ++runs;
      try {
        const auto result = lt::empirical_fisher_gram(losses, p, gram_options);
        ++answered;
        without_fallback += result.fallback_parameters.empty();
        CAPTURE(trial, check, kind, layout, M);
        CHECK_FALSE(wrong(result.gram, want, type == torch::kDouble ? 1e-8 : 1e-3));
      } catch (const std::invalid_argument&) {
      }
    }
  }
  CHECK(answered > runs * 95 / 100);
  CHECK(without_fallback > runs / 3);
}

TEST_CASE("rows in an order of their own need no fallback", "[samples]") {
  torch::manual_seed(70);
  const int64_t M = 6;
  const Tensor size = torch::tensor({1, 4, 2, 2, 5, 3}), owner = torch::repeat_interleave(size);
  const Tensor shuffled = owner.index_select(0, torch::randperm(owner.size(0)));
  const Tensor nodes = torch::randn({owner.size(0), 4}, torch::kDouble);
  nn::Sequential model(nn::Linear(4, 5), nn::Tanh());
  model->to(torch::kDouble);
  CHECK(check_gram(
            [&] {
              const Tensor h = model->forward(nodes);
              return some_losses(torch::zeros({M, 5}, torch::kDouble).index_add(0, shuffled, h));
            },
            model->parameters())
            .fallback_parameters.empty());
}

TEST_CASE("tensors computed from parameters", "[samples]") {
  torch::manual_seed(71);
  const auto leaf = [](std::vector<int64_t> shape) {
    return torch::randn(shape, torch::kDouble).requires_grad_();
  };
  const Tensor x = torch::randn({6, 4}, torch::kDouble), s = torch::randn({6, 3, 4}, torch::kDouble);
  const Tensor v = leaf({5, 4}), g = leaf({5, 1}), A = leaf({2, 4}), B = leaf({5, 2}), o = leaf({3, 5}),
               table = leaf({7, 4}), scale = leaf({4});
  const auto head = [&](const Tensor& h) { return some_losses(F::linear(h.tanh(), o)); };
  CHECK(check_gram([&] { return head(F::linear(x, v * (g / v.norm(2, {1}, true)))); }, {v, g, o})
            .fallback_parameters.empty());
  CHECK(
      check_gram([&] { return head(F::linear(x, v + B.mm(A))); }, {v, A, B, o}).fallback_parameters.empty());
  CHECK(check_gram(
            [&] {
              const Tensor positions = torch::embedding(table, torch::arange(3)) + torch::tanh(scale * scale);
              return head(F::linear(s + positions, v));
            },
            {table, scale, v, o})
            .fallback_parameters.empty());
  CHECK(check_gram(
            [&] {
              return head(F::linear(x, torch::cat({v, v * 2}, 0)).narrow(1, 3, 5));
            },
            {v, o})
            .fallback_parameters.empty());
}
