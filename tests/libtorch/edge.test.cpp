#include <thread>

#include "oracle.hpp"

using namespace oracle;

// What unmodified models do that could end in a silently wrong number, or in an exception that nobody needs.
namespace {

Tensor leaf(std::vector<int64_t> shape) { return torch::randn(shape, torch::kDouble).requires_grad_(); }
Tensor fixed(std::vector<int64_t> shape) { return torch::randn(shape, torch::kDouble); }

// the Gram without the check, which would mend what the capture gets wrong
Tensor unchecked(const std::function<Tensor()>& losses, const std::vector<Tensor>& parameters) {
  lt::GramOptions options;
  options.check = false;
  return lt::empirical_fisher_gram(losses, parameters, options).gram;
}

// right with the check and without; returns how many parameters fell back
std::size_t both_ways(const std::function<Tensor()>& losses, const std::vector<Tensor>& parameters) {
  CHECK(relative_error(unchecked(losses, parameters), gram(losses(), parameters)) < 1e-12);
  return check_gram(losses, parameters).fallback_parameters.size();
}

struct Scaled : torch::autograd::Function<Scaled> {  // the same memory, another gradient
  static Tensor forward(torch::autograd::AutogradContext*, const Tensor& w) { return w.view_as(w); }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 torch::autograd::variable_list g) {
    return {g[0] * 3};
  }
};

struct Checkpoint : torch::autograd::Function<Checkpoint> {  // y = tanh(x w^T), computed anew on the way back
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const Tensor& w) {
    context->save_for_backward({x, w});
    return torch::tanh(x.mm(w.t()));
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list g) {
    const auto saved = context->get_saved_variables();
    const torch::AutoGradMode mode(true);
    const Tensor x = saved[0].detach().requires_grad_(), w = saved[1].detach().requires_grad_();
    return torch::autograd::grad({torch::tanh(x.mm(w.t()))}, {x, w}, {g[0]});
  }
};

Tensor* hidden = nullptr;                                  // a parameter that autograd does not see
struct Reentrant : torch::autograd::Function<Reentrant> {  // the same by backward()
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x) {
    context->save_for_backward({x});
    return torch::tanh(x.mm(hidden->t()));
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list g) {
    const torch::AutoGradMode mode(true);
    const Tensor x = context->get_saved_variables()[0].detach().requires_grad_();
    torch::tanh(x.mm(hidden->t())).backward(g[0]);
    return {x.grad()};
  }
};

}  // namespace

TEST_CASE("parameters that are written into a part of a tensor", "[edge]") {
  torch::manual_seed(51);
  const Tensor x = fixed({6, 4, 3});
  const Tensor row = leaf({3}), rows = leaf({2, 3}), scale = leaf({3}), W = leaf({3, 3});
  const std::vector<Tensor> all{row, rows, scale, W};
  both_ways(
      [&] {
        Tensor y = x.clone();
        y.select(1, 0) += row;
        y.narrow(1, 1, 2).add_(rows);
        y.narrow(1, 3, 1).mul_(scale);
        y.select(1, 2).copy_(F::linear(x.select(1, 2), W));
        return some_losses(torch::tanh(y));
      },
      all);
  both_ways(
      [&] {  // beside a use that is recorded
        Tensor y = torch::matmul(x, W) + row;
        y.narrow(1, 0, 2) -= rows;
        y.select(1, 1) *= scale;
        return some_losses(torch::tanh(y) + row);
      },
      all);
  const lt::HessianOperator H(
      [&] {
        Tensor y = x.clone();
        y.select(1, 0) += row;
        return some_losses(torch::tanh(y)).mean();
      },
      std::vector<Tensor>{row});
  CHECK(H.apply(torch::ones({3}, torch::kDouble)).norm().item<double>() > 0);
  CHECK_FALSE(row.grad().defined());
  both_ways(
      [&] {
        Tensor y = torch::zeros_like(x);
        y.index_put_({torch::indexing::Slice(), 1}, row);
        y = torch::stack({y.select(1, 1), row.expand({6, 3}) * x.select(1, 0)}, 1);
        return some_losses(torch::where(y > 0, y, scale));
      },
      {row, scale});
}

TEST_CASE("expanded, unfolded, strided, transposed and empty parameters", "[edge]") {
  torch::manual_seed(52);
  const Tensor x = fixed({6, 4}), v = leaf({4}), line = leaf({6}), one = leaf({1}), scalar = leaf({});
  both_ways(
      [&] {
        return some_losses(torch::tanh(F::linear(x, v.expand({3, 4}), one.expand({3}))));
      },
      {v, one});
  both_ways([&] { return some_losses(torch::tanh(F::linear(x, line.unfold(0, 4, 1)))); }, {line});
  both_ways([&] { return some_losses(torch::tanh(x * line.unfold(0, 4, 1).select(0, 1))); }, {line});
  both_ways([&] { return some_losses(x * scalar + scalar); }, {scalar});
  const Tensor base = fixed({4, 10}), turned = base.t().slice(0, 0, 10, 2).detach().requires_grad_();
  REQUIRE_FALSE(turned.is_contiguous());
  CHECK(both_ways([&] { return some_losses(torch::tanh(F::linear(x, turned)).mm(turned)); }, {turned}) == 0);
  const Tensor fused = leaf({9, 4});
  CHECK(both_ways(
            [&] {
              const auto parts = fused.chunk(3);
              return some_losses(torch::sigmoid(F::linear(x, parts[0])) *
                                     torch::tanh(F::linear(x, parts[1])) +
                                 F::linear(x, parts[2]));
            },
            {fused}) == 0);
  const Tensor nothing = leaf({0, 4}), W = leaf({3, 4});
  both_ways(
      [&] {
        return some_losses(torch::cat({F::linear(x, nothing), F::linear(x, W)}, 1));
      },
      {nothing, W});
  const Tensor pairs = leaf({4, 2});
  both_ways(
      [&] {
        return some_losses(torch::view_as_real(torch::complex(x, x.sin()) * torch::view_as_complex(pairs)));
      },
      {pairs});
  nn::Conv2d convolution(nn::Conv2dOptions(3, 4, 3).padding(1));
  convolution->to(torch::kDouble);
  const Tensor last =
      convolution->weight.detach().contiguous(at::MemoryFormat::ChannelsLast).requires_grad_();
  const Tensor image = fixed({5, 3, 6, 5}), turned_image = image.contiguous(at::MemoryFormat::ChannelsLast);
  for (const Tensor& in : {image, turned_image, image.transpose(2, 3)})
    CHECK(both_ways([&] { return some_losses(torch::tanh(torch::conv2d(in, last, {}, 2, 1))); }, {last}) ==
          0);
}

TEST_CASE("a convolution used at several sizes, dilated, grouped, with few channels and many", "[edge]") {
  torch::manual_seed(53);
  for (const int64_t channels : {2, 12})
    for (const int64_t groups : {1, 2}) {
      const Tensor W = leaf({channels, channels / groups, 3, 2}), b = leaf({channels}),
                   x = fixed({4, channels, 9, 12});
      both_ways(
          [&] {
            const Tensor y = torch::tanh(torch::conv2d(x, W, b, {2, 3}, {1, 2}, {1, 2}, groups));
            return some_losses(torch::conv2d(y, W, b, 1, {2, 1}, 1, groups));
          },
          {W, b});
      CHECK(both_ways(
                [&] {
                  return some_losses(torch::conv2d(x, W, b, 1, 1, {2, 1}, groups).tanh());
                },
                {W, b}) == 0);
      const auto logits = [&] { return torch::conv2d(x, W, b, 3, 1, 1, groups).tanh().sum({2, 3}); };
      CHECK(lt::gauss_newton_gram(logits, std::vector<Tensor>{W, b}).fallback_parameters.empty());
    }
}

TEST_CASE("losses that are parameters, ignore them, or share them", "[edge]") {
  torch::manual_seed(54);
  const Tensor own = leaf({5}), W = leaf({3, 4}), unused = leaf({7}), x = fixed({5, 4});
  both_ways([&] { return own; }, {own});
  both_ways([&] { return own.view({5}) * 1; }, {own});
  both_ways([&] { return W.square().sum().expand({5}); }, {W, unused});
  both_ways(
      [&] {
        return some_losses(F::linear(x, W)) * torch::tensor({1., 0., 0., 2., 1.}, torch::kDouble);
      },
      {W, unused});
  both_ways([&] { return some_losses(F::linear(x, W)) + own; }, {W, own});
  both_ways([&] { return some_losses(F::linear(x, W)) + 0.1 * W.square().sum(); }, {W});
  const Tensor input = x.clone().requires_grad_();
  CHECK(both_ways([&] { return some_losses(F::linear(input, W).detach() + F::linear(input, W).tanh()); },
                  {W}) == 0);
  CHECK_FALSE(input.grad().defined());
  both_ways(
      [&] {
        const Tensor y = F::linear(x, W);
        torch::NoGradGuard off;
        const Tensor gate = torch::sigmoid(F::linear(x, W));
        const torch::AutoGradMode on(true);
        return some_losses(y * gate);
      },
      {W});
  const auto twice =
      lt::empirical_fisher_gram([&] { return some_losses(F::linear(x, W)); }, std::vector<Tensor>{W, W});
  CHECK(twice.parameter_count == 12);
  CHECK(relative_error(twice.gram, gram(some_losses(F::linear(x, W)), {W})) < 1e-12);
}

TEST_CASE("products in notations without a rule, and computed weights", "[edge]") {
  torch::manual_seed(55);
  const Tensor x = fixed({4, 4}), s = fixed({4, 3, 4}), W = leaf({4, 4}), A = leaf({4, 2}), B = leaf({2, 4}),
               b = leaf({4});
  both_ways([&] { return some_losses(torch::einsum("mi,oi->mo", {x, W}).tanh()); }, {W});
  both_ways([&] { return some_losses(torch::einsum("mti,io->mto", {s, W}).tanh()); }, {W});
  both_ways([&] { return some_losses(torch::bmm(s, W.expand({4, 4, 4})).tanh()); }, {W});
  both_ways([&] { return some_losses(torch::baddbmm(b, s, W.expand({4, 4, 4})).tanh()); }, {W, b});
  both_ways([&] { return some_losses(torch::tensordot(s, W, {2}, {0}).tanh()); }, {W});
  both_ways([&] { return some_losses((x / b).tanh() - b / 2); }, {b});
  both_ways([&] { return some_losses((x.unsqueeze(1) * W).sum(2).tanh()); }, {W});
  both_ways([&] { return some_losses(torch::outer(x.select(1, 0), b)); }, {b});
  check_gram([&] { return some_losses(F::linear(x, A.mm(B)).tanh()); }, {A, B});
  check_gram([&] { return some_losses(F::linear(x, W * b).tanh()); }, {W, b});
  check_gram([&] { return some_losses(F::linear(x, torch::softmax(W, 1)).tanh()); }, {W});
  nn::Bilinear bilinear(4, 4, 3);
  bilinear->to(torch::kDouble);
  check_gram([&] { return some_losses(bilinear(x, x.sin())); }, bilinear->parameters());
}

TEST_CASE("modules that fall back are right", "[edge]") {
  torch::manual_seed(56);
  const Tensor s = fixed({4, 4, 4}), tokens = torch::randint(0, 7, {4, 4});
  nn::GRU gru(nn::GRUOptions(4, 3).num_layers(2).bidirectional(true));
  nn::RNN rnn(nn::RNNOptions(4, 3).batch_first(true));
  nn::LSTMCell cell(4, 3);
  nn::EmbeddingBag bag(7, 3);
  nn::Embedding sparse(nn::EmbeddingOptions(7, 3).sparse(true));
  for (nn::Module* module :
       std::initializer_list<nn::Module*>{gru.get(), rnn.get(), cell.get(), bag.get(), sparse.get()})
    module->to(torch::kDouble);
  check_gram([&] { return some_losses(std::get<0>(gru(s)).transpose(0, 1)); }, gru->parameters());
  check_gram([&] { return some_losses(std::get<0>(rnn(s))); }, rnn->parameters());
  check_gram(
      [&] { return some_losses(std::get<0>(cell(s.select(1, 0))) * std::get<1>(cell(s.select(1, 1)))); },
      cell->parameters());
  check_gram([&] { return some_losses(bag(tokens)); }, bag->parameters());
  // the truth cannot stack sparse gradients
  nn::Embedding dense(7, 3);
  dense->weight = sparse->weight.detach().clone().requires_grad_();
  const auto got =
      lt::empirical_fisher_gram([&] { return some_losses(sparse(tokens)); }, sparse->parameters());
  CHECK(relative_error(got.gram,
                       gram(some_losses(torch::embedding(dense->weight, tokens)), {dense->weight})) < 1e-12);
  CHECK(got.fallback_parameters.empty());
}

TEST_CASE("as many samples as positions, one and two samples, none", "[edge]") {
  torch::manual_seed(57);
  for (const int64_t M : {1, 2, 3}) {
    const Tensor W = leaf({M, M}), b = leaf({M}), x = fixed({M, M, M});
    const auto time_first = [&] { return some_losses(torch::tanh(F::linear(x, W, b)).transpose(0, 1)); };
    check_gram(time_first, {W, b});
    check_gram([&] { return some_losses(torch::tanh(F::linear(x, W, b))); }, {W, b});
    check_gram([&] { return some_losses(torch::tanh(torch::matmul(W, x) + b)); }, {W, b});
    check_gram(  // samples that are coupled, whatever the signs
        [&] {
          const Tensor h = torch::tanh(F::linear(x, W, b));
          return some_losses(h - 0.5 * h.mean(0, true));
        },
        {W, b});
  }
  for (uint64_t seed = 0; seed < 20; ++seed) {  // of the check
    const Tensor W = leaf({3, 4}), x = fixed({2, 4});
    lt::GramOptions options;
    options.check_seed = seed;
    check_gram(
        [&] {
          const Tensor h = torch::tanh(F::linear(x, W));
          return some_losses(h * h.roll(1, 0));
        },
        {W}, options);
  }
  nn::Sequential model(nn::Conv2d(nn::Conv2dOptions(2, 4, 3)), nn::ReLU(), nn::Flatten(), nn::Linear(16, 3));
  const Tensor none = torch::zeros({0, 2, 4, 4});
  const auto logits = [&] { return model->forward(none); };
  auto generator = at::detail::createCPUGenerator(1);
  CHECK(lt::empirical_fisher_gram([&] { return some_losses(logits()); }, model->parameters()).gram.numel() ==
        0);
  CHECK(lt::gauss_newton_gram(logits, model->parameters()).gram.numel() == 0);
  CHECK(lt::sampled_fisher_gram(logits, model->parameters(), generator).gram.numel() == 0);
  CHECK(holds(rejection([&] { (void)lt::sampled_fisher_gram(logits, model->parameters(), at::Generator()); }),
              "generator is undefined"));
}

TEST_CASE("custom functions: a gradient of its own, checkpoints of both kinds, hooks", "[edge]") {
  torch::manual_seed(58);
  const Tensor x = fixed({6, 4}), W = leaf({3, 4}), V = leaf({3, 3}), head = leaf({5, 4});
  CHECK(both_ways([&] { return some_losses(F::linear(x, Scaled::apply(W)).tanh()); }, {W}) == 1);
  CHECK(both_ways([&] { return some_losses(F::linear(Checkpoint::apply(x, W), V)); }, {W, V}) == 1);

  Tensor secret = leaf({4, 4});
  hidden = &secret;
  const auto losses = [&] { return some_losses(Reentrant::apply(F::linear(x, head).narrow(1, 0, 4))); };
  const std::vector<Tensor> parameters{head, secret};
  for (const bool defined : {false, true}) {
    if (defined) secret.mutable_grad() = torch::ones_like(secret.detach());
    const auto untouched = [&] {
      CHECK(secret.grad().defined() == defined);
      if (defined) CHECK(torch::equal(secret.grad(), torch::ones_like(secret.grad())));
    };
    CHECK(holds(rejection([&] { (void)lt::empirical_fisher_gram(losses, parameters); }),
                "adds to the gradients"));
    untouched();
    CHECK(holds(rejection([&] { lt::HessianOperator H([&] { return losses().mean(); }, parameters); }),
                "adds to the gradients"));
    untouched();
  }
  // beside a parameter that is written into a part of a tensor, where LibTorch 1.13 adds to gradients by
  // itself
  Tensor row = leaf({4});
  const auto with_slice = [&](const std::function<Tensor(const Tensor&)>& custom) {
    Tensor y = x.clone();
    y.select(1, 1).copy_(custom(x).narrow(1, 0, 1).squeeze(1));
    y.narrow(1, 2, 2) *= row.narrow(0, 0, 2);
    return some_losses(y.tanh());
  };
  const auto silent = [&] { CHECK_FALSE(row.grad().defined()); };
  const auto scaled = [&] {
    return with_slice([&](const Tensor& input) { return F::linear(input, Scaled::apply(W)); });
  };
  both_ways(scaled, {W, row});
  both_ways([&] { return with_slice([&](const Tensor& input) { return F::linear(input, W); }); }, {W, row});
  silent();
  CHECK_FALSE(W.grad().defined());
  secret.mutable_grad().reset();
  const auto reentrant = [&] {
    return with_slice(
        [&](const Tensor& input) { return Reentrant::apply(F::linear(input, head).narrow(1, 0, 4)); });
  };
  const std::string refused = rejection([&] {
    (void)lt::empirical_fisher_gram(reentrant, std::vector<Tensor>{head, secret, row});
  });
  INFO("refused: " << refused);
  CHECK(holds(refused, "adds to the gradients"));
  silent();
  CHECK_FALSE(secret.grad().defined());
  CHECK_FALSE(head.grad().defined());
  // hooks are part of what autograd calls the gradient
  Tensor hooked = leaf({3, 4});
  hooked.register_hook([](const Tensor& g) { return g * 2; });
  check_gram([&] { return some_losses(F::linear(x, hooked).tanh()); }, {hooked});
  check_gram(
      [&] {
        Tensor h = F::linear(x, W);
        h.register_hook([](const Tensor& g) { return g * 2; });
        return some_losses(h.tanh());
      },
      {W});
}

TEST_CASE("dropout in train mode: the masks of the pass that was seen", "[edge]") {
  torch::manual_seed(59);
  nn::Sequential model(nn::Linear(4, 6), nn::Dropout(0.5), nn::Tanh(), nn::Linear(6, 3));
  nn::LSTM lstm(nn::LSTMOptions(3, 3).batch_first(true));
  model->to(torch::kDouble);
  lstm->to(torch::kDouble);
  std::vector<Tensor> parameters = model->parameters();
  for (const Tensor& p : lstm->parameters()) parameters.push_back(p);
  const Tensor x = fixed({6, 4, 4});
  const auto part = [&](int64_t i) {
    return some_losses(std::get<0>(lstm(model->forward(x.narrow(0, 2 * i, 2)))));
  };
  auto generator = at::globalContext().defaultGenerator(torch::Device(torch::kCPU));
  const Tensor state = generator.get_state();
  const auto result = lt::empirical_fisher_gram(3, part, parameters);
  CHECK(torch::equal(generator.get_state(), state));
  const Tensor want = gram(torch::cat({part(0), part(1), part(2)}), parameters);  // goes on where each ended
  CHECK(relative_error(result.gram, want) < 1e-12);
}

TEST_CASE("losses and inputs of another type; low precision", "[edge]") {
  torch::manual_seed(60);
  nn::Sequential model(nn::Linear(4, 6), nn::Tanh(), nn::Linear(6, 3));
  const Tensor x = torch::randn({6, 4});
  CHECK(check_gram([&] { return some_losses(model->forward(x).to(torch::kDouble)); }, model->parameters())
            .fallback_parameters.empty());
  const Tensor W = torch::randn({3, 4}).requires_grad_();
  check_gram([&] { return some_losses(F::linear(x, W).to(torch::kDouble) * W.select(1, 0)); }, {W});
  model->to(torch::kBFloat16);
  const Tensor z = x.to(torch::kBFloat16);
  const auto losses = [&] { return some_losses(model->forward(z).to(torch::kFloat)); };
  const auto low = lt::empirical_fisher_gram(losses, model->parameters());
  CHECK(low.product_type == torch::kFloat);
  CHECK(low.gram.scalar_type() == torch::kFloat);
  CHECK(relative_error(low.gram, gram(losses(), model->parameters())) < 2e-2);
  CHECK(holds(rejection([&] {
                (void)lt::empirical_fisher_gram(
                    losses, std::vector<Tensor>{torch::randn({3}, torch::kComplexFloat).requires_grad_()});
              }),
              "is of type ComplexFloat, expected a floating-point type"));
}

TEST_CASE("a forward pass in another thread is not seen, and falls back", "[edge]") {
  torch::manual_seed(61);
  const Tensor x = fixed({6, 4}), W = leaf({3, 4}), V = leaf({3, 3});
  both_ways(
      [&] {
        Tensor h;
        std::thread([&] { h = torch::tanh(F::linear(x, W)); }).join();
        return some_losses(F::linear(h, V));
      },
      {W, V});
}

TEST_CASE("micro-batches of other sizes, one of them empty", "[edge]") {
  torch::manual_seed(62);
  nn::Sequential model(nn::Conv1d(nn::Conv1dOptions(2, 4, 3)), nn::ReLU(), nn::Flatten(), nn::Linear(16, 3));
  model->to(torch::kDouble);
  const Tensor x = fixed({7, 2, 6});
  const std::vector<int64_t> first{0, 3, 3, 4, 7};
  const auto result = lt::empirical_fisher_gram(
      4,
      [&](int64_t i) {
        return some_losses(model->forward(
            x.slice(0, first[static_cast<std::size_t>(i)], first[static_cast<std::size_t>(i) + 1])));
      },
      model->parameters());
  CHECK(relative_error(result.gram, gram(some_losses(model->forward(x)), model->parameters())) < 1e-12);
  CHECK(result.fallback_parameters.empty());
  CHECK(lt::empirical_fisher_gram(
            0, [](int64_t) { return Tensor(); }, model->parameters())
            .gram.numel() == 0);
}

TEST_CASE("ranks of tensors of any scale; NaN is named", "[edge]") {
  for (const double scale : {1e200, 1e-200, 1.0}) {
    const auto rank = lt::symmetric_effective_rank(torch::eye(4, torch::kDouble) * scale);
    CHECK(rank.rank == 4);
    CHECK(rank.certified());
  }
  const std::string text = rejection([] { lt::symmetric_effective_rank(torch::full({2, 2}, NAN)); });
  CHECK(holds(text, "NaN"));
}
