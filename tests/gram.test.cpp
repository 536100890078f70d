#include <sagitta/gram.hpp>

#include <array>
#include <list>
#include <span>
#include <thread>

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
using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// per-sample gradients, one a column, written down one sample and one position at a time
MatrixXd naive_gradients(const MatrixXd& inputs, const MatrixXd& backprops, Index positions, bool has_bias) {
  const Index M = inputs.rows() / positions, in = inputs.cols(), out = backprops.cols();
  MatrixXd G = MatrixXd::Zero(in * out + (has_bias ? out : 0), M);
  for (Index m = 0; m < M; ++m)
    for (Index row = m * positions; row < (m + 1) * positions; ++row)
      for (Index o = 0; o < out; ++o) {
        for (Index i = 0; i < in; ++i) G(i * out + o, m) += backprops(row, o) * inputs(row, i);
        if (has_bias) G(in * out + o, m) += backprops(row, o);
      }
  return G;
}

// largest |A_mn - B_mn| / (|g_m| |g_n|), with |g_m| bounded by sum_t |d_mt| |(a_mt, 1)| before any
// cancellation
double scaled_error(const MatrixXd& A, const MatrixXd& B, const VectorXd& lengths) {
  double worst = 0;
  for (Index m = 0; m < A.rows(); ++m)
    for (Index n = 0; n < A.cols(); ++n) {
      const double scale = lengths[m] * lengths[n];
      worst = std::max(worst, scale == 0 ? std::abs(A(m, n) - B(m, n)) : std::abs(A(m, n) - B(m, n)) / scale);
    }
  return worst;
}

VectorXd lengths_of(const MatrixXd& inputs, const MatrixXd& backprops, Index positions, bool has_bias) {
  VectorXd lengths = VectorXd::Zero(inputs.rows() / positions);
  for (Index row = 0; row < inputs.rows(); ++row) {
    double a = has_bias ? 1 : 0, d = 0;
    for (Index i = 0; i < inputs.cols(); ++i) a += inputs(row, i) * inputs(row, i);
    for (Index o = 0; o < backprops.cols(); ++o) d += backprops(row, o) * backprops(row, o);
    lengths[row / positions] += std::sqrt(a * d);
  }
  return lengths;
}

// the two ways to a layer's Gram matrix, each asked for by itself; the lower triangle
template <class Scalar>
MatrixXd structured_gram(const LayerTrace<Scalar>& layer) {
  sagitta::detail::LayerGramScratch scratch;
  sagitta::MatrixOf<double> K = MatrixXd::Zero(layer.samples(), layer.samples());
  const sagitta::detail::Use use(layer);
  sagitta::detail::add_structured(use, use, {K, true, scratch});
  return K;
}
template <class Scalar>
MatrixXd materialized_gram(const LayerTrace<Scalar>& layer) {
  sagitta::detail::LayerGramScratch scratch;
  sagitta::MatrixOf<double> K = MatrixXd::Zero(layer.samples(), layer.samples());
  const sagitta::detail::Weight weight{sagitta::detail::Use(layer)};
  sagitta::detail::add_materialized(weight, weight, {K, true, scratch});
  return K;
}

}  // namespace

TEST_CASE("the Gram matrix of gradients is G^T G") {
  generate::Generator generator(21);
  for (const auto& [d, M] : generate::shapes()) {
    const MatrixXd G = generate::matrix(generator, d, M), K = sagitta::gram(G);
    REQUIRE(K.rows() == M);
    REQUIRE(K.cols() == M);
    CHECK(K == K.transpose());
    const VectorXd lengths = G.colwise().norm();
    const double allowed = 4 * std::sqrt(static_cast<double>(d) + 1) * eps;  // gram_error, entry by entry
    CHECK(scaled_error(K, G.transpose() * G, lengths) <= 2 * allowed);
    CHECK(scaled_error(sagitta::gram(RowMajor(G)), K, lengths) <= 2 * allowed);
    CHECK(scaled_error(sagitta::gram(G + G), 4 * K, 2 * lengths) <= 2 * allowed);
    CHECK(scaled_error(sagitta::gram(MatrixXd(G.transpose()).transpose()), K, lengths) <= 2 * allowed);
    const MatrixXf F = G.cast<float>();
    const MatrixXd wide = F.cast<double>();
    CHECK(scaled_error(sagitta::gram(F), wide.transpose() * wide, lengths) <= 2 * allowed);  // not in float
    CHECK(scaled_error(sagitta::gram(F.cast<double>()), sagitta::gram(F), lengths) <= 2 * allowed);
  }
  // more rows than a block of a float matrix
  const MatrixXf F = generate::matrix(generator, 2500, 3).cast<float>();
  const MatrixXd wide = F.cast<double>();
  CHECK((sagitta::gram(F) - wide.transpose() * wide).norm() <=
        sagitta::gram_error(wide.transpose() * wide, 2500));
  const Eigen::Map<const MatrixXf, 0, Eigen::Stride<-1, -1>> strided(F.data(), 100, 3, {2500, 7});
  CHECK(sagitta::gram(strided).isApprox(sagitta::gram(MatrixXf(strided)), 4 * eps * 100));
  CHECK(sagitta::gram(wide(Eigen::seqN(0, 20, Eigen::fix<2>), Eigen::all))
            .isApprox(sagitta::gram(MatrixXd(wide(Eigen::seqN(0, 20, Eigen::fix<2>), Eigen::all))),
                      4 * eps * 20));
}

TEST_CASE("gram_error bounds the rounding of a Gram matrix") {
  // whole numbers times a small one that is no double: the exact Gram is known, and rounding has a direction
  double worst = 0;
  for (const Index d : {1, 2, 5, 10, 30, 100, 1000, 30000})
    for (const double entry : {0.1, 0.3, 0.7}) {
      const MatrixXd K = sagitta::gram(MatrixXd::Constant(d, 2, entry));
      const long double exact = static_cast<long double>(entry) * entry * static_cast<long double>(d);
      const double error = 2 * static_cast<double>(std::abs(K(0, 1) - exact));
      CHECK(error <= sagitta::gram_error(K, d));
      worst = std::max(worst, error / sagitta::gram_error(K, d));
    }
  INFO("largest error in units of the bound: " << worst);
  CHECK(worst <= 1);
  CHECK(sagitta::gram_error(MatrixXd(0, 0), 5) == 0);
}

TEST_CASE("both ways to a layer's Gram matrix agree with its gradients") {
  generate::Generator generator(22);
  double worst = 0;
  for (const Index positions : {1, 2, 3, 4, 5, 6, 7})
    for (const Index M : {0, 1, 2, 9})
      for (const auto& [in, out] : std::vector<std::pair<Index, Index>>{
               {0, 0}, {0, 1}, {1, 0}, {1, 1}, {3, 2}, {2, 17}, {17, 2}, {0, 4}, {4, 0}})
        for (const bool bias : {true, false}) {
          const MatrixXd a = generate::matrix(generator, M * positions, in);
          const MatrixXd d = generate::matrix(generator, M * positions, out);
          const RowMajor ar = a, dr = d;
          const MatrixXd G = naive_gradients(a, d, positions, bias), want = G.transpose() * G;
          const VectorXd lengths = lengths_of(a, d, positions, bias);
          const LayerTrace<double> columns{
              .inputs = a, .backprops = d, .positions = positions, .has_bias = bias};
          const LayerTrace<double> rows{
              .inputs = ar, .backprops = dr, .positions = positions, .has_bias = bias};
          for (const auto& layer : {columns, rows}) {
            CHECK(layer.samples() == M);
            CHECK(layer.parameters() == G.rows());
            MatrixXd structured = structured_gram(layer), materialized = materialized_gram(layer);
            structured = MatrixXd(structured.selfadjointView<Eigen::Lower>());
            materialized = MatrixXd(materialized.selfadjointView<Eigen::Lower>());
            // a few sqrt(terms) eps of the lengths
            const double allowed = 4 * std::sqrt(static_cast<double>(positions * (in + out) + 1)) * eps;
            CHECK(scaled_error(structured, want, lengths) <= allowed);
            CHECK(scaled_error(materialized, want, lengths) <= allowed);
            const MatrixXd K = sagitta::gram(std::vector{layer});
            CHECK(scaled_error(K, want, lengths) <= allowed);
            CHECK(K == K.transpose());
            worst = std::max(worst, scaled_error(K, want, lengths) / allowed);
          }
        }
  INFO("largest error in units of the bound: " << worst);
  CHECK(worst <= 1);
}

TEST_CASE("many samples and positions cross the edges of blocks") {
  generate::Generator generator(23);
  for (const auto& [M, positions] :
       std::vector<std::pair<Index, Index>>{{513, 1}, {1100, 1}, {129, 4}, {7, 600}}) {
    const MatrixXd a = generate::matrix(generator, M * positions, 3);
    const MatrixXd d = generate::matrix(generator, M * positions, 2);
    const MatrixXd G = naive_gradients(a, d, positions, true), want = G.transpose() * G;
    const VectorXd lengths = lengths_of(a, d, positions, true);
    const LayerTrace<double> layer{.inputs = a, .backprops = d, .positions = positions};
    const MatrixXd structured = structured_gram(layer), materialized = materialized_gram(layer);
    const double allowed = 4 * std::sqrt(static_cast<double>(5 * positions)) * eps;
    CHECK(scaled_error(MatrixXd(structured.selfadjointView<Eigen::Lower>()), want, lengths) <= allowed);
    CHECK(scaled_error(MatrixXd(materialized.selfadjointView<Eigen::Lower>()), want, lengths) <= allowed);
    CHECK(scaled_error(sagitta::gram(std::vector{layer}), want, lengths) <= allowed);
  }
}

TEST_CASE("float layers in every storage are multiplied in double") {
  generate::Generator generator(24);
  const Index M = 20, T = 3, in = 5, out = 4;
  const MatrixXf a = generate::matrix(generator, M * T, in).cast<float>();
  const MatrixXf d = generate::matrix(generator, M * T, out).cast<float>();
  const MatrixXd wide_a = a.cast<double>(), wide_d = d.cast<double>();
  const MatrixXd G = naive_gradients(wide_a, wide_d, T, true), want = G.transpose() * G;
  const VectorXd lengths = lengths_of(wide_a, wide_d, T, true);
  const double allowed = 4 * std::sqrt(static_cast<double>(T * (in + out))) * eps;
  const auto agrees = [&](const auto& A, const auto& D) {
    using Scalar = typename std::decay_t<decltype(A)>::Scalar;
    const LayerTrace<Scalar> layer{.inputs = A, .backprops = D, .positions = T};
    const MatrixXd structured = structured_gram(layer), materialized = materialized_gram(layer);
    CHECK(scaled_error(MatrixXd(structured.selfadjointView<Eigen::Lower>()), want, lengths) <= allowed);
    CHECK(scaled_error(MatrixXd(materialized.selfadjointView<Eigen::Lower>()), want, lengths) <= allowed);
    CHECK(scaled_error(sagitta::gram(std::vector{layer}), want, lengths) <= allowed);
  };
  agrees(a, d);
  agrees(wide_a, wide_d);
  const Eigen::Matrix<float, -1, -1, Eigen::RowMajor> ar = a, dr = d;
  agrees(ar, dr);
  const MatrixXd at = wide_a.transpose();
  agrees(at.transpose(), wide_d);
  // blocks of a larger matrix, and strides that are 1 in neither direction
  MatrixXd large = MatrixXd::Constant(M * T + 5, in + out + 3, 7);
  large.block(2, 1, M * T, in) = wide_a;
  large.block(3, 1 + in, M * T, out) = wide_d;
  agrees(large.block(2, 1, M * T, in), large.block(3, 1 + in, M * T, out));
  MatrixXd spread = MatrixXd::Constant(2 * M * T, 3 * in, 7);
  using Strided = Eigen::Map<MatrixXd, 0, Eigen::Stride<-1, -1>>;
  Strided view(spread.data(), M * T, in, {6 * M * T, 2});
  view = wide_a;
  agrees(view, wide_d);
  // raw memory; a stride of 0 repeats one row
  const LayerTrace<double> raw{
      .inputs = {view.data(), M * T, in, 2, 6 * M * T}, .backprops = wide_d, .positions = T};
  CHECK(scaled_error(sagitta::gram(std::vector{raw}), want, lengths) <= allowed);
  const Eigen::RowVectorXd one = wide_a.row(0);
  const MatrixXd repeated = one.replicate(M, 1), first = wide_d.topRows(M);
  const LayerTrace<double> zero_stride{.inputs = {one.data(), M, in, 0, 1}, .backprops = first};
  const LayerTrace<double> copied{.inputs = repeated, .backprops = first};
  CHECK(sagitta::gram(std::vector{zero_stride}).isApprox(sagitta::gram(std::vector{copied}), 4 * eps * 9));
}

TEST_CASE("layers add up, in any range") {
  generate::Generator generator(25);
  const Index M = 6;
  const MatrixXd a = generate::matrix(generator, M, 4), d = generate::matrix(generator, M, 3);
  const MatrixXd b = generate::matrix(generator, M * 2, 2), e = generate::matrix(generator, M * 2, 5);
  const std::array<LayerTrace<double>, 2> layers{
      LayerTrace<double>{.inputs = a, .backprops = d},
      LayerTrace<double>{.inputs = b, .backprops = e, .positions = 2, .has_bias = false}};
  const MatrixXd K = sagitta::gram(layers);
  const MatrixXd sum = sagitta::gram(std::vector{layers[0]}) + sagitta::gram(std::vector{layers[1]});
  CHECK(K.isApprox(sum, 4 * eps));
  CHECK(sagitta::gram(std::list(layers.begin(), layers.end())) == K);
  CHECK(sagitta::gram(std::span(layers)) == K);
  MatrixXd G(4 * 3 + 3 + 2 * 5, M);
  G << naive_gradients(a, d, 1, true), naive_gradients(b, e, 2, false);
  CHECK(K.isApprox(sagitta::gram(G), 64 * eps));

  // the mean loss has backprops M times smaller, and a Gram matrix M^2 times smaller
  const MatrixXd dm = d / static_cast<double>(M), em = e / static_cast<double>(M);
  const std::array<LayerTrace<double>, 2> mean{
      LayerTrace<double>{.inputs = a, .backprops = dm},
      LayerTrace<double>{.inputs = b, .backprops = em, .positions = 2, .has_bias = false}};
  CHECK((sagitta::gram(mean) * static_cast<double>(M * M)).isApprox(K, 16 * eps));
}

TEST_CASE("a view never copies and never looks at what is about to go") {
  using View = MatrixView<double>;
  static_assert(std::is_constructible_v<View, MatrixXd&>);
  static_assert(std::is_constructible_v<View, const MatrixXd&>);
  static_assert(std::is_constructible_v<View, RowMajor&>);
  static_assert(std::is_constructible_v<View, VectorXd&>);
  static_assert(std::is_constructible_v<View, Eigen::Matrix3d&>);
  static_assert(std::is_constructible_v<View, Eigen::Map<MatrixXd>>);
  static_assert(std::is_constructible_v<View, Eigen::Map<const RowMajor, 0, Eigen::OuterStride<>>>);
  static_assert(std::is_constructible_v<View, decltype(std::declval<const MatrixXd&>().topRows(1))>);
  static_assert(std::is_constructible_v<View, decltype(std::declval<const MatrixXd&>().transpose())>);
  static_assert(std::is_constructible_v<MatrixView<float>, const MatrixXf&>);
  static_assert(!std::is_constructible_v<View, int>);
  static_assert(std::is_trivially_copyable_v<View>);
  static_assert(sagitta::LayerTraceRange<std::vector<LayerTrace<float>>>);
  static_assert(sagitta::LayerTraceRange<const std::span<const LayerTrace<double>>>);
  static_assert(!sagitta::LayerTraceRange<std::vector<double>>);
  static_assert(!sagitta::LayerTraceRange<MatrixXd>);

  generate::Generator generator(26);
  const MatrixXd A = generate::matrix(generator, 5, 4);
  const RowMajor R = A;
  CHECK(View().rows() == 0);
  CHECK(View(A).data() == A.data());
  CHECK(View(A).matrix() == A);
  CHECK(View(R).matrix() == A);
  CHECK(View(A.transpose()).matrix() == A.transpose());
  CHECK(View(R.transpose()).matrix() == A.transpose());
  CHECK(View(A.row(2)).matrix() == A.row(2));
  CHECK(View(R.row(2)).matrix() == A.row(2));
  CHECK(View(A.col(2)).matrix() == A.col(2));
  CHECK(View(R.col(2)).matrix() == A.col(2));
  CHECK(View(A.diagonal()).matrix() == A.diagonal());
  CHECK(View(A.block(1, 1, 3, 2)).matrix() == A.block(1, 1, 3, 2));
  CHECK(View(R.block(1, 1, 3, 2)).matrix() == A.block(1, 1, 3, 2));
  CHECK(View(R.block(1, 1, 3, 2).transpose()).matrix() == A.block(1, 1, 3, 2).transpose());
  CHECK(View(R).row_stride() == 4);
  CHECK(View(R).col_stride() == 1);
}

TEST_CASE("Gram matrices are the same from several threads at once") {
  generate::Generator generator(27);
  const MatrixXd a = generate::matrix(generator, 60, 12), d = generate::matrix(generator, 60, 7);
  const std::vector<LayerTrace<double>> layers{{.inputs = a, .backprops = d, .positions = 3}};
  const MatrixXd K = sagitta::gram(layers), dense = sagitta::gram(a);
  std::array<bool, 4> same{};
  std::vector<std::thread> threads;
  for (bool& ok : same)
    threads.emplace_back([&] {
      ok = true;
      for (int repeat = 0; repeat < 20; ++repeat)
        ok = ok && sagitta::gram(layers) == K && sagitta::gram(a) == dense;
    });
  for (std::thread& thread : threads) thread.join();
  for (const bool ok : same) CHECK(ok);
}

TEST_CASE("gradients out of the range of squares are an error, not a wrong matrix") {
  const MatrixXd large = MatrixXd::Constant(2, 2, 1e200), small = MatrixXd::Constant(2, 2, 1e-200);
  CHECK(holds(rejection([&] { (void)sagitta::gram(large); }), "gram: the squares of the gradients overflow"));
  CHECK(
      holds(rejection([&] { (void)sagitta::gram(small); }), "gram: the squares of the gradients underflow"));
  CHECK(sagitta::gram(MatrixXd::Zero(3, 2)) == MatrixXd::Zero(2, 2));
  CHECK(sagitta::gram(MatrixXd::Constant(2, 2, 1e-140)).allFinite());
  const MatrixXd zero = MatrixXd::Zero(2, 2);
  using Layers = std::vector<LayerTrace<double>>;
  // gradients of zero are none: inputs without backprops, never both in one sample, or cancelling positions
  CHECK(sagitta::gram(Layers{{.inputs = large, .backprops = zero, .has_bias = false}}) == zero);
  const Eigen::Vector2d first(1, 0), second(0, 1);
  CHECK(sagitta::gram(Layers{{.inputs = first, .backprops = second, .has_bias = false}}) == zero);
  const Eigen::Vector4d input(1, 1, 2, 2), backprop(1, -1, 3, -3);
  CHECK(sagitta::gram(Layers{{.inputs = input, .backprops = backprop, .positions = 2}}) == zero);
  // squares of the parts that the range of double does hold: gradients of 1
  const MatrixXd up = MatrixXd::Constant(2, 2, 0x1p400), down = MatrixXd::Constant(2, 2, 0x1p-400);
  CHECK(sagitta::gram(Layers{{.inputs = up, .backprops = down, .has_bias = false}}) ==
        MatrixXd::Constant(2, 2, 4));
}

TEST_CASE("infinity times zero in one sample is not lost among the others") {
  // in every position of the diagonal: a maximum over the diagonal may pass over NaN
  for (const Index M : {1, 2, 3, 5, 8, 9})
    for (Index bad = 0; bad < M; ++bad) {
      MatrixXd a = MatrixXd::Ones(M, 2), d = MatrixXd::Ones(M, 2);
      a.row(bad).setConstant(1e200);
      d.row(bad).setConstant(1e-200);
      const std::vector<LayerTrace<double>> layers{{.inputs = a, .backprops = d, .has_bias = false}};
      sagitta::MatrixOf<double> structured = structured_gram(layers[0]);
      CHECK(holds(rejection([&] { sagitta::detail::finish_gram(structured, 1.0); }), "overflow"));
      CHECK_NOTHROW([&] {
        try {
          const MatrixXd K = sagitta::gram(layers);
          if (!K.allFinite()) throw std::logic_error("a Gram matrix that is not finite");
        } catch (const std::invalid_argument&) {
        }
      }());
    }
}

TEST_CASE("a Gram matrix of layers that do not fit is an error that says which") {
  const MatrixXd six = MatrixXd::Ones(6, 2), five = MatrixXd::Ones(5, 2), four = MatrixXd::Ones(4, 2);
  using Layers = std::vector<LayerTrace<double>>;
  const auto message = [](const Layers& layers) { return rejection([&] { (void)sagitta::gram(layers); }); };
  CHECK(message({}) == "gram: layers is empty, expected at least one LayerTrace");
  CHECK(
      message({{.inputs = six, .backprops = five}}) ==
      "gram: layer 0 has 6 rows of inputs and 5 of backprops, expected the same number; transposed? A row is "
      "a sample, or a position of one");
  CHECK(message({{.inputs = five, .backprops = five, .positions = 2}}) ==
        "gram: layer 0 has 5 rows, expected a multiple of its 2 positions");
  CHECK(message({{.inputs = six, .backprops = six}, {.inputs = five, .backprops = five}}) ==
        "gram: layer 1 has 5 rows, expected 6 (6 samples x 1 positions)");
  CHECK(message({{.inputs = six, .backprops = six, .positions = 2}, {.inputs = four, .backprops = four}}) ==
        "gram: layer 1 has 4 rows, expected 3 (3 samples x 1 positions)");
  CHECK(message({{.inputs = six, .backprops = six, .positions = 0}}) ==
        "gram: layer 0 has 0 positions, expected 1 or more");
  CHECK(message({{.inputs = six, .backprops = six, .positions = -1}}) ==
        "gram: layer 0 has -1 positions, expected 1 or more");
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    MatrixXd broken = six;
    broken(4, 1) = bad;
    CHECK(holds(message({{.inputs = broken, .backprops = six}}), "(4, 1) is "));
    CHECK(holds(message({{.inputs = six, .backprops = broken}}), "(4, 1) is "));
    CHECK(holds(message({{.inputs = six, .backprops = six}, {.inputs = broken, .backprops = six}}),
                "(4, 1) is "));
    CHECK(holds(rejection([&] { (void)sagitta::gram(broken); }), "gram: G(4, 1) is "));
    const MatrixXf single = broken.cast<float>(), ones = six.cast<float>();
    CHECK(holds(rejection([&] { (void)sagitta::gram(single); }), "gram: G(4, 1) is "));
    CHECK(holds(rejection([&] {
                  (void)sagitta::gram(std::vector<LayerTrace<float>>{{.inputs = ones, .backprops = single}});
                }),
                "(4, 1) is "));
  }
  // no samples at all
  const MatrixXd none(0, 2);
  CHECK(sagitta::gram(Layers{{.inputs = none, .backprops = none}}).size() == 0);
  CHECK(sagitta::gram(Layers{LayerTrace<double>{}}).size() == 0);
  CHECK(sagitta::gram(MatrixXd(5, 0)).size() == 0);
  for (const Index M : {1, 2, 60, 200}) {  // large enough for Eigen's blocked products, of depth 0
    const MatrixXd zero = MatrixXd::Zero(M, M);
    CHECK(sagitta::gram(MatrixXd(0, M)) == zero);
    CHECK(sagitta::gram(MatrixXf(0, M)) == zero);
    const MatrixXd empty(M, 0), ones = MatrixXd::Ones(M, 3);
    for (const bool bias : {true, false}) {
      const auto layer = [&](const MatrixXd& a, const MatrixXd& d) {
        return Layers{{.inputs = a, .backprops = d, .has_bias = bias}};
      };
      CHECK(sagitta::gram(layer(empty, empty)) == zero);
      CHECK(sagitta::gram(layer(ones, empty)) == zero);
      if (bias) CHECK(sagitta::gram(layer(empty, ones)) == MatrixXd::Constant(M, M, 3));
      if (!bias) CHECK(sagitta::gram(layer(empty, ones)) == zero);
    }
  }
}
