#pragma once

#include <sagitta/libtorch/parameters.hpp>  // first: see there

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/nll_loss.h>

#include <random>
#include <sagitta/features.hpp>
#include <sagitta/gradient_overlap.hpp>
#include <sagitta/lanczos.hpp>
#include <sagitta/libtorch/operators.hpp>
#include <sagitta/libtorch/penalties.hpp>
#include <sagitta/libtorch/rank.hpp>

// Every diagnostic of the paper in one call (sections 2.2, 4 and 6; Figures 1, 5 and 16).
namespace sagitta::libtorch {

struct MeasureOptions {
  // the losses of all samples, [M], from the model's output and y; where none is given, the cross-entropy of
  // logits [M, C] for whole numbers y, and the summed squared error of a sample for others
  std::function<at::Tensor(const at::Tensor& output, const at::Tensor& y)> losses;
  std::vector<at::Tensor> previous;  // snapshot(model) before the update, for its norm
  std::vector<at::Tensor> initial;   // snapshot(model) at initialisation, for the distances
  double threshold = 0.99;           // of all effective ranks
  double dormant_tau = 0.025;
  int64_t batch_size = 0;  // samples in one forward pass; 0: all. Sampled Fisher, Gauss-Newton and sharpness
                           // always take all at once
  bool sampled_fisher = false;  // with labels from `generator`; for softmax classifiers
  // of the softmax cross-entropy for whole numbers y, of the squared error for others, whatever `losses` says
  bool gauss_newton = false;
  // the largest eigenvalue of the Hessian, by Lanczos: tens of products; NaN where they do not converge
  bool sharpness = false;
  at::Generator generator;
  uint64_t seed = 1;  // of the first Lanczos vector, and of the labels where no generator is given
  GramOptions gram;
};

// Quantities that were not asked for, or that their definition leaves open, are quiet NaNs or empty.
struct Measurement {
  static constexpr double none = std::numeric_limits<double>::quiet_NaN();
  int64_t samples = 0, parameters = 0;
  double loss = none;                             // mean over samples
  double error = none;                            // share of samples whose largest logit is not the label's
  double gradient_l1 = none, gradient_l2 = none;  // of the mean loss
  double weight_l1 = none, weight_l2 = none;
  double update_l1 = none, update_l2 = none;                      // needs `previous`
  double initial_distance_l2 = none, initial_distance_w2 = none;  // needs `initial`; W2 sums over tensors
  EffectiveRank fisher_rank;                                      // empirical, of the per-sample gradients
  std::optional<EffectiveRank> sampled_fisher_rank, gauss_newton_rank;
  double sharpness = none;
  Overlap overlap;             // of the mean gradient with the empirical Fisher
  EffectiveRank feature_rank;  // features: the input of the last linear layer, [M, width]; empty without one
  double dormancy = none, dormant_fraction = none;
  double check_error = none;                            // of the Fisher's Gram matrix
  std::vector<ParameterReference> fallback_parameters;  // of the same
};

// Copies of all parameters of a model, for MeasureOptions::previous and initial.
template <class Model>
std::vector<at::Tensor> snapshot(const Model& model) {
  std::vector<at::Tensor> copies;
  for (const at::Tensor& p : model->parameters()) copies.push_back(p.detach().clone());
  return copies;
}

namespace detail {

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

inline at::Tensor default_losses(const at::Tensor& output, const at::Tensor& y) {
  if (at::isIntegralType(y.scalar_type(), false)) {
    if (output.dim() != 2 || y.dim() != 1 || y.size(0) != output.size(0))
      reject("measure", "the model's output is of shape ", output.sizes(), " and y of ", y.sizes(),
             ", expected [M, C] and [M]; or give options.losses");
    return at::nll_loss(at::log_softmax(output, 1), y.to(at::kLong), {}, at::Reduction::None);
  }
  if (output.sizes() != y.sizes())
    reject("measure", "the model's output is of shape ", output.sizes(), " and y of ", y.sizes(),
           ", expected the same; or give options.losses");
  return (output - y.to(output.scalar_type())).square().flatten(1).sum(1);
}

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

}  // namespace detail

// Measures a model at a batch.
//   model: a module holder or a pointer to a module, whose forward takes x and gives one tensor
//   x: [M, ...];  y: [M, ...], the labels or targets
// The model is measured in eval mode and put back, parameters that do not require grad are left out, and
// nothing of its state changes. Throws std::invalid_argument as empirical_fisher_gram does, and for snapshots
// of another model. Two forward and, with the check, four backward passes, the products of the Gram matrix,
// and its eigenvalues on the host (4/3 M^3).
template <class Model>
Measurement measure(Model model, const at::Tensor& x, const at::Tensor& y,
                    const MeasureOptions& options = {}) {
  const detail::EvalMode<Model> eval(model);
  const detail::Trained trained = detail::trained_parameters(model);
  const Parameters& parameters = trained.parameters;
  detail::check_parameters(parameters, "measure");
  detail::check_grad_mode("measure");
  if (!x.defined() || !y.defined() || x.dim() == 0 || y.dim() == 0 || x.size(0) != y.size(0) ||
      x.size(0) == 0)
    reject("measure", "x and y are of sizes ", x.defined() ? x.sizes() : at::IntArrayRef{}, " and ",
           y.defined() ? y.sizes() : at::IntArrayRef{},
           ", expected the same number of samples, at least one");
  const int64_t M = x.size(0), size = options.batch_size > 0 ? std::min(options.batch_size, M) : M;
  const int64_t batches = (M + size - 1) / size;
  const auto part = [&](const at::Tensor& t, int64_t i) {
    return t.narrow(0, i * size, std::min(size, M - i * size));
  };
  const auto losses_of = [&](const at::Tensor& output, const at::Tensor& target) {
    return options.losses ? options.losses(output, target) : detail::default_losses(output, target);
  };

  Measurement result;
  const Parameters all_parameters(model->parameters());
  result.samples = M;
  result.parameters = parameters.elements();

  // one pass for what needs no per-sample gradients
  std::vector<at::Tensor> features, gradient(parameters.size());
  double loss = 0, wrong = 0;
  bool labels = at::isIntegralType(y.scalar_type(), false);
  detail::GeneratorStates generators;
  detail::KeptGradients kept(parameters);
  for (int64_t i = 0; i < batches; ++i) {
    detail::Recorder recorder(all_parameters, detail::is_linear);
    recorder.frozen = true;
    at::Tensor output;
    const detail::Question question{"measure",
                                    [&](int64_t batch) {
                                      output = model->forward(part(x, batch));
                                      return losses_of(output, part(y, batch));
                                    },
                                    {}};
    const at::Tensor losses = detail::run_forward(question, i, parameters, recorder, generators);
    const detail::ExactArithmetic exact;
    detail::losses_factor(losses, "measure");
    detail::keep_gradients(detail::CoverageWalk(losses, parameters).coverage(parameters.size(), {}), kept);
    loss += losses.detach().to(at::kDouble).sum().item<double>();
    labels = labels && output.dim() == 2 && y.dim() == 1;
    if (labels) {
      const at::Tensor missed = output.argmax(1).ne(part(y, i)).sum();
      wrong += missed.template item<double>();
    }
    if (const at::Tensor f = detail::features_of(recorder.calls, losses.size(0)); f.defined())
      features.push_back(f);
    if (!losses.requires_grad()) continue;
    const auto parts =
        detail::backward(losses, at::ones_like(losses), detail::parameter_edges(parameters), "measure");
    for (std::size_t p = 0; p < parts.size(); ++p)
      if (parts[p].defined()) gradient[p] = gradient[p].defined() ? gradient[p] + parts[p] : parts[p];
  }
  kept.check("measure");
  std::erase_if(gradient, [](const at::Tensor& g) { return !g.defined(); });
  const detail::Norms of_gradient = detail::norms(gradient), of_weights = detail::norms(parameters.tensors());
  result.loss = loss / static_cast<double>(M);
  if (labels) result.error = wrong / static_cast<double>(M);
  result.gradient_l1 = of_gradient.l1 / static_cast<double>(M);
  result.gradient_l2 = of_gradient.l2 / static_cast<double>(M);
  result.weight_l1 = of_weights.l1;
  result.weight_l2 = of_weights.l2;
  if (!options.previous.empty()) {
    const detail::Norms update =
        detail::norms(detail::differences(parameters, trained.of(options.previous, "previous")));
    result.update_l1 = update.l1;
    result.update_l2 = update.l2;
  }
  if (!options.initial.empty()) {
    const auto initial = trained.of(options.initial, "initial");
    result.initial_distance_l2 = detail::norms(detail::differences(parameters, initial)).l2;
    const at::NoGradGuard no_grad;
    result.initial_distance_w2 = std::sqrt(WassersteinPenalty(initial)(parameters).item<double>());
  }
  if (static_cast<int64_t>(features.size()) == batches) {
    const at::Tensor all = at::cat(features).to(at::kCPU, at::kDouble).contiguous();
    using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const MatrixOf<double> phi = Eigen::Map<const RowMajor>(all.data_ptr<double>(), all.size(0), all.size(1));
    result.feature_rank = sagitta::feature_rank(phi, options.threshold);
    result.dormancy = sagitta::dormancy(phi);
    result.dormant_fraction = sagitta::dormant_fraction(phi, options.dormant_tau);
  }

  const GramResult fisher = empirical_fisher_gram(
      batches, [&](int64_t i) { return losses_of(model->forward(part(x, i)), part(y, i)); }, parameters,
      options.gram);
  result.fisher_rank = symmetric_effective_rank(fisher, options.threshold);
  const MatrixOf<double> K = detail::on_host(fisher.gram, "measure");
  result.overlap = gradient_gram_overlap(K, options.threshold, detail::rounding_of(fisher, K));
  result.check_error = fisher.check_error;
  result.fallback_parameters = fisher.fallback_parameters;

  const auto logits = [&] { return model->forward(x); };
  if (options.sampled_fisher)
    result.sampled_fisher_rank = symmetric_effective_rank(
        sampled_fisher_gram(
            logits, parameters,
            options.generator.defined() ? options.generator : at::detail::createCPUGenerator(options.seed),
            options.gram),
        options.threshold);
  if (options.gauss_newton) {
    const OutputLoss loss_kind = labels ? OutputLoss::softmax_cross_entropy : OutputLoss::squared_error;
    result.gauss_newton_rank = symmetric_effective_rank(
        gauss_newton_gram(logits, parameters, options.gram, loss_kind), options.threshold);
  }
  if (options.sharpness) {
    const HessianOperator hessian([&] { return losses_of(model->forward(x), y).mean(); }, parameters);
    std::mt19937_64 generator(options.seed);
    // products are in the model's precision, which bounds what can be asked for
    const double tolerance = parameters[0].scalar_type() == at::kDouble ? 1e-8 : 1e-4;
    const Eigenpairs top =
        extreme_eigenpairs(hessian, 1, generator, {.extreme = Extreme::largest, .tolerance = tolerance});
    if (top.converged) result.sharpness = top.values[0];
  }
  return result;
}

}  // namespace sagitta::libtorch
