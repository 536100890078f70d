#include <algorithm>
#include <stdexcept>

#include "data/problems/problems.hpp"

namespace paper {

Index training_images(const ImageClasses& classes) { return classes.images * 6 / 7; }

namespace {

// "a sequence of 500 binary classification tasks ... where none of the classes are shared between tasks"
// (section 6): the classes in a random order, two a task. When they are used up they are shuffled and paired
// anew. 6 of 7 images of a class, 600 of Continual ImageNet's 700, are for training; the last seventh is left
// alone.
class PairsOfClasses : public Problem {
 public:
  PairsOfClasses(const ProblemSettings& settings, const DataSet& set, const ImageClasses& classes)
      : settings_(settings), set_(set), classes_(classes) {
    if (classes.classes < 2 || training_images(classes) < 1)
      throw std::invalid_argument(
          "make_problem: " + classes.name + " has " + std::to_string(classes.classes) + " classes of " +
          std::to_string(classes.images) + " images, expected at least 2 classes of 2 images");
  }

  static Index of_class(const ProblemSettings& settings, const ImageClasses& classes) {
    return std::min(std::max(Index{1}, settings.images / 2), training_images(classes));
  }

  Task task(Index number) const override {
    const Index pairs = classes_.classes / 2;
    const std::vector<Index> order = permutation(
        classes_.classes, stream(settings_.seed, "classes", static_cast<std::uint64_t>(number / pairs)));
    const Index count = of_class(settings_, classes_), available = training_images(classes_);
    std::vector<std::uint8_t> pixels, labels;
    const auto size = static_cast<std::size_t>(classes_.shape.size());
    for (const std::uint8_t label : {std::uint8_t{0}, std::uint8_t{1}}) {
      const Index chosen = order[static_cast<std::size_t>(2 * (number % pairs) + label)];
      const std::vector<std::uint8_t> bytes = classes_.read(chosen);
      std::vector<Index> images =
          permutation(available, stream(settings_.seed, "images", static_cast<std::uint64_t>(chosen)));
      images.resize(static_cast<std::size_t>(count));
      for (const Index image : images) {
        const auto first = bytes.begin() + image * static_cast<Index>(size);
        pixels.insert(pixels.end(), first, first + static_cast<Index>(size));
        labels.push_back(label);
      }
    }
    Dataset data = pooled(make_dataset(classes_.name, classes_.shape.channels, classes_.shape.height,
                                       classes_.shape.width, 2, pixels, labels),
                          settings_.pool);
    scale(settings_, set_, shape_of(data), data.images);
    return {number, std::make_shared<const Eigen::MatrixXf>(std::move(data.images)), std::move(data.labels),
            2, shape_of(data)};
  }

 private:
  ProblemSettings settings_;
  const DataSet& set_;
  const ImageClasses& classes_;
};

Dimensions dimensions_of_pairs(const ProblemSettings& settings, const DataSet& set, DataLibrary& data) {
  const ImageClasses& classes = data.classes(set);
  const Index pool = settings.pool;
  if (pool < 1 || classes.shape.width % pool != 0 || classes.shape.height % pool != 0)
    throw std::invalid_argument("dimensions: pool is " + std::to_string(pool) + ", expected a divisor of " +
                                std::to_string(classes.shape.width));
  const ImageShape shape{classes.shape.channels, classes.shape.height / pool, classes.shape.width / pool};
  return {shape.size(), 2, 2 * PairsOfClasses::of_class(settings, classes), shape};
}

}  // namespace

ProblemType pairs_of_classes(const std::string& name, const std::string& title, const std::string& data_set) {
  return {.name = name,
          .title = title,
          .data_set = data_set,
          .make =
              [](const ProblemSettings& settings, const DataSet& set, DataLibrary& data) {
                return std::make_unique<PairsOfClasses>(settings, set, data.classes(set));
              },
          .dimensions = dimensions_of_pairs,
          .by_class = true};
}

}  // namespace paper
