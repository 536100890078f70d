#pragma once

#include <sagitta/libtorch/parameters.hpp>  // first: see there

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/nll_loss.h>

#include <sagitta/libtorch/detail/curvature_operator.hpp>

// What `measure` consists of: the model in eval mode, its losses, features, parameters and their norms.
namespace sagitta::libtorch::detail {

// Holds a model in eval mode and puts the mode of every module back.
template <class Model>
class EvalMode {
 public:
  explicit EvalMode(const Model& model) : model_(model), training_(model->is_training()) {
    for (const auto& module : model->modules(/*include_self=*/false))
      modes_.emplace_back(module, module->is_training());
    model_->eval();
  }
  EvalMode(const EvalMode&) = delete;
  EvalMode& operator=(const EvalMode&) = delete;
  ~EvalMode() {  // parents before their children, whom they set too
    model_->train(training_);
    for (auto& [module, training] : modes_) module->train(training);
  }

 private:
  using Modules = decltype(std::declval<const Model&>()->modules(false));
  Model model_;  // holders share the module
  bool training_;
  std::vector<std::pair<typename Modules::value_type, bool>> modes_;
};

// Labels as the losses see them. Those that are ignored, as padding is, are no samples.
class Labels {
 public:
  Labels(const at::Tensor& y, int64_t ignored) : y_(y), ignored_(ignored) {
    whole_ = at::isIntegralType(y.scalar_type(), false);
    some_ignored_ = whole_ && y.eq(ignored).any().item<bool>();
  }
  bool whole_numbers() const { return whole_; }
  // one label a row of the output, [M, C] and [M], or of each position of a row, [M, T, C] and [M, T]
  static bool match(const at::Tensor& output, const at::Tensor& y) {
    return output.dim() == y.dim() + 1 &&
           output.sizes().slice(0, static_cast<std::size_t>(y.dim())) == y.sizes();
  }
  // rows [n, ...] of what has one for each label, without those that are ignored
  at::Tensor kept(const at::Tensor& rows, const at::Tensor& y) const {
    if (!some_ignored_ || rows.dim() == 0 || rows.size(0) != y.numel()) return rows;
    return rows.index_select(0, y.reshape({-1}).ne(ignored_).nonzero().squeeze(1));
  }
  // the cross-entropy of logits for whole numbers, the summed squared error of a sample for others, [n]
  at::Tensor losses(const at::Tensor& output, const at::Tensor& y) const {
    if (whole_) {
      if (!match(output, y)) misfit(output, y, "[M, C] and [M]");
      const at::Tensor labels = y.reshape({-1}).to(at::kLong);
      const at::Tensor bad =
          labels.ne(ignored_).logical_and(labels.lt(0).logical_or(labels.ge(output.size(-1))));
      if (bad.any().item<bool>())
        reject("measure", "y holds the label ",
               labels[bad.to(at::kLong).argmax().item<int64_t>()].item<int64_t>(),
               ", expected one from 0 to ", output.size(-1) - 1, ", or options.ignore_index");
      return at::nll_loss(at::log_softmax(output.flatten(0, -2), 1), labels, {}, at::Reduction::None,
                          ignored_);
    }
    if (output.sizes() != y.sizes()) misfit(output, y, "the same");
    return (output - y.to(output.scalar_type())).square().flatten(1).sum(1);
  }
  // how many labels are not the output's largest
  double errors(const at::Tensor& output, const at::Tensor& y) const {
    return output.argmax(-1).ne(y).logical_and(y.ne(ignored_)).sum().item<double>();
  }

 private:
  [[noreturn]] static void misfit(const at::Tensor& output, const at::Tensor& y, const char* expected) {
    reject("measure", "the model's output is of shape ", output.sizes(), " and y of ", y.sizes(),
           ", expected ", expected, "; or give options.losses");
  }
  at::Tensor y_;
  int64_t ignored_;
  bool whole_ = false, some_ignored_ = false;
};

// What features are looked for in: products with a parameter, trained or frozen.
inline bool is_linear(std::string_view name) {
  return name == "aten::linear" || name == "aten::mm" || name == "aten::matmul" || name == "aten::addmm";
}

// The input of the last linear layer, [M, width]; undefined without one, or where its samples cannot be told.
inline at::Tensor features_of(const std::vector<OperatorCall>& calls, int64_t samples) {
  if (calls.empty()) return {};
  const OperatorCall& call = calls.back();
  const int64_t place = call.name == "aten::addmm" ? 1 : 0;
  for (const ParameterUse& use : call.uses)
    if (use.argument == place) return {};  // W x
  const at::Tensor x = call.inputs[static_cast<std::size_t>(place)].toTensor().detach();
  for (int64_t dim = 0; dim + 1 < x.dim(); ++dim)
    if (x.size(dim) == samples) return x.movedim(dim, 0).reshape({samples, -1});
  return {};
}

struct Norms {
  double l1 = 0, l2 = 0;
};
// over a list of tensors, in double
inline Norms norms(const std::vector<at::Tensor>& tensors) {
  Norms sum;
  for (const at::Tensor& tensor : tensors) {
    const at::Tensor x = tensor.detach().to(at::kDouble);
    sum.l1 += x.abs().sum().item<double>();
    sum.l2 += x.square().sum().item<double>();
  }
  sum.l2 = std::sqrt(sum.l2);
  return sum;
}

// The parameters of a model that are trained, and their counterparts in snapshots of it.
struct Trained {
  Parameters parameters;
  std::vector<std::size_t> places;  // in model->parameters()
  std::size_t all = 0;

  std::vector<at::Tensor> of(const std::vector<at::Tensor>& snapshot, const char* argument) const {
    if (snapshot.size() != all)
      reject("measure", "options.", argument, " has ", snapshot.size(), " tensors, expected ", all,
             " as snapshot(model) gives");
    std::vector<at::Tensor> chosen;
    for (std::size_t i = 0; i < places.size(); ++i) {
      const at::Tensor& copy = snapshot[places[i]];
      if (!copy.defined() || copy.sizes() != parameters[i].sizes())
        reject("measure", "options.", argument, "[", places[i], "] is of shape ",
               copy.defined() ? copy.sizes() : at::IntArrayRef{}, ", expected ", parameters[i].sizes(),
               " as ", parameters.name(i));
      chosen.push_back(copy.detach().to(parameters[i].device(), parameters[i].scalar_type()));
    }
    return chosen;
  }
};

template <class Model>
Trained trained_parameters(const Model& model) {
  torch::OrderedDict<std::string, at::Tensor> chosen;
  Trained trained;
  std::unordered_set<const at::TensorImpl*> seen;
  for (const auto& item : model->named_parameters()) {
    const std::size_t place = trained.all++;
    if (!item.value().requires_grad() || !seen.insert(item.value().unsafeGetTensorImpl()).second) continue;
    chosen.insert(item.key(), item.value());
    trained.places.push_back(place);
  }
  trained.parameters = Parameters(chosen);
  return trained;
}

// `mine` - `other`, tensor by tensor
inline std::vector<at::Tensor> differences(const Parameters& mine, const std::vector<at::Tensor>& other) {
  std::vector<at::Tensor> result;
  for (std::size_t i = 0; i < mine.size(); ++i)
    result.push_back(mine[i].detach().to(at::kDouble) - other[i].to(at::kDouble));
  return result;
}

}  // namespace sagitta::libtorch::detail
