#include "data/npy.hpp"

#include <algorithm>

#include "fuzz.hpp"

// Any bytes as an NPY file: an array whose bytes are the last ones of the file and as many as its shape says,
// or an error that names the file.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::Bytes bytes(data, size);
  const std::filesystem::path path = fuzz::file("array.npy", bytes);
  try {
    const paper::NpyArray array = paper::read_npy(path);
    const auto count =
        std::accumulate(array.shape.begin(), array.shape.end(), paper::Index{1}, std::multiplies<>());
    fuzz::demand(static_cast<paper::Index>(array.bytes.size()) == count, "as many bytes as the shape says");
    fuzz::demand(std::equal(array.bytes.rbegin(), array.bytes.rend(), bytes.rbegin()),
                 "the last bytes of the file");
  } catch (const std::runtime_error& error) {
    fuzz::demand(std::string(error.what()).starts_with("read_npy: " + path.string() + ": "),
                 "the error names the file");
  }
  return 0;
}
