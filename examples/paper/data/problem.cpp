#include "data/problem.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>

#include "data/problems/problems.hpp"

namespace paper {

Registry<ProblemType>& problem_types() {
  static Registry<ProblemType> all(
      "problem", {random_labels("random_label_mnist", "random-label MNIST", "mnist"),
                  permuted_pixels("permuted_mnist", "permuted MNIST", "mnist"),
                  projected_random_labels("projected_mnist", "projected MNIST", "mnist"),
                  random_labels("random_label_cifar", "random-label CIFAR-10", "cifar10"),
                  pairs_of_classes("continual_imagenet", "Continual ImageNet", "imagenet32"),
                  random_labels("random_label_own", "random labels of own images", "own"),
                  permuted_pixels("permuted_own", "permuted own images", "own"),
                  pairs_of_classes("pairs_own", "pairs of own classes", "own")});
  return all;
}

const DataSet& data_set_of(const std::string& problem) {
  return data_sets().at(problem_types().at(problem).data_set);
}

std::vector<Index> permutation(Index size, Generator generator) {
  std::vector<Index> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), Index{0});
  shuffle(order, generator);
  return order;
}

void scale(const ProblemSettings& settings, const DataSet& set, const ImageShape& shape,
           Eigen::MatrixXf& images) {
  if (settings.scaling == "unit") return;
  const auto& channels = settings.scaling == "standardized" ? set.standardized : set.scaling;
  if (channels.empty()) return;
  const Index plane = shape.height * shape.width;
  for (Index channel = 0; channel < shape.channels; ++channel) {
    const auto [mean, deviation] = channels[std::min(static_cast<std::size_t>(channel), channels.size() - 1)];
    auto part = images.middleRows(channel * plane, plane).array();
    part = (part - mean) / deviation;
  }
}

ImageShape shape_of(const Dataset& data) { return {data.channels, data.height, data.width}; }

namespace {

// images of a task: those asked for, or of data that are there in part what there is
Index task_images(const ProblemSettings& settings, const DataSet& set, const Dataset& data) {
  const auto available = static_cast<Index>(data.labels.size());
  if (settings.images <= available) return settings.images;
  if (set.partial) return available;
  throw std::invalid_argument("make_problem: " + std::to_string(settings.images) +
                              " images are asked for, but " + data.name + " has " +
                              std::to_string(available));
}

}  // namespace

Sample draw(const ProblemSettings& settings, const DataSet& set, DataLibrary& library) {
  const Dataset& data = library.images(set, settings.pool);
  const auto available = static_cast<Index>(data.labels.size());
  std::vector<Index> order = permutation(available, stream(settings.seed, "images"));
  order.resize(static_cast<std::size_t>(task_images(settings, set, data)));
  auto images = std::make_shared<Eigen::MatrixXf>(data.images(Eigen::all, indices(order)));
  scale(settings, set, shape_of(data), *images);
  std::vector<int> labels;
  labels.reserve(order.size());
  for (const Index i : order) labels.push_back(data.labels[static_cast<std::size_t>(i)]);
  return {std::move(images), std::move(labels), data.classes, shape_of(data)};
}

Dimensions dimensions_of_images(const ProblemSettings& settings, const DataSet& set, DataLibrary& library) {
  const Dataset& data = library.images(set, settings.pool);
  return {shape_of(data).size(), data.classes, task_images(settings, set, data), shape_of(data)};
}

Dimensions dimensions(const ProblemSettings& settings, DataLibrary& data) {
  const ProblemType& type = problem_types().at(settings.problem);
  return type.dimensions(settings, data_sets().at(type.data_set), data);
}

std::vector<std::string> remarks(const ProblemSettings& settings, Index tasks, DataLibrary& data) {
  std::vector<std::string> result;
  const std::string& problem = settings.problem;
  const ProblemType& type = problem_types().at(problem);
  const DataSet& set = data_sets().at(type.data_set);
  const ImageClasses* classes = type.by_class ? &data.classes(set) : nullptr;
  const std::string name = classes != nullptr ? classes->name : data.images(set, 1).name;
  if (name.starts_with("synthetic"))
    result.push_back(problem + ": NOT the paper's data but built-in " + set.stand_in +
                     ", as pictures and verdicts say too (" + name + ")");
  const Index images = dimensions(settings, data).images;
  if (images < settings.images)
    result.push_back(problem + ": " + std::to_string(settings.images) + " images a task are asked for, " +
                     name + " has " + std::to_string(images) +
                     (classes != nullptr ? " for training in two classes" : "") + "; all are taken");
  if (classes != nullptr && tasks > classes->classes / 2)
    result.push_back(problem + ": " + std::to_string(classes->classes) + " classes give " +
                     std::to_string(classes->classes / 2) + " disjoint pairs for " + std::to_string(tasks) +
                     " tasks; then the pairs are drawn anew");
  return result;
}

std::unique_ptr<Problem> make_problem(const ProblemSettings& settings, DataLibrary& data) {
  const ProblemType& type = problem_types().at(settings.problem);
  return type.make(settings, data_sets().at(type.data_set), data);
}

}  // namespace paper
