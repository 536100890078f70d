#include <cmath>
#include <iostream>
#include <numbers>
#include <random>
#include <sagitta/sagitta.hpp>
#include <vector>

// A GPT-2 as a training code without autograd writes it: layers that keep what went in and what came back,
// and add up their gradients. Below it, the traces of all its parameters, and the check that they are right:
// the Gram matrix equals that of gradients taken one sequence at a time. docs/training_codes.md explains it.
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;  // a row a token
using Vector = Eigen::RowVectorXd;
using Eigen::Index;
using sagitta::LayerTrace;

struct Linear {
  Matrix W, dW;  // out x in
  Vector b, db;
  Matrix a, d;  // of the last pass: what went in, and the derivatives by what came out

  Matrix forward(const Matrix& x) {
    a = x;
    return (x * W.transpose()).rowwise() + b;
  }
  Matrix backward(const Matrix& dy) {
    d = dy;
    dW += dy.transpose() * a;
    db += dy.colwise().sum();
    return dy * W;
  }
};

struct LayerNorm {
  Vector gain, bias, dgain, dbias;
  Matrix a, d;  // what is normalised, and the derivatives by what came out
  Eigen::VectorXd scale;

  Matrix forward(const Matrix& x) {
    a = x.colwise() - x.rowwise().mean();
    scale = (a.rowwise().squaredNorm() / static_cast<double>(x.cols())).array().operator+(1e-5).rsqrt();
    a = scale.asDiagonal() * a;
    return (a * gain.asDiagonal()).rowwise() + bias;
  }
  Matrix backward(const Matrix& dy) {
    d = dy;
    dgain += dy.cwiseProduct(a).colwise().sum();
    dbias += dy.colwise().sum();
    const Matrix da = dy * gain.asDiagonal();
    const Eigen::VectorXd along = da.cwiseProduct(a).rowwise().mean();
    const Matrix centred = da.colwise() - da.rowwise().mean();
    return scale.asDiagonal() * (centred - along.asDiagonal() * a);
  }
};

struct Block {
  LayerNorm norm_1, norm_2;
  Linear qkv, projection, up, down;
  Matrix heads, hidden;  // of the last pass: queries, keys and values; before the GELU
};

double gelu_tanh(double x) { return std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)); }
double gelu(double x) { return 0.5 * x * (1 + gelu_tanh(x)); }
double gelu_slope(double x) {
  const double t = gelu_tanh(x);
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * std::sqrt(2 / std::numbers::pi) * (1 + 3 * 0.044715 * x * x);
}

struct Gpt2 {
  Index vocabulary, length, width, head_count;
  Matrix tokens_W, tokens_dW;        // vocabulary x width, the last layer's weight, too
  Matrix positions_W, positions_dW;  // length x width
  std::vector<Block> blocks;
  LayerNorm norm;
  Matrix embedded_d, last_a, logits_d;  // of the last pass

  Gpt2(Index vocabulary_, Index length_, Index width_, Index heads_, Index depth, unsigned seed)
      : vocabulary(vocabulary_),
        length(length_),
        width(width_),
        head_count(heads_),
        blocks(std::size_t(depth)) {
    std::mt19937 generator(seed);
    std::normal_distribution<double> normal;
    const auto fill = [&](auto& weights, double mean, double deviation) {
      for (Index i = 0; i < weights.size(); ++i) weights.data()[i] = mean + deviation * normal(generator);
    };
    const auto linear = [&](Linear& layer, Index in, Index out) {
      layer.W.resize(out, in);
      layer.b.resize(out);
      fill(layer.W, 0, 0.3);
      fill(layer.b, 0, 0.1);
    };
    const auto normalise = [&](LayerNorm& layer) {
      layer.gain.resize(width);
      layer.bias.resize(width);
      fill(layer.gain, 1, 0.1);
      fill(layer.bias, 0, 0.1);
    };
    tokens_W.resize(vocabulary, width);
    positions_W.resize(length, width);
    fill(tokens_W, 0, 0.5);
    fill(positions_W, 0, 0.5);
    for (Block& block : blocks) {
      normalise(block.norm_1);
      linear(block.qkv, width, 3 * width);
      linear(block.projection, width, width);
      normalise(block.norm_2);
      linear(block.up, width, 4 * width);
      linear(block.down, 4 * width, width);
    }
    normalise(norm);
  }

  // every parameter with its gradient
  template <class Visit>
  void parameters(Visit visit) {
    visit(tokens_W, tokens_dW);
    visit(positions_W, positions_dW);
    const auto linear = [&](Linear& l) { visit(l.W, l.dW), visit(l.b, l.db); };
    const auto normalise = [&](LayerNorm& n) { visit(n.gain, n.dgain), visit(n.bias, n.dbias); };
    for (Block& block : blocks) {
      normalise(block.norm_1), linear(block.qkv), linear(block.projection);
      normalise(block.norm_2), linear(block.up), linear(block.down);
    }
    normalise(norm);
  }

  // Attention of M sequences of T tokens; with dy, the derivatives by the heads instead.
  Matrix attend(const Matrix& heads, Index T, const Matrix* dy) const {
    const Index size = width / head_count, M = heads.rows() / T;
    Matrix result = Matrix::Zero(heads.rows(), dy == nullptr ? width : 3 * width);
    for (Index m = 0; m < M; ++m)
      for (Index h = 0; h < head_count; ++h) {
        const auto part = [&](Index which) { return heads.block(m * T, which * width + h * size, T, size); };
        const Matrix q = part(0), k = part(1), v = part(2);
        Matrix p = q * k.transpose() / std::sqrt(static_cast<double>(size));
        for (Index i = 0; i < T; ++i) {  // each token looks at those before it
          p.row(i).head(i + 1) = (p.row(i).head(i + 1).array() - p.row(i).head(i + 1).maxCoeff()).exp();
          p.row(i).head(i + 1) /= p.row(i).head(i + 1).sum();
          p.row(i).tail(T - i - 1).setZero();
        }
        if (dy == nullptr) {
          result.block(m * T, h * size, T, size) = p * v;
          continue;
        }
        const Matrix d = dy->block(m * T, h * size, T, size), dp = d * v.transpose();
        const Eigen::VectorXd mean = dp.cwiseProduct(p).rowwise().sum();
        const Matrix ds = (dp.colwise() - mean).cwiseProduct(p) / std::sqrt(static_cast<double>(size));
        result.block(m * T, h * size, T, size) = ds * k;
        result.block(m * T, width + h * size, T, size) = ds.transpose() * q;
        result.block(m * T, 2 * width + h * size, T, size) = p.transpose() * d;
      }
    return result;
  }

  // Forward and back for M sequences of T tokens, one behind another, from the sum of all tokens' losses.
  double pass(const std::vector<int>& tokens, const std::vector<int>& targets, Index T) {
    parameters([](const auto& W, auto& dW) { dW.setZero(W.rows(), W.cols()); });
    const auto rows = static_cast<Index>(tokens.size());
    Matrix x(rows, width);
    for (Index r = 0; r < rows; ++r) x.row(r) = tokens_W.row(tokens[std::size_t(r)]) + positions_W.row(r % T);
    for (Block& block : blocks) {
      block.heads = block.qkv.forward(block.norm_1.forward(x));
      x += block.projection.forward(attend(block.heads, T, nullptr));
      block.hidden = block.up.forward(block.norm_2.forward(x));
      x += block.down.forward(block.hidden.unaryExpr(&gelu));
    }
    last_a = norm.forward(x);
    const Matrix p = sagitta::softmax(last_a * tokens_W.transpose());
    logits_d = sagitta::cross_entropy_backprops(p, targets);
    double loss = 0;
    for (Index r = 0; r < rows; ++r) loss -= std::log(p(r, targets[std::size_t(r)]));

    tokens_dW += logits_d.transpose() * last_a;
    Matrix dx = norm.backward(logits_d * tokens_W);
    for (std::size_t l = blocks.size(); l-- > 0;) {
      Block& block = blocks[l];
      const Matrix slopes = block.hidden.unaryExpr(&gelu_slope);
      dx += block.norm_2.backward(block.up.backward(block.down.backward(dx).cwiseProduct(slopes)));
      const Matrix dy = block.projection.backward(dx);
      dx += block.norm_1.backward(block.qkv.backward(attend(block.heads, T, &dy)));
    }
    embedded_d = dx;
    for (Index r = 0; r < rows; ++r) {
      tokens_dW.row(tokens[std::size_t(r)]) += dx.row(r);
      positions_dW.row(r % T) += dx.row(r);
    }
    return loss;
  }
};

// The traces of all parameters after a pass. A sample is a sequence, and its positions are its tokens.
std::vector<LayerTrace<double>> traces_of(const Gpt2& model, const std::vector<int>& tokens,
                                          const std::vector<int>& places, Index T) {
  std::vector<LayerTrace<double>> layers;
  const auto linear = [&](const Linear& layer) {
    layers.push_back({.inputs = layer.a, .backprops = layer.d, .positions = T});
  };
  const auto normalise = [&](const LayerNorm& layer) {
    layers.push_back({.inputs = layer.a, .backprops = layer.d, .positions = T, .elementwise = true});
  };
  for (const Block& block : model.blocks) {
    normalise(block.norm_1), linear(block.qkv), linear(block.projection);
    normalise(block.norm_2), linear(block.up), linear(block.down);
  }
  normalise(model.norm);
  layers.push_back({.inputs = sagitta::one_hot(places, model.length),
                    .backprops = model.embedded_d,
                    .positions = T,
                    .has_bias = false});
  // one table, used twice: to look tokens up, and as the weight of the last layer
  layers.push_back({.inputs = sagitta::one_hot(tokens, model.vocabulary),
                    .backprops = model.embedded_d,
                    .positions = T,
                    .has_bias = false,
                    .weight = model.tokens_W.data(),
                    .transposed = true});
  layers.push_back({.inputs = model.last_a,
                    .backprops = model.logits_d,
                    .positions = T,
                    .has_bias = false,
                    .weight = model.tokens_W.data()});
  return layers;
}

}  // namespace

int main() {
  const Index samples = 12, T = 7, vocabulary = 13;
  Gpt2 model(vocabulary, 9, 8, 2, 2, 1);  // of at most 9 tokens, width 8, 2 heads, 2 blocks
  std::mt19937 generator(2);
  std::vector<int> tokens, targets, places;
  for (Index r = 0; r < samples * T; ++r) {
    tokens.push_back(static_cast<int>(generator() % vocabulary));
    targets.push_back(static_cast<int>(generator() % vocabulary));
    places.push_back(static_cast<int>(r % T));
  }

  // one pass for all sequences
  model.pass(tokens, targets, T);
  const sagitta::GradientGram gram = sagitta::gradient_gram(traces_of(model, tokens, places, T));
  const sagitta::EffectiveRank rank = sagitta::fisher_rank(gram);
  std::cout << "parameters:              " << gram.parameters() << '\n'
            << "directions of curvature: " << rank.rank << " of " << rank.max_rank
            << (rank.certified() ? ", certified\n" : ", a close call\n")
            << "gradient overlap:        " << sagitta::gradient_gram_overlap(gram).value << '\n';

  // and one for each, whose gradients the traces stand for
  Eigen::MatrixXd G(gram.parameters(), samples);
  for (Index m = 0; m < samples; ++m) {
    const auto part = [&](const std::vector<int>& all) {
      return std::vector<int>(all.begin() + m * T, all.begin() + (m + 1) * T);
    };
    model.pass(part(tokens), part(targets), T);
    Index first = 0;
    model.parameters([&](const auto&, const auto& dW) {
      G.col(m).segment(first, dW.size()) = dW.reshaped();
      first += dW.size();
    });
    if (first != G.rows())
      return std::cout << "traces for " << G.rows() << " of " << first << " parameters\n", 1;
  }
  const Eigen::MatrixXd K = G.transpose() * G;
  const double difference = (gram.matrix() - K).norm() / K.norm();
  std::cout << "against batches of one:  " << difference << '\n';

  // that those gradients are right at all: the slope of the loss along a direction
  double slope = 0, losses[2];
  for (const int side : {0, 1}) {
    std::mt19937 direction(3);
    const double step = side == 0 ? -1e-5 : 1e-5;
    const auto move = [&](auto& W, double by) {
      for (Index i = 0; i < W.size(); ++i) W.data()[i] += by * (direction() % 2 == 0 ? 1.0 : -1.0);
    };
    model.parameters([&](auto& W, const auto&) { move(W, step); });
    losses[side] = model.pass(tokens, targets, T);
    direction.seed(3);
    model.parameters([&](auto& W, const auto&) { move(W, -step); });
  }
  model.pass(tokens, targets, T);
  std::mt19937 direction(3);
  model.parameters([&](const auto&, const auto& dW) {
    for (Index i = 0; i < dW.size(); ++i) slope += dW.data()[i] * (direction() % 2 == 0 ? 1.0 : -1.0);
  });
  const double error = std::abs((losses[1] - losses[0]) / 2e-5 - slope) / std::abs(slope);
  std::cout << "against differences:     " << error << '\n';
  return difference <= 1e-12 && error <= 1e-6 ? 0 : 1;
}
