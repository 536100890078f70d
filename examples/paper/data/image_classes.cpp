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

std::vector<std::pair<Index, fs::path>> find_classes(const fs::path& folder, const std::string& name) {
  auto files = class_files(folder);
  return files.empty() ? class_files(folder / name) : files;
}

std::string text_of(const std::vector<Index>& shape) {
  std::string text;
  for (const Index number : shape) text += (text.empty() ? "" : ", ") + std::to_string(number);
  return "(" + text + ")";
}

// "(images, 3, 32, 32)"
std::string expected(const std::optional<ImageShape>& shape) {
  if (!shape) return "(images, channels, height, width) or (images, height, width)";
  return "(images, " + std::to_string(shape->channels) + ", " + std::to_string(shape->height) + ", " +
         std::to_string(shape->width) + ")";
}

// The bytes of a class, and in `shape`, where it is not known yet, what they are.
NpyArray read_class(const fs::path& path, std::optional<ImageShape>& shape) {
  NpyArray array = read_npy(path);
  const std::vector<Index>& got = array.shape;
  const bool grey = got.size() == 3, colours = got.size() == 4;
  if ((grey || colours) && got[0] > 0) {
    const ImageShape found{grey ? 1 : got[1], got[got.size() - 2], got[got.size() - 1]};
    if (!shape && found.size() > 0) shape = found;
    if (shape == found) return array;
  }
  throw std::runtime_error("open_image_classes: " + path.string() + ": shape is " + text_of(got) +
                           ", expected " + expected(shape) + " with at least one image");
}

}  // namespace

bool has_image_classes(const fs::path& folder, const std::string& name) {
  return !find_classes(folder, name).empty();
}

ImageClasses open_image_classes(const fs::path& folder, const std::string& name,
                                const std::optional<ImageShape>& shape) {
  const auto files = find_classes(folder, name);
  if (files.empty())
    throw std::runtime_error("open_image_classes: " + folder.string() + ": found no <number>.npy in " +
                             (folder / "classes").string() + " or " + (folder / name / "classes").string() +
                             ", expected a class a file, uint8 " + expected(shape));
  ImageClasses result{.name = name, .classes = static_cast<Index>(files.size()), .read = {}};
  std::vector<fs::path> paths;
  std::optional<ImageShape> known = shape;
  uLong sum = crc32_z(0, nullptr, 0);
  for (const auto& [number, path] : files) {
    const NpyArray array = read_class(path, known);
    sum = crc32_z(sum, array.bytes.data(), array.bytes.size());
    const Index images = array.shape[0];
    if (shape && result.images != 0 && images != result.images)
      throw std::runtime_error("open_image_classes: " + path.string() + ": holds " + std::to_string(images) +
                               " images, expected " + std::to_string(result.images) + " as in " +
                               paths.front().string());
    result.images = result.images == 0 ? images : std::min(result.images, images);
    paths.push_back(path);
  }
  result.shape = *known;
  result.fingerprint = static_cast<std::uint32_t>(sum);
  result.read = [paths, known](Index number) {
    std::optional<ImageShape> same = known;
    return read_class(paths.at(static_cast<std::size_t>(number)), same).bytes;
  };
  return result;
}

Dataset all_images(const ImageClasses& classes) {
  if (classes.classes > 256)
    throw std::runtime_error("all_images: " + classes.name + " has " + std::to_string(classes.classes) +
                             " classes, expected at most 256");
  std::vector<std::uint8_t> pixels, labels;
  for (Index label = 0; label < classes.classes; ++label) {
    const std::vector<std::uint8_t> bytes = classes.read(label);
    pixels.insert(pixels.end(), bytes.begin(), bytes.end());
    labels.insert(labels.end(), bytes.size() / static_cast<std::size_t>(classes.shape.size()),
                  static_cast<std::uint8_t>(label));
  }
  const ImageShape& shape = classes.shape;
  return make_dataset(classes.name, shape.channels, shape.height, shape.width, classes.classes, pixels,
                      labels);
}

}  // namespace paper
