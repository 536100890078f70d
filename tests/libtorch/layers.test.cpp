#include "oracle.hpp"

using namespace oracle;

// Every operator that has a rule, alone in a small network, against one backward pass a sample; in float and
// double, on every device; none may fall back.
namespace {

// Runs a module between two fixed nonlinearities, so that neither its input nor its backprop is special.
template <class Module>
void check_layer(Module module, const Tensor& input, std::size_t fallbacks = 0) {
  for (const torch::Device device : devices())
    for (const auto type : {torch::kFloat, torch::kDouble}) {
      module->to(device, type);
      const Tensor x = input.is_floating_point() ? input.to(device, type) : input.to(device);
      const auto result = check_gram([&] { return some_losses(module->forward(x)); }, module->parameters());
      CHECK(result.fallback_parameters.size() == fallbacks);
      CHECK(result.gram.device() == x.device());
    }
}

struct FunctionImpl : nn::Module {  // parameters and what is done with them
  using Body = std::function<Tensor(const Tensor&, const std::vector<Tensor>&)>;
  FunctionImpl(const std::vector<Tensor>& tensors, Body what) : body(std::move(what)) {
    for (std::size_t i = 0; i < tensors.size(); ++i)
      register_parameter("p" + std::to_string(i), tensors[i].clone());
  }
  Tensor forward(const Tensor& x) { return body(x, parameters()); }
  Body body;
};
TORCH_MODULE(Function);

}  // namespace

TEST_CASE("linear layers: rows, sequences of either order, merged rows, without bias", "[layers]") {
  torch::manual_seed(1);
  check_layer(nn::Linear(4, 3), torch::randn({6, 4}));
  check_layer(nn::Linear(nn::LinearOptions(4, 3).bias(false)), torch::randn({6, 4}));
  check_layer(nn::Linear(4, 3), torch::randn({6, 5, 4}));
  check_layer(nn::Linear(4, 3), torch::randn({6, 2, 5, 4}));
  check_layer(nn::Linear(4, 6), torch::randn({6, 4}));  // as many outputs as samples
  check_layer(nn::Linear(4, 3), torch::randn({1, 4}));
  nn::Linear layer(4, 3);
  const Tensor x = torch::randn({5, 6, 4}, torch::kDouble), square = torch::randn({6, 6, 4}, torch::kDouble);
  layer->to(torch::kDouble);
  const auto none = [&](const std::function<Tensor()>& losses) {
    CHECK(check_gram(losses, layer->parameters()).fallback_parameters.empty());
  };
  none([&] { return some_losses(layer(x).transpose(0, 1)); });       // time first
  none([&] { return some_losses(layer(square).transpose(0, 1)); });  // time first and as many as samples
  none([&] { return some_losses(layer(x.reshape({30, 4})).view({5, 6, 3})); });  // merged
  none([&] {
    return some_losses(layer(x.reshape({30, 4})).view({5, 6, 3}).transpose(0, 1));
  });  // merged, time first
}

TEST_CASE("convolutions of one, two and three dimensions: stride, padding, dilation, groups", "[layers]") {
  torch::manual_seed(2);
  using C1 = nn::Conv1dOptions;
  using C2 = nn::Conv2dOptions;
  check_layer(nn::Conv1d(C1(4, 6, 3)), torch::randn({5, 4, 9}));
  check_layer(nn::Conv1d(C1(4, 6, 3).stride(2).padding(2).dilation(2).groups(2)), torch::randn({5, 4, 9}));
  check_layer(nn::Conv2d(C2(3, 4, 3)), torch::randn({5, 3, 6, 7}));
  check_layer(nn::Conv2d(C2(3, 4, {2, 3}).stride({2, 1}).padding({1, 2}).dilation({1, 2}).bias(false)),
              torch::randn({5, 3, 6, 7}));
  check_layer(nn::Conv2d(C2(4, 6, 3).groups(2).stride(2)), torch::randn({5, 4, 7, 8}));
  check_layer(nn::Conv2d(C2(4, 8, 3).groups(4).padding(1)), torch::randn({5, 4, 5, 5}));  // depthwise
  check_layer(nn::Conv2d(C2(3, 4, 1)), torch::randn({5, 3, 1, 1}));
  check_layer(nn::Conv2d(C2(3, 4, 3).padding(torch::kSame)), torch::randn({5, 3, 6, 7}));
  check_layer(nn::Conv2d(C2(3, 4, 3).padding(1).padding_mode(torch::kCircular)), torch::randn({5, 3, 6, 7}));
  check_layer(nn::Conv3d(nn::Conv3dOptions(2, 3, 2).stride(2).padding(1)), torch::randn({4, 2, 5, 4, 6}));
}

TEST_CASE("transposed convolutions", "[layers]") {
  torch::manual_seed(3);
  check_layer(nn::ConvTranspose2d(nn::ConvTranspose2dOptions(3, 4, 3)), torch::randn({5, 3, 4, 5}));
  check_layer(nn::ConvTranspose2d(
                  nn::ConvTranspose2dOptions(4, 6, 3).stride(2).padding(1).output_padding(1).groups(2)),
              torch::randn({5, 4, 3, 4}));
  check_layer(nn::ConvTranspose1d(nn::ConvTranspose1dOptions(3, 2, 4).stride(3).dilation(2)),
              torch::randn({5, 3, 6}));
}

TEST_CASE("normalisations", "[layers]") {
  torch::manual_seed(4);
  nn::BatchNorm2d batch(3);
  batch->forward(torch::randn({7, 3, 4, 4}) * 2 + 1);
  torch::nn::init::normal_(batch->weight);
  batch->eval();
  check_layer(batch, torch::randn({5, 3, 4, 4}));
  nn::BatchNorm1d flat(4);
  flat->forward(torch::randn({7, 4}));
  flat->eval();
  check_layer(flat, torch::randn({5, 4}));
  nn::LayerNorm layer(nn::LayerNormOptions({4, 3}));
  torch::nn::init::normal_(layer->weight);
  check_layer(layer, torch::randn({5, 4, 3}));
  check_layer(layer, torch::randn({5, 2, 4, 3}));
  check_layer(nn::GroupNorm(2, 4), torch::randn({5, 4, 3, 2}));
  check_layer(nn::InstanceNorm2d(nn::InstanceNorm2dOptions(3).affine(true)), torch::randn({5, 3, 4, 4}));
  nn::InstanceNorm2d tracking(nn::InstanceNorm2dOptions(3).affine(true).track_running_stats(true));
  tracking->eval();
  check_layer(tracking, torch::randn({5, 3, 4, 4}));
}

TEST_CASE("embeddings: one token, sequences, padding, time first", "[layers]") {
  torch::manual_seed(5);
  check_layer(nn::Embedding(7, 3), torch::randint(0, 7, {5}));
  check_layer(nn::Embedding(7, 3), torch::randint(0, 7, {5, 4}));
  check_layer(nn::Embedding(nn::EmbeddingOptions(7, 3).padding_idx(2)), torch::randint(0, 7, {5, 9}));
  check_layer(nn::Embedding(3, 4),
              torch::randint(0, 3, {5, 40}));  // more positions than words: gradients are formed
  nn::Embedding words(7, 3);
  const Tensor tokens = torch::randint(0, 7, {4, 5});
  CHECK(check_gram([&] { return some_losses(words(tokens).transpose(0, 1)); }, words->parameters())
            .fallback_parameters.empty());
  // counts over the whole batch couple the samples of the weight's gradient, the losses define it all the
  // same
  check_layer(nn::Embedding(nn::EmbeddingOptions(7, 3).scale_grad_by_freq(true)),
              torch::randint(0, 7, {5, 4}), 1);
}

TEST_CASE("parameters added, multiplied, joined; slopes", "[layers]") {
  torch::manual_seed(6);
  const Tensor x = torch::randn({5, 4, 3});
  const auto check = [&](const std::vector<Tensor>& tensors, const FunctionImpl::Body& body) {
    check_layer(Function(tensors, body), x);
  };
  using Ps = std::vector<Tensor>;
  check({torch::randn({3})}, [](const Tensor& t, const Ps& p) { return t + p[0]; });
  check({torch::randn({4, 1})}, [](const Tensor& t, const Ps& p) { return p[0] + t; });
  check({torch::randn({1, 4, 3})}, [](const Tensor& t, const Ps& p) { return torch::add(t, p[0], 0.5); });
  check({torch::randn({3})}, [](const Tensor& t, const Ps& p) { return p[0] - t; });
  check({torch::randn({})}, [](const Tensor& t, const Ps& p) { return torch::sub(t, p[0], 2); });
  check({torch::randn({4, 3})}, [](const Tensor& t, const Ps& p) { return t * p[0]; });
  check({torch::randn({1})}, [](const Tensor& t, const Ps& p) { return p[0] * t.tanh(); });
  check({torch::randn({3}), torch::randn({4, 1})}, [](const Tensor& t, const Ps& p) {  // in place
    Tensor y = t.clone();
    y += p[0];
    y *= p[1];
    y -= p[0];
    return y;
  });
  check({torch::randn({1, 1, 3})}, [](const Tensor& t, const Ps& p) {  // a class token
    return torch::cat({p[0].expand({t.size(0), 1, 3}), t}, 1);
  });
  check({torch::randn({1, 2, 3}), torch::randn({1, 1, 3})}, [](const Tensor& t, const Ps& p) {
    return torch::cat({p[0].expand({t.size(0), -1, -1}), t, p[1].expand({t.size(0), -1, -1})}, -2);
  });
  check_layer(nn::PReLU(), torch::randn({5, 4}));
  check_layer(nn::PReLU(nn::PReLUOptions().num_parameters(4)), torch::randn({5, 4, 3}));
}

TEST_CASE("matrix products in every notation", "[layers]") {
  torch::manual_seed(7);
  using Ps = std::vector<Tensor>;
  const Tensor x = torch::randn({5, 4}), s = torch::randn({5, 3, 4}), W = torch::randn({4, 6}),
               b = torch::randn({6});
  check_layer(Function(Ps{W}, [](const Tensor& t, const Ps& p) { return t.mm(p[0]); }), x);
  check_layer(Function(Ps{W}, [](const Tensor& t, const Ps& p) { return torch::matmul(t, p[0]); }), s);
  check_layer(Function(Ps{W.t().contiguous()}, [](const Tensor& t, const Ps& p) { return t.mm(p[0].t()); }),
              x);
  check_layer(Function(Ps{W.t().contiguous()},
                       [](const Tensor& t, const Ps& p) { return torch::matmul(p[0], t.transpose(1, 2)); }),
              s);
  check_layer(
      Function(Ps{W.t().contiguous()}, [](const Tensor& t, const Ps& p) { return p[0].mm(t.t()).t(); }), x);
  check_layer(Function(Ps{torch::randn({4})},
                       [](const Tensor& t, const Ps& p) { return torch::matmul(t, p[0]).unsqueeze(1); }),
              x);
  check_layer(
      Function(Ps{torch::randn({4})}, [](const Tensor& t, const Ps& p) { return torch::matmul(t, p[0]); }),
      s);
  check_layer(
      Function(Ps{b, W}, [](const Tensor& t, const Ps& p) { return torch::addmm(p[0], t, p[1], 0.5, 2); }),
      x);
  check_layer(Function(Ps{b, W}, [](const Tensor& t, const Ps& p) { return torch::addmm(p[0], t, p[1]); }),
              x);
}
