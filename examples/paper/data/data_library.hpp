#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "data/data_set.hpp"

namespace paper {

// The data sets in use, read when first asked for and shared by all runs. Safe from several threads.
class DataLibrary {
 public:
  // where the data sets lie, by their names; what is built in for those that are not there
  using Folders = std::map<std::string, std::filesystem::path>;
  explicit DataLibrary(Folders folders) : folders_(std::move(folders)) {}
  // all in one folder
  explicit DataLibrary(const std::filesystem::path& folder) {
    for (const DataSet& set : data_sets()) folders_[set.name] = folder;
  }
  DataLibrary() = default;

  const Dataset& images(const DataSet& set, Index pool);
  const ImageClasses& classes(const DataSet& set);

  // For ProblemSettings::data: name and fingerprint, "mnist-5f3a09c1"; of sets that may be there in part or
  // that are read class by class also their size, "cifar10_8068-0a1b2c3d", "imagenet32_100x256-0a1b2c3d".
  std::string identity(const DataSet& set);

 private:
  std::filesystem::path folder(const DataSet& set) const;

  Folders folders_;
  std::mutex mutex_;
  std::map<std::pair<std::string, Index>, Dataset> images_;  // by set and pool
  std::map<std::string, ImageClasses> classes_;
};

}  // namespace paper
