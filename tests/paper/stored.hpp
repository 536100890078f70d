#pragma once

#include "catch.hpp"

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "folder.hpp"
#include "runs/results.hpp"

// What the tests of files of results share.
namespace stored {

namespace fs = std::filesystem;
using paper::Index;
using paper::Results;
using paper::Value;
using Access = Results::Access;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

inline std::vector<std::string> names(const Folder& folder) {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder.path))
    found.push_back(entry.path().filename().string());
  return found;
}

inline std::vector<std::byte> bytes(std::size_t size, int value) { return {size, std::byte(value)}; }

inline void commit(Results& results, const std::string& run, Index task, double value,
                   std::size_t state = 3) {
  const std::vector<Value> values = {{task, 0, "error", value}};
  results.commit_task(run, task, values, bytes(state, static_cast<int>(task)));
}

// what a std::runtime_error says, or nothing
template <class F>
std::string message(F&& function) {
  try {
    function();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

}  // namespace stored
