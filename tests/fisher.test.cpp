#include <sagitta/fisher.hpp>

#include <array>

#include "catch.hpp"
#include "generate.hpp"
#include "rejection.hpp"

using Eigen::MatrixXd;
using Eigen::MatrixXf;
using Eigen::VectorXd;
using generate::Index;
using sagitta::EffectiveRank;
using sagitta::LayerTrace;

namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();
const double not_a_number = std::numeric_limits<double>::quiet_NaN();
const double infinity = std::numeric_limits<double>::infinity();

// a two-layer network with weights W1, W2 and biases, and the loss of one sample; by hand, one number at a
// time
struct Network {
  MatrixXd W1, W2;
  VectorXd b1, b2;

  VectorXd logits(const VectorXd& x) const { return W2 * (W1 * x + b1).array().tanh().matrix() + b2; }
  double loss(const VectorXd& x, Index label) const {
    const VectorXd z = logits(x);
    return std::log((z.array() - z.maxCoeff()).exp().sum()) + z.maxCoeff() - z[label];
  }
  std::array<double*, 4> data() { return {W1.data(), b1.data(), W2.data(), b2.data()}; }
  std::array<Index, 4> sizes() const { return {W1.size(), b1.size(), W2.size(), b2.size()}; }
};

}  // namespace

TEST_CASE("softmax of any finite logits") {
  generate::Generator generator(31);
  for (const auto& [m, n] : generate::shapes()) {
    if (n == 0 && m > 0) continue;
    const MatrixXd z = 5 * generate::matrix(generator, m, n);
    const MatrixXd p = sagitta::softmax(z);
    REQUIRE(p.rows() == m);
    REQUIRE(p.cols() == n);
    for (Index i = 0; i < m; ++i) {
      const Eigen::RowVectorXd exponentials = z.row(i).array().exp();
      // an exponential of |z| <= 10 is right to 10 eps, and a sum of n adds n eps
      CHECK((p.row(i) - exponentials / exponentials.sum()).cwiseAbs().maxCoeff() <=
            eps * static_cast<double>(20 + n));
    }
    const MatrixXf single = sagitta::softmax(z.cast<float>());
    CHECK((single.cast<double>() - p).norm() <= 100 * std::numeric_limits<float>::epsilon());
  }
  const MatrixXd huge = sagitta::softmax(Eigen::RowVector3d(1e308, -1e308, 1e308));
  CHECK(huge(0, 0) == 0.5);
  CHECK(huge(0, 1) < 1e-300);
  CHECK(sagitta::softmax(MatrixXd(0, 3)).rows() == 0);
  CHECK(sagitta::softmax(MatrixXd(3, 0)).rows() == 3);
}

TEST_CASE("sampled labels follow the generator's state") {
  // expected values: tests/data/make_values.py; here what needs none
  const MatrixXd p = (MatrixXd(4, 3) << 0, 1, 0, 0.5, 0, 0.5, 0, 0, 1, 1, 0, 0).finished();
  std::mt19937_64 generator(5);
  for (int repeat = 0; repeat < 200; ++repeat) {
    const Eigen::VectorXi labels = sagitta::sample_labels(p, generator);
    REQUIRE(labels.size() == 4);
    CHECK(labels[0] == 1);
    CHECK(labels[1] != 1);
    CHECK(labels[2] == 2);
    CHECK(labels[3] == 0);
  }
  std::mt19937_64 first(9), second(9);
  const Eigen::Matrix<double, -1, -1, Eigen::RowMajor> rows = p;
  const Eigen::VectorXi labels = sagitta::sample_labels(p, first);
  CHECK(labels == sagitta::sample_labels(rows, second));
  CHECK(first == second);
  second.seed(9);
  second.discard(4);  // one number a label
  CHECK(first == second);
  std::mt19937 narrow(9), moved(9);
  (void)sagitta::sample_labels(p, narrow);
  moved.discard(8);  // two of 32 bits
  CHECK(narrow == moved);
  CHECK(sagitta::sample_labels(MatrixXd(0, 3), first).size() == 0);
  CHECK(sagitta::sample_labels(MatrixXd::Ones(5, 1), first) == Eigen::VectorXi::Zero(5));
}

TEST_CASE("sampled labels have the shares of their distribution") {
  const Index draws = 40000;
  const Eigen::RowVectorXd p = (Eigen::RowVectorXd(5) << 0.05, 0.4, 0.25, 0.001, 0.299).finished();
  const auto statistic = [&](auto generator) {
    VectorXd counts = VectorXd::Zero(5);
    for (const int label : sagitta::sample_labels(p.replicate(draws, 1), generator)) counts[label] += 1;
    const VectorXd expected = static_cast<double>(draws) * p.transpose();
    return ((counts - expected).array().square() / expected.array()).sum();
  };
  // chi-square of 4 degrees of freedom: above 23.5 once in 10,000 seeds, and these are fixed
  CHECK(statistic(std::mt19937_64(1)) < 23.5);
  CHECK(statistic(std::mt19937(2)) < 23.5);
  CHECK(statistic(std::minstd_rand(3)) < 23.5);
  CHECK(statistic(std::ranlux48(4)) < 23.5);
}

TEST_CASE("uniform draws are at least 0 and below 1") {
  struct Extreme {
    using result_type = std::uint32_t;
    result_type value;
    static constexpr result_type min() { return 0; }
    static constexpr result_type max() { return 0xFFFFFFFF; }
    result_type operator()() { return value; }
  };
  Extreme most{0xFFFFFFFF}, least{0};
  CHECK(sagitta::detail::uniform(most) < 1);
  CHECK(sagitta::detail::uniform(most) > 1 - 0x1p-50);
  CHECK(sagitta::detail::uniform(least) == 0);
  std::minstd_rand small(1);
  for (int i = 0; i < 1000; ++i) {
    const double draw = sagitta::detail::uniform(small);
    CHECK((draw >= 0 && draw < 1));
  }
  // the last class with a share is drawn where rounding leaves a rest
  Eigen::RowVectorXd p = Eigen::RowVectorXd::Constant(11, 0.1);
  p[10] = 0;
  CHECK(sagitta::sample_labels(p, most)[0] == 9);
  CHECK(sagitta::sample_labels(p, least)[0] == 0);
  p.reverseInPlace();
  CHECK(sagitta::sample_labels(p, least)[0] == 1);
  CHECK(sagitta::sample_labels(p, most)[0] == 10);
}

TEST_CASE("backprops of the last layer are the derivatives of the summed loss") {
  generate::Generator generator(32);
  const Index M = 5, C = 4;
  MatrixXd z = 2 * generate::matrix(generator, M, C);
  const Eigen::VectorXi labels = (Eigen::VectorXi(M) << 3, 0, 0, 2, 1).finished();
  const auto loss = [&](Index m) {
    const Eigen::RowVectorXd row = z.row(m);
    return std::log(row.array().exp().sum()) - row[labels[m]];
  };
  const MatrixXd backprops = sagitta::cross_entropy_backprops(sagitta::softmax(z), labels);
  const double step = 1e-5;  // step^2 and eps / step are both near 1e-10
  for (Index m = 0; m < M; ++m)
    for (Index c = 0; c < C; ++c) {
      const double kept = z(m, c);
      z(m, c) = kept + step;
      const double up = loss(m);
      z(m, c) = kept - step;
      const double down = loss(m);
      z(m, c) = kept;
      CHECK(std::abs(backprops(m, c) - (up - down) / (2 * step)) <= 1e-9);
    }
  const Eigen::Matrix<std::int64_t, -1, 1> wide = labels.cast<std::int64_t>();
  CHECK(sagitta::cross_entropy_backprops(sagitta::softmax(z), wide) == backprops);
  CHECK(sagitta::cross_entropy_backprops(sagitta::softmax(z), labels.transpose()) == backprops);
  CHECK(sagitta::cross_entropy_backprops(sagitta::softmax(z.cast<float>()), labels)
            .cast<double>()
            .isApprox(backprops, 1e-5));
  CHECK(sagitta::cross_entropy_backprops(MatrixXd(0, 3), Eigen::VectorXi(0)).rows() == 0);
}

TEST_CASE("the Fisher of a small network, against gradients by central differences") {
  generate::Generator generator(33);
  const Index M = 7, in = 3, hidden = 4, C = 3;
  Network network{generate::matrix(generator, hidden, in), generate::matrix(generator, C, hidden),
                  generate::vector(generator, hidden), generate::vector(generator, C)};
  const MatrixXd X = generate::matrix(generator, M, in);
  const MatrixXd A = ((X * network.W1.transpose()).rowwise() + network.b1.transpose()).array().tanh();
  const MatrixXd p = sagitta::softmax((A * network.W2.transpose()).rowwise() + network.b2.transpose());
  const Eigen::VectorXi labels = sagitta::sample_labels(p, generator);
  const MatrixXd D2 = sagitta::cross_entropy_backprops(p, labels);
  const MatrixXd D1 = (D2 * network.W2).array() * (1 - A.array().square());
  const std::vector<LayerTrace<double>> layers{{.inputs = X, .backprops = D1},
                                               {.inputs = A, .backprops = D2}};

  MatrixXd G(hidden * in + hidden + C * hidden + C, M);
  Index row = 0;
  for (std::size_t part = 0; part < 4; ++part)
    for (Index i = 0; i < network.sizes()[part]; ++i, ++row) {
      double& weight = network.data()[part][i];
      const double kept = weight, step = 1e-5;
      for (Index m = 0; m < M; ++m) {
        weight = kept + step;
        const double up = network.loss(X.row(m).transpose(), labels[m]);
        weight = kept - step;
        G(row, m) = (up - network.loss(X.row(m).transpose(), labels[m])) / (2 * step);
      }
      weight = kept;
    }
  CHECK((sagitta::gram(layers) - G.transpose() * G).norm() <= 1e-8 * (G.transpose() * G).norm());
  const EffectiveRank got = sagitta::fisher_rank(layers), dense = sagitta::fisher_rank(G);
  CHECK(got.rank == dense.rank);
  CHECK(got.rank == sagitta::symmetric_effective_rank(MatrixXd(G * G.transpose())).rank);
  CHECK(got.certified());
  CHECK(got.max_rank == M);
  CHECK(dense.max_rank == M);
}

TEST_CASE("fisher_rank knows the largest rank and any scale") {
  generate::Generator generator(34);
  for (const auto& [d, M] : generate::shapes()) {
    const MatrixXd G = generate::matrix(generator, d, M);
    const EffectiveRank got = sagitta::fisher_rank(G);
    CHECK(got.max_rank == std::min(d, M));
    CHECK(got.upper <= got.max_rank);
    CHECK(got.lower <= got.rank);
    CHECK(got.rank <= got.upper);
    for (const double scale : {1e-300, 1e-200, 1e200, 1e300}) {
      const EffectiveRank scaled = sagitta::fisher_rank(G * scale);
      CHECK(scaled.rank == got.rank);
      CHECK(scaled.upper == got.upper);
    }
    CHECK(sagitta::fisher_rank(G.cast<float>()).max_rank == std::min(d, M));
  }
  // exact spectra: the eigenvalues of G^T G are the squares
  for (const Index M : {2, 5, 20}) {
    const VectorXd s = generate::spectrum(generator, generate::Kind::repeated, M);
    const MatrixXd G = generate::with_singular_values(generator, s, 2 * M, M);
    for (const generate::Threshold threshold : generate::thresholds) {
      const Index truth = generate::exact_rank(s.array().square(), threshold);
      const EffectiveRank got = sagitta::fisher_rank(G, threshold.value());
      CHECK(got.lower <= truth);
      CHECK(truth <= got.upper);
      CHECK(got.rank == truth);
    }
  }
  CHECK(sagitta::fisher_rank(MatrixXd(5, 0)).rank == 0);
  CHECK(sagitta::fisher_rank(MatrixXd::Zero(5, 3)).rank == 0);
  CHECK(sagitta::fisher_rank(MatrixXd::Zero(5, 3)).certified());
}

TEST_CASE("positions that cancel widen the bracket and are no error") {
  // the same weight used twice with opposite signs on almost the same input
  generate::Generator generator(36);
  const Index M = 30, in = 40, out = 40;
  int certified = 0;
  for (const int exponent : {0, -10, -20, -28, -30}) {
    const MatrixXd d = generate::matrix(generator, M, out);
    // few binary digits, so that differences are exact
    const MatrixXd a = (generate::matrix(generator, M, in) * 1024).array().round() / 1024;
    const MatrixXd step = generate::matrix(generator, M, 2) * generate::matrix(generator, 2, in);
    MatrixXd inputs(2 * M, in), backprops(2 * M, out), differences(M, in);
    for (Index m = 0; m < M; ++m) {
      inputs.row(2 * m) = a.row(m);
      inputs.row(2 * m + 1) =
          a.row(m) + (step.row(m) * 64).array().round().matrix() * std::ldexp(1.0, exponent - 6);
      differences.row(m) = inputs.row(2 * m + 1) - inputs.row(2 * m);
      backprops.row(2 * m) = -d.row(m);
      backprops.row(2 * m + 1) = d.row(m);
    }
    const EffectiveRank truth = sagitta::fisher_rank(
        std::vector<LayerTrace<double>>{{.inputs = differences, .backprops = d, .has_bias = false}});
    const EffectiveRank got = sagitta::fisher_rank(
        std::vector<LayerTrace<double>>{{.inputs = inputs, .backprops = backprops, .positions = 2}});
    REQUIRE(truth.certified());
    CHECK(got.lower <= truth.rank);
    CHECK(truth.rank <= got.upper);
    certified += got.certified();
  }
  CHECK(certified >= 1);  // where little cancels
}

TEST_CASE("the Fisher's parts reject what they cannot answer") {
  std::mt19937_64 generator(1);
  const Eigen::VectorXi labels = Eigen::VectorXi::Zero(2);
  const auto sample = [&](const auto& p) {
    return rejection([&] { (void)sagitta::sample_labels(p, generator); });
  };
  const auto backprops = [&](const auto& p, const auto& y) {
    return rejection([&] { (void)sagitta::cross_entropy_backprops(p, y); });
  };
  const MatrixXd half = MatrixXd::Constant(2, 2, 0.5);
  for (const double bad : {not_a_number, infinity, -infinity}) {
    MatrixXd p = half;
    p(1, 0) = bad;
    CHECK(holds(sample(p), "sample_labels: probabilities(1, 0) is "));
    CHECK(holds(sample(MatrixXf(p.cast<float>())), "sample_labels: probabilities(1, 0) is "));
    CHECK(holds(backprops(p, labels), "cross_entropy_backprops: probabilities(1, 0) is "));
    CHECK(holds(rejection([&] { (void)sagitta::softmax(p); }), "softmax: logits(1, 0) is "));
    CHECK(holds(rejection([&] { (void)sagitta::fisher_rank(p); }), "fisher_rank: G(1, 0) is "));
  }
  MatrixXd p = half;
  p.row(1) << 1.5, -0.5;
  CHECK(sample(p) == "sample_labels: probabilities(1, 1) is -0.5, expected values >= 0");
  p.row(1) << 0.7, 0.7;
  CHECK(sample(p) == "sample_labels: row 1 of probabilities sums to 1.4, expected 1");
  p.row(1) << 0.5, 0.5 + 1e-5;  // as a softmax in float may leave it
  CHECK(sample(p).empty());
  p.row(1) << 0.5, 0.5 + 1e-3;
  CHECK(sample(p) == "sample_labels: row 1 of probabilities sums to 1.001, expected 1");
  CHECK(holds(sample(MatrixXd(2, 0)), "sample_labels: row 0 of probabilities sums to 0"));
  CHECK(backprops(half, Eigen::VectorXi::Zero(3)) ==
        "cross_entropy_backprops: labels has 3 elements, expected 2");
  CHECK(backprops(half, Eigen::Vector2i(0, 2)) == "cross_entropy_backprops: label 1 is 2, expected 0 to 1");
  CHECK(backprops(half, Eigen::Vector2i(-1, 0)) == "cross_entropy_backprops: label 0 is -1, expected 0 to 1");
  CHECK(holds(rejection([&] { (void)sagitta::fisher_rank(half, 2.0); }), "threshold is 2"));
  CHECK(holds(rejection([&] { (void)sagitta::fisher_rank(std::vector<LayerTrace<double>>{}); }),
              "layers is empty"));
  // the rounding of a softmax in float is no error
  generate::Generator draw(35);
  const MatrixXf single = sagitta::softmax(MatrixXf(generate::matrix(draw, 20, 1000).cast<float>()));
  CHECK(sagitta::sample_labels(single, generator).size() == 20);
}

TEST_CASE("a rounding that no double can tell certifies nothing") {
  // several positions and small weights: gradients are formed, and finite, where the bound on their rounding
  // overflows
  const Eigen::MatrixXd inputs = Eigen::MatrixXd::Constant(8, 2, 1e160),
                        backprops = Eigen::MatrixXd::Constant(8, 2, 1e-170);
  const std::vector<sagitta::LayerTrace<double>> layers{
      {.inputs = inputs, .backprops = backprops, .positions = 4, .has_bias = false}};
  const sagitta::EffectiveRank rank = sagitta::fisher_rank(layers);
  CHECK(rank.rank == 1);
  CHECK(rank.lower == 0);
  CHECK(rank.upper == 2);
}

TEST_CASE("rows of probabilities as float and bfloat16 codes make them are distributions, and no others") {
  generate::Generator generator(36);
  // softmax summed one by one in float over the words of a language model
  const Index words = 128256;
  const MatrixXf logits = MatrixXf::Constant(4, words, .1f);  // whose roundings all have one direction
  MatrixXf p(4, words);
  for (Index m = 0; m < 4; ++m) {
    float sum = 0;
    for (Index c = 0; c < words; ++c) sum += p(m, c) = std::exp(logits(m, c));
    for (Index c = 0; c < words; ++c) p(m, c) /= sum;
  }
  const double off = std::abs(p.row(0).cast<double>().sum() - 1);
  INFO("a row is off by " << off);
  CHECK(off > 1e-4);
  CHECK(sagitta::sample_labels(p, generator).size() == 4);
  CHECK(
      holds(rejection([&] { (void)sagitta::sample_labels(MatrixXf(1.01f * p), generator); }), "sums to 1.0"));
  // rounded to the 8 bits of bfloat16
  MatrixXf q = sagitta::softmax(MatrixXf(3 * generate::matrix(generator, 50, 10).cast<float>()));
  for (float& value : q.reshaped())
    value = std::bit_cast<float>((std::bit_cast<std::uint32_t>(value) + 0x8000u) & 0xFFFF0000u);
  const Eigen::VectorXi labels = Eigen::VectorXi::Zero(50);
  CHECK(holds(rejection([&] { (void)sagitta::sample_labels(q, generator); }), "expected 1"));
  CHECK(sagitta::sample_labels(q, generator, .01).size() == 50);
  CHECK(sagitta::cross_entropy_backprops(q, labels, .01).rows() == 50);
  q.row(7) *= 1.02f;
  CHECK(holds(rejection([&] { (void)sagitta::sample_labels(q, generator, .01); }), "row 7 of probabilities"));
  for (const double bad : {-1.0, 1.0, std::numeric_limits<double>::quiet_NaN()})
    CHECK(holds(rejection([&] { (void)sagitta::sample_labels(q, generator, bad); }), "sum_error is "));
}
