#include "data/image_classes.hpp"

#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <system_error>

#include "data/npy.hpp"

namespace paper {
namespace {

namespace fs = std::filesystem;

// <number>.npy by number
std::vector<std::pair<Index, fs::path>> class_files(const fs::path& place) {
  std::vector<std::pair<Index, fs::path>> files;
  const fs::path folder = place / "classes";
  if (!fs::is_directory(folder)) return files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string stem = entry.path().stem().string();
    Index number = 0;
    const auto [last, error] = std::from_chars(stem.data(), stem.data() + stem.size(), number);
    if (entry.path().extension() == ".npy" && error == std::errc{} && last == stem.data() + stem.size() &&
        number >= 0)
      files.emplace_back(number, entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::pair<Index, fs::path>> find_classes(const fs::path& folder) {
  auto files = class_files(folder);
  return files.empty() ? class_files(folder / "imagenet32") : files;
}

NpyArray read_class(const fs::path& path) {
  NpyArray array = read_npy(path);
  if (array.shape.size() == 4 && array.shape[0] > 0 && array.shape[1] == 3 && array.shape[2] == 32 &&
      array.shape[3] == 32)
    return array;
  std::string shape;
  for (const Index number : array.shape) shape += (shape.empty() ? "" : ", ") + std::to_string(number);
  throw std::runtime_error("open_image_classes: " + path.string() + ": shape is (" + shape +
                           "), expected (images, 3, 32, 32) with at least one image");
}

}  // namespace

bool has_image_classes(const fs::path& folder) { return !find_classes(folder).empty(); }

ImageClasses open_image_classes(const fs::path& folder) {
  const auto files = find_classes(folder);
  if (files.empty())
    throw std::runtime_error(
        "open_image_classes: " + folder.string() + ": found no <number>.npy in " +
        (folder / "classes").string() + " or " + (folder / "imagenet32" / "classes").string() +
        ", expected the 32 x 32 classes of Continual ImageNet, uint8 (images, 3, 32, 32) each");
  ImageClasses result{.name = "imagenet32", .classes = static_cast<Index>(files.size()), .read = {}};
  std::vector<fs::path> paths;
  uLong sum = crc32_z(0, nullptr, 0);
  for (const auto& [number, path] : files) {
    const NpyArray array = read_class(path);
    sum = crc32_z(sum, array.bytes.data(), array.bytes.size());
    if (result.images == 0) result.images = array.shape[0];
    if (array.shape[0] != result.images)
      throw std::runtime_error("open_image_classes: " + path.string() + ": holds " +
                               std::to_string(array.shape[0]) + " images, expected " +
                               std::to_string(result.images) + " as in " + paths.front().string());
    paths.push_back(path);
  }
  result.fingerprint = static_cast<std::uint32_t>(sum);
  result.read = [paths](Index number) {
    return read_class(paths.at(static_cast<std::size_t>(number))).bytes;
  };
  return result;
}

}  // namespace paper
