#pragma once

#include <cstdint>
#include <string>

#include "data/index.hpp"

namespace paper {

// What the tasks of a run depend on. The words are those of results files and of the command line; defaults
// are the paper's, section 3, and where it is silent the choices that docs/definitions.md lists.
struct ProblemSettings {
  std::string problem = "random_label_mnist";  // a name of problem_types()
  std::string data = "any";                    // name and fingerprint of the data set, "mnist-5f3a09c1"
  Index images = 1280;  // of a task, drawn without replacement, by seed; all where CIFAR, ImageNet have less
  Index pool = 1;       // images are averaged over pool x pool boxes
  // of bytes x: default is x/255 for MNIST, (x/255 - mean) / deviation of the channels for CIFAR-10 and
  // (x/255 - .5) / .5 for ImageNet; unit: x/255; standardized: by mean and deviation for MNIST too
  std::string scaling = "default";
  std::string label_change = "permute";  // or iid: each label drawn anew
  std::string first_task = "default";  // changed, unchanged; by default labels are changed and pixels are not
  std::uint64_t seed = 0;

  bool operator==(const ProblemSettings&) const = default;
};

}  // namespace paper
