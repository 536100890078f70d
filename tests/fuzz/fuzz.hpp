#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>

#include "data/idx.hpp"

// What the fuzz targets of the readers share.
namespace fuzz {

using Bytes = std::span<const std::uint8_t>;

// a file of this process: the readers take paths
inline std::filesystem::path file(const std::string& name, Bytes bytes) {
  static const std::filesystem::path folder = [] {
    std::string pattern = (std::filesystem::temp_directory_path() / "sagitta-fuzz-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    static std::filesystem::path made = pattern;
    std::atexit([] { std::filesystem::remove_all(made); });
    return made;
  }();
  std::ofstream out(folder / name, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!out.flush()) std::abort();
  return folder / name;
}

inline void demand(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

// What read_idx makes of a file: an array whose bytes are those of its dimensions, or an error that names the
// file. Any other exception goes on and ends the program.
inline std::optional<paper::IdxArray> read(const std::filesystem::path& path) {
  try {
    paper::IdxArray array = paper::read_idx(path);
    const auto size =
        std::accumulate(array.dims.begin(), array.dims.end(), paper::Index{1}, std::multiplies<>());
    demand(!array.dims.empty() && array.dims.size() <= 4, "1 to 4 dimensions");
    demand(static_cast<paper::Index>(array.bytes.size()) == size, "as many bytes as the dimensions say");
    return array;
  } catch (const std::runtime_error& error) {
    demand(std::string(error.what()).starts_with("read_idx: " + path.string() + ": "),
           "the error names the file");
    return std::nullopt;
  }
}

}  // namespace fuzz
