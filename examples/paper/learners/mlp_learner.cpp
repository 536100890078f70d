#include <cmath>
#include <limits>
#include <numeric>
#include <sagitta/sagitta.hpp>
#include <stdexcept>

#include "learners/checkpoint.hpp"
#include "learners/eigen_mlp.hpp"
#include "learners/learner.hpp"
#include "learners/measurements.hpp"
#include "learners/network.hpp"
#include "learners/optimizer.hpp"
#include "learners/regularizer.hpp"

namespace paper {

namespace {

class MlpLearner : public Learner {
 public:
  MlpLearner(const Configuration& configuration, Index inputs, Index classes)
      : configuration_(configuration),
        regularizer_(regularizer_of(configuration)),
        network_(network_widths(configuration, inputs, classes), activations().at(configuration.activation),
                 static_cast<float>(configuration.leaky_slope)),
        optimizer_(configuration, network_.parameters()) {
    Generator generator = stream(configuration.seed, "initialization");
    network_.initialize(configuration.initialization, generator);
    initial_ = network_.theta();
    for (Index t = 0; t < network_.tensors(); ++t) {
      const auto initial = network_.tensor(std::as_const(initial_), t);
      wasserstein_.emplace_back(initial);
      if (regularizer_.of_tensor && !decouples())
        penalties_.push_back(regularizer_.of_tensor(initial, configuration));
    }
    if (regularizer_.of_features) feature_penalty_ = regularizer_.of_features(configuration);
  }

  std::vector<Measured> measure_start(const Task& task) override;
  void begin_task() override {
    update_in_task_ = 0;
    if (configuration_.resets_optimizer()) optimizer_.reset();
  }
  EpochReport train_epoch(const Task& task, std::span<const Index> order) override;
  std::vector<Measured> measure_end(const Task& task) override;
  bool diverged() const override { return diverged_ != 0; }
  Index parameters() const override { return network_.parameters(); }

  std::vector<std::byte> state() const override {
    Writer writer;
    exchange(*this, writer);
    return writer.take();
  }
  void restore(std::span<const std::byte> state) override {
    Reader reader(state);
    exchange(*this, reader);
    reader.finish();
  }

 private:
  template <class Self, class Archive>
  static void exchange(Self& self, Archive& archive) {
    archive(self.diverged_);
    archive(elements(self.network_.theta()));
    self.optimizer_.exchange(self.optimizer_, archive);
  }
  // sums cross-entropy and errors over the examples of the last forward call; leaves softmax - onehot behind
  void score(const std::vector<int>& labels, std::span<const Index> examples, EpochReport& report);
  void regularize();
  void reset_head(Index task);
  // curvature by the empirical Fisher of some of the examples, features, gradient
  std::vector<Measured> measure_by_samples(const Task& task);
  template <class Moment>
  std::vector<Measured> diverge() {
    diverged_ = 1;
    return undefined<Moment>();
  }
  // whether the regulariser acts on the parameters, not through the loss
  bool decouples() const { return regularizer_.decays && configuration_.decouples_weight_decay(); }
  bool regularizes(Index tensor) const { return configuration_.regularizes_biases() || tensor % 2 == 0; }

  Configuration configuration_;
  const Regularizer& regularizer_;
  EigenMlp<float> network_;
  Optimizer<float> optimizer_;
  Eigen::VectorXf initial_, gradient_, before_;
  Eigen::MatrixXf batch_, logits_gradient_, features_gradient_;
  std::vector<sagitta::WassersteinPenalty<float>> wasserstein_;  // a tensor each, to measure by
  std::vector<std::unique_ptr<Penalty>> penalties_;              // a tensor each, or none
  std::unique_ptr<FeaturePenalty> feature_penalty_;
  Index update_in_task_ = 0;
  double update_l1_ = 0;  // over the updates of this task
  Index updates_ = 0;
  std::uint8_t diverged_ = 0;
};

void MlpLearner::score(const std::vector<int>& labels, std::span<const Index> examples, EpochReport& report) {
  const Eigen::MatrixXf& logits = network_.forward(batch_);
  logits_gradient_.resizeLike(logits);
  for (Index j = 0; j < logits.cols(); ++j) {
    const int label = labels[static_cast<std::size_t>(examples[static_cast<std::size_t>(j)])];
    Index best = 0;
    const float highest = logits.col(j).maxCoeff(&best);
    auto p = logits_gradient_.col(j);
    p = (logits.col(j).array() - highest).exp().matrix();
    const float total = p.sum();
    report.cross_entropy += static_cast<double>(std::log(total) + highest - logits(label, j));
    report.errors += best != label;
    p /= total;
    p[label] -= 1;
  }
}

void MlpLearner::regularize() {
  for (Index t = 0; t < std::ssize(penalties_); ++t)
    if (regularizes(t))
      penalties_[static_cast<std::size_t>(t)]->add_gradient(
          network_.tensor(std::as_const(network_).theta(), t), configuration_.strength, update_in_task_,
          network_.tensor(gradient_, t));
}

EpochReport MlpLearner::train_epoch(const Task& task, std::span<const Index> order) {
  EpochReport report;
  if (update_in_task_ == 0) update_l1_ = 0, updates_ = 0;
  const auto batch = static_cast<std::size_t>(configuration_.batch);
  for (std::size_t first = 0; first < order.size() && !diverged(); first += batch) {
    const auto examples = order.subspan(first, std::min(batch, order.size() - first));
    batch_ = (*task.inputs)(Eigen::all, indices(examples));
    score(task.labels, examples, report);
    if (!std::isfinite(report.cross_entropy)) {
      diverged_ = 1;
      break;
    }
    logits_gradient_ /= static_cast<float>(examples.size());  // training minimises the mean
    if (feature_penalty_) {
      feature_penalty_->gradient(network_.features(), features_gradient_);
      features_gradient_ *= static_cast<float>(configuration_.strength);
    }
    network_.backward(logits_gradient_, feature_penalty_ ? &features_gradient_ : nullptr);
    network_.gradient(gradient_);
    regularize();
    if (decouples()) before_ = network_.theta();
    double change = optimizer_.update(gradient_, network_.theta());
    if (decouples()) {  // of the parameters before the update (Loshchilov and Hutter 2019)
      const auto shrink = static_cast<float>(2 * configuration_.strength * configuration_.learning_rate);
      for (Index t = 0; t < network_.tensors(); ++t)
        if (regularizes(t)) network_.tensor(network_.theta(), t) -= shrink * network_.tensor(before_, t);
      change = (network_.theta() - before_).cast<double>().lpNorm<1>();
    }
    report.update_l1 += change;
    ++report.updates;
    ++update_in_task_;
    if (!std::isfinite(report.update_l1)) diverged_ = 1;
  }
  update_l1_ += report.update_l1;
  updates_ += report.updates;
  return report;
}

std::vector<Measured> MlpLearner::measure_start(const Task& task) {
  if (configuration_.resets_head() && task.number > 0) reset_head(task.number);
  std::vector<Measured> metrics = measure_by_samples(task);
  if (!configuration_.measures_exactly()) return metrics;
  const std::vector<Measured> exact =
      exact_values(configuration_, task, diverged(), network_.theta().cast<double>());
  metrics.insert(metrics.end(), exact.begin(), exact.end());
  return metrics;
}

// the last layer as a network of this initialisation would begin with it, other numbers in every task
void MlpLearner::reset_head(Index task) {
  EigenMlp<float> fresh = network_;
  Generator generator = stream(configuration_.seed, "head", static_cast<std::uint64_t>(task));
  fresh.initialize(configuration_.initialization, generator);
  for (const Index t : {network_.tensors() - 2, network_.tensors() - 1})
    network_.tensor(network_.theta(), t) = fresh.tensor(fresh.theta(), t);
}

std::vector<Measured> MlpLearner::measure_by_samples(const Task& task) {
  if (diverged()) return undefined<TaskStart>();

  const std::vector<Index> examples = rank_examples(configuration_, task.size());
  batch_ = (*task.inputs)(Eigen::all, indices(examples));
  EpochReport unused;
  score(task.labels, examples, unused);
  if (!std::isfinite(unused.cross_entropy)) return diverge<TaskStart>();
  network_.backward(logits_gradient_);
  auto traces = network_.traces();
  Index counted = parameters(), widest = 1;
  for (auto& trace : traces) {
    widest = std::max(widest, trace.inputs.cols() + trace.backprops.cols());
    if (configuration_.ranks_biases()) continue;
    trace.has_bias = false;
    counted -= trace.backprops.cols();
  }
  Eigen::MatrixXd K = sagitta::gram(traces);

  // features of all of the task's images, a row an example
  Eigen::MatrixXf features(task.size(), configuration_.width);
  constexpr Index block = 1024;
  for (Index first = 0; first < task.size(); first += block) {
    const Index count = std::min(block, task.size() - first);
    network_.forward(task.inputs->middleCols(first, count));
    features.middleRows(first, count) = network_.features().transpose();
  }
  if (!features.allFinite()) return diverge<TaskStart>();
  return start_values(std::move(K), widest, counted, std::move(features), configuration_.threshold);
}

std::vector<Measured> MlpLearner::measure_end(const Task& task) {
  if (diverged()) return undefined<TaskEnd>();
  EpochReport scores;
  std::vector<Index> examples;
  constexpr Index block = 1024;
  for (Index first = 0; first < task.size(); first += block) {
    const Index count = std::min(block, task.size() - first);
    examples.resize(static_cast<std::size_t>(count));
    std::iota(examples.begin(), examples.end(), first);
    batch_ = task.inputs->middleCols(first, count);
    score(task.labels, examples, scores);
  }
  if (!std::isfinite(scores.cross_entropy)) return diverge<TaskEnd>();
  const Eigen::VectorXf& theta = network_.theta();
  double wasserstein = 0;
  for (Index t = 0; t < network_.tensors(); ++t)
    wasserstein += wasserstein_[static_cast<std::size_t>(t)].value(network_.tensor(theta, t));
  return end_values({task.size(), scores.errors, scores.cross_entropy, updates_, update_l1_},
                    theta.cast<double>(), initial_.cast<double>(), wasserstein);
}

}  // namespace

bool has_learner([[maybe_unused]] const Configuration& configuration) {
#ifdef SAGITTA_PAPER_TORCH
  return true;
#else
  return network_of(configuration).fully_connected;
#endif
}

std::unique_ptr<Learner> make_learner(const Configuration& configuration, Index inputs, Index classes) {
  if (!network_of(configuration).fully_connected)
    throw std::invalid_argument(
        "make_learner: " + configuration.architecture +
        " needs the LibTorch learner, which this program was built without; configure with "
        "-DSAGITTA_WITH_LIBTORCH=ON and LibTorch on CMAKE_PREFIX_PATH");
  return std::make_unique<MlpLearner>(configuration, inputs, classes);
}

}  // namespace paper
