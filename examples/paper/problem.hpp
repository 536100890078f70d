#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "configuration.hpp"
#include "dataset.hpp"

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

// The data that problems are made of, read when first asked for and shared by all runs. Safe from several
// threads.
class DataLibrary {
 public:
  // MNIST from a folder (see load_mnist), or the built-in synthetic digits where there is none.
  explicit DataLibrary(std::filesystem::path mnist) : mnist_(std::move(mnist)) {}
  DataLibrary() = default;

  const Dataset& digits(Index pool);
  // "mnist-5f3a09c1": which data these are, for Configuration::data
  std::string identity();

 private:
  std::filesystem::path mnist_;  // empty: synthetic
  std::mutex mutex_;
  std::map<Index, Dataset> by_pool_;
};

// What the tasks of a configuration have in common.
struct Dimensions {
  Index inputs;  // pixels, or what the projection leaves of them
  Index classes;
  Index images;  // of a task
  ImageShape shape;
};
Dimensions dimensions(const Configuration& configuration, DataLibrary& data);

// std::invalid_argument when the configuration asks for more images than there are.
std::unique_ptr<Problem> make_problem(const Configuration& configuration, DataLibrary& data);

}  // namespace paper
