#include "problem.hpp"

#include <cmath>
#include <cstdio>
#include <numeric>
#include <stdexcept>
#include <string>

#include "random.hpp"

namespace paper {

namespace {

std::vector<Index> permutation(Index size, Generator generator) {
  std::vector<Index> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), Index{0});
  shuffle(order, generator);
  return order;
}

// the images that all tasks of a run share
struct Sample {
  std::shared_ptr<const Eigen::MatrixXf> images;
  std::vector<int> labels;
  Index classes;
  ImageShape shape;
};

Sample draw(const Configuration& configuration, const Dataset& data) {
  const auto available = static_cast<Index>(data.labels.size());
  if (configuration.images > available)
    throw std::invalid_argument("make_problem: " + std::to_string(configuration.images) +
                                " images are asked for, but " + data.name + " has " +
                                std::to_string(available));
  std::vector<Index> order = permutation(available, stream(configuration.seed, "images"));
  order.resize(static_cast<std::size_t>(configuration.images));
  auto images = std::make_shared<Eigen::MatrixXf>(data.images(Eigen::all, indices(order)));
  std::vector<int> labels;
  for (const Index i : order) labels.push_back(data.labels[static_cast<std::size_t>(i)]);
  return {std::move(images), std::move(labels), data.classes, {data.channels, data.height, data.width}};
}

// "the labels of each image are periodically shuffled" (section 3, appendix B.1)
class RandomLabels : public Problem {
 public:
  RandomLabels(const Configuration& configuration, Sample sample)
      : configuration_(configuration), sample_(std::move(sample)) {}

  Task task(Index number) const override {
    Task task{number, sample_.images, sample_.labels, sample_.classes, sample_.shape};
    if (number == 0 && configuration_.first_task == "unchanged") return task;
    Generator generator = stream(configuration_.seed, "labels", static_cast<std::uint64_t>(number));
    if (configuration_.label_change == "permute")
      shuffle(task.labels, generator);
    else
      for (int& label : task.labels)
        label = static_cast<int>(below(generator, static_cast<std::uint64_t>(task.classes)));
    return task;
  }

 private:
  Configuration configuration_;
  Sample sample_;
};

// "the permutation of pixels are shuffled" (appendix B.2)
class PermutedPixels : public Problem {
 public:
  PermutedPixels(const Configuration& configuration, Sample sample)
      : configuration_(configuration), sample_(std::move(sample)) {}

  Task task(Index number) const override {
    Task task{number, sample_.images, sample_.labels, sample_.classes, sample_.shape};
    if (number == 0 && configuration_.first_task != "changed") return task;
    const std::vector<Index> order = permutation(
        sample_.images->rows(), stream(configuration_.seed, "pixels", static_cast<std::uint64_t>(number)));
    task.inputs = std::make_shared<Eigen::MatrixXf>((*sample_.images)(indices(order), Eigen::all));
    return task;
  }

 private:
  Configuration configuration_;
  Sample sample_;
};

// "a stochastic projection matrix to reduce the dimensionality of the MNIST images to 36" (appendix C.2): one
// a seed, of independent normal numbers of variance 1/36, so that lengths are kept on average
constexpr Index projected_size = 36;

Sample projected(const Configuration& configuration, Sample sample) {
  Generator generator = stream(configuration.seed, "projection");
  Eigen::MatrixXf projection(projected_size, sample.images->rows());
  for (float& entry : projection.reshaped())
    entry = static_cast<float>(normal(generator) / std::sqrt(static_cast<double>(projected_size)));
  sample.images = std::make_shared<Eigen::MatrixXf>(projection * *sample.images);
  sample.shape = {};
  return sample;
}

// as many as the training images of MNIST, so that every profile finds enough
constexpr Index synthetic_images = 60000;

}  // namespace

const Dataset& DataLibrary::digits(Index pool) {
  const std::scoped_lock lock(mutex_);
  if (!by_pool_.contains(1))
    by_pool_.emplace(1, mnist_.empty() ? synthetic_digits(synthetic_images, 0) : load_mnist(mnist_));
  if (!by_pool_.contains(pool)) by_pool_.emplace(pool, pooled(by_pool_.at(1), pool));
  return by_pool_.at(pool);
}

std::string DataLibrary::identity() {
  const Dataset& data = digits(1);
  char fingerprint[16];
  std::snprintf(fingerprint, sizeof fingerprint, "-%08x", static_cast<unsigned>(data.fingerprint));
  return data.name + fingerprint;
}

Dimensions dimensions(const Configuration& configuration, DataLibrary& data) {
  const Dataset& digits = data.digits(configuration.pool);
  if (configuration.problem == "projected_mnist")
    return {projected_size, digits.classes, configuration.images, {}};
  const ImageShape shape{digits.channels, digits.height, digits.width};
  return {shape.size(), digits.classes, configuration.images, shape};
}

std::unique_ptr<Problem> make_problem(const Configuration& configuration, DataLibrary& data) {
  validate(configuration);
  Sample sample = draw(configuration, data.digits(configuration.pool));
  if (configuration.problem == "projected_mnist") sample = projected(configuration, std::move(sample));
  if (configuration.changes_labels()) return std::make_unique<RandomLabels>(configuration, std::move(sample));
  return std::make_unique<PermutedPixels>(configuration, std::move(sample));
}

}  // namespace paper
