#pragma once

#include <algorithm>
#include <sagitta/detail/check.hpp>
#include <sagitta/detail/row_products.hpp>
#include <sagitta/layer_trace.hpp>
#include <string>
#include <vector>

// Layer traces without their scalar type, checked, and put together by the weights that they share. What
// works on them is compiled once, whichever types a program has.
namespace sagitta::detail {

// One side of a trace: its inputs or its backprops.
template <class = void>
class AnyFactor {
 public:
  template <class Scalar>
  explicit AnyFactor(const MatrixView<Scalar>& view)
      : data_(view.data()),
        single_(std::is_same_v<Scalar, float>),
        one_hot_(view.is_one_hot()),
        indices_(view.indices()),
        rows_(view.rows()),
        cols_(view.cols()),
        row_stride_(view.row_stride()),
        col_stride_(view.col_stride()),
        group_(view.group() > 0 ? view.group() : (std::max)(view.rows(), Index{1})),
        group_stride_(view.group_stride()),
        period_((std::max)(view.rows(), Index{1})) {}

  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  bool one_hot() const { return one_hot_; }
  Index index(Index row) const { return indices_[row % period_]; }

  double at(Index row, Index col) const {
    const Index place = offset(row) + col * col_stride_;
    return single_ ? static_cast<double>(static_cast<const float*>(data_)[place])
                   : static_cast<const double*>(data_)[place];
  }

  // the same rows `times` times, one copy after another
  AnyFactor repeated(Index times) const {
    AnyFactor result = *this;
    result.rows_ *= times;
    return result;
  }

  // A block in doubles: element (i, j) at target[i + j * stride]. Not of one-hot rows.
  void copy(Index row, Index rows, Index col, Index cols, double* target, Index stride) const {
    while (rows > 0) {  // rows that lie at one distance
      const Index in_group = group_ - row % period_ % group_, run = (std::min)(rows, in_group);
      if (single_)
        copy_run<float>(row, run, col, cols, target, stride);
      else
        copy_run<double>(row, run, col, cols, target, stride);
      row += run;
      rows -= run;
      target += run;
    }
  }

  // max |element|, 1 for one-hot rows. Throws where an element is NaN or infinite, or an index out of range.
  double largest(const char* function, const std::string& name) const {
    if (rows_ == 0 || cols_ == 0) return 0;
    if (one_hot_) {
      for (Index i = 0; i < indices_.size(); ++i)
        if (indices_[i] < 0 || indices_[i] >= cols_)
          reject(function, "index ", i, " of ", name, " is ", indices_[i], ", expected 0 to ", cols_ - 1);
      return 1;
    }
    return single_ ? largest_of<float>(function, name) : largest_of<double>(function, name);
  }

 private:
  Index offset(Index row) const {
    row %= period_;
    return row / group_ * group_stride_ + row % group_ * row_stride_;
  }

  template <class Scalar>
  auto map(Index row, Index rows, Index col, Index cols) const {
    using Stride = Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>;
    return Eigen::Map<const MatrixOf<Scalar>, 0, Stride>(
        static_cast<const Scalar*>(data_) + offset(row) + col * col_stride_, rows, cols,
        Stride(col_stride_, row_stride_));
  }

  template <class Scalar>
  void copy_run(Index row, Index rows, Index col, Index cols, double* target, Index stride) const {
    if (row_stride_ == 1 && rows == RowPanels::height && stride == rows)
      copy_columns<Scalar, RowPanels::height>(row, rows, col, cols, target, stride);
    else if (row_stride_ == 1)
      copy_columns<Scalar, Eigen::Dynamic>(row, rows, col, cols, target, stride);
    else
      Eigen::Map<MatrixOf<double>, 0, Eigen::OuterStride<>>(target, rows, cols,
                                                            Eigen::OuterStride<>(stride)) =
          map<Scalar>(row, rows, col, cols).template cast<double>();
  }

  // of contiguous columns, which are read in packets: of a number of rows that is known for whole panels
  template <class Scalar, int Rows>
  void copy_columns(Index row, Index rows, Index col, Index cols, double* target, Index stride) const {
    const Eigen::Map<const MatrixOf<Scalar, Rows>, 0, Eigen::OuterStride<>> source(
        static_cast<const Scalar*>(data_) + offset(row) + col * col_stride_, rows, cols,
        Eigen::OuterStride<>(col_stride_));
    Eigen::Map<MatrixOf<double, Rows>, 0, Eigen::OuterStride<Rows>>(
        target, rows, cols, Eigen::OuterStride<Rows>(stride)) = source.template cast<double>();
  }

  template <class Scalar>
  double largest_of(const char* function, const std::string& name) const {
    if (group_ == period_)
      return largest_magnitude(map<Scalar>(0, period_, 0, cols_), function, name.c_str());
    Scalar largest = 0;
    for (Index row = 0; row < period_; row += group_) {
      const std::string of_sample = name + " of sample " + std::to_string(row / group_) + " at ";
      largest = (std::max)(
          largest, largest_magnitude(map<Scalar>(row, group_, 0, cols_), function, of_sample.c_str()));
    }
    return largest;
  }

  const void* data_;
  bool single_, one_hot_;
  IndexView indices_;
  Index rows_, cols_, row_stride_, col_stride_, group_, group_stride_, period_;
};
using Factor = AnyFactor<>;

// A trace: the use of a weight by M samples.
struct Use {
  Factor inputs, backprops;
  Index positions;
  IndexView offsets;
  bool has_bias, elementwise, transposed;
  const void* weight;
  double largest =
      0;  // of |input backprop|: no entry of a gradient exceeds it by more than `positions` times

  template <class Scalar>
  explicit Use(const LayerTrace<Scalar>& trace)
      : inputs(trace.inputs),
        backprops(trace.backprops),
        positions(trace.positions),
        offsets(trace.offsets),
        has_bias(trace.has_bias),
        elementwise(trace.elementwise),
        transposed(trace.transposed),
        weight(trace.weight) {}

  Index samples() const { return offsets.size() > 0 ? offsets.size() - 1 : inputs.rows() / positions; }
  // sample m has the rows first(m) to first(m + 1) - 1
  Index first(Index m) const { return offsets.size() > 0 ? offsets[m] : m * positions; }
  bool single_rows() const { return positions == 1 && offsets.size() == 0; }
  // of the weight, rows x cols: its gradient is the sum of left^T right
  const Factor& left() const { return transposed ? inputs : backprops; }
  const Factor& right() const { return transposed ? backprops : inputs; }
};

// A weight with all its uses.
using Weight = std::vector<Use>;

inline Index parameters(const Weight& weight) {
  const Use& use = weight.front();
  Index biases = 0;
  for (const bool transposed : {false, true})
    for (const Use& other : weight)
      if (other.has_bias && other.transposed == transposed) {
        biases += other.backprops.cols();
        break;
      }
  return (use.elementwise ? use.backprops.cols() : use.left().cols() * use.right().cols()) + biases;
}

// Whether every column of a matrix is c (p - onehot) for probabilities p, as the rows of a softmax's
// backprops are, and the first row is not: then it lies the other way round. Exactly one number of a column
// is negative, several are positive, and they cancel: no other backprops look like that throughout.
template <class = void>
bool lies_in_columns(const Factor& backprops) {
  const Index rows = backprops.rows(), cols = backprops.cols();
  if (backprops.one_hot() || rows < 3 || cols < 3) return false;
  const auto is_difference = [](Index n, const auto& value) {
    Index negative = 0, positive = 0;
    double sum = 0, size = 0;
    for (Index i = 0; i < n && negative < 2; ++i) {
      const double x = value(i);
      negative += x < 0;
      positive += x > 0;
      sum += x;
      size += std::abs(x);
    }
    return negative == 1 && positive > 1 && std::abs(sum) <= 1e-3 * size;
  };
  if (is_difference(cols, [&](Index j) { return backprops.at(0, j); })) return false;
  for (Index j = 0; j < cols; ++j)
    if (!is_difference(rows, [&](Index i) { return backprops.at(i, j); })) return false;
  return true;
}

// Throws where the two sides of a trace do not fit together, or hold NaN or infinity; finds `largest`.
template <class = void>
void check(Use& use, Index number, const char* function) {
  const auto fail = [&](const auto&... parts) { reject(function, "layer ", number, parts...); };
  const Index rows = use.inputs.rows();
  constexpr const char* hint = "; transposed? A row is a sample, or a position of one";
  if (use.positions < 1) fail(" has ", use.positions, " positions, expected 1 or more");
  if (rows != use.backprops.rows()) {
    const bool fits = use.inputs.cols() == use.backprops.cols() ||
                      use.inputs.cols() == use.backprops.rows() || use.backprops.cols() == rows;
    fail(" has ", rows, " rows of inputs and ", use.backprops.rows(),
         " of backprops, expected the same number", fits ? hint : "");
  }
  if (use.offsets.size() > 0) {
    const Index last = use.offsets.size() - 1;
    if (use.positions != 1) fail(" has offsets and ", use.positions, " positions, expected one of both");
    if (use.offsets[0] != 0) fail(": offset 0 is ", use.offsets[0], ", expected 0");
    for (Index m = 0; m < last; ++m)
      if (use.offsets[m] > use.offsets[m + 1])
        fail(": offset ", m + 1, " is ", use.offsets[m + 1], ", expected at least ", use.offsets[m],
             ", the one before it");
    if (use.offsets[last] != rows)
      fail(": the last offset is ", use.offsets[last], ", expected ", rows, ", the number of rows");
  } else if (rows % use.positions != 0) {
    fail(" has ", rows, " rows, expected a multiple of its ", use.positions, " positions");
  }
  if (use.elementwise && (use.inputs.one_hot() || use.backprops.one_hot()))
    fail(" is elementwise and one-hot, expected one of both");
  if (use.elementwise && use.inputs.cols() != use.backprops.cols())
    fail(" is elementwise and has ", use.inputs.cols(), " columns of inputs and ", use.backprops.cols(),
         " of backprops, expected the same number");
  const std::string name = "layer " + std::to_string(number) + ": ";
  double input = use.inputs.largest(function, name + "inputs");
  if (use.has_bias) input = (std::max)(input, 1.0);
  const double backprop = use.backprops.largest(function, name + "backprops");
  if (input == 0 || backprop == 0) return;
  use.largest = (std::max)(input * backprop, std::numeric_limits<double>::denorm_min());
  if (use.single_rows() && lies_in_columns(use.backprops))
    fail(": every column of backprops is p - onehot, as rows are for a softmax", hint);
}

// Adds a checked use to the weight that it is of. Throws where that has another shape.
template <class = void>
void add_use(std::vector<Weight>& weights, const Use& use, Index number, const char* function) {
  const auto shared = std::find_if(weights.begin(), weights.end(), [&](const Weight& other) {
    return use.weight != nullptr && other.front().weight == use.weight;
  });
  if (shared == weights.end()) {
    weights.push_back({use});
    return;
  }
  const Use& first = shared->front();
  if (first.elementwise != use.elementwise)
    reject(function, "layer ", number, " shares a weight with one of both kinds, elementwise and not");
  if (first.left().cols() != use.left().cols() || first.right().cols() != use.right().cols())
    reject(function, "layer ", number, " has a weight of ", use.left().cols(), " x ", use.right().cols(),
           " and shares one of ", first.left().cols(), " x ", first.right().cols(), "; transposed?");
  shared->push_back(use);
}

// The traces of a call, by weights. Throws for none, and for traces that do not fit.
template <class Layers>
std::vector<Weight> weights_of(const Layers& layers, const char* function) {
  std::vector<Weight> weights;
  Index number = 0, samples = 0;
  for (const auto& layer : layers) {
    Use use(layer);
    check(use, number, function);
    if (number == 0) samples = use.samples();
    if (use.samples() != samples) {
      if (use.offsets.size() > 0)
        reject(function, "layer ", number, " has ", use.offsets.size(), " offsets, expected ", samples + 1,
               " (", samples, " samples)");
      const Index expected = samples * use.positions;
      const bool fits = use.inputs.cols() == expected || use.backprops.cols() == expected;
      reject(function, "layer ", number, " has ", use.inputs.rows(), " rows, expected ", expected, " (",
             samples, " samples x ", use.positions, " positions)", fits ? "; transposed?" : "");
    }
    add_use(weights, use, number, function);
    ++number;
  }
  if (number == 0) reject(function, "layers is empty, expected at least one LayerTrace");
  return weights;
}

// Throws unless two sets of samples have passed through the same weights.
template <class = void>
void check_same_weights(const std::vector<Weight>& weights, const std::vector<Weight>& others,
                        const char* function) {
  if (weights.size() != others.size())
    reject(function, "layers have ", weights.size(), " weights and other_layers ", others.size(),
           ", expected the same");
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const Weight &a = weights[i], &b = others[i];
    if (a[0].left().cols() != b[0].left().cols() || a[0].right().cols() != b[0].right().cols())
      reject(function, "weight ", i, " is ", a[0].left().cols(), " x ", a[0].right().cols(),
             " in layers and ", b[0].left().cols(), " x ", b[0].right().cols(),
             " in other_layers, expected the same");
    bool same = a.size() == b.size() && a[0].elementwise == b[0].elementwise;
    for (std::size_t u = 0; same && u < a.size(); ++u)
      same = a[u].has_bias == b[u].has_bias && a[u].transposed == b[u].transposed;
    if (!same)
      reject(function, "the uses of weight ", i,
             " differ between layers and other_layers in their number, in "
             "has_bias, transposed or elementwise, expected the same");
  }
}

}  // namespace sagitta::detail
