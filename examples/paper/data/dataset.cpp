#include "data/dataset.hpp"

#include <zlib.h>

#include <array>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "data/idx.hpp"

namespace paper {
namespace {

namespace fs = std::filesystem;

std::uint32_t crc(std::uint32_t start, const std::uint8_t* bytes, std::size_t count) {
  // zlib takes a null pointer for "give me the start value", which an empty vector's data() may be
  return count == 0 ? start : static_cast<std::uint32_t>(crc32_z(start, bytes, count));
}

std::uint32_t crc(std::uint32_t start, Index number) {  // 64 bits, little-endian on every machine
  std::array<std::uint8_t, 8> bytes{};
  for (std::size_t k = 0; k < 8; ++k)
    bytes[k] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(number) >> (8 * k));
  return crc(start, bytes.data(), bytes.size());
}

struct MnistFiles {
  std::optional<fs::path> images, labels;
};

// the file in its four spellings; plain before gzip, since it needs no unpacking
std::optional<fs::path> find(const fs::path& folder, const std::string& stem, const std::string& kind) {
  for (const char* ending : {"", ".gz"}) {
    for (const char* joint : {"-", "."}) {
      const fs::path path = folder / (stem + joint + kind + ending);
      if (std::error_code ignored; fs::is_regular_file(path, ignored)) return path;
    }
  }
  return std::nullopt;
}

// Both files of one folder: images of one place and labels of another need not belong together. Where neither
// folder has both, the files of the one that has more, so that a message can name what is missing.
MnistFiles find_mnist(const fs::path& folder) {
  MnistFiles best;
  for (const fs::path& place : {folder, folder / "mnist"}) {
    MnistFiles files{find(place, "train-images", "idx3-ubyte"), find(place, "train-labels", "idx1-ubyte")};
    if (files.images && files.labels) return files;
    if (files.images || files.labels) best = std::move(files);
  }
  return best;
}

[[noreturn]] void missing(const fs::path& folder, const std::string& name, const std::string& other_name) {
  throw std::runtime_error("load_mnist: " + folder.string() + ": found neither " + name + "[.gz] nor " +
                           other_name + "[.gz] here or in " + (folder / "mnist").string() +
                           ", expected the images and the labels in one of the two");
}

std::string numbers(const std::vector<Index>& dims) {
  std::string text;
  for (const Index dim : dims) text += (text.empty() ? "" : " x ") + std::to_string(dim);
  return text;
}

}  // namespace

Dataset make_dataset(std::string name, Index channels, Index height, Index width, Index classes,
                     const std::vector<std::uint8_t>& pixels, const std::vector<std::uint8_t>& labels) {
  if (channels < 1 || height < 1 || width < 1 || classes < 1)
    throw std::invalid_argument("make_dataset: channels, height, width, classes are " +
                                numbers({channels, height, width, classes}) + ", expected all at least 1");
  const auto count = static_cast<Index>(labels.size());
  const Index size = channels * height * width;
  if (static_cast<Index>(pixels.size()) != size * count)
    throw std::invalid_argument("make_dataset: got " + std::to_string(pixels.size()) + " pixels, expected " +
                                std::to_string(size * count) + " (" +
                                numbers({count, channels, height, width}) + ")");

  Dataset data;
  data.name = std::move(name);
  data.channels = channels;
  data.height = height;
  data.width = width;
  data.classes = classes;
  data.labels.reserve(labels.size());
  for (const std::uint8_t label : labels) {
    if (label >= classes)
      throw std::invalid_argument("make_dataset: label " + std::to_string(data.labels.size()) + " is " +
                                  std::to_string(label) + ", expected 0 to " + std::to_string(classes - 1));
    data.labels.push_back(label);
  }
  data.images.resize(size, count);
  float* value = data.images.data();  // column-major: in the order of the pixels
  for (const std::uint8_t pixel : pixels) *value++ = static_cast<float>(pixel) / 255.0f;

  for (const Index number : {channels, height, width, classes, count})
    data.fingerprint = crc(data.fingerprint, number);
  data.fingerprint = crc(data.fingerprint, pixels.data(), pixels.size());
  data.fingerprint = crc(data.fingerprint, labels.data(), labels.size());
  return data;
}

bool has_mnist(const fs::path& folder) {
  const MnistFiles files = find_mnist(folder);
  return files.images && files.labels;
}

Dataset load_mnist(const fs::path& folder) {
  const MnistFiles files = find_mnist(folder);
  if (!files.images) missing(folder, "train-images-idx3-ubyte", "train-images.idx3-ubyte");
  if (!files.labels) missing(folder, "train-labels-idx1-ubyte", "train-labels.idx1-ubyte");

  const auto fail = [](const fs::path& path, const std::string& what) {
    throw std::runtime_error("load_mnist: " + path.string() + ": " + what);
  };
  const IdxArray labels = read_idx(*files.labels);  // the small file first: a wrong one is told at once
  if (labels.dims.size() != 1)
    fail(*files.labels, "is " + numbers(labels.dims) + ", expected labels in 1 dimension");
  for (std::size_t i = 0; i < labels.bytes.size(); ++i)
    if (labels.bytes[i] > 9)
      fail(*files.labels,
           "label " + std::to_string(i) + " is " + std::to_string(labels.bytes[i]) + ", expected 0 to 9");
  const IdxArray images = read_idx(*files.images);
  if (images.dims.size() != 3)
    fail(*files.images, "is " + numbers(images.dims) + ", expected 3 dimensions: count x height x width");
  if (images.dims[0] != labels.dims[0])
    fail(*files.images, "holds " + std::to_string(images.dims[0]) + " images, expected " +
                            std::to_string(labels.dims[0]) + ", the labels in " + files.labels->string());
  if (images.bytes.empty())
    fail(*files.images, "is " + numbers(images.dims) + ", expected at least one image and pixel");
  return make_dataset("mnist", 1, images.dims[1], images.dims[2], 10, images.bytes, labels.bytes);
}

Dataset pooled(const Dataset& data, Index factor) {
  if (factor < 1 || data.width % factor != 0 || data.height % factor != 0)
    throw std::invalid_argument("pooled: factor is " + std::to_string(factor) +
                                ", expected a divisor of width " + std::to_string(data.width) +
                                " and height " + std::to_string(data.height));
  if (data.images.rows() != data.channels * data.height * data.width)
    throw std::invalid_argument("pooled: images have " + std::to_string(data.images.rows()) +
                                " rows, expected " + numbers({data.channels, data.height, data.width}));
  if (factor == 1) return data;

  Dataset result;
  result.name = data.name;
  result.width = data.width / factor;
  result.height = data.height / factor;
  result.channels = data.channels;
  result.classes = data.classes;
  result.labels = data.labels;
  result.fingerprint = crc(data.fingerprint, factor);
  result.images.resize(result.channels * result.height * result.width, data.images.cols());
  float* mean = result.images.data();
  for (Index i = 0; i < data.images.cols(); ++i) {
    const float* image = data.images.data() + i * data.images.rows();
    for (Index row = 0; row < result.channels * result.height; ++row) {  // a channel's rows follow another's
      for (Index column = 0; column < result.width; ++column) {
        double sum =
            0;  // exact for values of 24 bits, so that no order of summation and no FMA can change it
        for (Index y = row * factor; y < (row + 1) * factor; ++y)
          for (Index x = column * factor; x < (column + 1) * factor; ++x)
            sum += static_cast<double>(image[y * data.width + x]);
        *mean++ = static_cast<float>(sum / static_cast<double>(factor * factor));
      }
    }
  }
  return result;
}

}  // namespace paper
