#include <sagitta/gauss_newton.hpp>
#include <sagitta/gradient_overlap.hpp>
#include <sagitta/neural_tangent.hpp>
#include <sagitta/rank_interval.hpp>

#include <array>
#include <span>

#include "catch.hpp"
#include "generate.hpp"
#include "rejection.hpp"

using Eigen::MatrixXd;
using Eigen::MatrixXf;
using Eigen::VectorXd;
using generate::Index;
using sagitta::EffectiveRank;
using sagitta::GradientGram;
using sagitta::LayerTrace;

namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();

bool same(const EffectiveRank& a, const EffectiveRank& b) {
  return a.rank == b.rank && a.lower == b.lower && a.upper == b.upper && a.max_rank == b.max_rank;
}

// Samples are bags of words of unequal length: the sum of their embeddings, a tanh, and a linear layer. It
// has a backward pass, and no Jacobian; every pass overwrites what the last one left.
template <class Scalar>
struct Bags {
  using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Matrix table, W, hidden, embedded_d, logits_d, hidden_d;
  std::vector<int> words, offsets{0};
  int passes = 0;

  Bags(generate::Generator& generator, Index M, Index C, Index vocabulary, Index width)
      : table(generate::matrix(generator, vocabulary, width).cast<Scalar>()),
        W(generate::matrix(generator, C, width).cast<Scalar>()),
        hidden(M, width) {
    for (Index m = 0; m < M; ++m) {
      hidden.row(m).setZero();
      for (Index t = generate::whole(generator, 0, 4); t > 0; --t) {
        words.push_back(static_cast<int>(generate::whole(generator, 0, vocabulary - 1)));
        hidden.row(m) += table.row(words.back());
      }
      offsets.push_back(static_cast<int>(words.size()));
    }
    hidden = hidden.array().tanh();
  }

  std::vector<LayerTrace<Scalar>> backprop(
      const Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>& rows) {
    ++passes;
    logits_d = rows;
    hidden_d = ((rows * W).array() * (1 - hidden.array().square())).matrix();
    embedded_d.resize(static_cast<Index>(words.size()), W.cols());
    for (std::size_t m = 0; m + 1 < offsets.size(); ++m)
      for (int t = offsets[m]; t < offsets[m + 1]; ++t)
        embedded_d.row(t) = hidden_d.row(static_cast<Index>(m));
    return {{.inputs = sagitta::one_hot(words, table.rows()),
             .backprops = embedded_d,
             .has_bias = false,
             .offsets = offsets},
            {.inputs = hidden, .backprops = logits_d}};
  }

  // (M*C) x P: table, W, bias, an output of a sample at a time
  MatrixXd jacobian() const {
    const Index M = hidden.rows(), C = W.rows(), width = W.cols(), vocabulary = table.rows();
    MatrixXd J = MatrixXd::Zero(M * C, vocabulary * width + C * width + C);
    for (Index m = 0; m < M; ++m)
      for (Index c = 0; c < C; ++c)
        for (Index i = 0; i < width; ++i) {
          const double h = static_cast<double>(hidden(m, i));
          for (int t = offsets[std::size_t(m)]; t < offsets[std::size_t(m) + 1]; ++t)
            J(m * C + c, words[std::size_t(t)] * width + i) += static_cast<double>(W(c, i)) * (1 - h * h);
          J(m * C + c, vocabulary * width + c * width + i) = h;
          J(m * C + c, vocabulary * width + C * width + c) = 1;
        }
    return J;
  }
};

}  // namespace

TEST_CASE("one Gram matrix, many answers") {
  generate::Generator generator(201);
  const MatrixXd a = generate::matrix(generator, 20, 4), d = generate::matrix(generator, 20, 3);
  const MatrixXd b = generate::matrix(generator, 60, 2), e = generate::matrix(generator, 60, 5);
  const std::vector<LayerTrace<double>> layers{{.inputs = a, .backprops = d},
                                               {.inputs = b, .backprops = e, .positions = 3}};
  const GradientGram gram = sagitta::gradient_gram(layers);
  CHECK(gram.samples() == 20);
  CHECK(gram.parameters() == 15 + 15);
  CHECK(same(sagitta::fisher_rank(gram), sagitta::fisher_rank(layers)));
  CHECK(same(sagitta::fisher_rank(gram, 0.5), sagitta::fisher_rank(layers, 0.5)));
  CHECK(same(sagitta::fisher_rank(layers, {.threshold = 0.5, .threads = 2}),
             sagitta::fisher_rank(layers, 0.5)));
  CHECK(same(sagitta::fisher_rank(gram, {.threshold = 0.5}), sagitta::fisher_rank(layers, 0.5)));
  CHECK(sagitta::fisher_rank(gram, {.input_error = gram.matrix().trace()}).lower <
        sagitta::fisher_rank(gram).lower);
  CHECK(holds(rejection([&] { (void)sagitta::fisher_rank(gram, {.input_error = -1}); }),
              "fisher_rank: input_error is -1"));
  CHECK(same(sagitta::symmetric_effective_rank(gram.matrix(), {.threads = 2}),
             sagitta::symmetric_effective_rank(gram.matrix())));
  CHECK(sagitta::gradient_gram_overlap(gram.matrix(), {.input_error = gram.error()}).value ==
        sagitta::gradient_gram_overlap(gram).value);
  CHECK(sagitta::gradient_gram_overlap(gram).value ==
        sagitta::gradient_gram_overlap(gram.matrix(), 0.99, gram.error()).value);
  const auto interval = sagitta::rank_interval(gram, std::mt19937_64(1));
  CHECK(interval.rank == sagitta::fisher_rank(gram).rank);
  CHECK(interval.lower == sagitta::rank_interval(gram.matrix(), 0.99, 0.95, std::mt19937_64(1)).lower);
  CHECK(sagitta::rank_interval(gram, std::mt19937_64(1), {.level = 0.5, .replicates = 20}).upper <=
        interval.upper);

  // fewer parameters than samples: no answer exceeds them
  const GradientGram narrow = sagitta::gradient_gram(
      LayerTrace<double>{.inputs = b, .backprops = e, .positions = 3, .has_bias = false});
  CHECK(narrow.max_rank() == 10);
  CHECK(sagitta::fisher_rank(narrow).max_rank == 10);
  CHECK(sagitta::rank_interval(narrow, std::mt19937_64(1)).upper <= 10);

  // a layer at a time, of whichever type
  const MatrixXf bf = b.cast<float>(), ef = e.cast<float>();
  GradientGram sum = sagitta::gradient_gram(layers[0]);
  sum += sagitta::gradient_gram(LayerTrace<float>{.inputs = bf, .backprops = ef, .positions = 3});
  CHECK(sum.parameters() == gram.parameters());
  CHECK((sum.matrix() - gram.matrix()).norm() <= 1e-6 * gram.matrix().norm());
  CHECK(sum.error() <= 4 * gram.error());

  // gradients themselves, and none
  const MatrixXd G = generate::matrix(generator, 7, 5);
  CHECK(sagitta::gradient_gram(G).parameters() == 7);
  CHECK(same(sagitta::fisher_rank(sagitta::gradient_gram(G)), sagitta::fisher_rank(G)));
  CHECK(sagitta::fisher_rank(GradientGram()).max_rank == 0);
  CHECK(same(sagitta::fisher_rank(sagitta::explicit_gradients(sagitta::MatrixView<double>(G))),
             sagitta::fisher_rank(MatrixXd(G.transpose()))));
  CHECK(sagitta::explicit_gradients(std::as_const(G).transpose()).samples() == 5);

  CHECK(rejection([] { GradientGram(MatrixXd(2, 3), 0, 1); }) ==
        "GradientGram: K is 2 x 3, expected a square matrix");
  CHECK(holds(rejection([] { GradientGram(MatrixXd(2, 2), -1, 1); }), "GradientGram: error is -1"));
  CHECK(holds(rejection([] { GradientGram(MatrixXd(2, 2), 0, -1); }), "GradientGram: parameters is -1"));
  CHECK(holds(rejection([&] { sum += GradientGram(); }), "a Gram matrix of 0 samples is added, expected 20"));
  CHECK(holds(rejection([&] { (void)sagitta::joined(gram, gram, MatrixXd(20, 19)); }),
              "joined: block is 20 x 19"));
  CHECK(holds(rejection([&] { (void)sagitta::joined(gram, narrow, MatrixXd(20, 20)); }),
              "30 and 10 parameters"));
}

TEST_CASE("a Gram matrix in the place of gradients is refused, not taken for features of another kind") {
  generate::Generator generator(202);
  const MatrixXd a = generate::matrix(generator, 64, 20), d = generate::matrix(generator, 64, 5);
  const LayerTrace<double> layer{.inputs = a, .backprops = d};
  const MatrixXd K = sagitta::gram(layer);
  CHECK(holds(rejection([&] { (void)sagitta::fisher_rank(K); }),
              "fisher_rank: G is symmetric, as a Gram matrix is"));
  CHECK(holds(rejection([&] { (void)sagitta::fisher_rank(K.cast<float>()); }), "as a Gram matrix is"));
  CHECK(holds(rejection([&] { (void)sagitta::gradient_gram(K); }), "gradient_gram: G is symmetric"));
  const MatrixXd by_eigen = a * a.transpose();  // symmetric but for rounding
  CHECK(holds(rejection([&] { (void)sagitta::fisher_rank(by_eigen); }), "as a Gram matrix is"));
  CHECK(sagitta::fisher_rank(GradientGram(K, 0, layer.parameters())).rank ==
        sagitta::fisher_rank(layer).rank);
  // what is symmetric without being one
  CHECK(sagitta::fisher_rank(MatrixXd::Identity(4, 4)).rank == 4);
  CHECK(sagitta::fisher_rank(MatrixXd::Zero(3, 3)).rank == 0);
  CHECK(sagitta::fisher_rank(MatrixXd::Ones(1, 1)).rank == 1);
  CHECK(sagitta::fisher_rank((MatrixXd(2, 2) << -1, 2, 2, 1).finished()).rank == 2);
}

TEMPLATE_TEST_CASE("Gauss-Newton and the tangent kernel by backward passes alone", "", float, double) {
  generate::Generator generator(203);
  const double unit = std::is_same_v<TestType, float> ? 1e-5 : 64 * eps;
  for (const auto& [M, C] :
       std::vector<std::pair<Index, Index>>{{0, 3}, {1, 2}, {5, 1}, {6, 3}, {9, 7}, {1, 1}}) {
    Bags<TestType> bags(generator, M, C, 6, 4);
    const auto backprop = [&](const Eigen::Matrix<TestType, -1, -1>& rows) { return bags.backprop(rows); };
    const MatrixXd J = bags.jacobian();
    const Eigen::Matrix<TestType, -1, -1> p =
        generate::probabilities(generator, M, C).template cast<TestType>();
    const EffectiveRank want = sagitta::gauss_newton_rank(J, p),
                        got = sagitta::gauss_newton_rank(p, backprop);
    CHECK(got.max_rank == want.max_rank);
    CHECK(bags.passes == (M == 0 ? 0 : C - 1));
    if (std::is_same_v<TestType, double>) CHECK(same(got, want));
    CHECK(std::abs(got.rank - want.rank) <= 1);
    CHECK(same(sagitta::gauss_newton_rank(p, backprop, {.threads = 2}), got));

    const GradientGram kernel = sagitta::neural_tangent_gram<TestType>(M, C, backprop);
    REQUIRE(kernel.samples() == M * C);
    CHECK((kernel.matrix() - J * J.transpose()).norm() <= unit * (1 + J.squaredNorm()));
    if (M > 0) CHECK(kernel.parameters() == J.cols());
    if (std::is_same_v<TestType, double>)
      CHECK((kernel.matrix() - J * J.transpose()).norm() <= kernel.error() + 8 * eps * J.squaredNorm());
  }
}

TEST_CASE("Gauss-Newton by backward passes where probabilities are saturated, and what it rejects") {
  generate::Generator generator(204);
  const Index M = 5, C = 3;
  Bags<double> bags(generator, M, C, 6, 4);
  const auto backprop = [&](const MatrixXd& rows) { return bags.backprop(rows); };
  const MatrixXd J = bags.jacobian();
  for (const double rest : {1e-30, 1e-200, 1e-300, 0.0}) {
    MatrixXd p = MatrixXd::Constant(M, C, rest);
    p.col(1).setOnes();
    CHECK(same(sagitta::gauss_newton_rank(p, backprop), sagitta::gauss_newton_rank(J, p)));
  }
  const MatrixXd p = generate::probabilities(generator, M, C);
  const auto message = [&](const MatrixXd& probabilities, const auto& pass) {
    return rejection([&] { (void)sagitta::gauss_newton_rank(probabilities, pass); });
  };
  CHECK(holds(message(2 * p, backprop), "gauss_newton_rank: row 0 of probabilities sums to 2"));
  CHECK(holds(message(p.topRows(4), [&](const MatrixXd&) { return bags.backprop(p); }),
              "gauss_newton_rank: layer 0 has 5 samples, expected 4"));
  CHECK(holds(message(p, [](const MatrixXd&) { return std::vector<LayerTrace<double>>(); }),
              "gauss_newton_rank: a backward pass has no layers"));
  int pass = 0;
  CHECK(holds(message(p,
                      [&](const MatrixXd& rows) {
                        auto layers = bags.backprop(rows);
                        layers.resize(pass++ == 0 ? 2 : 1);
                        return layers;
                      }),
              "backward pass 1 has 1 layers, expected 2"));
  CHECK(holds(rejection([&] { (void)sagitta::neural_tangent_gram(-1, 2, backprop); }),
              "neural_tangent_gram: samples is -1"));
  // one layer, without a vector
  const MatrixXd x = generate::matrix(generator, M, 2);
  MatrixXd kept;
  const GradientGram kernel = sagitta::neural_tangent_gram(M, C, [&](const MatrixXd& rows) {
    kept = rows;
    return LayerTrace<double>{.inputs = x, .backprops = kept};
  });
  for (Index i = 0; i < M * C; ++i)
    for (Index j = 0; j < M * C; ++j)
      CHECK(std::abs(kernel.matrix()(i, j) - (i % C == j % C ? x.row(i / C).dot(x.row(j / C)) + 1 : 0)) <=
            8 * eps * 3);
}

TEST_CASE("labels and generators come as they are") {
  generate::Generator generator(205);
  const MatrixXd p = generate::probabilities(generator, 4, 3);
  const std::vector<int> labels{2, 0, 1, 2};
  const MatrixXd want = sagitta::cross_entropy_backprops(p, (Eigen::VectorXi(4) << 2, 0, 1, 2).finished());
  CHECK(sagitta::cross_entropy_backprops(p, labels) == want);
  CHECK(sagitta::cross_entropy_backprops(p, std::span(labels)) == want);
  CHECK(sagitta::cross_entropy_backprops(p, std::vector<std::uint8_t>{2, 0, 1, 2}) == want);
  CHECK(sagitta::cross_entropy_backprops(p, std::array<std::int64_t, 4>{2, 0, 1, 2}) == want);
  const Eigen::VectorXi one_more = (Eigen::VectorXi(4) << 3, 1, 2, 3).finished();
  CHECK(sagitta::cross_entropy_backprops(p, (one_more.array() - 1).matrix()) == want);
  CHECK(sagitta::cross_entropy_backprops(p, one_more.array() - 1) == want);
  CHECK(holds(rejection([&] {
                (void)sagitta::cross_entropy_backprops(p, std::vector<int>{0, 1});
              }),
              "cross_entropy_backprops: labels has 2 elements, expected 4"));
  CHECK(holds(rejection([&] {
                (void)sagitta::cross_entropy_backprops(p, std::vector<int>{0, 1, 3, 0});
              }),
              "cross_entropy_backprops: label 2 is 3, expected 0 to 2"));
  std::mt19937_64 first(5);
  CHECK(sagitta::sample_labels(p, std::mt19937_64(5)) == sagitta::sample_labels(p, first));
}
