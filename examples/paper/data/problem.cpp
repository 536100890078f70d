#include "data/problem.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>

#include "data/random.hpp"

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

// Bytes / 255 to what networks are given, channel by channel (notes of docs/definitions.md).
void scale(const Configuration& configuration, const ImageShape& shape, Eigen::MatrixXf& images) {
  struct Channel {
    float mean, deviation;
  };
  std::vector<Channel> channels;
  const bool mnist = configuration.problem.ends_with("mnist");
  if (configuration.scaling == "unit" || (mnist && configuration.scaling == "default")) return;
  if (mnist)
    channels = {{.1307f, .3081f}};
  else if (configuration.problem == "random_label_cifar")
    channels = {{.4914f, .247f}, {.4822f, .243f}, {.4465f, .261f}};
  else
    channels = {{.5f, .5f}, {.5f, .5f}, {.5f, .5f}};
  const Index plane = shape.height * shape.width;
  for (Index channel = 0; channel < shape.channels; ++channel) {
    const auto [mean, deviation] = channels[static_cast<std::size_t>(channel)];
    auto part = images.middleRows(channel * plane, plane).array();
    part = (part - mean) / deviation;
  }
}

ImageShape shape_of(const Dataset& data) { return {data.channels, data.height, data.width}; }

// images of a task: those asked for, or of CIFAR-10 what there is
Index task_images(const Configuration& configuration, const Dataset& data) {
  const auto available = static_cast<Index>(data.labels.size());
  if (configuration.images <= available) return configuration.images;
  if (configuration.problem == "random_label_cifar") return available;
  throw std::invalid_argument("make_problem: " + std::to_string(configuration.images) +
                              " images are asked for, but " + data.name + " has " +
                              std::to_string(available));
}

Sample draw(const Configuration& configuration, const Dataset& data) {
  const auto available = static_cast<Index>(data.labels.size());
  std::vector<Index> order = permutation(available, stream(configuration.seed, "images"));
  order.resize(static_cast<std::size_t>(task_images(configuration, data)));
  auto images = std::make_shared<Eigen::MatrixXf>(data.images(Eigen::all, indices(order)));
  scale(configuration, shape_of(data), *images);
  std::vector<int> labels;
  labels.reserve(order.size());
  for (const Index i : order) labels.push_back(data.labels[static_cast<std::size_t>(i)]);
  return {std::move(images), std::move(labels), data.classes, shape_of(data)};
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

// "a sequence of 500 binary classification tasks ... where none of the classes are shared between tasks"
// (section 6): the classes in a random order, two a task. When they are used up they are shuffled and paired
// anew. 6 of 7 images of a class, 600 of Continual ImageNet's 700, are for training; the last seventh is left
// alone.
Index training_images(const ImageClasses& classes) { return classes.images * 6 / 7; }

class PairsOfClasses : public Problem {
 public:
  PairsOfClasses(const Configuration& configuration, const ImageClasses& classes)
      : configuration_(configuration), classes_(classes) {
    if (classes.classes < 2 || training_images(classes) < 1)
      throw std::invalid_argument(
          "make_problem: " + classes.name + " has " + std::to_string(classes.classes) + " classes of " +
          std::to_string(classes.images) + " images, expected at least 2 classes of 2 images");
  }

  static Index of_class(const Configuration& configuration, const ImageClasses& classes) {
    return std::min(std::max(Index{1}, configuration.images / 2), training_images(classes));
  }

  Task task(Index number) const override {
    const Index pairs = classes_.classes / 2;
    const std::vector<Index> order = permutation(
        classes_.classes, stream(configuration_.seed, "classes", static_cast<std::uint64_t>(number / pairs)));
    const Index count = of_class(configuration_, classes_), available = training_images(classes_);
    std::vector<std::uint8_t> pixels, labels;
    constexpr std::size_t size = std::size_t{3} * 32 * 32;
    for (const std::uint8_t label : {std::uint8_t{0}, std::uint8_t{1}}) {
      const Index chosen = order[static_cast<std::size_t>(2 * (number % pairs) + label)];
      const std::vector<std::uint8_t> bytes = classes_.read(chosen);
      std::vector<Index> images =
          permutation(available, stream(configuration_.seed, "images", static_cast<std::uint64_t>(chosen)));
      images.resize(static_cast<std::size_t>(count));
      for (const Index image : images) {
        const auto first = bytes.begin() + image * static_cast<Index>(size);
        pixels.insert(pixels.end(), first, first + static_cast<Index>(size));
        labels.push_back(label);
      }
    }
    Dataset data = pooled(make_dataset(classes_.name, 3, 32, 32, 2, pixels, labels), configuration_.pool);
    scale(configuration_, shape_of(data), data.images);
    return {number, std::make_shared<const Eigen::MatrixXf>(std::move(data.images)), std::move(data.labels),
            2, shape_of(data)};
  }

 private:
  Configuration configuration_;
  const ImageClasses& classes_;
};

}  // namespace

Dimensions dimensions(const Configuration& configuration, DataLibrary& data) {
  if (configuration.problem == "continual_imagenet") {
    if (configuration.pool < 1 || 32 % configuration.pool != 0)
      throw std::invalid_argument("dimensions: pool is " + std::to_string(configuration.pool) +
                                  ", expected a divisor of 32");
    const ImageShape shape{3, 32 / configuration.pool, 32 / configuration.pool};
    return {shape.size(), 2, 2 * PairsOfClasses::of_class(configuration, data.classes()), shape};
  }
  const Dataset& images = data.images(configuration.problem, configuration.pool);
  const Index count = task_images(configuration, images);
  if (configuration.problem == "projected_mnist") return {projected_size, images.classes, count, {}};
  return {shape_of(images).size(), images.classes, count, shape_of(images)};
}

std::vector<std::string> remarks(const Configuration& configuration, Index tasks, DataLibrary& data) {
  std::vector<std::string> result;
  const std::string& problem = configuration.problem;
  const bool imagenet = problem == "continual_imagenet";
  const std::string name = imagenet ? data.classes().name : data.images(problem, 1).name;
  if (name.starts_with("synthetic"))
    result.push_back(problem + ": NOT the paper's data but built-in " +
                     (name == "synthetic" ? "synthetic digits" : "synthetic colour textures") +
                     ", as pictures and verdicts say too (" + name + ")");
  const Index images = dimensions(configuration, data).images;
  if (images < configuration.images)
    result.push_back(problem + ": " + std::to_string(configuration.images) +
                     " images a task are asked for, " + name + " has " + std::to_string(images) +
                     (imagenet ? " for training in two classes" : "") + "; all are taken");
  if (imagenet && tasks > data.classes().classes / 2)
    result.push_back(problem + ": " + std::to_string(data.classes().classes) + " classes give " +
                     std::to_string(data.classes().classes / 2) + " disjoint pairs for " +
                     std::to_string(tasks) + " tasks; then the pairs are drawn anew");
  return result;
}

std::unique_ptr<Problem> make_problem(const Configuration& configuration, DataLibrary& data) {
  validate(configuration);
  if (configuration.problem == "continual_imagenet")
    return std::make_unique<PairsOfClasses>(configuration, data.classes());
  Sample sample = draw(configuration, data.images(configuration.problem, configuration.pool));
  if (configuration.problem == "projected_mnist") sample = projected(configuration, std::move(sample));
  if (configuration.changes_labels()) return std::make_unique<RandomLabels>(configuration, std::move(sample));
  return std::make_unique<PermutedPixels>(configuration, std::move(sample));
}

}  // namespace paper
