#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "data/index.hpp"

namespace paper {

struct IdxArray {
  std::vector<Index> dims;          // 1 to 4 of them, the slowest first: images are {count, height, width}
  std::vector<std::uint8_t> bytes;  // their product, the last dimension fastest
};

// An IDX file of unsigned bytes, the format of MNIST (http://yann.lecun.com/exdb/mnist): big-endian
// 00 00 08 <number of dimensions>, a 32-bit size a dimension, then the bytes. Plain or gzip, told by the
// file's first bytes, because browsers and mirrors unpack files without renaming them. A dimension may be 0.
// Memory follows what was read, never what the header claims. As with gzip itself, what follows a complete
// gzip stream and is not another one is ignored. Throws std::runtime_error naming the file, what it holds and
// what was expected: for a file that is absent, empty, not such an IDX, larger than 2^31 bytes, cut short or
// longer than its header says, or damaged.
IdxArray read_idx(const std::filesystem::path& path);

}  // namespace paper
