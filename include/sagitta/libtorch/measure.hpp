#pragma once

#include <sagitta/libtorch/parameters.hpp>  // first: see there

#include <ATen/CPUGeneratorImpl.h>

#include <random>
#include <sagitta/features.hpp>
#include <sagitta/gradient_overlap.hpp>
#include <sagitta/lanczos.hpp>
#include <sagitta/libtorch/detail/measuring.hpp>
#include <sagitta/libtorch/operators.hpp>
#include <sagitta/libtorch/penalties.hpp>
#include <sagitta/libtorch/rank.hpp>

// Every diagnostic of the paper in one call (sections 2.2, 4 and 6; Figures 1, 5 and 16).
namespace sagitta::libtorch {

struct MeasureOptions {
  // the losses of all samples, [M], from the model's output and y; where none is given, the cross-entropy of
  // logits [M, C] for whole numbers y, and the summed squared error of a sample for others. Tokens are
  // samples where it gives a loss for each of them, [M T], as the cross-entropy of logits [M, T, C] and y [M,
  // T] does.
  std::function<at::Tensor(const at::Tensor& output, const at::Tensor& y)> losses;
  int64_t ignore_index = -100;       // a label that makes no sample and no error (padding)
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

struct Unavailable {
  std::string quantity;  // the name of the first field concerned, "fisher_rank"
  std::string reason;
};

// Quantities that were not asked for, that their definition leaves open or that could not be computed are
// quiet NaNs or empty; `unavailable` has the reasons of the last.
struct Measurement {
  static constexpr double none = std::numeric_limits<double>::quiet_NaN();
  int64_t samples = 0, parameters = 0;            // samples: losses, without ignored labels
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
  std::vector<Unavailable> unavailable;                 // what could not be computed, and why
};

// Copies of all parameters of a model, for MeasureOptions::previous and initial.
template <class Model>
std::vector<at::Tensor> snapshot(const Model& model) {
  std::vector<at::Tensor> copies;
  for (const at::Tensor& p : model->parameters()) copies.push_back(p.detach().clone());
  return copies;
}

namespace detail {

template <class Model>
class Measuring {
 public:
  Measuring(const Model& model, const at::Tensor& x, const at::Tensor& y, const MeasureOptions& options)
      : eval_(model), model_(model), trained_(trained_parameters(model)), x_(x), y_(y), options_(options) {
    check_parameters(parameters_, "measure");
    check_grad_mode("measure");
    sagitta::detail::check_threshold(options.threshold, "measure");
    if (!x.defined() || !y.defined() || x.dim() == 0 || y.dim() == 0 || x.size(0) != y.size(0) ||
        x.size(0) == 0)
      reject("measure", "x and y are of sizes ", x.defined() ? x.sizes() : at::IntArrayRef{}, " and ",
             y.defined() ? y.sizes() : at::IntArrayRef{},
             ", expected the same number of samples, at least one");
    if (options.batch_size < 0)
      reject("measure", "options.batch_size is ", options.batch_size, ", expected a number >= 0");
    labels_.emplace(y, options.ignore_index);
    size_ = options.batch_size > 0 ? std::min(options.batch_size, x.size(0)) : x.size(0);
    batches_ = (x.size(0) + size_ - 1) / size_;
    for (const at::Tensor& buffer : model->buffers()) buffers_.before_write(buffer);
  }

  Measurement run() {
    result_.parameters = parameters_.elements();
    weights();
    forward_and_backward();
    features();
    fisher();
    if (options_.sampled_fisher) sampled_fisher();
    if (options_.gauss_newton) gauss_newton();
    if (options_.sharpness) sharpness();
    return std::move(result_);
  }

 private:
  // What fails here costs this quantity, not the others.
  template <class Work>
  bool attempt(const char* quantity, const Work& work) {
    try {
      explained("measure", work);
      return true;
    } catch (const std::invalid_argument& error) {
      result_.unavailable.push_back({quantity, error.what()});
      return false;
    }
  }

  at::Tensor part(const at::Tensor& t, int64_t i) const {
    return t.narrow(0, i * size_, std::min(size_, t.size(0) - i * size_));
  }
  at::Tensor losses_of(const at::Tensor& output, const at::Tensor& y) const {
    const at::Tensor losses = options_.losses ? options_.losses(output, y) : labels_->losses(output, y);
    return losses.defined() ? labels_->kept(losses, y) : losses;
  }
  // of all samples, [n, C]
  at::Tensor logits() const {
    const at::Tensor output = model_->forward(x_);
    const bool of_tokens = labels_->whole_numbers() && Labels::match(output, y_);
    return labels_->kept(of_tokens ? output.flatten(0, -2) : output, y_);
  }

  void weights() {
    const Norms weights = norms(parameters_.tensors());
    result_.weight_l1 = weights.l1;
    result_.weight_l2 = weights.l2;
    if (!options_.previous.empty()) {
      const Norms update = norms(differences(parameters_, trained_.of(options_.previous, "previous")));
      result_.update_l1 = update.l1;
      result_.update_l2 = update.l2;
    }
    if (options_.initial.empty()) return;
    const auto initial = trained_.of(options_.initial, "initial");
    result_.initial_distance_l2 = norms(differences(parameters_, initial)).l2;
    attempt("initial_distance_w2", [&] {
      result_.initial_distance_w2 =
          std::sqrt(WassersteinPenalty(initial).value(parameters_).template item<double>());
    });
  }

  // one pass for what needs no per-sample gradients
  void forward_and_backward() {
    std::vector<at::Tensor> gradient(parameters_.size());
    const Parameters all_parameters(model_->parameters());
    GeneratorStates generators(parameters_[0].device());
    KeptGradients kept(parameters_);
    double loss = 0, wrong = 0;
    bool classifies = labels_->whole_numbers(), known = true;  // known: the gradient
    for (int64_t i = 0; i < batches_; ++i) {
      Recorder recorder(all_parameters, is_linear);
      recorder.frozen = true;
      at::Tensor output;
      const Question question{"measure",
                              [&](int64_t batch) {
                                output = model_->forward(part(x_, batch));
                                return losses_of(output, part(y_, batch));
                              },
                              {}};
      MovedTensors moved;
      const at::Tensor losses = run_forward(question, i, parameters_, recorder, generators, moved);
      const ExactArithmetic exact;
      check_defined(losses, "measure", "losses");
      if (losses.dim() != 1)
        reject("measure", "losses is of shape ", losses.sizes(),
               ", expected [M]: one loss a sample (reduction none)");
      losses_.push_back(losses.detach().to(at::kDouble));
      loss += losses_.back().sum().template item<double>();
      result_.samples += losses.size(0);
      classifies = classifies && Labels::match(output, part(y_, i));
      if (classifies) wrong += labels_->errors(output, part(y_, i));
      if (const at::Tensor f = features_of(recorder.calls, part(x_, i).size(0)); f.defined())
        features_.push_back(labels_->kept(f, part(y_, i)));
      if (losses.requires_grad() && known)
        known = attempt("gradient_l1", [&] { add_gradient(losses, gradient, kept); });
    }
    kept.check("measure");
    classifies_ = classifies;
    if (result_.samples == 0)
      return void(
          result_.unavailable.push_back({"loss", "measure: every label is ignored, expected a sample"}));
    const auto samples = static_cast<double>(result_.samples);
    attempt("loss", [&] {
      for (const at::Tensor& losses : losses_) check_finite(losses.unsqueeze(1), "measure", "the loss");
      result_.loss = loss / samples;
      if (classifies) result_.error = wrong / samples;
    });
    if (!known) return;
    std::erase_if(gradient, [](const at::Tensor& g) { return !g.defined(); });
    const Norms of_gradient = norms(gradient);
    result_.gradient_l1 = of_gradient.l1 / samples;
    result_.gradient_l2 = of_gradient.l2 / samples;
  }
  void add_gradient(const at::Tensor& losses, std::vector<at::Tensor>& gradient, KeptGradients& kept) {
    keep_gradients(CoverageWalk(losses, parameters_).coverage(parameters_.size(), {}), kept);
    const auto parts = backward(losses, at::ones_like(losses), parameter_edges(parameters_), "measure");
    for (std::size_t p = 0; p < parts.size(); ++p)
      if (parts[p].defined()) gradient[p] = gradient[p].defined() ? gradient[p] + parts[p] : parts[p];
  }

  void features() {
    if (static_cast<int64_t>(features_.size()) != batches_) return;
    attempt("feature_rank", [&] {
      const at::Tensor all = at::cat(features_).to(at::kCPU, at::kDouble).contiguous();
      using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
      const MatrixOf<double> phi =
          Eigen::Map<const RowMajor>(all.template data_ptr<double>(), all.size(0), all.size(1));
      result_.feature_rank = sagitta::feature_rank(phi, options_.threshold);
      result_.dormancy = sagitta::dormancy(phi);
      result_.dormant_fraction = sagitta::dormant_fraction(phi, options_.dormant_tau);
    });
  }

  void fisher() {
    attempt("fisher_rank", [&] {
      const GramResult fisher = empirical_fisher_gram(
          batches_,
          [&](int64_t i) { return repeated(losses_of(model_->forward(part(x_, i)), part(y_, i)), i); },
          parameters_, options_.gram);
      const auto curvature =
          sagitta::detail::gram_curvature(gradient_gram(fisher), options_.threshold, "measure");
      result_.fisher_rank = curvature.rank;
      result_.overlap = curvature.overlap;
      result_.check_error = fisher.check_error;
      result_.fallback_parameters = fisher.fallback_parameters;
    });
  }
  // the losses of a second pass, which must be those of the first
  at::Tensor repeated(const at::Tensor& losses, int64_t i) const {
    const at::Tensor before = losses_[static_cast<std::size_t>(i)], now = losses.detach().to(at::kDouble);
    const double slack = std::sqrt(unit_of(losses.scalar_type()));
    const at::Tensor size = now.abs() + before.abs();
    if (now.sizes() != before.sizes() ||
        (now - before).abs().gt((size + size.mean()) * slack).any().template item<bool>())
      reject("measure",
             "the forward pass does not repeat: its losses differ between two calls, expected the same");
    return losses;
  }

  void sampled_fisher() {
    attempt("sampled_fisher_rank", [&] {
      result_.sampled_fisher_rank = symmetric_effective_rank(
          sampled_fisher_gram([&] { return logits(); }, parameters_,
                              options_.generator.defined() ? options_.generator
                                                           : at::detail::createCPUGenerator(options_.seed),
                              options_.gram),
          options_.threshold);
    });
  }

  void gauss_newton() {
    attempt("gauss_newton_rank", [&] {
      const OutputLoss loss = classifies_ ? OutputLoss::softmax_cross_entropy : OutputLoss::squared_error;
      result_.gauss_newton_rank = symmetric_effective_rank(
          gauss_newton_gram([&] { return logits(); }, parameters_, options_.gram, loss), options_.threshold);
    });
  }

  void sharpness() {
    attempt("sharpness", [&] {
      const HessianOperator hessian([&] { return losses_of(model_->forward(x_), y_).mean(); }, parameters_);
      std::mt19937_64 generator(options_.seed);
      // products are in the model's precision, which bounds what can be asked for
      const double tolerance = parameters_[0].scalar_type() == at::kDouble ? 1e-8 : 1e-4;
      const Eigenpairs top =
          extreme_eigenpairs(hessian, 1, generator, {.extreme = Extreme::largest, .tolerance = tolerance});
      if (!top.converged)
        reject("measure", "the largest eigenvalue did not converge in ", top.products,
               " products with the Hessian");
      result_.sharpness = top.values[0];
    });
  }

  const EvalMode<Model> eval_;
  mutable Model model_;  // a holder or pointer, whose forward is not const
  const Trained trained_;
  const Parameters& parameters_ = trained_.parameters;
  const at::Tensor &x_, &y_;
  const MeasureOptions& options_;
  std::optional<Labels> labels_;
  int64_t size_ = 0, batches_ = 0;             // samples of a batch
  bool classifies_ = false;                    // whether outputs are logits for the labels
  MovedTensors buffers_;                       // the model's
  std::vector<at::Tensor> losses_, features_;  // of the batches
  Measurement result_;
};

}  // namespace detail

// Measures a model at a batch.
//   model: a module holder or a pointer to a module, whose forward takes x and gives one tensor
//   x: [M, ...];  y: [M, ...], the labels or targets
// The model is measured in eval mode and put back, parameters that do not require grad are left out, and
// nothing of its state changes. What cannot be computed (an output that is NaN, an operator without a second
// derivative, a Gram matrix that fails its check) is NaN or empty, with the reason in
// Measurement::unavailable. Throws std::invalid_argument for arguments that do not fit: parameters, x and y,
// labels, options, snapshots of another model. Two forward and, with the check, four backward passes, the
// products of the Gram matrix, and its eigenvalues on the host (4/3 M^3).
template <class Model>
Measurement measure(Model model, const at::Tensor& x, const at::Tensor& y,
                    const MeasureOptions& options = {}) {
  return detail::Measuring<Model>(model, x, y, options).run();
}

}  // namespace sagitta::libtorch
