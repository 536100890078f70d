#pragma once

#include <sagitta/gram.hpp>
#include <vector>

namespace sagitta::detail {

// Several backward passes of the same M samples after one forward pass, put together as one set of samples:
// pass k of sample m is sample k M + m. Backprops are copied, inputs looked at where the last pass left them.
template <class = void>
class BackwardPassesOf {
 public:
  BackwardPassesOf(Index passes, Index samples, const char* function)
      : passes_(passes), samples_(samples), function_(function) {}

  // the traces of the next pass, which are kept
  template <LayerTraces Layers>
  void add(Layers layers) {
    std::size_t number = 0;
    const auto look = [&](const auto& layer) { add_layer(layer, number++); };
    if constexpr (IsLayerTrace<Layers>)
      look(layers);
    else
      for (const auto& layer : layers) look(layer);
    if (pass_ > 0 && number != layers_.size())
      reject(function_, "backward pass ", pass_, " has ", number, " layers, expected ", layers_.size(),
             ", as the first one has");
    if (number == 0) reject(function_, "a backward pass has no layers, expected at least one LayerTrace");
    ++pass_;
  }

  std::vector<Weight> weights() const {
    std::vector<Weight> weights;
    Index number = 0;
    for (const Layer& layer : layers_) {
      Use use = layer.use;
      use.inputs = use.inputs.repeated(passes_);
      use.backprops =
          layer.is_single ? Factor(MatrixView<float>(layer.single)) : Factor(MatrixView<double>(layer.stack));
      if (!layer.offsets.empty()) use.offsets = IndexView(layer.offsets);
      check(use, number, function_);
      add_use(weights, use, number++, function_);
    }
    return weights;
  }

 private:
  struct Layer {
    Use use;  // of the last pass
    bool is_single;
    MatrixOf<double> stack;      // backprops of all passes, below one another
    MatrixOf<float> single;      // or these, of float traces
    std::vector<Index> offsets;  // of all passes
  };

  template <class Scalar>
  void add_layer(const LayerTrace<Scalar>& trace, std::size_t number) {
    Use use(trace);
    check(use, static_cast<Index>(number), function_);
    if (use.samples() != samples_)
      reject(function_, "layer ", number, " has ", use.samples(), " samples, expected ", samples_,
             ", as there are rows of probabilities; transposed?");
    if (use.backprops.one_hot())
      reject(function_, "layer ", number,
             " has backprops that are one-hot, expected values (see transposed)");
    if (pass_ == 0) {
      layers_.push_back({use, std::is_same_v<Scalar, float>, {}, {}, {}});
      if (use.offsets.size() > 0)
        for (Index row = 0; row <= samples_ * passes_; ++row)
          layers_.back().offsets.push_back(row / std::max<Index>(samples_, 1) * use.inputs.rows() +
                                           use.offsets[row % std::max<Index>(samples_, 1)]);
    }
    if (number >= layers_.size()) return;  // which add() tells
    Layer& layer = layers_[number];
    const Use& first = layer.use;
    if (first.inputs.rows() != use.inputs.rows() || first.inputs.cols() != use.inputs.cols() ||
        first.backprops.cols() != use.backprops.cols())
      reject(function_, "layer ", number, " has another shape in backward pass ", pass_);
    if constexpr (std::is_same_v<Scalar, float>)
      append(use.backprops, layer.single);
    else
      append(use.backprops, layer.stack);
    layer.use = use;
  }

  template <class Scalar>
  void append(const Factor& backprops, MatrixOf<Scalar>& stack) const {
    const Index rows = backprops.rows(), cols = backprops.cols();
    if (pass_ == 0) stack.resize(rows * passes_, cols);
    MatrixOf<double> values;
    constexpr Index block = 64;
    for (Index col = 0; col < cols; col += block) {
      const Index count = (std::min)(block, cols - col);
      values.resize(rows, count);
      backprops.copy(0, rows, col, count, values.data(), rows);
      stack.block(pass_ * rows, col, rows, count) = values.template cast<Scalar>();
    }
  }

  Index passes_, samples_, pass_ = 0;
  const char* function_;
  std::vector<Layer> layers_;
};
using BackwardPasses = BackwardPassesOf<>;

}  // namespace sagitta::detail
