#pragma once

#include <memory>
#include <span>
#include <string>

#include "learners/learner.hpp"

// Networks of one architecture trained as one batched network by LibTorch, on the CPU or a GPU. Only where
// the program is built with LibTorch; this header does not include it.
namespace paper {

struct TorchOptions {
  std::string device = "cpu";  // or "cuda", "cuda:1"
  int threads = 1;             // for what is measured on the host
  bool in_double = false;      // instead of float, for tests
  // updates and sorts by the operations that a GPU would use, on the CPU too, for tests
  bool device_operations = false;
};

// What LibTorch offers here: nothing where `device` can be used, else why not and what was found.
std::string device_problem(const std::string& device);

// configurations: of equal group_key; task: any of theirs, for the shapes. std::invalid_argument for
// configurations that differ in more, and for a device that is not there.
std::unique_ptr<LearnerGroup> make_torch_group(std::span<const Configuration> configurations,
                                               const Task& task, const TorchOptions& options);

}  // namespace paper
