#include <algorithm>
#include <cmath>
#include <sagitta/sagitta.hpp>

#include "learners/measurements.hpp"
#include "learners/parallel.hpp"
#include "learners/torch_group.hpp"

namespace paper {

namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

}  // namespace

template <class Visit>
void TorchGroup::pass_over_all(Index size_of_tasks, Visit visit) {
  const at::NoGradGuard no_grad;
  const int64_t block = std::max<int64_t>(1, network_->examples_at_once() / size());
  for (int64_t first = 0; first < size_of_tasks; first += block) {
    const int64_t count = std::min<int64_t>(block, size_of_tasks - first);
    const Tensor chosen = at::arange(first, first + count, whole_).expand({size(), count});
    const Tensor logits = network_->forward(examples(chosen), Pass::measure);
    visit(chosen, network_->features(), logits);
  }
}

std::vector<std::vector<Measured>> TorchGroup::measure_start(std::span<const Task> tasks) {
  load(tasks);
  if (common().resets_head() && tasks[0].number > 0) reset_heads(tasks[0].number);
  // curvature: the Gram matrices of the per-sample gradients of the same few examples in every task
  const Index n = tasks[0].size(), samples = std::min(common().rank_samples, n);
  Tensor chosen = at::empty({size(), samples}, at::kLong);
  for (Index k = 0; k < size(); ++k) {
    const std::vector<Index> order = rank_examples(configurations_[place(k)], n);
    std::copy(order.begin(), order.end(), chosen.data_ptr<int64_t>() + k * samples);
  }
  chosen = chosen.to(real_.device());
  const Tensor grams = network_->gram(examples(chosen), labels_.gather(1, chosen)).cpu().contiguous();

  // features of all of the tasks' images
  std::vector<Tensor> parts;
  pass_over_all(n, [&](const Tensor&, const Tensor& features, const Tensor&) {
    parts.push_back(features.to(at::kCPU, at::kFloat));
  });
  const Tensor features = at::cat(parts, 1);

  int64_t counted = 0;  // parameters in the gradients
  for (const TensorShape& shape : network_->theta().shapes())
    if (common().ranks_biases() || shape.sizes.size() > 1) counted += shape.elements();
  std::vector<std::vector<Measured>> result(place(size()));
  parallel(size(), options_.threads, [&](Index k) {
    auto& metrics = result[place(k)];
    const Eigen::Map<const Eigen::MatrixXd> K(grams.data_ptr<double>() + k * samples * samples, samples,
                                              samples);
    const Tensor own = features.select(0, k).contiguous();
    const Eigen::Map<const RowMajor> phi(own.data_ptr<float>(), n, own.size(1));
    if (diverged(k) || !K.allFinite() || !phi.allFinite()) {
      diverged_[place(k)] = 1;
      metrics = undefined<TaskStart>();
    } else {
      metrics = start_values(K, network_->widest_product(), counted, phi, common().threshold);
    }
    if (!common().measures_exactly()) return;
    const Tensor theta = network_->theta().network(k).to(at::kDouble);
    const Eigen::Map<const Eigen::VectorXd> values(theta.data_ptr<double>(), theta.size(0));
    for (Measured& metric : exact_values(configurations_[place(k)], tasks[place(k)], diverged(k), values))
      metrics.push_back(std::move(metric));
  });
  return result;
}

std::vector<std::vector<Measured>> TorchGroup::measure_end(std::span<const Task> tasks) {
  load(tasks);
  Tensor errors = at::zeros_like(errors_), cross_entropy = at::zeros_like(errors_);
  pass_over_all(tasks[0].size(), [&](const Tensor& chosen, const Tensor&, const Tensor& logits) {
    const Tensor labels = labels_.gather(1, chosen);
    const Tensor of_label = logits.gather(2, labels.unsqueeze(2)).squeeze(2);
    cross_entropy.add_((at::logsumexp(logits, {2}) - of_label).sum({1}, false, at::kDouble));
    errors.add_(logits.argmax(2).ne(labels).sum({1}, false, at::kDouble));
  });
  const Tensor l1 = optimizer_->update_l1().cpu();
  errors = errors.cpu();
  cross_entropy = cross_entropy.cpu();
  std::vector<std::vector<Measured>> result(place(size()));
  parallel(size(), options_.threads, [&](Index k) {
    const double entropy = cross_entropy.data_ptr<double>()[k];
    if (!std::isfinite(entropy)) diverged_[place(k)] = 1;
    if (diverged(k)) {
      result[place(k)] = undefined<TaskEnd>();
      return;
    }
    const auto vector = [](const Tensor& values) {
      return Eigen::Map<const Eigen::VectorXd>(values.data_ptr<double>(), values.size(0));
    };
    const Tensor now = network_->theta().network(k).to(at::kDouble),
                 then = initial_->network(k).to(at::kDouble);
    const auto theta = vector(now), initial = vector(then);
    double wasserstein = 0;
    Index start = 0;
    for (const TensorShape& shape : network_->theta().shapes()) {
      const Index length = shape.elements();
      wasserstein +=
          sagitta::WassersteinPenalty(initial.segment(start, length)).value(theta.segment(start, length));
      start += length;
    }
    result[place(k)] = end_values(
        {tasks[0].size(), errors.data_ptr<double>()[k], entropy, update_in_task_, l1.data_ptr<double>()[k]},
        theta, initial, wasserstein);
  });
  return result;
}

}  // namespace paper
