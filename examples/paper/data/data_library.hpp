#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "data/dataset.hpp"
#include "data/image_classes.hpp"

namespace paper {

// The data that problems are made of, read when first asked for and shared by all runs. Safe from several
// threads.
class DataLibrary {
 public:
  // where the data sets lie (see load_mnist, load_cifar10, open_image_classes); empty: the built-in
  // stand-ins, synthetic digits and synthetic textures
  struct Folders {
    std::filesystem::path mnist, cifar10, imagenet;
  };
  explicit DataLibrary(Folders folders) : folders_(std::move(folders)) {}
  explicit DataLibrary(const std::filesystem::path& folder) : DataLibrary(Folders{folder, folder, folder}) {}
  DataLibrary() = default;

  // of a problem whose tasks share their images: CIFAR-10 for random_label_cifar, else MNIST
  const Dataset& images(const std::string& problem, Index pool);
  const ImageClasses& classes();  // of continual_imagenet

  // Which data a problem has, for Configuration::data: name and fingerprint, "mnist-5f3a09c1"; of sets that
  // may be there in part also their size, "cifar10_8068-0a1b2c3d", "imagenet32_100x256-0a1b2c3d".
  std::string identity(const std::string& problem);

 private:
  Folders folders_;
  std::mutex mutex_;
  std::map<std::pair<bool, Index>, Dataset> images_;  // by whether it is CIFAR-10, and pool
  std::optional<ImageClasses> classes_;
};

}  // namespace paper
