#include <random>
#include <sagitta/partial_rank.hpp>

#include "oracle.hpp"

using namespace oracle;

// What could make a product silently wrong, or an operator refuse what it need not.
namespace {

using Context = torch::autograd::AutogradContext;
using List = torch::autograd::variable_list;

struct WithoutGraph : torch::autograd::Function<WithoutGraph> {  // sin, whose backward pass builds no graph
  static Tensor forward(Context* context, const Tensor& x) {
    context->save_for_backward({x});
    return x.sin();
  }
  static List backward(Context* context, List g) {
    const torch::NoGradGuard off;
    return {g[0] * context->get_saved_variables()[0].cos()};
  }
};
struct SavedDerivative
    : torch::autograd::Function<SavedDerivative> {  // sin with a derivative that is constant
  static Tensor forward(Context* context, const Tensor& x) {
    context->saved_data["derivative"] = x.cos();
    return x.sin();
  }
  static List backward(Context* context, List g) {
    return {g[0] * context->saved_data["derivative"].toTensor()};
  }
};
struct HalfSecond : torch::autograd::Function<HalfSecond> {  // sin with half of its second derivative
  static Tensor forward(Context* context, const Tensor& x) {
    context->save_for_backward({x});
    return x.sin();
  }
  static List backward(Context* context, List g) {
    const Tensor d = context->get_saved_variables()[0].cos();
    return {g[0] * (d + d.detach()) / 2};
  }
};
struct Right : torch::autograd::Function<Right> {
  static Tensor forward(Context* context, const Tensor& x) {
    context->save_for_backward({x});
    return x.sin();
  }
  static List backward(Context* context, List g) { return {g[0] * context->get_saved_variables()[0].cos()}; }
};
struct Straight : torch::autograd::Function<Straight> {  // a sign with the gradient of something else
  static Tensor forward(Context* context, const Tensor& x) {
    context->save_for_backward({x});
    return x.sign();
  }
  static List backward(Context* context, List g) { return {g[0] * context->get_saved_variables()[0].cos()}; }
};
struct ClippedBackward : torch::autograd::Function<ClippedBackward> {  // a backward pass that is not linear
  static Tensor forward(Context*, const Tensor& x) { return x.clone(); }
  static List backward(Context*, List g) { return {g[0].clamp(-1e-2, 1e-2)}; }
};

// Layers around an activation; `inner` is applied to what the first layer gives.
struct Net {
  std::vector<Tensor> p;
  Tensor x, y;
  std::function<Tensor(const Tensor&)> inner;
  Net(std::function<Tensor(const Tensor&)> f, torch::Dtype type = torch::kDouble) : inner(std::move(f)) {
    torch::manual_seed(71);
    for (const auto& shape : std::vector<std::vector<int64_t>>{{7, 6}, {7}, {4, 7}, {4}})
      p.push_back(torch::randn(shape, type).requires_grad_());
    x = torch::randn({9, 6}, type);
    y = torch::randint(0, 4, {9});
  }
  Tensor logits() const { return F::linear(inner(F::linear(x, p[0], p[1])), p[2], p[3]); }
  Tensor losses() const { return cross_entropy(logits(), y); }
  lt::HessianOperator hessian(bool check = true) const {
    return {[&] { return losses().mean(); }, p, {.check = check}};
  }
  lt::EmpiricalFisherOperator fisher(bool check = true) const {
    return {[&] { return losses(); }, p, {.check = check}};
  }
  lt::GaussNewtonOperator gauss_newton(bool check = true) const {
    return {[&] { return logits(); }, p, lt::OutputLoss::softmax_cross_entropy, {.check = check}};
  }
};

Tensor true_product(const Tensor& loss, const std::vector<Tensor>& p, const Tensor& v) {
  std::vector<Tensor> parts;
  for (const Tensor& g : torch::autograd::grad({loss}, p, {}, true, true)) parts.push_back(g.reshape({-1}));
  return flat(torch::autograd::grad({torch::cat(parts).dot(v)}, p, {}, true, false, true), p);
}
template <class Operator>
Tensor ones_for(const Operator& op, torch::Dtype type = torch::kDouble) {
  return torch::linspace(-1, 1, op.rows(), type);
}
Tensor leaf(std::vector<int64_t> shape, torch::Dtype type = torch::kDouble) {
  return torch::randn(shape, type).requires_grad_();
}

}  // namespace

TEST_CASE("wrong second derivatives of custom functions are named", "[operators]") {
  const auto refused = [](const auto& make, const std::string& words) {
    const std::string message = rejection([&] { (void)make(); });
    INFO(message);
    CHECK(holds(message, words));
  };
  for (const auto type : {torch::kDouble, torch::kFloat}) {
    const Net without([](const Tensor& h) { return WithoutGraph::apply(h); }, type);
    const Net saved([](const Tensor& h) { return SavedDerivative::apply(h); }, type);
    const Net straight([](const Tensor& h) { return Straight::apply(h); }, type);
    refused([&] { return without.hessian(); }, "HessianOperator: the custom function ");
    refused([&] { return without.hessian(); }, "WithoutGraph");
    refused([&] { return without.fisher(); }, "EmpiricalFisherOperator: the custom function ");
    refused([&] { return without.gauss_newton(); }, "GaussNewtonOperator: the custom function ");
    refused([&] { return saved.hessian(); }, "HessianOperator: the second derivative by parameter");
    refused([&] { return straight.hessian(); }, "HessianOperator: the second derivative");
    // these two need first derivatives alone, which are what the function says
    const Tensor g = jacobian(saved.losses(), saved.p);
    const auto E = saved.fisher();
    const Tensor v = ones_for(E, type);
    CHECK(relative_error(E.apply(v), g.t().mv(g.mv(v.to(torch::kDouble))) / 9) < tolerance(type));
    CHECK(E.check_error() < tolerance(type));
    (void)saved.gauss_newton();
    const Net right([](const Tensor& h) { return Right::apply(h); }, type);
    const auto H = right.hessian();
    CHECK(relative_error(H.apply(v), true_product(right.losses().mean(), right.p, v)) < tolerance(type));
  }
  const Net half([](const Tensor& h) { return HalfSecond::apply(h); });
  refused([&] { return half.hessian(); }, "HessianOperator: the second derivative by parameter");
  const Net clipped([](const Tensor& h) { return ClippedBackward::apply(h.tanh()); });
  refused([&] { return clipped.fisher(); }, "EmpiricalFisherOperator: products with the Jacobian");
  refused([&] { return clipped.gauss_newton(); }, "GaussNewtonOperator: products with the Jacobian");
  // without the check it is the user's own affair
  CHECK(std::isnan(half.hessian(false).check_error()));
  CHECK(std::isnan(clipped.fisher(false).check_error()));
}

TEST_CASE("a second derivative that is missing altogether is symmetric, and found", "[operators]") {
  torch::manual_seed(72);
  const std::vector<Tensor> w{leaf({5})};
  const auto message = [&](const std::function<Tensor()>& loss) {
    return rejection([&] { lt::HessianOperator H(loss, w); });
  };
  CHECK(holds(message([&] { return WithoutGraph::apply(w[0]).sum(); }), "without a graph"));
  CHECK(holds(message([&] { return SavedDerivative::apply(w[0]).sum(); }), "differences of gradients"));
  CHECK(message([&] { return Right::apply(w[0]).sum(); }).empty());
  // a small part beside a large one, in its own scale
  const std::vector<Tensor> both{leaf({5}), leaf({5})};
  const auto message_of = [&](double size) {
    return rejection([&] {
      lt::HessianOperator H(
          [&] { return both[0].tanh().sum() + size * SavedDerivative::apply(both[1]).sum(); }, both);
    });
  };
  CHECK(holds(message_of(1e-5), "by parameter 1 "));
  // a hook that cuts the graph
  CHECK(holds(message([&] {
                const Tensor h = w[0] * w[0];
                h.register_hook([](const Tensor& g) { return g.detach() * 1; });
                return h.sin().sum();
              }),
              "differences of gradients"));
  // losses that are there already cannot be computed again for differences, and are taken as they are
  const Tensor before = Right::apply(w[0]).sum();
  CHECK(message([&] { return before; }).empty());
  CHECK(message([&] { return before * 2; }).empty());
}

TEST_CASE("attention and recurrent layers have products", "[operators]") {
  torch::manual_seed(73);
#if TORCH_VERSION_MAJOR >= 2
  for (const auto type : {torch::kFloat, torch::kDouble}) {
    const Tensor x = torch::randn({3, 5, 8}, type), W = leaf({24, 8}, type);
    const Tensor mask = torch::ones({5, 5}, torch::kBool).tril();
    const auto heads = [&] {
      std::vector<Tensor> parts = F::linear(x, W).chunk(3, -1);
      for (Tensor& part : parts) part = part.view({3, 5, 2, 4}).transpose(1, 2);
      return parts;
    };
    const auto plain = [&] {
      const auto h = heads();
      const Tensor scores = torch::matmul(h[0], h[1].transpose(2, 3)) / 2;
      const Tensor hidden = scores.masked_fill(mask.logical_not(), -INFINITY);
      return torch::matmul(torch::softmax(hidden, -1), h[2]).square().flatten(1).sum(1);
    };
    for (const bool causal : {false, true}) {
      const auto fused = [&] {
        const auto h = heads();
        return (causal ? at::scaled_dot_product_attention(h[0], h[1], h[2], {}, 0.0, true)
                       : at::scaled_dot_product_attention(h[0], h[1], h[2], mask))
            .square()
            .flatten(1)
            .sum(1);
      };
      const lt::HessianOperator H([&] { return fused().mean(); }, {{W}});
      const lt::EmpiricalFisherOperator E(fused, {{W}});
      const Tensor v = ones_for(H, type), g = jacobian(plain(), {W});
      CHECK(relative_error(H.apply(v), true_product(plain().mean(), {W}, v)) < tolerance(type));
      CHECK(relative_error(E.apply(v), g.t().mv(g.mv(v.to(torch::kDouble))) / 3) < tolerance(type));
    }
    CHECK(at::globalContext().userEnabledFlashSDP());
  }
#endif
  const bool mkldnn = at::globalContext().userEnabledMkldnn();
  nn::LSTM lstm(nn::LSTMOptions(3, 4).batch_first(true));
  nn::GRU gru(nn::GRUOptions(4, 2).batch_first(true));
  std::vector<Tensor> p = lstm->parameters();
  for (const Tensor& t : gru->parameters()) p.push_back(t);
  Tensor x = torch::randn({4, 5, 3});
  const auto loss = [&] { return std::get<0>(gru(std::get<0>(lstm(x)))).square().sum(); };
  const lt::HessianOperator H(loss, p);
  const Tensor v = ones_for(H, torch::kFloat), single = H.apply(v);
  lstm->to(torch::kDouble);
  gru->to(torch::kDouble);
  x = x.to(torch::kDouble);
  CHECK(relative_error(single, true_product(loss(), p, v.to(torch::kDouble))) < 1e-5);
  CHECK(at::globalContext().userEnabledMkldnn() == mkldnn);
  CHECK_THROWS_AS(lt::HessianOperator(
                      [&]() -> Tensor {
                        (void)lstm(x.to(torch::kFloat));  // types that differ, inside the layer
                        return loss();
                      },
                      p),
                  c10::Error);  // the user's own, as it was thrown
  CHECK(at::globalContext().userEnabledMkldnn() == mkldnn);
}

TEST_CASE("the Hessian of a mean loss with batch norm in train mode", "[operators]") {
  torch::manual_seed(74);
  nn::Sequential model(nn::Linear(4, 6), nn::BatchNorm1d(6), nn::Tanh(), nn::Dropout(0.4), nn::Linear(6, 3));
  model->to(torch::kDouble);  // counters too, which are no whole numbers now
  const Tensor x = torch::randn({8, 4}, torch::kDouble), y = torch::randint(0, 3, {8});
  const auto p = model->parameters();
  const auto loss = [&] { return cross_entropy(model->forward(x), y).mean(); };
  (void)loss();
  std::vector<Tensor> before;
  for (const Tensor& b : model->buffers()) before.push_back(b.clone());
  const auto kept = [&] {
    bool same = true;
    const auto now = model->buffers();
    for (std::size_t i = 0; i < now.size(); ++i) same = same && torch::equal(now[i], before[i]);
    return same;
  };
  torch::manual_seed(75);
  const lt::HessianOperator H(loss, p);
  const Tensor v = ones_for(H);
  CHECK(kept());
  const Tensor got = H.apply(v);
  CHECK(kept());
  CHECK(relative_error(got, true_product(loss(), p, v)) < 1e-12);  // the same masks: nothing had been drawn
  CHECK_FALSE(kept());
  // training goes on; the operator neither disturbs it nor is disturbed
  before.clear();
  for (const Tensor& b : model->buffers()) before.push_back(b.clone());
  CHECK(relative_error(H.apply(v), got) < 1e-14);
  CHECK(kept());
  {
    const lt::HessianOperator other(loss, p);
    (void)loss();
    before.clear();
    for (const Tensor& b : model->buffers()) before.push_back(b.clone());
  }
  CHECK(kept());
  CHECK(holds(rejection([&] {
                lt::EmpiricalFisherOperator E([&] { return cross_entropy(model->forward(x), y); }, p);
              }),
              "EmpiricalFisherOperator: batch norm in train mode"));
  CHECK(kept());
}

TEST_CASE("instance norm, and vectors of a power iteration", "[operators]") {
  torch::manual_seed(76);
  nn::Sequential model(
      nn::Conv1d(nn::Conv1dOptions(2, 4, 3)),
      nn::InstanceNorm1d(nn::InstanceNorm1dOptions(4).affine(true).track_running_stats(true)), nn::Flatten(),
      nn::Linear(16, 3));
  model->to(torch::kDouble);
  const Tensor x = torch::randn({5, 2, 6}, torch::kDouble), y = torch::randint(0, 3, {5});
  const Tensor mean = model[1]->as<nn::InstanceNorm1d>()->running_mean, old = mean.clone();
  const auto p = model->parameters();
  const lt::HessianOperator H([&] { return cross_entropy(model->forward(x), y).mean(); }, p);
  const lt::EmpiricalFisherOperator E([&] { return cross_entropy(model->forward(x), y); }, p);
  const lt::GaussNewtonOperator G([&] { return model->forward(x); }, p);
  CHECK(torch::equal(mean, old));
  const Tensor v = ones_for(E), g = jacobian(cross_entropy(model->forward(x), y), p);
  CHECK(relative_error(E.apply(v), g.t().mv(g.mv(v)) / 5) < 1e-12);
  CHECK(relative_error(H.apply(v), true_product(cross_entropy(model->forward(x), y).mean(), p, v)) < 1e-12);

  // spectral normalisation whose graph holds the vector that it moves
  const Tensor W = leaf({3, 4}), z = torch::randn({6, 4}, torch::kDouble);
  Tensor u = torch::randn({3}, torch::kDouble);
  const auto losses = [&] {
    {
      const torch::NoGradGuard off;
      u.copy_(torch::mv(W, torch::mv(W.t(), u)));
      u.div_(u.norm());
    }
    return some_losses(torch::tanh(F::linear(z, W / torch::dot(u, torch::mv(W, torch::mv(W.t(), u))))));
  };
  const Tensor start = u.clone();
  const lt::HessianOperator S([&] { return losses().mean(); }, {{W}});
  CHECK(torch::equal(u, start));
  const Tensor w = ones_for(S), got = S.apply(w);
  CHECK(torch::equal(u, start));
  CHECK(relative_error(got, true_product(losses().mean(), {W}, w)) < 1e-12);
  u.copy_(start);
  CHECK(holds(rejection([&] { (void)S.apply(w); }), "HessianOperator: a tensor that the forward pass used"));
}

TEST_CASE("what an operator refuses, by name", "[operators]") {
  torch::manual_seed(77);
  const auto hessian = [](const std::function<Tensor()>& loss, const std::vector<Tensor>& p) {
    return rejection([&] { lt::HessianOperator H(loss, p); });
  };
  const Tensor w = leaf({3, 4}), x = torch::randn({5, 4}, torch::kDouble);
  const auto loss = [&] { return F::linear(x, w).tanh().mean(); };
  CHECK(holds(hessian(loss, {leaf({3, 4})}), "HessianOperator: no parameter influences the output"));
  CHECK(holds(hessian(
                  [&] {
                    Tensor in = x.clone();
                    const Tensor out = F::linear(in, w).tanh().mean();
                    in.zero_();
                    return out;
                  },
                  {w}),
              "HessianOperator: a tensor that the forward pass used has been overwritten"));
  CHECK(holds(hessian(
                  [&] {
                    const Tensor used = loss();
                    (void)torch::autograd::grad({used}, {w});
                    return used;
                  },
                  {w}),
              "HessianOperator: the autograd graph of the forward pass was freed"));
  const auto ctc = [&] {
    const Tensor in = torch::linspace(-1, 1, 10 * 2 * 4, torch::kDouble).view({10, 2, 4});
    return at::ctc_loss(torch::log_softmax(in.matmul(w.t()), 2), torch::ones({2, 3}, torch::kLong),
                        torch::full({2}, 10, torch::kLong), torch::full({2}, 3, torch::kLong));
  };
  CHECK(holds(hessian(ctc, {w}), "HessianOperator: an operator of the model has no second derivative"));
  CHECK(holds(hessian(ctc, {w}), "_ctc_loss_backward"));
  CHECK(holds(hessian([&] { return w.sqrt().sum() + (w * 0).sqrt().sum(); }, {w}), "NaN or infin"));
  const Tensor sparse = torch::eye(3).to_sparse().requires_grad_();
  CHECK(holds(hessian([&] { return sparse.to_dense().sum(); }, {sparse}), "is of layout Sparse"));
  const Tensor meta = torch::empty({3}, torch::kMeta).requires_grad_();
  CHECK(holds(hessian([&] { return meta.sum(); }, {meta}), "is on the meta device"));
  const Tensor many = torch::zeros({2000000}).requires_grad_();
  const std::string large = rejection([&] { (void)lt::exact_hessian([&] { return many.sum(); }, {{many}}); });
  CHECK(holds(large, "exact_hessian: the Hessian of 2000000 parameters takes 14901.16 GiB"));
  CHECK(holds(large, "HessianOperator"));
  struct Mine : std::runtime_error {
    using std::runtime_error::runtime_error;
  };
  CHECK_THROWS_AS(lt::HessianOperator([]() -> Tensor { throw Mine("of the user's own"); }, {{w}}), Mine);
}

TEST_CASE("operators say how precise they are, and ranks go by it", "[operators]") {
  torch::manual_seed(78);
  const auto tanh = [](const Tensor& h) { return h.tanh(); };
  const Net wide(tanh), narrow(tanh, torch::kFloat);
  CHECK(wide.hessian().product_error() < 1e-13);
  CHECK(narrow.hessian().product_error() > 1e-7);
  CHECK(narrow.hessian().product_error() < 1e-4);
  const Net cast([](const Tensor& h) { return h.to(torch::kBFloat16).tanh().to(torch::kFloat); },
                 torch::kFloat);
  CHECK(cast.fisher().product_error() > 1e-3);
  CHECK(cast.gauss_newton().product_error() > 1e-3);

  // the sixth sum of eigenvalues lies within 1e-7 of the threshold
  std::mt19937_64 generator(3);
  std::uniform_real_distribution<double> side(-1e-7, 1e-7);
  for (int trial = 0; trial < 40; ++trial) {
    const int64_t n = 60;
    Tensor s = torch::pow(0.5, torch::arange(n, torch::kDouble));
    const Tensor head = s.narrow(0, 0, 6).sum(), rest = s.narrow(0, 6, n - 6);
    rest.mul_(head * (0.01 / 0.99) * (1 - side(generator)) / rest.sum());
    const Tensor Q = std::get<0>(torch::linalg_qr(torch::randn({n, n}, torch::kDouble)));
    const Tensor R = std::get<0>(torch::linalg_qr(torch::randn({n, n}, torch::kDouble)));
    const Tensor X = R.mm((Q * s.sqrt()).t()).to(torch::kFloat), exact = X.to(torch::kDouble);
    const Tensor K = exact.mm(exact.t()) / n, w = leaf({n}, torch::kFloat);
    const lt::EmpiricalFisherOperator op([&] { return X.mv(w); }, {{w}});
    const auto truth = lt::symmetric_effective_rank(K);
    const auto rank = sagitta::partial_effective_rank(op, K.trace().item<double>(), K.norm().item<double>(),
                                                      .99, generator, 30);
    CHECK(rank.lower <= truth.rank);
    CHECK(truth.rank <= rank.upper);
  }
}

TEST_CASE("padding, tokens as samples, and losses that are scaled", "[operators]") {
  torch::manual_seed(79);
  nn::Embedding words(9, 6);
  nn::Linear head(6, 9);
  words->to(torch::kDouble);
  head->to(torch::kDouble);
  std::vector<Tensor> p{words->weight, head->weight, head->bias};
  const Tensor tokens = torch::randint(0, 9, {4, 5}), next = torch::randint(0, 9, {4, 5});
  const Tensor mask = torch::arange(5).unsqueeze(0).lt(torch::tensor({5, 3, 1, 4}).unsqueeze(1));
  // a loss for each token that is not padding, [13]
  const auto losses = [&] {
    const Tensor z = head(torch::tanh(words(tokens)));
    return cross_entropy(z.flatten(0, 1), next.flatten()).masked_select(mask.flatten());
  };
  const lt::EmpiricalFisherOperator E(losses, p);
  const Tensor v = ones_for(E), g = jacobian(losses(), p);
  CHECK(g.size(0) == 13);
  CHECK(relative_error(E.apply(v), g.t().mv(g.mv(v)) / 13) < 1e-12);
  check_gram(losses, p);
  // as training in half precision scales them; curvature of the scaled losses is scaled, its square for EF
  const double scale = 65536;
  const lt::EmpiricalFisherOperator scaled([&] { return losses() * scale; }, p);
  const lt::HessianOperator H([&] { return losses().mean(); }, p),
      scaled_H([&] { return losses().mean() * scale; }, p);
  CHECK(relative_error(scaled.apply(v), E.apply(v) * scale * scale) < 1e-12);
  CHECK(relative_error(scaled_H.apply(v), H.apply(v) * scale) < 1e-12);
}

TEST_CASE("an operator notices or survives what changes behind autograd's back", "[operators]") {
  torch::manual_seed(80);
  nn::Sequential model(nn::Linear(4, 6), nn::BatchNorm1d(6), nn::Tanh(), nn::Linear(6, 3));
  model->to(torch::kDouble);
  model->eval();
  const Tensor x = torch::randn({8, 4}, torch::kDouble), y = torch::randint(0, 3, {8});
  const lt::HessianOperator H([&] { return cross_entropy(model->forward(x), y).mean(); },
                              model->parameters());
  const Tensor v = ones_for(H), got = H.apply(v);
  model->train();
  (void)model->forward(x + 3);  // moves the statistics that the graph holds
  const Tensor moved = model[1]->as<nn::BatchNorm1d>()->running_mean.clone();
  CHECK(relative_error(H.apply(v), got) < 1e-14);
  CHECK(torch::equal(model[1]->as<nn::BatchNorm1d>()->running_mean, moved));
  model->parameters()[0].data().mul_(1.001);
  CHECK(holds(rejection([&] { (void)H.apply(v); }), "HessianOperator: a parameter has been changed"));
}
