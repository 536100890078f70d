#include <sagitta/convolution.hpp>
#include <sagitta/fisher.hpp>

#include <array>
#include <deque>
#include <map>
#include <numeric>
#include <span>

#include "catch.hpp"
#include "generate.hpp"
#include "rejection.hpp"

using Eigen::MatrixXd;
using Eigen::MatrixXf;
using Eigen::VectorXd;
using generate::Index;
using sagitta::LayerTrace;
using sagitta::MatrixView;

namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();
template <class Scalar>
using RowMajor = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// What a trace stands for, in full: one-hot rows written out, samples by their first rows.
struct Plain {
  MatrixXd inputs = {}, backprops = {};
  std::vector<Index> first = {};  // M + 1
  bool has_bias = true, elementwise = false, transposed = false;
  int weight = -1;  // of which it is a use; below 0: of one of its own
};

// Per-sample gradients, a column a sample, one row of a trace at a time: as batches of one would give them.
MatrixXd naive_gradients(const std::vector<Plain>& traces) {
  const auto M = static_cast<Index>(traces.front().first.size()) - 1;
  std::map<std::array<int, 2>, MatrixXd> blocks;  // by weight, and what of it: itself, its two biases
  int own = 1000;
  for (const Plain& trace : traces) {
    const int weight = trace.weight < 0 ? own++ : trace.weight;
    const Index in = trace.inputs.cols(), out = trace.backprops.cols();
    const auto block = [&](int part, Index size) -> MatrixXd& {
      MatrixXd& G = blocks[{weight, part}];
      if (G.cols() == 0) G = MatrixXd::Zero(size, M);
      return G;
    };
    MatrixXd& W = block(0, trace.elementwise ? out : in * out);
    MatrixXd* b = trace.has_bias ? &block(trace.transposed ? 2 : 1, out) : nullptr;
    for (Index m = 0; m < M; ++m)
      for (Index row = trace.first[std::size_t(m)]; row < trace.first[std::size_t(m) + 1]; ++row)
        for (Index o = 0; o < out; ++o) {
          const double d = trace.backprops(row, o);
          if (trace.elementwise) W(o, m) += d * trace.inputs(row, o);
          for (Index i = 0; i < in && !trace.elementwise; ++i)
            W(trace.transposed ? i * out + o : o * in + i, m) += d * trace.inputs(row, i);
          if (b != nullptr) (*b)(o, m) += d;
        }
  }
  Index total = 0;
  for (const auto& [key, block] : blocks) total += block.rows();
  MatrixXd G(total, M);
  total = 0;
  for (const auto& [key, block] : blocks) {
    G.middleRows(total, block.rows()) = block;
    total += block.rows();
  }
  return G;
}

// Traces with the memory that they look at.
template <class Scalar>
struct Traces {
  std::vector<LayerTrace<Scalar>> layers;
  std::vector<Plain> plain;
  std::deque<sagitta::MatrixOf<Scalar>> by_columns;
  std::deque<RowMajor<Scalar>> by_rows;
  std::deque<std::vector<int>> numbers;
  std::array<char, 8> weights{};  // whose addresses name them

  MatrixView<Scalar> view(generate::Generator& generator, const MatrixXd& A,
                          const std::vector<Index>& first) {
    switch (generate::whole(generator, 0, 3)) {
      case 0:
        return by_columns.emplace_back(A.cast<Scalar>());
      case 1:
        return by_rows.emplace_back(A.cast<Scalar>());
      case 2: {  // samples in columns
        const auto& At =
            by_columns.emplace_back(A.transpose().cast<Scalar>());  // constant: may be transposed
        return At.transpose();
      }
      default: {  // as nchw, where samples have the same number of positions
        const auto M = static_cast<Index>(first.size()) - 1, T = M > 0 ? A.rows() / M : 1;
        for (Index m = 0; m < M; ++m)
          if (first[std::size_t(m) + 1] - first[std::size_t(m)] != T)
            return by_rows.emplace_back(A.cast<Scalar>());
        auto& memory = by_columns.emplace_back(T * A.cols(), M);
        for (Index m = 0; m < M; ++m)
          memory.col(m) = A.middleRows(m * T, T).reshaped().template cast<Scalar>();
        return sagitta::nchw(memory.data(), M, A.cols(), T);
      }
    }
  }

  // one more layer with random values; ids: indices in the place of inputs (1) or of backprops (2)
  void add(generate::Generator& generator, const std::vector<Index>& lengths, Index in, Index out, Plain kind,
           int ids = 0) {
    std::vector<int>& offsets = numbers.emplace_back(lengths.size() + 1, 0);
    kind.first = {0};
    for (std::size_t m = 0; m < lengths.size(); ++m) kind.first.push_back(kind.first.back() + lengths[m]);
    std::copy(kind.first.begin(), kind.first.end(), offsets.begin());
    const Index rows = kind.first.back();
    const auto values = [&](Index cols) -> MatrixXd {
      return generate::matrix(generator, rows, cols).cast<Scalar>().template cast<double>();
    };
    LayerTrace<Scalar> trace;
    trace.has_bias = kind.has_bias;
    trace.elementwise = kind.elementwise;
    trace.weight = kind.weight < 0 ? nullptr : &weights[std::size_t(kind.weight)];
    trace.transposed = kind.transposed;
    const auto side = [&](Index cols, bool by_index, MatrixXd& full) -> MatrixView<Scalar> {
      if (!by_index) {
        full = values(cols);
        return view(generator, full, kind.first);
      }
      full = MatrixXd::Zero(rows, cols);
      std::vector<int>& indices = numbers.emplace_back();
      for (Index row = 0; row < rows; ++row) {
        indices.push_back(static_cast<int>(generate::whole(generator, 0, cols - 1)));
        full(row, indices.back()) = 1;
      }
      return sagitta::one_hot(indices, cols);
    };
    trace.inputs = side(in, ids == 1, kind.inputs);
    trace.backprops = side(out, ids == 2, kind.backprops);
    const bool equal =
        std::adjacent_find(lengths.begin(), lengths.end(), std::not_equal_to<>()) == lengths.end();
    if (equal && !lengths.empty() && lengths[0] > 0)
      trace.positions = lengths[0];
    else
      trace.offsets = offsets;
    layers.push_back(trace);
    plain.push_back(kind);
  }
};

std::vector<Index> equal(Index M, Index T) { return std::vector<Index>(std::size_t(M), T); }
std::vector<Index> unequal(generate::Generator& generator, Index M) {
  std::vector<Index> lengths;
  for (Index m = 0; m < M; ++m) lengths.push_back(generate::whole(generator, 0, 5));
  return lengths;
}

// a layer of every kind: dense, convolution, tokens of unequal length, embedding, norms, tied weights,
// gradients
template <class Scalar>
Traces<Scalar> every_kind(generate::Generator& generator, Index M, Index width) {
  Traces<Scalar> traces;
  const auto lengths = unequal(generator, M);
  traces.add(generator, equal(M, 1), 3, width, {});
  traces.add(generator, equal(M, 7), width, 2, {.has_bias = false});
  traces.add(generator, lengths, width, 4, {});
  traces.add(generator, lengths, 5, width, {.has_bias = false}, 1);
  traces.add(generator, lengths, width, width, {.elementwise = true});
  traces.add(generator, equal(M, 4), width, width, {.has_bias = false, .elementwise = true});
  // a table of 6 x width that is the last layer's weight, too
  traces.add(generator, lengths, 6, width, {.has_bias = false, .transposed = true, .weight = 0}, 1);
  traces.add(generator, lengths, width, 6, {.has_bias = true, .weight = 0});
  // a weight that a layer multiplies by twice, and another one by its transpose
  traces.add(generator, equal(M, 2), width, 3, {.weight = 1});
  traces.add(generator, equal(M, 1), width, 3, {.weight = 1});
  traces.add(generator, equal(M, 3), 3, width, {.transposed = true, .weight = 1});
  // a norm that is used twice
  traces.add(generator, equal(M, 1), width, width, {.elementwise = true, .weight = 2});
  traces.add(generator, equal(M, 2), width, width, {.elementwise = true, .weight = 2});
  // gradients that are there already
  traces.add(generator, equal(M, 1), 0, width + 2, {});
  return traces;
}

// |K - want| of every entry, in units of what the lengths of the gradients before cancellation allow
double worst_error(const MatrixXd& K, const MatrixXd& want, double size) {
  REQUIRE(K.rows() == want.rows());
  REQUIRE(K.cols() == want.cols());
  return K.size() == 0 ? 0 : (K - want).cwiseAbs().maxCoeff() / (eps * (size + 1e-300));
}

template <class Scalar>
void check_every_kind(generate::Generator& generator) {
  for (const Index M : {0, 1, 2, 9, 30})
    for (const Index width : {1, 4, 11}) {
      const auto traces = every_kind<Scalar>(generator, M, width);
      const MatrixXd G = naive_gradients(traces.plain), want = G.transpose() * G;
      const double size = G.cwiseAbs2().sum() + static_cast<double>(M) * 300;
      const MatrixXd K = sagitta::gram(traces.layers);
      CHECK(worst_error(K, want, size) <= 8);
      CHECK(K == K.transpose());
      const sagitta::GradientGram gram = sagitta::gradient_gram(traces.layers);
      CHECK(gram.matrix() == K);
      CHECK(gram.parameters() == G.rows());
      CHECK(gram.max_rank() == (std::min)(M, G.rows()));
      CHECK((K - want).norm() <= gram.error());
      CHECK(gram.error() <= 1e-10 * (size + 1));
      for (std::size_t l = 0; l < traces.layers.size(); ++l)
        if (traces.plain[l].weight < 0) {  // each by itself, without a vector
          const MatrixXd own = naive_gradients({traces.plain[l]});
          CHECK(worst_error(sagitta::gram(traces.layers[l]), own.transpose() * own, size) <= 8);
        }
      // two sets of samples
      for (const Index N : {0, 1, 7}) {
        const auto others = every_kind<Scalar>(generator, N, width);
        const MatrixXd H = naive_gradients(others.plain);
        const MatrixXd block = sagitta::gram(traces.layers, others.layers);
        CHECK(worst_error(block, G.transpose() * H, size + H.cwiseAbs2().sum() + 300) <= 8);
        const auto both = sagitta::joined(gram, sagitta::gradient_gram(others.layers), block);
        MatrixXd all(G.rows(), M + N);
        all << G, H;
        CHECK((both.matrix() - all.transpose() * all).norm() <= both.error());
        CHECK(both.samples() == M + N);
      }
    }
}

}  // namespace

TEST_CASE("every kind of layer has the Gram matrix of its gradients, and so have all of them together") {
  generate::Generator generator(31);
  check_every_kind<double>(generator);
  check_every_kind<float>(generator);
}

TEST_CASE("each way to a weight's Gram matrix gives the same") {
  generate::Generator generator(32);
  using sagitta::detail::Weight;
  for (const Index M : {1, 3, 40})
    for (const Index in : {1, 5, 30}) {
      Traces<double> traces;
      traces.add(generator, unequal(generator, M), 7, in,
                 {.has_bias = false, .transposed = true, .weight = 0}, 1);
      traces.add(generator, unequal(generator, M), in, 7, {.weight = 0});
      traces.add(generator, equal(M, 3), in, 7, {.weight = 0}, 2);
      const MatrixXd G = naive_gradients(traces.plain), want = G.transpose() * G;
      Weight weight;
      for (const auto& layer : traces.layers) weight.emplace_back(layer);
      sagitta::detail::LayerGramScratch scratch;
      sagitta::MatrixOf<double> formed = MatrixXd::Zero(M, M), pairs = formed, square = formed;
      sagitta::detail::add_materialized(weight, weight, {formed, true, scratch});
      sagitta::detail::add_materialized(weight, weight, {square, false, scratch});
      for (const auto& a : weight)
        for (const auto& b : weight) sagitta::detail::add_structured(a, b, {pairs, false, scratch});
      formed = MatrixXd(formed.selfadjointView<Eigen::Lower>());
      CHECK((formed - want).norm() <= 64 * eps * want.norm());
      CHECK((square - want).norm() <= 64 * eps * want.norm());
      CHECK((pairs - want).norm() <= 64 * eps * want.norm());

      // an embedding by itself, whose rows meet by a sort
      const MatrixXd E = naive_gradients({traces.plain[0]}), of_embedding = E.transpose() * E;
      const Weight embedding{sagitta::detail::Use(traces.layers[0])};
      sagitta::MatrixOf<double> matched = MatrixXd::Zero(M, M), structured = matched;
      sagitta::detail::add_matched(embedding, embedding, {matched, false, scratch});
      sagitta::detail::add_structured(embedding[0], embedding[0], {structured, false, scratch});
      CHECK((matched - of_embedding).norm() <= 64 * eps * (1 + of_embedding.norm()));
      CHECK((structured - of_embedding).norm() <= 64 * eps * (1 + of_embedding.norm()));
    }
}

TEST_CASE("many samples of unequal length cross the edges of blocks") {
  generate::Generator generator(33);
  std::vector<Index> lengths;
  for (Index m = 0; m < 150; ++m)
    lengths.push_back(m % 17 == 3 ? 0 : m == 40 ? 700 : generate::whole(generator, 0, 20));
  Traces<double> traces;
  traces.add(generator, lengths, 40, 30, {});
  traces.add(generator, lengths, 100, 3, {.has_bias = false}, 1);
  const MatrixXd G = naive_gradients(traces.plain), want = G.transpose() * G;
  const sagitta::detail::Use use(traces.layers[0]);
  sagitta::detail::LayerGramScratch scratch;
  sagitta::MatrixOf<double> K = MatrixXd::Zero(150, 150);
  sagitta::detail::add_structured(use, use, {K, true, scratch});
  const MatrixXd own = naive_gradients({traces.plain[0]});
  K = MatrixXd(K.selfadjointView<Eigen::Lower>());
  CHECK((K - own.transpose() * own).norm() <= sagitta::gradient_gram(traces.layers[0]).error());
  CHECK((sagitta::gram(traces.layers) - want).norm() <= sagitta::gradient_gram(traces.layers).error());
  CHECK(sagitta::gram(traces.layers, 3) == sagitta::gram(traces.layers));
}

TEST_CASE("a convolution from images as they lie in memory") {
  generate::Generator generator(34);
  for (const Index M : {0, 1, 3})
    for (int repeat = 0; repeat < 30; ++repeat) {
      const auto draw = [&](Index low, Index high) { return generate::whole(generator, low, high); };
      const sagitta::Convolution c{.channels = draw(1, 3),
                                   .image = {draw(1, 6), draw(1, 7)},
                                   .kernel = {draw(1, 3), draw(1, 3)},
                                   .stride = {draw(1, 2), draw(1, 3)},
                                   .padding = {draw(0, 2), draw(0, 1)},
                                   .dilation = {draw(1, 2), draw(1, 2)}};
      const Index out = draw(1, 4), H = c.size(0), W = c.size(1), T = c.positions();
      const VectorXd images = generate::vector(generator, M * c.channels * c.image[0] * c.image[1]);
      const VectorXd backprops = generate::vector(generator, M * out * T);
      const auto patches = sagitta::im2col(images.data(), M, c);
      REQUIRE(patches.rows() == M * T);
      REQUIRE(patches.cols() == c.fan_in());
      if (T == 0) continue;
      const LayerTrace<double> trace{
          .inputs = patches, .backprops = sagitta::nchw(backprops.data(), M, out, T), .positions = T};
      // the definition: the output at (y, x) adds weight(o, k, i, j) times a pixel, where there is one
      MatrixXd G = MatrixXd::Zero(out * c.fan_in() + out, M);
      for (Index m = 0; m < M; ++m)
        for (Index o = 0; o < out; ++o)
          for (Index y = 0; y < H; ++y)
            for (Index x = 0; x < W; ++x) {
              const double d = backprops[((m * out + o) * H + y) * W + x];
              G(out * c.fan_in() + o, m) += d;
              for (Index k = 0; k < c.channels; ++k)
                for (Index i = 0; i < c.kernel[0]; ++i)
                  for (Index j = 0; j < c.kernel[1]; ++j) {
                    const Index row = y * c.stride[0] - c.padding[0] + i * c.dilation[0];
                    const Index col = x * c.stride[1] - c.padding[1] + j * c.dilation[1];
                    if (row < 0 || row >= c.image[0] || col < 0 || col >= c.image[1]) continue;
                    G(((o * c.channels + k) * c.kernel[0] + i) * c.kernel[1] + j, m) +=
                        d * images[((m * c.channels + k) * c.image[0] + row) * c.image[1] + col];
                  }
            }
      CHECK((sagitta::gram(trace) - G.transpose() * G).norm() <= 1e-13 * (1 + G.squaredNorm()));
    }
  const sagitta::Convolution bad{.channels = 1, .image = {4, 4}, .kernel = {3, 0}};
  const VectorXd image = VectorXd::Zero(16);
  CHECK(holds(rejection([&] { (void)sagitta::im2col(image.data(), 1, bad); }), "im2col: image 4, kernel 0"));
}

TEST_CASE("indices of any integer type, in whatever holds them") {
  const std::vector<int> tokens{2, 0, 2, 1};
  const std::vector<std::uint16_t> shorter{2, 0, 2, 1};
  const std::array<long long, 4> longer{2, 0, 2, 1};
  const Eigen::VectorXi vector = (Eigen::VectorXi(4) << 2, 0, 2, 1).finished();
  const Eigen::Matrix<Index, 2, 4> strided =
      (Eigen::Matrix<Index, 2, 4>() << 2, 0, 2, 1, 9, 9, 9, 9).finished();
  const MatrixXd d = (MatrixXd(4, 2) << 1, 2, 3, 4, 5, 6, 7, 8).finished();
  const MatrixXd want = (MatrixXd(2, 2) << 30, 17, 17, 174).finished();  // two samples of two tokens
  const auto K = [&](const sagitta::OneHot& rows) -> MatrixXd {
    return sagitta::gram(
        LayerTrace<double>{.inputs = rows, .backprops = d, .positions = 2, .has_bias = false});
  };
  CHECK(K(sagitta::one_hot(tokens, 3)) == want);
  CHECK(K(sagitta::one_hot(shorter, 3)) == want);
  CHECK(K(sagitta::one_hot(longer, 3)) == want);
  CHECK(K(sagitta::one_hot(vector, 3)) == want);
  CHECK(K(sagitta::one_hot(strided.row(0), 3)) == want);
  CHECK(K(sagitta::one_hot(std::span(tokens), 3)) == want);
  CHECK(K({sagitta::IndexView(tokens.data(), 4), 3}) == want);
  CHECK(holds(rejection([&] { (void)K(sagitta::one_hot(tokens, 2)); }),
              "gram: index 0 of layer 0: inputs is 2, expected 0 to 1"));
}

TEST_CASE("traces that do not fit say what was found and what was expected") {
  const MatrixXd a = MatrixXd::Ones(6, 2), d = MatrixXd::Ones(6, 3), wide = MatrixXd::Ones(3, 6);
  using Layers = std::vector<LayerTrace<double>>;
  const auto message = [](const auto& layers) { return rejection([&] { (void)sagitta::gram(layers); }); };
  // samples in columns
  const MatrixXd at = a.transpose(), dt = d.transpose();
  CHECK(
      holds(message(LayerTrace<double>{.inputs = at, .backprops = dt}),
            "gram: layer 0 has 2 rows of inputs and 3 of backprops, expected the same number; transposed?"));
  CHECK(holds(message(LayerTrace<double>{.inputs = at, .backprops = d}), "transposed?"));
  CHECK(holds(message(Layers{{.inputs = a, .backprops = d}, {.inputs = wide, .backprops = wide}}),
              "gram: layer 1 has 3 rows, expected 6 (6 samples x 1 positions); transposed?"));
  // backprops of a softmax whose sizes happen to fit
  generate::Generator generator(35);
  const MatrixXd p = generate::probabilities(generator, 7, 5);
  const std::vector<int> labels{0, 1, 2, 3, 4, 0, 1};
  const MatrixXd backprops = sagitta::cross_entropy_backprops(p, labels), turned = backprops.transpose();
  const MatrixXd inputs = generate::matrix(generator, 7, 4), fits = generate::matrix(generator, 5, 7);
  CHECK(message(LayerTrace<double>{.inputs = inputs, .backprops = backprops}).empty());
  CHECK(holds(message(LayerTrace<double>{.inputs = fits, .backprops = turned}),
              "layer 0: every column of backprops is p - onehot, as rows are for a softmax; transposed?"));
  // offsets
  const std::vector<int> good{0, 2, 6}, short_of{0, 2, 5}, late{1, 2, 6}, falling{0, 4, 3, 6},
      more{0, 1, 2, 6};
  const auto with = [&](const std::vector<int>& offsets) {
    return LayerTrace<double>{.inputs = a, .backprops = d, .offsets = offsets};
  };
  CHECK(message(with(good)).empty());
  CHECK(message(with(short_of)) == "gram: layer 0: the last offset is 5, expected 6, the number of rows");
  CHECK(message(with(late)) == "gram: layer 0: offset 0 is 1, expected 0");
  CHECK(message(with(falling)) == "gram: layer 0: offset 2 is 3, expected at least 4, the one before it");
  CHECK(message(Layers{with(good), with(more)}) == "gram: layer 1 has 4 offsets, expected 3 (2 samples)");
  CHECK(holds(message(LayerTrace<double>{.inputs = a, .backprops = d, .positions = 2, .offsets = good}),
              "has offsets and 2 positions"));
  CHECK(holds(message(LayerTrace<double>{.inputs = a, .backprops = d, .elementwise = true}),
              "is elementwise and has 2 columns of inputs and 3 of backprops"));
  // weights that cannot be the same
  const int weight = 0;
  CHECK(holds(message(Layers{{.inputs = a, .backprops = d, .weight = &weight},
                             {.inputs = d, .backprops = a, .weight = &weight}}),
              "layer 1 has a weight of 2 x 3 and shares one of 3 x 2; transposed?"));
  // two sets of samples by other layers
  CHECK(holds(rejection([&] {
                (void)sagitta::gram(LayerTrace<double>{.inputs = a, .backprops = d},
                                    LayerTrace<double>{.inputs = d, .backprops = a});
              }),
              "gram: weight 0 is 3 x 2 in layers and 2 x 3 in other_layers, expected the same"));
  CHECK(holds(rejection([&] {
                (void)sagitta::gram(LayerTrace<double>{.inputs = a, .backprops = d},
                                    LayerTrace<double>{.inputs = a, .backprops = d, .has_bias = false});
              }),
              "gram: the uses of weight 0 differ between layers and other_layers"));
  // an infinite value in one sample of a convolution
  MatrixXd images = MatrixXd::Ones(4, 6);  // two samples, two channels, six pixels
  images(3, 4) = std::numeric_limits<double>::infinity();
  const RowMajor<double> memory = images;
  CHECK(holds(message(LayerTrace<double>{.inputs = MatrixView<double>(images.data(), 12, 0, 0, 0),
                                         .backprops = sagitta::nchw(memory.data(), 2, 2, 6),
                                         .positions = 6}),
              "layer 0: backprops of sample 1 at (4, 1) is infinite"));
}
