#include <random>
#include <sagitta/gauss_newton.hpp>
#include <sagitta/lanczos.hpp>

#include "oracle.hpp"

using namespace oracle;

namespace {

static_assert(sagitta::SymmetricOperator<lt::HessianOperator>);
static_assert(sagitta::SymmetricOperator<lt::GaussNewtonOperator>);
static_assert(sagitta::SymmetricOperator<lt::EmpiricalFisherOperator>);

nn::Sequential dense() { return nn::Sequential(nn::Linear(6, 7), nn::Tanh(), nn::Linear(7, 4)); }
nn::Sequential convolutional() {
  return nn::Sequential(nn::Conv2d(nn::Conv2dOptions(2, 3, 2)), nn::Tanh(),
                        nn::Conv2d(nn::Conv2dOptions(3, 4, 2)), nn::Tanh(), nn::Flatten(), nn::Linear(4, 4));
}

struct Setting {
  nn::Sequential model;
  Tensor x, y;
  std::vector<Tensor> parameters;
  Setting(nn::Sequential m, const Tensor& input, torch::Device device, torch::Dtype type = torch::kDouble)
      : model(std::move(m)), x(input.to(device, type)), y(torch::randint(0, 4, {input.size(0)}).to(device)) {
    model->to(device, type);
    parameters = model->parameters();
  }
  Tensor logits() { return model->forward(x); }
  Tensor losses() { return cross_entropy(logits(), y); }
  int64_t samples() const { return x.size(0); }
};

std::vector<Setting> settings() {
  torch::manual_seed(31);
  std::vector<Setting> all;
  for (const torch::Device device : devices()) {
    all.emplace_back(dense(), torch::randn({5, 6}), device);
    all.emplace_back(convolutional(), torch::randn({5, 2, 3, 3}), device);
  }
  return all;
}

Tensor gauss_newton(Setting& s, bool squared) {
  const Tensor z = s.logits(), J = jacobian(z, s.parameters).view({s.samples(), 4, -1});
  const Tensor p = torch::softmax(z.detach().to(torch::kDouble), 1);
  const Tensor H = squared ? 2 * torch::eye(4, p.options()).expand({s.samples(), 4, 4})
                           : torch::diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1);
  return torch::einsum("mcp,mcd,mdq->pq", {J, H, J});
}

Tensor hessian(const Tensor& loss, const std::vector<Tensor>& parameters) {
  std::vector<Tensor> parts;
  for (const Tensor& g : torch::autograd::grad({loss}, parameters, {}, true, true))
    parts.push_back(g.reshape({-1}));
  return jacobian(torch::cat(parts), parameters);
}

}  // namespace

TEST_CASE("the Gauss-Newton Gram is B B^T row by row, and has the matrix's eigenvalues", "[curvature]") {
  for (Setting& s : settings()) {
    const auto result = lt::gauss_newton_gram([&] { return s.logits(); }, s.parameters);
    const int64_t rows = s.samples() * 3;
    REQUIRE(result.gram.sizes() == torch::IntArrayRef({rows, rows}));
    CHECK(result.check_error < 1e-11);
    CHECK(result.fallback_parameters.empty());
    // the core's factor, row m (C - 1) + k
    const Tensor z = s.logits(), J = jacobian(z, s.parameters).view({s.samples(), 4, -1});
    const Tensor p = torch::softmax(z.detach(), 1).cpu().contiguous();
    std::vector<Tensor> B;
    for (int64_t m = 0; m < s.samples(); ++m) {
      const Eigen::MatrixXd L =
          sagitta::softmax_hessian_factor(Eigen::Map<const Eigen::VectorXd>(p[m].data_ptr<double>(), 4));
      const Tensor columns =
          torch::from_blob(const_cast<double*>(L.data()), {3, 4}, torch::kDouble).to(J.device());
      B.push_back(columns.mm(J[m]));
    }
    const Tensor stacked = torch::cat(B);
    CHECK(relative_error(result.gram, stacked.mm(stacked.t())) < 1e-12);
    const Tensor want =
        std::get<0>(torch::linalg_eigvalsh(gauss_newton(s, false)).sort(0, true)).narrow(0, 0, rows);
    CHECK(relative_error(std::get<0>(torch::linalg_eigvalsh(result.gram).sort(0, true)), want) < 1e-12);
    const auto rank = lt::symmetric_effective_rank(result);
    CHECK(rank.max_rank == std::min<int64_t>(rows, result.parameter_count));
  }
}

TEST_CASE("Gauss-Newton of the squared error, of saturated and of single-class outputs", "[curvature]") {
  for (Setting& s : settings()) {
    const auto squared =
        lt::gauss_newton_gram([&] { return s.logits(); }, s.parameters, {}, lt::OutputLoss::squared_error);
    CHECK(squared.gram.size(0) == s.samples() * 4);
    CHECK(std::abs(squared.gram.trace().item<double>() / gauss_newton(s, true).trace().item<double>() - 1) <
          1e-12);
    const auto saturated = lt::gauss_newton_gram([&] { return s.logits() * 1e4; }, s.parameters);
    CHECK(saturated.gram.isfinite().all().item<bool>());
    const auto single = lt::gauss_newton_gram([&] { return s.logits().narrow(1, 0, 1); }, s.parameters);
    CHECK(single.gram.numel() == 0);
  }
}

TEST_CASE("Gauss-Newton rows of parameters that fall back, and in float", "[curvature]") {
  torch::manual_seed(32);
  Setting s(dense(), torch::randn({5, 6}), torch::kCPU);
  const auto p = s.parameters;
  const auto forward = [&] {
    const Tensor x = torch::where(s.x > 0, s.x, p[0].select(0, 0));  // no rule
    return F::linear(torch::tanh(F::linear(x, p[0], p[1])), p[2], p[3]);
  };
  lt::GramOptions options;
  const auto result = lt::gauss_newton_gram(forward, p, options);
  CHECK(result.fallback_parameters.size() == 1);
  CHECK(result.check_error < 1e-11);
  Setting f(convolutional(), torch::randn({5, 2, 3, 3}), torch::kCPU, torch::kFloat);
  const auto single = lt::gauss_newton_gram([&] { return f.logits(); }, f.parameters);
  CHECK(single.gram.scalar_type() == torch::kFloat);
  CHECK(std::abs(single.gram.trace().item<double>() / gauss_newton(f, false).trace().item<double>() - 1) <
        2e-6);
}

TEST_CASE("the sampled Fisher draws its labels from the model", "[curvature]") {
  for (Setting& s : settings()) {
    at::Generator generator = at::detail::createCPUGenerator(7);
    const Tensor state = generator.get_state();
    const auto first = lt::sampled_fisher_gram([&] { return s.logits(); }, s.parameters, generator);
    generator.set_state(state);
    const auto again = lt::sampled_fisher_gram([&] { return s.logits(); }, s.parameters, generator);
    CHECK(torch::equal(first.gram, again.gram));
    CHECK(first.check_error < 1e-11);
    generator.set_state(state);
    const Tensor p = torch::softmax(s.logits().detach(), 1).cpu();
    const Tensor labels = torch::multinomial(p, 1, true, generator).view({-1}).to(s.x.device());
    CHECK(relative_error(first.gram, gram(cross_entropy(s.logits(), labels), s.parameters)) < 1e-12);
    // on average over draws the trace is that of the Gauss-Newton matrix
    double sum = 0;
    for (int i = 0; i < 300; ++i)
      sum += lt::sampled_fisher_gram([&] { return s.logits(); }, s.parameters, generator)
                 .gram.trace()
                 .item<double>();
    CHECK(std::abs(sum / 300 / gauss_newton(s, false).trace().item<double>() - 1) < 0.1);
  }
}

TEST_CASE("operators agree with dense matrices", "[curvature]") {
  for (Setting& s : settings()) {
    const auto M = static_cast<double>(s.samples());
    const lt::HessianOperator H([&] { return s.losses().mean(); }, s.parameters);
    const lt::GaussNewtonOperator G([&] { return s.logits(); }, s.parameters);
    const lt::GaussNewtonOperator G2([&] { return s.logits(); }, s.parameters, lt::OutputLoss::squared_error);
    const lt::EmpiricalFisherOperator E([&] { return s.losses(); }, s.parameters);
    const Tensor dense_H = hessian(s.losses().mean(), s.parameters), g = jacobian(s.losses(), s.parameters);
    const Tensor v = torch::randn({H.rows()}, s.x.options());
    CHECK(H.rows() == g.size(1));
    CHECK(H.cols() == H.rows());
    CHECK(relative_error(H.apply(v), dense_H.mv(v)) < 1e-12);
    CHECK(relative_error(H.gradient(), g.mean(0)) < 1e-12);
    CHECK(relative_error(G.apply(v), gauss_newton(s, false).mv(v) / M) < 1e-12);
    CHECK(relative_error(G2.apply(v), gauss_newton(s, true).mv(v) / M) < 1e-12);
    CHECK(relative_error(E.apply(v), g.t().mv(g.mv(v)) / M) < 1e-12);
    CHECK(relative_error(lt::exact_hessian([&] { return s.losses().mean(); }, s.parameters), dense_H) <
          1e-12);
    CHECK(relative_error(H.apply(v), H.apply(v)) == 0);
    for (const Tensor& p : s.parameters) CHECK(!p.grad().defined());

    std::mt19937_64 generator(3);
    const auto top = sagitta::extreme_eigenpairs(H, 2, generator);
    const Tensor moduli = std::get<0>(torch::linalg_eigvalsh(dense_H).abs().sort(0, true));
    CHECK(std::abs(std::abs(top.values[0]) / moduli[0].item<double>() - 1) < 1e-8);
  }
}

TEST_CASE("an operator is a snapshot and says so", "[curvature]") {
  torch::manual_seed(33);
  Setting s(dense(), torch::randn({5, 6}), torch::kCPU);
  const lt::HessianOperator H([&] { return s.losses().mean(); }, s.parameters);
  const Tensor v = torch::ones({H.rows()}, torch::kDouble);
  CHECK(holds(rejection([&] { (void)H.apply(v.to(torch::kFloat)); }), "HessianOperator: v is Float"));
  CHECK(holds(rejection([&] { (void)H.apply(torch::ones({3}, torch::kDouble)); }), "expected Double [81]"));
  {
    const torch::NoGradGuard off;
    s.parameters[1].add_(0.1);
  }
  CHECK(holds(rejection([&] { (void)H.apply(v); }), "parameter 1 of shape [7] has been changed"));
  CHECK(holds(rejection([&] { lt::HessianOperator([&] { return s.losses(); }, s.parameters); }),
              "loss is of shape [5]"));
  CHECK(holds(rejection([&] { lt::GaussNewtonOperator([&] { return s.losses(); }, s.parameters); }),
              "expected [M, C]"));
  CHECK(
      holds(rejection([&] { lt::EmpiricalFisherOperator([&] { return s.losses().mean(); }, s.parameters); }),
            "expected [M]"));
  // parameters without influence, a loss without curvature
  auto more = s.parameters;
  more.push_back(torch::randn({3}, torch::kDouble).requires_grad_());
  const lt::HessianOperator flat([&] { return s.parameters[0].sum(); }, more);
  CHECK(flat.apply(torch::ones({84}, torch::kDouble)).abs().max().item<double>() == 0);
}

TEST_CASE("the rank of a float Gram holds its rounding", "[curvature]") {
  torch::manual_seed(34);
  for (int i = 0; i < 5; ++i) {
    const Tensor A = torch::randn({40, 60}, torch::kDouble) * torch::logspace(0, -6, 60, 10, torch::kDouble);
    const Tensor K = A.mm(A.t()), Kf = A.to(torch::kFloat).mm(A.to(torch::kFloat).t());
    const auto exact = lt::symmetric_effective_rank(K), rounded = lt::symmetric_effective_rank(Kf);
    CHECK(rounded.lower <= exact.rank);
    CHECK(exact.rank <= rounded.upper);
  }
}
