#include "oracle.hpp"

using namespace oracle;

// How far rounding moves a Gram matrix, where the positions of a sample cancel.
namespace {

using Extended = Eigen::Matrix<long double, Eigen::Dynamic, Eigen::Dynamic>;

// Inputs and backprops of a convolution with a window of one pixel, M samples of T positions: gradients that
// are sums over positions of numbers 1 / cancel times as large, and lie in `rank` directions but for that.
struct Cancelling {
  Tensor x, d;  // [M, in, T], [M, out, T]
  Extended K;   // of what x and d hold, to more digits than double has

  Cancelling(int64_t M, int64_t T, int64_t in, int64_t out, int64_t rank, double cancel, torch::Dtype type) {
    const auto random = [](at::IntArrayRef sizes) { return torch::randn(sizes, torch::kDouble); };
    x = random({M, in, 1}).expand({M, in, T}).clone();
    d = random({M, out, T});
    d = d - d.mean(2, true);
    // what is left: the same few directions for all samples
    const Tensor left = random({M, rank}).mm(random({rank, out})), common = random({1, in, 1});
    x = x * cancel + common;
    d = d + cancel * left.unsqueeze(2);
    x = x.to(type).to(torch::kDouble);
    d = d.to(type).to(torch::kDouble);
    Extended G(M, out * in);
    const auto xs = x.accessor<double, 3>(), ds = d.accessor<double, 3>();
    for (int64_t m = 0; m < M; ++m)
      for (int64_t i = 0; i < out; ++i)
        for (int64_t j = 0; j < in; ++j) {
          long double sum = 0;
          for (int64_t t = 0; t < T; ++t) sum += static_cast<long double>(ds[m][i][t]) * xs[m][j][t];
          G(m, i * in + j) = sum;
        }
    K = G * G.transpose();
    x = x.to(type);
    d = d.to(type);
  }
  double error(const Tensor& gram) const {
    const Tensor host = gram.to(torch::kDouble).contiguous();
    const Eigen::MatrixXd got =
        Eigen::Map<const Eigen::MatrixXd>(host.data_ptr<double>(), host.size(0), host.size(1));
    const Eigen::MatrixXd difference = (got.cast<long double>() - K).cast<double>();
    return difference.selfadjointView<Eigen::Lower>().eigenvalues().cwiseAbs().maxCoeff();
  }
  sagitta::EffectiveRank rank() const {
    return sagitta::symmetric_effective_rank(Eigen::MatrixXd(K.cast<double>()));
  }
};

}  // namespace

TEST_CASE("positions that cancel widen the bracket, which holds the rank", "[rounding]") {
  torch::manual_seed(71);
  int missed = 0, certified = 0;
  for (const auto type : {torch::kFloat, torch::kDouble})
    for (const auto& [M, T, in, out] : std::vector<std::array<int64_t, 4>>{
             {24, 4, 40, 48}, {24, 64, 5, 6}, {40, 9, 16, 16}, {12, 400, 3, 4}, {20, 2, 60, 60}})
      for (const double cancel : {1.0, 1e-3, 1e-6, 1e-8}) {
        const Cancelling truth(M, T, in, out, 3, cancel, type);
        const Tensor W = torch::zeros({out, in, 1}, type).requires_grad_();
        const auto losses = [&] { return (F::conv1d(truth.x, W) * truth.d).sum({1, 2}); };
        const auto result = lt::empirical_fisher_gram(losses, std::vector<Tensor>{W});
        REQUIRE(result.fallback_parameters.empty());
        const auto got = lt::symmetric_effective_rank(result);
        const sagitta::GradientGram gram = lt::gradient_gram(result);  // once, for every answer
        CHECK(sagitta::fisher_rank(gram).upper == got.upper);
        CHECK(gram.max_rank() == got.max_rank);
        const auto want = truth.rank();
        const double allowed = lt::detail::rounding_of(result, lt::detail::on_host(result.gram, "test"));
        INFO(type << ", " << M << " samples, " << T << " positions, " << in << " -> " << out << ", cancel "
                  << cancel << ": " << got.lower << ".." << got.upper << ", true " << want.rank << "; error "
                  << truth.error(result.gram) << " of " << allowed);
        CHECK(truth.error(result.gram) <= allowed);
        CHECK(got.lower <= want.rank);
        CHECK(got.upper >= want.rank);
        CHECK((result.cancellation > 0) == (T > 1));
        // what the tensor alone tells is not enough where nearly all cancels
        const auto alone = lt::symmetric_effective_rank(result.gram);
        missed += alone.lower > want.rank || alone.upper < want.rank;
        certified += got.certified();
      }
  CHECK(missed > 0);
  CHECK(certified > 20);  // of 40: the bracket is no wider than it has to be
}

TEST_CASE("sums over positions, and uses of one weight, that cancel", "[rounding]") {
  torch::manual_seed(72);
  const Tensor x = torch::randn({16, 6}, torch::kDouble);
  // a bias over pixels: d sums to 1e-7 of its size, in the direction of one output
  const Tensor bias = torch::zeros({4}, torch::kDouble).requires_grad_();
  Tensor d = torch::randn({16, 4, 9}, torch::kDouble);
  d = d - d.mean(2, true);
  d.select(1, 0) += 1e-7 * x.narrow(1, 0, 1);
  const auto summed = lt::empirical_fisher_gram(
      [&] {
        return ((torch::ones_like(d) + bias.view({4, 1})) * d).sum({1, 2});
      },
      std::vector<Tensor>{bias});
  const Tensor G = d.sum(2);
  const double error = (summed.gram - G.mm(G.t())).norm().item<double>();
  CHECK(summed.cancellation > 0);
  CHECK(error <= lt::detail::rounding_of(summed, lt::detail::on_host(summed.gram, "test")));
  CHECK(lt::symmetric_effective_rank(summed).lower <= 1);

  // W x - W y with y next to x: a network that compares
  const Tensor W = torch::randn({8, 6}, torch::kDouble).requires_grad_(),
               c = torch::randn({16, 8}, torch::kDouble);
  const Tensor y = x + 1e-7 * torch::randn({16, 1}, torch::kDouble);
  const auto twice = lt::empirical_fisher_gram(
      [&] { return ((F::linear(x, W) - F::linear(y, W)) * c).sum(1); }, std::vector<Tensor>{W});
  const Tensor inner = c.mm(c.t()) * (x - y).mm((x - y).t());
  CHECK(twice.cancellation > 0);
  CHECK((twice.gram - inner).norm().item<double>() <=
        lt::detail::rounding_of(twice, lt::detail::on_host(twice.gram, "test")));

  // one position, one use: nothing can cancel
  CHECK(lt::empirical_fisher_gram([&] { return some_losses(F::linear(x, W)); }, std::vector<Tensor>{W})
            .cancellation == 0);
}

TEST_CASE("measure knows that the Gram of a float model is rounded", "[rounding]") {
  torch::manual_seed(73);
  // a regression at its optimum: the mean gradient is zero but for the rounding of float
  const Tensor x = torch::randn({40, 5}, torch::kDouble), y = torch::randn({40, 1}, torch::kDouble);
  const Tensor best = at::linalg_solve(x.t().mm(x), x.t().mm(y));
  nn::Linear model(nn::LinearOptions(5, 1).bias(false));
  {
    const torch::NoGradGuard off;
    model->weight.copy_(best.t());
  }
  CHECK_FALSE(lt::measure(model, x.to(torch::kFloat), y.to(torch::kFloat)).overlap.defined());
  {
    const torch::NoGradGuard off;
    model->weight.add_(1);
  }
  CHECK(lt::measure(model, x.to(torch::kFloat), y.to(torch::kFloat)).overlap.defined());
}
