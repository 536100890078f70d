#include <sagitta/features.hpp>
#include <sagitta/penalties.hpp>

#include "oracle.hpp"

using namespace oracle;

namespace {

Eigen::MatrixXd host(const Tensor& t) {
  const Tensor c = t.detach().to(torch::kCPU, torch::kDouble).contiguous();
  return Eigen::Map<const Eigen::Matrix<double, -1, -1, Eigen::RowMajor>>(c.data_ptr<double>(), c.size(0),
                                                                          c.numel() / c.size(0));
}

// A penalty as a loss term and as add_gradient_, against the core's, tensor by tensor.
template <class Penalty, class Core>
void check_penalty(const Penalty& penalty, const std::vector<Tensor>& parameters, Core core) {
  const double eps = parameters[0].scalar_type() == torch::kDouble ? 1e-14 : 1e-6;
  double value = 0;
  std::vector<Tensor> want;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    // in the order of memory, which is that of indices
    const Eigen::VectorXd theta = host(parameters[i].reshape({-1})).reshaped();
    Eigen::VectorXd gradient(theta.size());
    value += core(i, theta, gradient);
    want.push_back(torch::from_blob(gradient.data(), {theta.size()}, torch::kDouble)
                       .clone()
                       .view(parameters[i].sizes()));
  }
  const Tensor term = penalty(parameters);
  CHECK(term.dim() == 0);
  CHECK(term.scalar_type() == parameters[0].scalar_type());
  CHECK(std::abs(term.item<double>() - value) <= eps * value);
  const auto gradients = torch::autograd::grad({term}, parameters);
  for (std::size_t i = 0; i < want.size(); ++i) CHECK(relative_error(gradients[i].cpu(), want[i]) <= eps);
  for (const Tensor& p : parameters) p.mutable_grad() = torch::ones_like(p.detach());
  const Tensor returned = penalty.add_gradient_(parameters, 0.5);
  CHECK(std::abs(returned.item<double>() - value) <= eps * value);
  for (std::size_t i = 0; i < want.size(); ++i)
    CHECK(relative_error(parameters[i].grad().cpu(), 1 + 0.5 * want[i]) <= eps);
  for (const Tensor& p : parameters) p.mutable_grad().reset();
}

}  // namespace

TEST_CASE("penalties on parameter lists are the core's", "[penalties]") {
  torch::manual_seed(41);
  for (const torch::Device device : devices())
    for (const auto type : {torch::kFloat, torch::kDouble}) {
      std::vector<Tensor> initial, now;
      for (const auto& shape : std::vector<std::vector<int64_t>>{{7, 5}, {11}, {40, 30}, {}}) {
        initial.push_back(torch::randn(shape, torch::TensorOptions(type).device(device)).requires_grad_());
        now.push_back(
            (initial.back().detach() + 0.3 * torch::randn(shape, initial.back().options())).requires_grad_());
      }
      {
        const torch::NoGradGuard off;  // ties, and both zeros
        now[0][0].fill_(0.25);
        now[0][1].fill_(0.0);
        now[0][2].fill_(-0.0);
      }
      const auto theta0 = [&](std::size_t i) -> Eigen::VectorXd {
        return host(initial[i].reshape({-1})).reshaped();
      };
      check_penalty(lt::L2Penalty{}, now, [](std::size_t, const auto& theta, auto& gradient) {
        return sagitta::L2Penalty{}.value_and_gradient(theta, gradient);
      });
      check_penalty(lt::L2InitPenalty(initial), now, [&](std::size_t i, const auto& theta, auto& gradient) {
        return sagitta::L2InitPenalty(theta0(i)).value_and_gradient(theta, gradient);
      });
      check_penalty(lt::WassersteinPenalty(initial), now,
                    [&](std::size_t i, const auto& theta, auto& gradient) {
                      return sagitta::WassersteinPenalty(theta0(i)).value_and_gradient(theta, gradient);
                    });
      CHECK(lt::WassersteinPenalty(initial)(initial).item<double>() == 0);
      // its second derivative is 2, almost everywhere
      const Tensor first =
          torch::autograd::grad({lt::WassersteinPenalty(initial)(now)}, {now[1]}, {}, true, true)[0];
      CHECK(torch::autograd::grad({first.sum()}, {now[1]})[0].sub(2).abs().max().item<double>() == 0);
    }
}

TEST_CASE("the feature-rank penalty is the core's", "[penalties]") {
  torch::manual_seed(42);
  for (const torch::Device device : devices())
    for (const auto& shape : std::vector<std::vector<int64_t>>{{9, 5}, {5, 9}, {6, 6}}) {
      const Tensor w = torch::randn(shape, torch::kDouble).to(device).requires_grad_();
      const Tensor features = torch::tanh(w);
      Eigen::MatrixXd gradient(shape[0], shape[1]);
      const double value = sagitta::FeatureRankPenalty{}.value_and_gradient(host(features), gradient);
      const lt::FeatureRankPenalty penalty;
      const Tensor term = penalty(features);
      CHECK(std::abs(term.item<double>() - value) < 1e-12 * value);
      const Tensor got = torch::autograd::grad({term}, {features}, {}, true)[0];
      CHECK((host(got) - gradient).norm() < 1e-10 * gradient.norm());
      const Tensor by_w = torch::autograd::grad({term}, {w}, {}, true)[0];
      CHECK(std::abs(penalty.add_gradient_(features, 0.5).item<double>() - value) < 1e-12 * value);
      CHECK(relative_error(w.grad(), 0.5 * by_w) < 1e-12);
      CHECK_THROWS(torch::autograd::grad({term}, {features}, {}, true, true));
    }
  CHECK(holds(rejection([] { (void)lt::FeatureRankPenalty{}(torch::randn({3})); }),
              "features is of shape [3]"));
}

TEST_CASE("penalties refuse what does not fit the initialisation", "[penalties]") {
  const auto leaf = [](const std::vector<int64_t>& shape) { return torch::randn(shape).requires_grad_(); };
  const std::vector<Tensor> initial{leaf({3, 2}), leaf({2})};
  const lt::WassersteinPenalty penalty(initial);
  CHECK(holds(rejection([&] {
                (void)penalty(std::vector<Tensor>{leaf({3, 2})});
              }),
              "called with 1 parameters, expected 2"));
  CHECK(holds(rejection([&] {
                (void)penalty(std::vector<Tensor>{leaf({2, 3}), leaf({2})});
              }),
              "expected Float [3, 2]"));
  CHECK(holds(rejection([&] { (void)lt::L2Penalty{}({}); }), "L2Penalty: the list of parameters is empty"));
}

TEST_CASE("measure gives every diagnostic, against each by itself", "[measure]") {
  torch::manual_seed(43);
  for (const torch::Device device : devices()) {
    nn::Sequential model(nn::Linear(8, 12), nn::BatchNorm1d(12), nn::ReLU(), nn::Dropout(0.5),
                         nn::Linear(12, 9), nn::ReLU(), nn::Linear(9, 4));
    model->to(device, torch::kDouble);
    const Tensor x = torch::randn({20, 8}, torch::kDouble).to(device),
                 y = torch::randint(0, 4, {20}).to(device);
    model->train();
    model[1]->as<nn::BatchNorm1d>()->eval();  // a mixture of modes
    model[1]->as<nn::BatchNorm1d>()->weight.set_requires_grad(false);
    lt::MeasureOptions options;
    options.initial = lt::snapshot(model);
    {
      const torch::NoGradGuard off;
      for (Tensor& p : model->parameters()) p.add_(0.1 * torch::randn_like(p));
    }
    options.previous = lt::snapshot(model);
    {
      const torch::NoGradGuard off;
      for (Tensor& p : model->parameters()) p.add_(0.01 * torch::randn_like(p));
    }
    options.sampled_fisher = options.gauss_newton = options.sharpness = true;
    options.generator = at::detail::createCPUGenerator(3);
    const auto got = lt::measure(model, x, y, options);
    CHECK(model->is_training());
    CHECK_FALSE(model[1]->is_training());
    CHECK(model[3]->is_training());

    model->eval();
    std::vector<Tensor> trained, all = model->parameters();
    for (const Tensor& p : all)
      if (p.requires_grad()) trained.push_back(p);
    CHECK(trained.size() + 1 == all.size());
    const auto losses = [&] { return cross_entropy(model->forward(x), y); };
    const Tensor G = jacobian(losses(), trained), g = G.mean(0);
    const auto same = [](double a, double b) { return std::abs(a - b) <= 1e-10 * std::abs(b); };
    CHECK(got.samples == 20);
    CHECK(got.parameters == G.size(1));
    CHECK(same(got.loss, losses().mean().item<double>()));
    CHECK(same(got.error, model->forward(x).argmax(1).ne(y).to(torch::kDouble).mean().item<double>()));
    CHECK(same(got.gradient_l2, g.norm().item<double>()));
    CHECK(same(got.gradient_l1, g.abs().sum().item<double>()));
    Tensor weights = torch::zeros({0}, x.options()), update = weights, distance = weights;
    double w2 = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (!all[i].requires_grad()) continue;
      weights = torch::cat({weights, all[i].detach().flatten()});
      update = torch::cat({update, (all[i].detach() - options.previous[i]).flatten()});
      distance = torch::cat({distance, (all[i].detach() - options.initial[i]).flatten()});
      w2 += (std::get<0>(all[i].detach().flatten().sort()) - std::get<0>(options.initial[i].flatten().sort()))
                .square()
                .sum()
                .item<double>();
    }
    CHECK(same(got.weight_l1, weights.abs().sum().item<double>()));
    CHECK(same(got.weight_l2, weights.norm().item<double>()));
    CHECK(same(got.update_l1, update.abs().sum().item<double>()));
    CHECK(same(got.update_l2, update.norm().item<double>()));
    CHECK(same(got.initial_distance_l2, distance.norm().item<double>()));
    CHECK(same(got.initial_distance_w2, std::sqrt(w2)));
    const Tensor K = G.mm(G.t());
    CHECK(got.fisher_rank.rank == lt::symmetric_effective_rank(K).rank);
    CHECK(same(got.overlap.value, sagitta::gradient_gram_overlap(host(K)).value));
    Tensor features = x;
    for (std::size_t i = 0; i < 6; ++i)
      features = i == 3   ? features
                 : i == 1 ? model[1]->as<nn::BatchNorm1d>()->forward(features)
                 : i == 0 ? model[0]->as<nn::Linear>()->forward(features)
                 : i == 4 ? model[4]->as<nn::Linear>()->forward(features)
                          : torch::relu(features);
    CHECK(got.feature_rank.rank == sagitta::feature_rank(host(features)).rank);
    CHECK(same(got.dormancy, sagitta::dormancy(host(features))));
    CHECK(got.dormant_fraction == sagitta::dormant_fraction(host(features)));
    CHECK(got.sampled_fisher_rank->rank > 0);
    CHECK(
        got.gauss_newton_rank->rank ==
        lt::symmetric_effective_rank(lt::gauss_newton_gram([&] { return model->forward(x); }, trained)).rank);
    const Tensor H = lt::exact_hessian([&] { return losses().mean(); }, trained);
    CHECK(std::abs(got.sharpness / torch::linalg_eigvalsh(H).max().item<double>() - 1) < 1e-6);
    CHECK(got.fallback_parameters.empty());
    CHECK(got.check_error < 1e-11);

    lt::MeasureOptions small;
    small.batch_size = 7;
    const auto parts = lt::measure(model, x, y, small);
    CHECK(same(parts.loss, got.loss));
    CHECK(parts.error == got.error);
    CHECK(same(parts.gradient_l2, got.gradient_l2));
    CHECK(parts.fisher_rank.rank == got.fisher_rank.rank);
    CHECK(same(parts.dormancy, got.dormancy));
    CHECK(std::isnan(parts.update_l1));
    CHECK(std::isnan(parts.sharpness));
    CHECK_FALSE(parts.gauss_newton_rank.has_value());
  }
}

TEST_CASE("measure of a regression, of losses of one's own, and of what does not fit", "[measure]") {
  torch::manual_seed(44);
  nn::Sequential model(nn::Linear(3, 5), nn::Tanh(), nn::Linear(5, 2));
  const Tensor x = torch::randn({6, 3}), y = torch::randn({6, 2});
  const auto plain = lt::measure(model, x, y);
  CHECK(std::abs(plain.loss - (model->forward(x) - y).square().sum().item<double>() / 6) < 1e-5);
  CHECK(std::isnan(plain.error));
  CHECK(plain.fisher_rank.max_rank == 6);
  lt::MeasureOptions options;
  options.losses = [](const Tensor& output, const Tensor& target) { return (output - target).abs().sum(1); };
  CHECK(lt::measure(model, x, y, options).loss != plain.loss);
  CHECK(holds(rejection([&] {
                (void)lt::measure(model, x, torch::randn({5, 2}));
              }),
              "expected the same number of samples"));
  CHECK(holds(rejection([&] {
                (void)lt::measure(model, x, torch::randn({6, 3}));
              }),
              "measure: the model's output is of shape [6, 2]"));
  options.initial = {torch::randn({2})};
  CHECK(holds(rejection([&] { (void)lt::measure(model, x, y, options); }),
              "options.initial has 1 tensors, expected 4"));
  CHECK(model->is_training());
}

TEST_CASE("measure: a frozen head, time first, a snapshot from elsewhere", "[measure]") {
  torch::manual_seed(63);
  nn::Sequential model(nn::Linear(4, 6), nn::Tanh(), nn::Linear(6, 3));
  model[2]->as<nn::Linear>()->weight.set_requires_grad(false);
  model[2]->as<nn::Linear>()->bias.set_requires_grad(false);
  const Tensor x = torch::randn({8, 4}), y = torch::randint(0, 3, {8});
  lt::MeasureOptions options;
  options.sampled_fisher = true;
  options.initial = lt::snapshot(model);
  for (Tensor& t : options.initial) t = t.to(torch::kDouble);
  auto generator = at::globalContext().defaultGenerator(torch::Device(torch::kCPU));
  const Tensor state = generator.get_state();
  const auto got = lt::measure(model, x, y, options);
  CHECK(torch::equal(generator.get_state(), state));
  CHECK(got.feature_rank.max_rank == 6);
  CHECK(got.parameters == 30);
  CHECK(got.initial_distance_w2 == 0);
  CHECK(got.sampled_fisher_rank->rank > 0);
}

TEST_CASE("a sharpness that does not converge is a quiet NaN", "[measure]") {
  // the eigenvalues of a string, whose largest lie too close for the products that are allowed
  const int64_t n = 2000;
  const Tensor eigenvalues =
      torch::cos(torch::arange(n, torch::kDouble) * (3.14159265358979 / static_cast<double>(n)));
  nn::Linear model(nn::LinearOptions(1, n).bias(false));
  model->to(torch::kDouble);
  lt::MeasureOptions options;
  options.sharpness = true;
  options.losses = [&](const Tensor& output, const Tensor&) {
    return (output.square() * eigenvalues).sum(1) / 2;
  };
  const Tensor ones = torch::ones({2, 1}, torch::kDouble);
  const auto got = lt::measure(model, ones, ones, options);
  CHECK(std::isnan(got.sharpness));
  CHECK(std::isfinite(got.loss));
  CHECK(got.fisher_rank.rank == 1);
}

TEST_CASE("labels that are ignored are no samples, tokens are", "[measure]") {
  torch::manual_seed(65);
  nn::Sequential model(nn::Linear(4, 6), nn::InstanceNorm1d(5), nn::Tanh(), nn::Linear(6, 3));
  model->to(torch::kDouble);
  const Tensor x = torch::randn({7, 5, 4}, torch::kDouble);
  Tensor y = torch::randint(0, 3, {7, 5});
  y.index_put_({torch::indexing::Slice(1, 4), torch::indexing::Slice(2)}, -1);
  lt::MeasureOptions options;
  options.ignore_index = -1;
  options.sampled_fisher = options.gauss_newton = options.sharpness = true;
  options.batch_size = 3;
  const auto got = lt::measure(model, x, y, options);
  model->eval();
  const auto p = model->parameters();
  const Tensor kept = y.flatten().ne(-1).nonzero().squeeze(1), labels = y.flatten().index_select(0, kept);
  const auto logits = [&] { return model->forward(x).flatten(0, 1).index_select(0, kept); };
  const Tensor losses = cross_entropy(logits(), labels), G = jacobian(losses, p);
  const auto same = [](double a, double b) { return std::abs(a - b) <= 1e-10 * std::abs(b); };
  CHECK(got.samples == 26);
  CHECK(same(got.loss, losses.mean().item<double>()));
  CHECK(same(got.error, logits().argmax(1).ne(labels).to(torch::kDouble).mean().item<double>()));
  CHECK(same(got.gradient_l2, G.mean(0).norm().item<double>()));
  CHECK(got.fisher_rank.max_rank == 26);
  CHECK(got.fisher_rank.rank == lt::symmetric_effective_rank(G.mm(G.t())).rank);
  CHECK(same(got.overlap.value, sagitta::gradient_gram_overlap(host(G.mm(G.t()))).value));
  CHECK(got.gauss_newton_rank->max_rank == 51);
  const Tensor H = lt::exact_hessian([&] { return cross_entropy(logits(), labels).mean(); }, p);
  CHECK(std::abs(got.sharpness / torch::linalg_eigvalsh(H).max().item<double>() - 1) < 1e-6);
  CHECK(got.unavailable.empty());

  options.batch_size = -2;
  CHECK(holds(rejection([&] { (void)lt::measure(model, x, y, options); }), "options.batch_size is -2"));
  options.batch_size = 0;
  CHECK(holds(rejection([&] { (void)lt::measure(model, x, y.clamp_min(0) + 2, options); }),
              "y holds the label "));
  const auto none = lt::measure(model, x, torch::full_like(y, -100));
  CHECK(none.samples == 0);
  CHECK(std::isnan(none.loss));
  CHECK(none.weight_l2 > 0);
  CHECK(holds(none.unavailable.at(0).reason, "every label is ignored"));
}

TEST_CASE("measure says what it could not compute, and computes the rest", "[measure]") {
  torch::manual_seed(66);
  const auto reason = [](const lt::Measurement& m, std::string_view quantity) {
    for (const auto& one : m.unavailable)
      if (one.quantity == quantity) return one.reason;
    return std::string();
  };
  nn::Linear model(4, 3);
  const Tensor x = torch::randn({6, 10, 4}), y = torch::ones({6, 2}, torch::kLong);
  lt::MeasureOptions options;
  options.sharpness = options.gauss_newton = true;
  options.losses = [](const Tensor& output, const Tensor& target) {
    const auto lengths = [&](int64_t n) { return torch::full({output.size(0)}, n, torch::kLong); };
    return at::ctc_loss(torch::log_softmax(output, 2).transpose(0, 1), target, lengths(10), lengths(2), 0, 0);
  };
  const auto got = lt::measure(model, x, y, options);
  CHECK(std::isnan(got.sharpness));
  CHECK(
      holds(reason(got, "sharpness"), "HessianOperator: an operator of the model has no second derivative"));
  CHECK_FALSE(got.gauss_newton_rank.has_value());
  CHECK(holds(reason(got, "gauss_newton_rank"), "gauss_newton_gram: logits is of shape [6, 10, 3]"));
  CHECK(got.unavailable.size() == 2);
  CHECK(got.gradient_l2 > 0);
  CHECK(got.fisher_rank.rank > 0);

  int calls = 0;  // a forward pass that is another one each time
  options.losses = [&](const Tensor& output, const Tensor&) {
    return output.square().flatten(1).sum(1) * ++calls;
  };
  options.sharpness = options.gauss_newton = false;
  const auto other = lt::measure(model, x, y, options);
  CHECK(holds(reason(other, "fisher_rank"), "measure: the forward pass does not repeat"));
  CHECK(other.loss > 0);

  {
    const torch::NoGradGuard off;
    model->bias[1] = NAN;
  }
  options.losses = [](const Tensor& output, const Tensor&) { return output.square().flatten(1).sum(1); };
  options.initial = lt::snapshot(model);
  const auto lost = lt::measure(model, x, y, options);
  CHECK(std::isnan(lost.loss));
  CHECK(holds(reason(lost, "loss"), "measure: the loss of sample 0 is NaN"));
  CHECK(holds(reason(lost, "fisher_rank"), "empirical_fisher_gram: the loss of sample 0"));
  CHECK(holds(reason(lost, "initial_distance_w2"), "WassersteinPenalty"));
  CHECK(lost.feature_rank.max_rank == 6);
}

TEST_CASE("penalties of half precision and beside sparse gradients", "[penalties]") {
  const Tensor large = torch::full({30}, 300, torch::kHalf).requires_grad_();
  const Tensor zero = torch::zeros({30}, torch::kHalf).requires_grad_();
  const std::vector<Tensor> p{large}, initial{zero};
  const double want = 30 * 300. * 300;
  CHECK(lt::L2Penalty{}(p).item<double>() == want);
  CHECK(lt::L2InitPenalty(initial)(p).item<double>() == want);
  CHECK(lt::WassersteinPenalty(initial)(p).item<double>() == want);
  CHECK(lt::L2Penalty{}.value(p).item<double>() == want);
  CHECK(lt::L2Penalty{}.add_gradient_(p, 0.5).item<double>() == want);
  CHECK(large.grad().scalar_type() == torch::kHalf);
  CHECK(large.grad().eq(300).all().item<bool>());
  const Tensor g = torch::autograd::grad({lt::L2Penalty{}(p)}, p)[0];
  CHECK(g.eq(600).all().item<bool>());
  CHECK(lt::FeatureRankPenalty{}(torch::full({5, 1}, 300, torch::kHalf)).item<double>() == 0);
  CHECK(lt::FeatureRankPenalty{}(torch::full({1, 5}, 300, torch::kHalf)).item<double>() == 5 * 300. * 300);

  nn::Embedding words(nn::EmbeddingOptions(6, 2).sparse(true));
  words(torch::tensor({1, 4, 4})).sum().backward();
  const Tensor sparse = words->weight.grad();
  REQUIRE(sparse.is_sparse());
  const Tensor sum = sparse.to_dense() + words->weight.detach();
  (void)lt::L2Penalty{}.add_gradient_(words->parameters(), 0.5);
  CHECK(relative_error(words->weight.grad(), sum) < 1e-6);
}
