#include "oracle.hpp"

using namespace oracle;

namespace {

template <class Model>
lt::GramResult check_model(Model& model, const Tensor& input, std::size_t fallbacks = 0) {
  lt::GramResult result;
  for (const torch::Device device : devices())
    for (const auto type : {torch::kFloat, torch::kDouble}) {
      model->to(device, type);
      model->eval();
      const Tensor x = input.is_floating_point() ? input.to(device, type) : input.to(device);
      result = check_gram(
          [&] {
            const Tensor logits = model->forward(x);
            return cross_entropy(logits,
                                 torch::arange(x.size(0), torch::TensorOptions(torch::kLong).device(device))
                                     .remainder(logits.size(1)));
          },
          model->parameters());
      CHECK(result.fallback_parameters.size() == fallbacks);
    }
  return result;
}

nn::Sequential mlp() {
  return nn::Sequential(nn::Linear(12, 16), nn::ReLU(nn::ReLUOptions(true)), nn::Linear(16, 16), nn::Tanh(),
                        nn::Linear(16, 10));
}

nn::Sequential paper_cnn() {
  const auto layer = [](int64_t in, int64_t out) {
    return nn::Conv2d(nn::Conv2dOptions(in, out, 3).stride(2).padding(1));
  };
  return nn::Sequential(layer(3, 16), nn::LeakyReLU(), layer(16, 32), nn::LeakyReLU(), layer(32, 64),
                        nn::LeakyReLU(), layer(64, 128), nn::LeakyReLU(), nn::Flatten(), nn::Linear(512, 512),
                        nn::LeakyReLU(), nn::Linear(512, 10));
}

struct BlockImpl : nn::Module {
  nn::Conv2d first{nullptr}, second{nullptr}, shortcut{nullptr};
  nn::BatchNorm2d norm1{nullptr}, norm2{nullptr}, norm3{nullptr};
  BlockImpl(int64_t in, int64_t out, int64_t stride) {
    const auto convolution = [](int64_t from, int64_t to, int64_t size, int64_t step) {
      return nn::Conv2d(nn::Conv2dOptions(from, to, size).stride(step).padding(size / 2).bias(false));
    };
    first = register_module("first", convolution(in, out, 3, stride));
    second = register_module("second", convolution(out, out, 3, 1));
    norm1 = register_module("norm1", nn::BatchNorm2d(out));
    norm2 = register_module("norm2", nn::BatchNorm2d(out));
    if (in == out && stride == 1) return;
    shortcut = register_module("shortcut", convolution(in, out, 1, stride));
    norm3 = register_module("norm3", nn::BatchNorm2d(out));
  }
  Tensor forward(const Tensor& x) {
    Tensor y = norm2(second(F::relu(norm1(first(x)), F::ReLUFuncOptions(true))));
    y += shortcut.is_empty() ? x : norm3(shortcut(x));
    return y.relu_();
  }
};
TORCH_MODULE(Block);

struct ResNet18Impl : nn::Module {  // for small pictures, as wide as asked for
  nn::Sequential body;
  explicit ResNet18Impl(int64_t width) {
    body->push_back(nn::Conv2d(nn::Conv2dOptions(3, width, 3).padding(1).bias(false)));
    body->push_back(nn::BatchNorm2d(width));
    body->push_back(nn::ReLU(nn::ReLUOptions(true)));
    for (int64_t stage = 0, in = width; stage < 4; ++stage)
      for (int64_t i = 0, out = width << stage; i < 2; ++i, in = out)
        body->push_back(Block(in, out, stage > 0 && i == 0 ? 2 : 1));
    body->push_back(nn::AdaptiveAvgPool2d(1));
    body->push_back(nn::Flatten());
    body->push_back(nn::Linear(8 * width, 10));
    register_module("body", body);
  }
  Tensor forward(const Tensor& x) { return body->forward(x); }
};
TORCH_MODULE(ResNet18);

struct LanguageImpl : nn::Module {  // embedding, position, class token, attention, layer norm, tied output
  nn::Embedding words{nullptr};
  nn::TransformerEncoder encoder{nullptr};
  Tensor positions, token;
  bool tied;
  explicit LanguageImpl(bool tied_output)
      : words(register_module("words", nn::Embedding(10, 16))),
        encoder(register_module(
            "encoder", nn::TransformerEncoder(
                           nn::TransformerEncoderLayer(
                               nn::TransformerEncoderLayerOptions(16, 2).dim_feedforward(24).dropout(0.0)),
                           2))),
        positions(register_parameter("positions", torch::randn({5, 16}))),
        token(register_parameter("token", torch::randn({1, 1, 16}))),
        tied(tied_output) {}
  Tensor forward(const Tensor& tokens) {
    const Tensor x = torch::cat({token.expand({tokens.size(0), 1, 16}), words(tokens) + positions}, 1);
    const Tensor y = encoder(x.transpose(0, 1))[0];
    return tied ? torch::matmul(y, words->weight.t()) : y.narrow(1, 0, 10);
  }
};
TORCH_MODULE(Language);

struct SharedImpl : nn::Module {  // one layer used three times, once transposed; slices of one parameter
  nn::Linear layer{nullptr}, head{nullptr};
  nn::Conv2d convolution{nullptr};
  Tensor wide;
  SharedImpl()
      : layer(register_module("layer", nn::Linear(8, 8))),
        head(register_module("head", nn::Linear(8, 10))),
        convolution(register_module("convolution", nn::Conv2d(nn::Conv2dOptions(1, 1, 3).padding(1)))),
        wide(register_parameter("wide", torch::randn({16, 8}) / 3)) {}
  Tensor forward(const Tensor& x) {
    Tensor y = torch::tanh(layer(torch::relu(layer(x))));
    y = torch::tanh(torch::mm(y, layer->weight));
    y = torch::tanh(F::linear(y, wide.narrow(0, 0, 8)) + F::linear(x, wide.narrow(0, 8, 8)));
    y = y + torch::tanh(torch::matmul(x, wide.narrow(0, 4, 8)));  // overlaps both slices
    const Tensor picture = convolution(torch::relu(convolution(y.view({-1, 1, 2, 4}))));
    return head(y + picture.flatten(1));
  }
};
TORCH_MODULE(Shared);

struct RecurrentImpl : nn::Module {
  nn::LSTM lstm{nullptr};
  nn::Linear head{nullptr};
  RecurrentImpl()
      : lstm(register_module("lstm", nn::LSTM(nn::LSTMOptions(4, 6).batch_first(true)))),
        head(register_module("head", nn::Linear(6, 10))) {}
  Tensor forward(const Tensor& x) { return head(std::get<0>(lstm(x)).select(1, -1)); }
};
TORCH_MODULE(Recurrent);

}  // namespace

TEST_CASE("an MLP with activations in place, for any number of samples", "[models]") {
  torch::manual_seed(11);
  auto model = mlp();
  for (const int64_t M : {1, 2, 9, 16, 70}) check_model(model, torch::randn({M, 12}));
  model->to(torch::kFloat);
  const Tensor nothing = torch::randn({0, 12});
  const auto empty =
      lt::empirical_fisher_gram([&] { return some_losses(model->forward(nothing)); }, model->parameters());
  CHECK(empty.gram.sizes() == torch::IntArrayRef({0, 0}));
  CHECK(lt::symmetric_effective_rank(empty.gram).rank == 0);
}

TEST_CASE("the paper's convolutional network", "[models]") {
  torch::manual_seed(12);
  auto model = paper_cnn();
  check_model(model, torch::randn({6, 3, 32, 32}));
}

TEST_CASE("ResNet18 with batch norm in eval mode", "[models]") {
  torch::manual_seed(13);
  ResNet18 model(4);
  model->train();
  for (int i = 0; i < 3; ++i) model->forward(torch::randn({8, 3, 16, 16}));
  check_model(model, torch::randn({5, 3, 16, 16}));
}

TEST_CASE("a transformer, tied and not", "[models]") {
  torch::manual_seed(14);
  for (const bool tied : {false, true}) {
    Language model(tied);
    check_model(model, torch::randint(0, 10, {7, 5}));
  }
  Language square(true);  // as many samples as tokens: the two readings look alike
  check_model(square, torch::randint(0, 10, {6, 5}));
}

TEST_CASE("shared, transposed and sliced weights", "[models]") {
  torch::manual_seed(15);
  Shared model;
  check_model(model, torch::randn({7, 8}));
}

TEST_CASE("a recurrent network is right, by rules or by single samples", "[models]") {
  torch::manual_seed(16);
  Recurrent model;
  for (const auto type : {torch::kFloat, torch::kDouble}) {
    model->to(type);
    const Tensor x = torch::randn({5, 7, 4}, type);
    check_gram([&] { return some_losses(model->forward(x)); }, model->parameters());
  }
}

TEST_CASE("multi-head attention over two inputs", "[models]") {
  torch::manual_seed(17);
  nn::MultiheadAttention attention(nn::MultiheadAttentionOptions(8, 2));
  attention->to(torch::kDouble);
  const Tensor q = torch::randn({3, 6, 8}, torch::kDouble), k = torch::randn({4, 6, 8}, torch::kDouble);
  const auto result = check_gram([&] { return some_losses(std::get<0>(attention(q, k, k)).transpose(0, 1)); },
                                 attention->parameters());
  CHECK(result.fallback_parameters.empty());
}

TEST_CASE("options: chunks, layers, double accumulation, micro-batches, no check", "[models]") {
  torch::manual_seed(18);
  auto model = paper_cnn();
  const Tensor x = torch::randn({7, 3, 32, 32}), y = torch::randint(0, 10, {7});
  const auto losses = [&] { return cross_entropy(model->forward(x), y); };
  const Tensor want = gram(losses(), model->parameters());

  lt::GramOptions options;
  options.chunk_bytes = 10000;
  options.per_layer = true;
  const auto chunked = check_gram(losses, model->parameters(), options);
  Tensor sum = torch::zeros_like(chunked.gram);
  std::set<std::size_t> seen;
  for (const auto& layer : chunked.layers) {
    sum += layer.gram;
    seen.insert(layer.parameters.begin(), layer.parameters.end());
  }
  CHECK(relative_error(sum, chunked.gram) < 1e-6);
  CHECK(seen.size() == model->parameters().size());
  CHECK(chunked.parameter_count == 365226);

  lt::GramOptions wide;
  wide.accumulate_in_double = true;
  wide.check = false;
  const auto accumulated = check_gram(losses, model->parameters(), wide);
  CHECK(accumulated.gram.scalar_type() == torch::kDouble);
  CHECK(accumulated.product_type == torch::kDouble);
  CHECK(std::isnan(accumulated.check_error));
  CHECK(relative_error(accumulated.gram, want) < 1e-6);

  const auto batched = lt::empirical_fisher_gram(
      3,
      [&](int64_t i) {
        return cross_entropy(model->forward(x.slice(0, 3 * i, 3 * i + 3)), y.slice(0, 3 * i, 3 * i + 3));
      },
      model->parameters());
  CHECK(relative_error(batched.gram, want) < 2e-6);
  CHECK(batched.check_error < 2e-5);
  CHECK(batched.fallback_parameters.empty());

  Recurrent recurrent;
  recurrent->to(torch::kDouble);
  const Tensor s = torch::randn({5, 3, 4}, torch::kDouble);
  const auto parts = lt::empirical_fisher_gram(
      2, [&](int64_t i) { return some_losses(recurrent->forward(s.slice(0, 3 * i, 3 * i + 3))); },
      recurrent->named_parameters());
  CHECK(relative_error(parts.gram, gram(some_losses(recurrent->forward(s)), recurrent->parameters())) <
        1e-12);
}
