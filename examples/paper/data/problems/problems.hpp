#pragma once

#include "data/problem.hpp"
#include "data/random.hpp"

// The kinds of problems, and what they are made of.
namespace paper {

// Each of a data set, by its name: "random_label_" + data_set and so on.
ProblemType random_labels(const std::string& name, const std::string& title, const std::string& data_set);
ProblemType permuted_pixels(const std::string& name, const std::string& title, const std::string& data_set);
ProblemType projected_random_labels(const std::string& name, const std::string& title,
                                    const std::string& data_set);
ProblemType pairs_of_classes(const std::string& name, const std::string& title, const std::string& data_set);

// the images that all tasks of a run share, as networks are given them
struct Sample {
  std::shared_ptr<const Eigen::MatrixXf> images;
  std::vector<int> labels;
  Index classes;
  ImageShape shape;
};
Sample draw(const ProblemSettings& settings, const DataSet& set, DataLibrary& data);
Dimensions dimensions_of_images(const ProblemSettings& settings, const DataSet& set, DataLibrary& data);

// Bytes / 255 to what networks are given, channel by channel (notes of docs/definitions.md).
void scale(const ProblemSettings& settings, const DataSet& set, const ImageShape& shape,
           Eigen::MatrixXf& images);
ImageShape shape_of(const Dataset& data);
std::vector<Index> permutation(Index size, Generator generator);  // of 0 to size - 1

// pairs_of_classes: of the images of a class, those for training
Index training_images(const ImageClasses& classes);

}  // namespace paper
