#include <cmath>

#include "data/problems/problems.hpp"

namespace paper {

namespace {

// "the labels of each image are periodically shuffled" (section 3, appendix B.1)
class RandomLabels : public Problem {
 public:
  RandomLabels(const ProblemSettings& settings, Sample sample)
      : settings_(settings), sample_(std::move(sample)) {}

  Task task(Index number) const override {
    Task task{number, sample_.images, sample_.labels, sample_.classes, sample_.shape};
    if (number == 0 && settings_.first_task == "unchanged") return task;
    Generator generator = stream(settings_.seed, "labels", static_cast<std::uint64_t>(number));
    if (settings_.label_change == "permute")
      shuffle(task.labels, generator);
    else
      for (int& label : task.labels)
        label = static_cast<int>(below(generator, static_cast<std::uint64_t>(task.classes)));
    return task;
  }

 private:
  ProblemSettings settings_;
  Sample sample_;
};

// "a stochastic projection matrix to reduce the dimensionality of the MNIST images to 36" (appendix C.2): one
// a seed, of independent normal numbers of variance 1/36, so that lengths are kept on average
constexpr Index projected_size = 36;

Sample projected(const ProblemSettings& settings, Sample sample) {
  Generator generator = stream(settings.seed, "projection");
  Eigen::MatrixXf projection(projected_size, sample.images->rows());
  for (float& entry : projection.reshaped())
    entry = static_cast<float>(normal(generator) / std::sqrt(static_cast<double>(projected_size)));
  sample.images = std::make_shared<Eigen::MatrixXf>(projection * *sample.images);
  sample.shape = {};
  return sample;
}

}  // namespace

ProblemType random_labels(const std::string& name, const std::string& title, const std::string& data_set) {
  return {.name = name,
          .title = title,
          .data_set = data_set,
          .make =
              [](const ProblemSettings& settings, const DataSet& set, DataLibrary& data) {
                return std::make_unique<RandomLabels>(settings, draw(settings, set, data));
              },
          .dimensions = dimensions_of_images};
}

ProblemType projected_random_labels(const std::string& name, const std::string& title,
                                    const std::string& data_set) {
  return {.name = name,
          .title = title,
          .data_set = data_set,
          .make =
              [](const ProblemSettings& settings, const DataSet& set, DataLibrary& data) {
                return std::make_unique<RandomLabels>(settings,
                                                      projected(settings, draw(settings, set, data)));
              },
          .dimensions =
              [](const ProblemSettings& settings, const DataSet& set, DataLibrary& data) {
                Dimensions result = dimensions_of_images(settings, set, data);
                result.inputs = projected_size, result.shape = {};
                return result;
              },
          .images = false};
}

}  // namespace paper
