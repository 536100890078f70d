#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/data_library.hpp"
#include "runs/configuration.hpp"

namespace paper {

// some of the indices of a matrix, for Eigen's matrix(rows, columns)
inline auto indices(std::span<const Index> chosen) {
  return Eigen::Map<const Eigen::Array<Index, Eigen::Dynamic, 1>>(chosen.data(),
                                                                  static_cast<Index>(chosen.size()));
}

// How the features of an input lie: channel after channel, each row by row (C order), as in CIFAR's binary
// format. All 0 where inputs are no images.
struct ImageShape {
  Index channels = 0, height = 0, width = 0;
  Index size() const { return channels * height * width; }
  bool operator==(const ImageShape&) const = default;
};

// What a network learns for a while before the next task replaces it.
struct Task {
  Index number;
  std::shared_ptr<const Eigen::MatrixXf> inputs;  // features x n, a column an example
  std::vector<int> labels;                        // n, each in [0, classes)
  Index classes;
  ImageShape shape{};

  Index size() const { return inputs->cols(); }
};

// An endless sequence of tasks. Task k depends on the configuration and k alone, in whatever order tasks are
// asked for.
class Problem {
 public:
  virtual ~Problem() = default;
  virtual Task task(Index number) const = 0;
};

// What the tasks of a configuration have in common.
struct Dimensions {
  Index inputs;  // pixels, or what the projection leaves of them
  Index classes;
  Index images;  // of a task
  ImageShape shape;
};
Dimensions dimensions(const Configuration& configuration, DataLibrary& data);

// What the data make of a run that its reader must know, a sentence each: fewer images than were asked for,
// pairs of classes that come again, stand-ins for data that are not there.
std::vector<std::string> remarks(const Configuration& configuration, Index tasks, DataLibrary& data);

// std::invalid_argument when the configuration asks for more images than MNIST has; of CIFAR-10 and ImageNet,
// which may be there in part, all are taken then.
std::unique_ptr<Problem> make_problem(const Configuration& configuration, DataLibrary& data);

}  // namespace paper
