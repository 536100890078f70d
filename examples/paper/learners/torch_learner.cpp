#include "learners/torch_learner.hpp"

#include <ATen/core/ivalue.h>  // first: clang 14 needs it before 1.13's other headers

#include <ATen/Parallel.h>
#include <torch/version.h>

#include <cmath>
#include <stdexcept>

#include "learners/checkpoint.hpp"
#include "learners/measurements.hpp"
#include "learners/torch_convolution.hpp"
#include "learners/torch_group.hpp"
#include "learners/torch_mlp.hpp"

namespace paper {

TorchGroup::TorchGroup(std::span<const Configuration> configurations, const Task& task,
                       const TorchOptions& options)
    : configurations_(configurations.begin(), configurations.end()),
      options_(options),
      classes_(task.classes),
      diverged_(configurations.size()) {
  if (configurations_.empty()) throw std::invalid_argument("make_torch_group: no configurations");
  for (std::size_t k = 1; k < configurations_.size(); ++k)
    if (!same_group(configurations_[k], common()))
      throw std::invalid_argument("make_torch_group: configurations 0 and " + std::to_string(k) +
                                  " differ in more than activation, regulariser, strength and seed");
  if (const std::string problem = device_problem(options.device); !problem.empty())
    throw std::invalid_argument(problem);
  real_ = at::TensorOptions()
              .device(at::Device(options.device))
              .dtype(options.in_double ? at::kDouble : at::kFloat);
  whole_ = real_.dtype(at::kLong);
  at::globalContext().setAllowTF32CuDNN(false);
  at::set_num_threads(1);  // groups share the processors, and the numbers must not depend on how

  std::vector<const Activation*> of_networks;
  for (const Configuration& c : configurations_) of_networks.push_back(&activations().at(c.activation));
  if (network_of(common()).fully_connected) {
    const std::vector<Index> widths = network_widths(common(), task.inputs->rows(), classes_);
    network_ = std::make_unique<StackedMlp>(std::vector<int64_t>(widths.begin(), widths.end()), of_networks,
                                            common().leaky_slope, !common().ranks_biases(), real_);
  } else {
    check_images(task);
    network_ = std::make_unique<StackedConvolution>(common(), task.shape, classes_, of_networks, real_);
  }
  initialize();
  const bool loops = real_.device().is_cpu() && !options.device_operations;
  optimizer_.emplace(common(), network_->theta(), loops);
  penalty_.emplace(configurations_, *initial_, loops);
  std::vector<double> strengths;
  bool any = false;
  for (const Configuration& c : configurations_) {
    const Regularizer& regularizer = regularizer_of(c);
    const bool has = regularizer.batched == Regularizer::Batched::feature_rank;
    any = any || has;
    strengths.push_back(has ? c.strength : 0);
    if (regularizer.of_features && !has)
      throw std::invalid_argument("regulariser \"" + regularizer.name +
                                  "\": of features, which networks batched by LibTorch do not have; "
                                  "--learner eigen does");
  }
  if (any)
    feature_strengths_ = at::tensor(strengths, real_.dtype(at::kDouble)).view({size(), 1, 1});
  else  // the eigenvectors of that one wait for the device
    graphs_ = make_step_graphs(real_.device());
  errors_ = at::zeros({size()}, real_.dtype(at::kDouble));
  cross_entropy_ = at::zeros_like(errors_);
}

void TorchGroup::check_images(const Task& task) const {
  if (task.shape.size() != task.inputs->rows())
    throw std::invalid_argument("make_torch_group: " + common().architecture +
                                " needs images, and inputs of " + std::to_string(task.inputs->rows()) +
                                " features are none");
  const Index last = task.size() % common().batch;
  if (network_of(common()).whole_batches && common().normalizes_batches() && common().keeps_last_batch() &&
      (last == 1 || common().batch == 1))
    throw std::invalid_argument("make_torch_group: batch norm cannot train on a batch of 1 image (" +
                                std::to_string(task.size()) + " images in batches of " +
                                std::to_string(common().batch) + "); --last-batch drop leaves it out");
}

// What a network of these shapes begins with, [parameters]; the same draws as those of EigenMlp.
Tensor TorchGroup::draw(Generator generator) const {
  const bool glorot = common().initialization.starts_with("glorot");
  const bool is_uniform = common().initialization.ends_with("uniform");
  Tensor values = at::empty({network_->theta().size()}, at::kFloat);
  float* out = values.data_ptr<float>();
  for (const TensorShape& shape : network_->theta().shapes()) {
    const auto fan_in = static_cast<double>(shape.fan_in), fan_out = static_cast<double>(shape.fan_out);
    const double variance = glorot ? 2 / (fan_in + fan_out) : 2 / fan_in;
    const double bound = std::sqrt(3 * variance), deviation = std::sqrt(variance);
    for (int64_t i = 0; i < shape.elements(); ++i)
      *out++ = static_cast<float>(shape.fan_in == 0 ? shape.value
                                  : is_uniform      ? uniform(generator, -bound, bound)
                                                    : deviation * normal(generator));
  }
  return values;
}

void TorchGroup::initialize() {
  for (Index k = 0; k < size(); ++k)
    network_->theta().set_network(k, draw(stream(configurations_[place(k)].seed, "initialization")));
  initial_.emplace(network_->theta().like());
  initial_->flat().copy_(network_->theta().flat());
}

// the last layer as a network of this initialisation would begin with it, other numbers in every task
void TorchGroup::reset_heads(Index task) {
  for (Index k = 0; k < size(); ++k) {
    const Tensor fresh =
        draw(stream(configurations_[place(k)].seed, "head", static_cast<std::uint64_t>(task)));
    int64_t end = fresh.size(0);
    for (std::size_t t = network_->theta().tensors(); t-- > network_->theta().tensors() - 2;) {
      const int64_t length = network_->theta().shapes()[t].elements();
      network_->theta().rows(t).select(0, k).copy_(fresh.narrow(0, end - length, length));
      end -= length;
    }
  }
}

void TorchGroup::load(std::span<const Task> tasks) {
  const int64_t n = tasks[0].size(), inputs = tasks[0].inputs->rows();
  std::vector<std::shared_ptr<const Eigen::MatrixXf>> distinct;
  std::vector<int64_t> first;
  std::vector<int64_t> labels;
  for (const Task& task : tasks) {
    const auto found = std::find(distinct.begin(), distinct.end(), task.inputs);
    first.push_back((found - distinct.begin()) * n);
    if (found == distinct.end()) distinct.push_back(task.inputs);
    labels.insert(labels.end(), task.labels.begin(), task.labels.end());
  }
  const auto count = static_cast<int64_t>(distinct.size());
  // the buffers stay where they are while their sizes do: recorded steps refer to them
  if (!images_.defined() || images_.size(0) != count * n || labels_.size(1) != n) {
    images_ = at::empty({count * n, inputs}, real_);
    first_image_ = at::empty({size(), 1}, whole_);
    labels_ = at::empty({size(), n}, whole_);
    loaded_.clear();
    if (graphs_) graphs_->clear();
  }
  labels_.copy_(at::tensor(labels, at::kLong).view({size(), n}));
  if (distinct == loaded_) return;
  for (int64_t i = 0; i < count; ++i)
    images_.narrow(0, i * n, n)
        .copy_(at::from_blob(const_cast<float*>(distinct[place(i)]->data()), {n, inputs}, at::kFloat));
  first_image_.copy_(at::tensor(first, at::kLong).view({size(), 1}));
  loaded_ = std::move(distinct);
}

Tensor TorchGroup::examples(const Tensor& chosen) const {
  return images_.index_select(0, (chosen + first_image_).view({-1})).view({size(), chosen.size(1), -1});
}

// One update of every network by the examples chosen [K, n]. Nothing here waits for the device.
void TorchGroup::step(const Tensor& chosen, bool sorts) {
  const at::NoGradGuard no_grad;
  const Tensor labels = labels_.gather(1, chosen);
  const Tensor logits = network_->forward(examples(chosen), Pass::train).detach();
  const Loss loss = network_->loss(logits, labels);
  cross_entropy_.add_(loss.values.sum({1}, false, at::kDouble));
  errors_.add_(logits.argmax(2).ne(labels).sum({1}, false, at::kDouble));
  loss.slope.div_(static_cast<double>(chosen.size(1)));
  network_->backward(loss.slope, feature_strengths_.defined()
                                     ? feature_rank_slope(network_->features().detach(), feature_strengths_)
                                     : Tensor{});
  if (sorts) penalty_->sort(network_->theta());
  if (penalty_->any()) penalty_->add_gradient(network_->theta(), network_->gradient(), update_in_task_);
  optimizer_->update(network_->gradient(), network_->theta(), penalty_->shrinkage());
}

Index TorchGroup::train(const Tensor& order) {
  Index updates = 0;
  for (int64_t first = 0; first < order.size(1); first += common().batch, ++updates, ++update_in_task_) {
    const int64_t count = std::min<int64_t>(common().batch, order.size(1) - first);
    const bool sorts = penalty_->sorts(update_in_task_);
    if (!graphs_) {
      step(order.narrow(1, first, count).contiguous(), sorts);
      continue;
    }
    const int64_t kind = 2 * count + sorts;
    Tensor& chosen = chosen_[kind];
    if (!chosen.defined()) chosen = at::empty({size(), count}, whole_);
    chosen.copy_(order.narrow(1, first, count));
    graphs_->step(kind, [&] { step(chosen, sorts); });
  }
  return updates;
}

std::vector<EpochReport> TorchGroup::train_epoch(std::span<const Task> tasks,
                                                 std::span<const std::vector<Index>> orders) {
  if (update_in_task_ == 0) load(tasks);
  const auto length = static_cast<int64_t>(orders[0].size());
  Tensor order = at::empty({size(), length}, at::kLong);
  for (Index k = 0; k < size(); ++k)
    std::copy(orders[place(k)].begin(), orders[place(k)].end(), order.data_ptr<int64_t>() + k * length);
  order = order.to(real_.device());
  errors_.zero_();
  cross_entropy_.zero_();
  const Tensor l1_before = optimizer_->update_l1().clone();
  Index updates = 0;
  if (graphs_)
    graphs_->epoch([&] { updates = train(order); });
  else
    updates = train(order);
  const Tensor l1 = (optimizer_->update_l1() - l1_before).cpu(), errors = errors_.cpu(),
               cross_entropy = cross_entropy_.cpu();
  std::vector<EpochReport> reports;
  for (Index k = 0; k < size(); ++k) {
    if (diverged(k)) {  // learns no more
      reports.emplace_back();
      continue;
    }
    const EpochReport report{updates, errors.data_ptr<double>()[k], cross_entropy.data_ptr<double>()[k],
                             l1.data_ptr<double>()[k]};
    if (!std::isfinite(report.cross_entropy) || !std::isfinite(report.update_l1)) diverged_[place(k)] = 1;
    reports.push_back(report);
  }
  return reports;
}

// A network's part of everything that changes, on the host.
std::vector<std::byte> TorchGroup::state(Index network) const {
  Writer writer;
  writer(diverged_[place(network)]);
  writer(optimizer_->step().item<double>());
  for (const Stack* stack : changing()) {
    const Tensor values = stack->network(network);
    writer(std::span(static_cast<const std::byte*>(values.data_ptr()), values.nbytes()));
  }
  return writer.take();
}

void TorchGroup::restore(Index network, std::span<const std::byte> state) {
  Reader reader(state);
  reader(diverged_[place(network)]);
  double step = 0;
  reader(step);
  if (restored_ && step != optimizer_->step().item<double>())
    throw std::runtime_error("Learner::restore: the networks of a group differ in their number of updates");
  restored_ = true;
  optimizer_->step().fill_(step);
  for (const Stack* stack : changing()) {
    Tensor values = at::empty({stack->size()}, stack->flat().options().device(at::kCPU));
    reader(std::span(static_cast<std::byte*>(values.data_ptr()), values.nbytes()));
    stack->set_network(network, values);
  }
  reader.finish();
}

std::string device_problem(const std::string& device) {
  try {
    const at::Device wanted(device);
    if (device == "cpu") return "";
    if (!wanted.is_cuda()) return "device \"" + device + "\": expected cpu, cuda or cuda:N";
#ifdef SAGITTA_PAPER_CUDA
    const std::string why = "it finds no GPU or no driver";
#else
    const std::string why = "it is built without CUDA";
#endif
    if (!at::hasCUDA())
      return "device \"" + device + "\": no GPU can be used: LibTorch " TORCH_VERSION " was found, and " +
             why;
    const int count = static_cast<int>(at::detail::getCUDAHooks().getNumGPUs());
    if (wanted.index() >= count)
      return "device \"" + device + "\": there are " + std::to_string(count) + " GPUs, numbered from 0";
    return "";
  } catch (const c10::Error&) {
    return "device \"" + device + "\": expected cpu, cuda or cuda:N";
  }
}

std::unique_ptr<LearnerGroup> make_torch_group(std::span<const Configuration> configurations,
                                               const Task& task, const TorchOptions& options) {
  return std::make_unique<TorchGroup>(configurations, task, options);
}

}  // namespace paper
