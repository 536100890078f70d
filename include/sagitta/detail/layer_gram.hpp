#pragma once

#include <algorithm>
#include <sagitta/detail/layer.hpp>
#include <sagitta/detail/row_products.hpp>

// Inner products of the per-sample gradients of one weight, by several ways that give the same sums: those of
// M samples with one another, or with those of another set. A block of K is formed at a time, in which the
// samples of the first set are rows.
namespace sagitta::detail {

// Memory that the layers of a Gram matrix share: fresh pages for each of them would take longer to come than
// a small layer's arithmetic.
struct LayerGramScratch {
  RowPanels panels[2];
  MatrixOf<double> backprops, inputs;  // products of their rows
};

// What is asked for: K += the products of a weight's gradients by two sets of samples, which may be the same
// set; then only the lower triangle is formed.
struct GramBlock {
  MatrixOf<double>& K;
  bool symmetric;
  LayerGramScratch& scratch;
  Index threads = 1;
};

struct Rows {
  Index first = 0, count = 0;
};

// out = X_i Y_j^T for two blocks of rows, padded by row_products' panels; only the lower triangle where the
// blocks are the same one
template <class = void>
void factor_products(const Factor& X, Rows i, const Factor& Y, Rows j, bool same, GramBlock& block,
                     MatrixOf<double>& out) {
  if (!X.one_hot() && !Y.one_hot()) {
    panel_products(i.count, j.count, X.cols(), same, block.scratch.panels, out, block.threads,
                   [&](RowPanels& panels, bool right, Index first, Index count) {
                     const Factor& factor = right ? Y : X;
                     const Rows& rows = right ? j : i;
                     panels.pack(rows.count, count, [&](Index row, Index n, double* target) {
                       factor.copy(rows.first + row, n, first, count, target, RowPanels::height);
                     });
                   });
    return;
  }
  out.resize(i.count, j.count);
  for (Index s = 0; s < j.count; ++s)
    for (Index r = 0; r < i.count; ++r) {
      const Index row = i.first + r, col = j.first + s;
      if (!Y.one_hot())
        out(r, s) = Y.at(col, X.index(row));
      else if (!X.one_hot())
        out(r, s) = X.at(row, Y.index(col));
      else
        out(r, s) = X.index(row) == Y.index(col) ? 1 : 0;
    }
}

// K += (D D'^T) o (A A'^T + [bias]), summed over positions, block by block of samples.
// M M' T T' (fan_in + fan_out) operations, half of them saved on the diagonal blocks.
template <class = void>
void add_structured(const Use& one, const Use& other, GramBlock block) {
  const bool turned = one.transposed != other.transposed;
  const Factor &other_backprops = turned ? other.inputs : other.backprops,
               &other_inputs = turned ? other.backprops : other.inputs;
  const double bias = !turned && one.has_bias && other.has_bias ? 1 : 0;
  const bool single = one.single_rows() && other.single_rows();
  const Index M = one.samples(), N = other.samples();
  // samples from the given one on with 512 rows or so: two tables of products stay in cache
  const auto block_end = [](const Use& use, Index from, Index end) {
    Index to = from + 1;
    while (to < end && use.first(to + 1) - use.first(from) <= 512) ++to;
    return to;
  };
  MatrixOf<double>&P = block.scratch.backprops, &Q = block.scratch.inputs;
  MatrixOf<double>& K = block.K;
  for (Index i = 0, i_end = 0; i < M; i = i_end) {
    i_end = block_end(one, i, M);
    const Rows rows{one.first(i), one.first(i_end) - one.first(i)};
    for (Index j = 0, j_end = 0; j < (block.symmetric ? i_end : N); j = j_end) {
      j_end = block_end(other, j, N);
      const Rows cols{other.first(j), other.first(j_end) - other.first(j)};
      const bool same = block.symmetric && i == j;
      factor_products(one.backprops, rows, other_backprops, cols, same, block, P);
      factor_products(one.inputs, rows, other_inputs, cols, same, block, Q);
      for (Index c = 0; c < cols.count; ++c) {
        const Index from = same ? c / 8 * 8 : 0, count = rows.count - from;  // packets stay aligned
        auto p = P.col(c).segment(from, count).array();
        const auto q = Q.col(c).segment(from, count).array() + bias;
        if (single)
          K.col(j + c).segment(i + from, count).array() += p * q;
        else
          p *= q;
      }
      if (single) continue;
      if (same) P.template triangularView<Eigen::StrictlyUpper>() = P.transpose();  // a sample's own block
      for (Index b = j; b < j_end; ++b)
        for (Index a = same ? b : i; a < i_end; ++a)
          K(a, b) += P.block(one.first(a) - rows.first, other.first(b) - cols.first,
                             one.first(a + 1) - one.first(a), other.first(b + 1) - other.first(b))
                         .sum();
    }
  }
}

// K += G^T G' with the columns of G, a part of the gradients, formed for some parameters at a time:
// form(weight, first, count, G) does that for `count` of `total`, each of `height` numbers. Blocks of at most
// 32 MiB.
template <class Form>
void add_in_parts(const Weight& one, const Weight& other, Index total, Index height, GramBlock block,
                  const Form& form) {
  const Index M = one.front().samples(), N = other.front().samples();
  if (M == 0 || N == 0 || height == 0) return;
  constexpr Index block_doubles = Index{32} * 1024 * 1024 / 8;
  const Index width = std::clamp<Index>(block_doubles / std::max<Index>(1, (std::max)(M, N) * height), 1,
                                        std::max<Index>(1, total));
  MatrixOf<double> G, H, products;
  for (Index first = 0; first < total; first += width) {
    const Index count = (std::min)(width, total - first);
    G.resize(height * count, M);
    form(one, first, count, G);
    if (!block.symmetric) {
      H.resize(height * count, N);
      form(other, first, count, H);
    }
    const auto& right = block.symmetric ? G : H;
    row_products(G.transpose(), right.transpose(), block.symmetric, block.scratch.panels, products,
                 block.threads);
    block.K += products.topLeftCorner(M, N);
  }
}

// The sums of gradients over positions for columns of a factor, or of the product of two of the same shape:
// of biases, and of weights that multiply element by element.
template <class = void>
void add_sums(const Weight& one, const Weight& other, Index cols, GramBlock block, bool products,
              bool transposed) {
  add_in_parts(one, other, cols, 1, block,
               [&](const Weight& weight, Index first, Index count, MatrixOf<double>& G) {
                 MatrixOf<double> d, a;
                 G.setZero();
                 for (const Use& use : weight) {
                   if (!products && (!use.has_bias || use.transposed != transposed)) continue;
                   for (Index m = 0; m < use.samples(); ++m) {
                     const Index row = use.first(m), n = use.first(m + 1) - row;
                     if (use.backprops.one_hot()) {
                       for (Index t = row; t < row + n; ++t) {
                         const Index at = use.backprops.index(t) - first;
                         if (at >= 0 && at < count) G(at, m) += 1;
                       }
                       continue;
                     }
                     d.resize(n, count);
                     use.backprops.copy(row, n, first, count, d.data(), n);
                     if (products) {
                       a.resize(n, count);
                       use.inputs.copy(row, n, first, count, a.data(), n);
                       d.array() *= a.array();
                     }
                     G.col(m) += d.colwise().sum().transpose();
                   }
                 }
               });
}

// K += the products of the biases' gradients, which uses of the same orientation share.
template <class = void>
void add_biases(const Weight& one, const Weight& other, GramBlock block) {
  for (const bool transposed : {false, true}) {
    const auto has = [&](const Use& use) { return use.has_bias && use.transposed == transposed; };
    const auto use = std::find_if(one.begin(), one.end(), has);
    if (use != one.end()) add_sums(one, other, use->backprops.cols(), block, false, transposed);
  }
}

// K += the products of gradients that are formed. M T fan_in fan_out operations for them and M M' fan_in
// fan_out for the products.
template <class = void>
void add_materialized(const Weight& one, const Weight& other, GramBlock block) {
  const Index height = one.front().left().cols(), total = one.front().right().cols();
  add_in_parts(one, other, total, height, block,
               [&](const Weight& weight, Index first, Index count, MatrixOf<double>& G) {
                 MatrixOf<double> l, r;
                 for (std::size_t u = 0; u < weight.size(); ++u) {
                   const Factor &left = weight[u].left(), &right = weight[u].right();
                   const bool dense = !left.one_hot() && !right.one_hot();
                   if (u == 0 && !dense) G.setZero();
                   for (Index m = 0; m < G.cols(); ++m) {
                     const Index row = weight[u].first(m), n = weight[u].first(m + 1) - row;
                     Eigen::Map<MatrixOf<double>> gradient(G.col(m).data(), height, count);
                     if (!left.one_hot()) {
                       l.resize(n, height);
                       left.copy(row, n, 0, height, l.data(), n);
                     }
                     if (!right.one_hot()) {
                       r.resize(n, count);
                       right.copy(row, n, first, count, r.data(), n);
                     }
                     if (dense && u == 0)
                       gradient.noalias() = l.transpose() * r;
                     else if (dense)
                       gradient.noalias() += l.transpose() * r;
                     for (Index t = 0; t < n && !dense; ++t) {
                       const Index at = right.one_hot() ? right.index(row + t) - first : 0;
                       if (!right.one_hot())
                         gradient.row(left.index(row + t)) += r.row(t);
                       else if (at < 0 || at >= count)
                         continue;
                       else if (!left.one_hot())
                         gradient.col(at) += l.row(t).transpose();
                       else
                         gradient(left.index(row + t), at) += 1;
                     }
                   }
                 }
               });
  add_biases(one, other, block);
}

// The rows of an embedding, by index and then by sample.
template <class = void>
struct SortedRows {
  struct Row {
    Index index, sample, row;
  };
  std::vector<Row> rows;
  const Factor* dense;

  explicit SortedRows(const Use& use) : dense(use.inputs.one_hot() ? &use.backprops : &use.inputs) {
    const Factor& indices = use.inputs.one_hot() ? use.inputs : use.backprops;
    rows.reserve(static_cast<std::size_t>(indices.rows()));
    for (Index m = 0; m < use.samples(); ++m)
      for (Index row = use.first(m); row < use.first(m + 1); ++row)
        rows.push_back({indices.index(row), m, row});
    std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
      return a.index != b.index ? a.index < b.index : a.row < b.row;
    });
  }

  // The rows from `at` on that have its index, each sample's summed: a column a sample in `sums`.
  void collect(std::size_t& at, std::vector<Index>& samples, MatrixOf<double>& sums) const {
    const Index index = rows[at].index, cols = dense->cols();
    samples.clear();
    std::size_t end = at;
    while (end < rows.size() && rows[end].index == index) ++end;
    if (sums.cols() < static_cast<Index>(end - at)) sums.resize(cols, static_cast<Index>(2 * (end - at)));
    Eigen::VectorXd values(cols);
    for (; at < end; ++at) {
      dense->copy(rows[at].row, 1, 0, cols, values.data(), 1);
      const bool fresh = samples.empty() || samples.back() != rows[at].sample;
      if (fresh) samples.push_back(rows[at].sample);
      auto sum = sums.col(static_cast<Index>(samples.size()) - 1);
      if (fresh)
        sum = values;
      else
        sum += values;
    }
  }
};

// K += the products of an embedding's gradients, whose rows meet only where indices are equal. As many times
// the width as there are pairs of samples that share an index, and a sort of the indices.
template <class = void>
void add_matched(const Weight& one, const Weight& other, GramBlock block) {
  const SortedRows<> left(one.front()), right(other.front());
  std::vector<Index> left_samples, right_samples;
  MatrixOf<double> left_sums, right_sums, products;
  std::size_t l = 0, r = 0;
  const auto add = [&](const std::vector<Index>& rows, const MatrixOf<double>& V,
                       const std::vector<Index>& cols, const MatrixOf<double>& W, bool same) {
    const auto m = static_cast<Index>(rows.size()), n = static_cast<Index>(cols.size());
    const bool few = m * n < 64;
    if (!few)
      row_products(V.leftCols(m).transpose(), W.leftCols(n).transpose(), same, block.scratch.panels, products,
                   block.threads);
    for (Index b = 0; b < n; ++b)
      for (Index a = same ? b : 0; a < m; ++a)
        block.K(rows[static_cast<std::size_t>(a)], cols[static_cast<std::size_t>(b)]) +=
            few ? V.col(a).dot(W.col(b)) : products(a, b);
  };
  while (l < left.rows.size()) {
    const Index index = left.rows[l].index;
    left.collect(l, left_samples, left_sums);
    if (block.symmetric) {
      add(left_samples, left_sums, left_samples, left_sums, true);
      continue;
    }
    while (r < right.rows.size() && right.rows[r].index < index) ++r;
    if (r == right.rows.size() || right.rows[r].index != index) continue;
    right.collect(r, right_samples, right_sums);
    add(left_samples, left_sums, right_samples, right_sums, false);
  }
  add_biases(one, other, block);
}

// the cheaper way for a weight by its count of operations
inline bool structured_is_cheaper(const Weight& one, const Weight& other) {
  const auto M = static_cast<double>(one.front().samples() + other.front().samples()) / 2;
  double rows = 0;
  const auto width = [](const Factor& factor) {
    return factor.one_hot() ? 1.0 : static_cast<double>(factor.cols());
  };
  for (const Weight* weight : {&one, &other})
    for (const Use& use : *weight) rows += static_cast<double>(use.inputs.rows()) / 2;
  const Use& use = one.front();
  const double T = rows / (std::max)(M, 1.0),
               numbers = static_cast<double>(use.left().cols()) * static_cast<double>(use.right().cols()) +
                         (use.has_bias ? static_cast<double>(use.backprops.cols()) : 0);
  return M * T * T * (width(use.inputs) + width(use.backprops)) <= numbers * (M + T);
}

// K += the products of all gradients of a weight by one set of samples with those by another.
template <class = void>
void add_weight_gram(const Weight& one, const Weight& other, GramBlock block) {
  if (block.K.size() == 0) return;
  const Use& use = one.front();
  const auto is_embedding = [](const Weight& weight) {
    return weight.size() == 1 && weight[0].inputs.one_hot() != weight[0].backprops.one_hot();
  };
  if (use.elementwise) {
    add_sums(one, other, use.backprops.cols(), block, true, false);
    add_biases(one, other, block);
  } else if (is_embedding(one) && is_embedding(other) &&
             one[0].left().one_hot() == other[0].left().one_hot()) {
    add_matched(one, other, block);
  } else if (!structured_is_cheaper(one, other)) {
    add_materialized(one, other, block);
  } else if (!block.symmetric) {
    for (const Use& a : one)
      for (const Use& b : other) add_structured(a, b, block);
  } else {
    for (std::size_t a = 0; a < one.size(); ++a) {
      add_structured(one[a], one[a], block);
      for (std::size_t b = 0; b < a; ++b) {  // and what two uses have in common, both ways
        MatrixOf<double> both = MatrixOf<double>::Zero(block.K.rows(), block.K.cols());
        add_structured(one[a], one[b], {both, false, block.scratch, block.threads});
        block.K += both + both.transpose();
      }
    }
  }
}

// |row|^2 for every row of a factor, of its product with another where that is given
template <class = void>
Eigen::VectorXd squared_lengths(const Factor& factor, const Factor* times = nullptr) {
  if (factor.one_hot()) return Eigen::VectorXd::Ones(factor.rows());
  Eigen::VectorXd squares = Eigen::VectorXd::Zero(factor.rows());
  MatrixOf<double> values, others;
  constexpr Index block = 256;
  for (Index row = 0; row < factor.rows(); row += block)
    for (Index col = 0; col < factor.cols(); col += block) {
      const Index n = (std::min)(block, factor.rows() - row), count = (std::min)(block, factor.cols() - col);
      values.resize(n, count);
      factor.copy(row, n, col, count, values.data(), n);
      if (times != nullptr) {
        others.resize(n, count);
        times->copy(row, n, col, count, others.data(), n);
        values.array() *= others.array();
      }
      squares.segment(row, n) += values.rowwise().squaredNorm();
    }
  return squares;
}

// sum_m (sum_t |d_mt| |(a_mt, [bias])|)^2 over all uses: the trace of K where nothing cancels between the
// positions of a sample. The rounding of K goes with this, which can be far above its trace.
template <class = void>
double uncancelled_trace(const Weight& weight) {
  Eigen::VectorXd sums = Eigen::VectorXd::Zero(weight.front().samples());
  for (const Use& use : weight) {
    const Eigen::ArrayXd d = squared_lengths(use.backprops).array();
    const double bias = use.has_bias ? 1 : 0;
    const Eigen::ArrayXd lengths =
        (use.elementwise ? (squared_lengths(use.backprops, &use.inputs).array() + bias * d).sqrt().eval()
                         : (d * (squared_lengths(use.inputs).array() + bias)).sqrt().eval());
    for (Index m = 0; m < sums.size(); ++m)
      sums[m] += lengths.segment(use.first(m), use.first(m + 1) - use.first(m)).sum();
  }
  return sums.squaredNorm();
}

}  // namespace sagitta::detail
