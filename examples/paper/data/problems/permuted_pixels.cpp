#include "data/problems/problems.hpp"

namespace paper {

namespace {

// "the permutation of pixels are shuffled" (appendix B.2)
class PermutedPixels : public Problem {
 public:
  PermutedPixels(const ProblemSettings& settings, Sample sample)
      : settings_(settings), sample_(std::move(sample)) {}

  Task task(Index number) const override {
    Task task{number, sample_.images, sample_.labels, sample_.classes, sample_.shape};
    if (number == 0 && settings_.first_task != "changed") return task;
    const std::vector<Index> order = permutation(
        sample_.images->rows(), stream(settings_.seed, "pixels", static_cast<std::uint64_t>(number)));
    task.inputs = std::make_shared<Eigen::MatrixXf>((*sample_.images)(indices(order), Eigen::all));
    return task;
  }

 private:
  ProblemSettings settings_;
  Sample sample_;
};

}  // namespace

ProblemType permuted_pixels(const std::string& name, const std::string& title, const std::string& data_set) {
  return {.name = name,
          .title = title,
          .data_set = data_set,
          .make =
              [](const ProblemSettings& settings, const DataSet& set, DataLibrary& data) {
                return std::make_unique<PermutedPixels>(settings, draw(settings, set, data));
              },
          .dimensions = dimensions_of_images};
}

}  // namespace paper
