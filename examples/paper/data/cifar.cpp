#include <array>
#include <fstream>
#include <stdexcept>
#include <system_error>

#include "data/dataset.hpp"

namespace paper {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t record = 3073;  // a label, then the red, green and blue plane of 32 x 32

// The folder that has data_batch_1.bin; empty where there is none.
fs::path find_cifar10(const fs::path& folder) {
  for (const fs::path& place : {folder, folder / "cifar10", folder / "cifar-10-batches-bin"})
    if (std::error_code ignored; fs::is_regular_file(place / "data_batch_1.bin", ignored)) return place;
  return {};
}

}  // namespace

bool has_cifar10(const fs::path& folder) { return !find_cifar10(folder).empty(); }

Dataset load_cifar10(const fs::path& folder) {
  const fs::path place = find_cifar10(folder);
  if (place.empty())
    throw std::runtime_error("load_cifar10: " + folder.string() + ": found no data_batch_1.bin here, in " +
                             (folder / "cifar10").string() + " or in " +
                             (folder / "cifar-10-batches-bin").string() +
                             ", expected the binary version of CIFAR-10 (fetch_data.py cifar10 FOLDER)");
  std::vector<std::uint8_t> pixels, labels;
  for (const char batch : {'1', '2', '3', '4', '5'}) {
    const fs::path path = place / (std::string("data_batch_") + batch + ".bin");
    const auto fail = [&](const std::string& what) {
      throw std::runtime_error("load_cifar10: " + path.string() + ": " + what);
    };
    std::error_code error;
    const auto size = fs::file_size(path, error);
    std::ifstream file(path, std::ios::binary);
    if (error || !file) fail("cannot be read" + (error ? " (" + error.message() + ")" : std::string()));
    if (size == 0 || size % record != 0)
      fail("holds " + std::to_string(size) + " bytes, expected whole records of 3073 bytes");
    std::array<char, record> bytes{};
    for (std::size_t i = 0; i < size / record; ++i) {
      if (!file.read(bytes.data(), record)) fail("cannot be read to its end");
      const auto label = static_cast<std::uint8_t>(bytes[0]);
      if (label > 9)
        fail("the label of record " + std::to_string(i) + " is " + std::to_string(label) +
             ", expected 0 to 9");
      labels.push_back(label);
      pixels.insert(pixels.end(), bytes.begin() + 1, bytes.end());
    }
  }
  return make_dataset("cifar10", 3, 32, 32, 10, pixels, labels);
}

}  // namespace paper
