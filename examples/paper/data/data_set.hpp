#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "data/image_classes.hpp"
#include "data/registry.hpp"

namespace paper {

// Images that problems are made of: where they come from, and how their bytes reach a network.
struct DataSet {
  std::string name;      // "mnist"; of its folder too
  std::string label;     // "MNIST", in messages
  std::string files;     // what its folder is expected to hold
  bool downloads;        // data/fetch_data.py gets it, by its name
  std::string stand_in;  // what is built in instead; empty: nothing
  std::function<bool(const std::filesystem::path& folder)> is_there;
  // All images at once, or class by class, or both; null where there is no such way. An empty folder stands
  // for what is built in.
  std::function<Dataset(const std::filesystem::path& folder)> images{};
  std::function<ImageClasses(const std::filesystem::path& folder)> classes{};
  // The official files may be there in part: problems take what there is, and the identity has the size.
  bool partial = false;
  // x/255 becomes (x/255 - mean) / deviation, a channel each, or one for all; empty: x/255
  struct Channel {
    float mean, deviation;
  };
  std::vector<Channel> scaling{}, standardized{};  // the default, and the scaling `standardized`
};

// A data set of one's own: a line in the list of data_set.cpp, or add() before anything is planned.
Registry<DataSet>& data_sets();

}  // namespace paper
