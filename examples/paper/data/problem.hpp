#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/data_library.hpp"
#include "data/problem_settings.hpp"
#include "data/registry.hpp"

namespace paper {

// some of the indices of a matrix, for Eigen's matrix(rows, columns)
inline auto indices(std::span<const Index> chosen) {
  return Eigen::Map<const Eigen::Array<Index, Eigen::Dynamic, 1>>(chosen.data(),
                                                                  static_cast<Index>(chosen.size()));
}

// What a network learns for a while before the next task replaces it.
struct Task {
  Index number;
  std::shared_ptr<const Eigen::MatrixXf> inputs;  // features x n, a column an example
  std::vector<int> labels;                        // n, each in [0, classes)
  Index classes;
  ImageShape shape{};

  Index size() const { return inputs->cols(); }
};

// An endless sequence of tasks. Task k depends on the settings and k alone, in whatever order tasks are
// asked for.
class Problem {
 public:
  virtual ~Problem() = default;
  virtual Task task(Index number) const = 0;
};

// What the tasks of a problem have in common.
struct Dimensions {
  Index inputs;  // pixels, or what the projection leaves of them
  Index classes;
  Index images;  // of a task
  ImageShape shape;
};

// A kind of problem by its name: a data set, and what becomes of it from task to task.
struct ProblemType {
  std::string name;      // "random_label_mnist"
  std::string title;     // "random-label MNIST"
  std::string data_set;  // a name of data_sets()
  std::function<std::unique_ptr<Problem>(const ProblemSettings&, const DataSet&, DataLibrary&)> make;
  std::function<Dimensions(const ProblemSettings&, const DataSet&, DataLibrary&)> dimensions;
  bool images = true;     // whether its inputs are images, which convolutional networks need
  bool by_class = false;  // whether a task is two of the classes
};

// A problem of one's own: a file beside problems/random_labels.cpp and a line in the list of problem.cpp.
Registry<ProblemType>& problem_types();
const DataSet& data_set_of(const std::string& problem);

Dimensions dimensions(const ProblemSettings& settings, DataLibrary& data);

// What the data make of a run that its reader must know, a sentence each: fewer images than were asked for,
// pairs of classes that come again, stand-ins for data that are not there.
std::vector<std::string> remarks(const ProblemSettings& settings, Index tasks, DataLibrary& data);

// std::invalid_argument when the settings ask for more images than MNIST has; of data that may be there in
// part all are taken then.
std::unique_ptr<Problem> make_problem(const ProblemSettings& settings, DataLibrary& data);

}  // namespace paper
