#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "data/index.hpp"

namespace paper {

struct NpyArray {
  std::vector<Index> shape;         // the slowest dimension first
  std::vector<std::uint8_t> bytes;  // their product, the last dimension fastest
};

// A NumPy file of unsigned bytes in C order, NPY version 1.0 or 2.0, as numpy.save writes it for dtype uint8.
// Throws std::runtime_error naming the file, what it holds and what was expected: for a file that is absent,
// not NPY, of another version, another dtype, in Fortran order, cut short or longer than its header says.
NpyArray read_npy(const std::filesystem::path& path);

}  // namespace paper
