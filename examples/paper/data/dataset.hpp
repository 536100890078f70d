#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/index.hpp"

namespace paper {

// How the features of an input lie: channel after channel, each row by row (C order), as in CIFAR's binary
// format. All 0 where inputs are no images.
struct ImageShape {
  Index channels = 0, height = 0, width = 0;
  Index size() const { return channels * height * width; }
  bool operator==(const ImageShape&) const = default;
};

struct Dataset {
  std::string name;  // "mnist", "synthetic"
  Index width = 0, height = 0, channels = 0, classes = 0;
  Eigen::MatrixXf images;   // (channels*height*width) x n, a column an image, values in [0, 1] (bytes / 255);
                            // pixel (x, y) of channel c in row (c*height + y)*width + x
  std::vector<int> labels;  // n, each in [0, classes)
  // tells data apart in results files; from integers only, so the same on every machine
  std::uint32_t fingerprint = 0;
};

// A data set from bytes. pixels: n images one after the other, each in the row order of Dataset::images;
// labels: n. The fingerprint is the CRC-32 (zlib) of channels, height, width, classes and n as 64-bit
// little-endian integers, then the pixels, then the labels, a byte each.
// Throws std::invalid_argument when the sizes do not fit or a label is not below classes.
Dataset make_dataset(std::string name, Index channels, Index height, Index width, Index classes,
                     const std::vector<std::uint8_t>& pixels, const std::vector<std::uint8_t>& labels);

// MNIST's 60,000 training images, from folder or else folder/mnist: train-images-idx3-ubyte and
// train-labels-idx1-ubyte, also with a dot before "idx" and also with .gz at the end.
// Throws std::runtime_error naming the file that is missing, damaged or does not fit the other.
Dataset load_mnist(const std::filesystem::path& folder);

// Whether load_mnist would find both files. It does not open them.
bool has_mnist(const std::filesystem::path& folder);

// The training images of CIFAR-10 in its binary version, from folder, folder/cifar10 or
// folder/cifar-10-batches-bin: data_batch_1.bin to data_batch_5.bin, records of a label and 3 planes of 32
// x 32. Batches may be shorter than the official 10,000 records. Throws std::runtime_error naming the file
// that is missing, cut short or holds a label above 9.
Dataset load_cifar10(const std::filesystem::path& folder);
bool has_cifar10(const std::filesystem::path& folder);  // whether there is a data_batch_1.bin

// Each factor x factor box of each channel replaced by its mean; factor 1 gives the data as they are. The
// fingerprint is that of the data continued over the factor as a 64-bit little-endian integer.
// Throws std::invalid_argument unless the factor divides width and height.
Dataset pooled(const Dataset& data, Index factor);

// Handwritten-like digits, 28 x 28, for machines without MNIST: image i has label i % 10 and depends on
// (seed, i) alone. About 10 microseconds an image.
// Throws std::invalid_argument when count is negative or no memory could hold it.
Dataset synthetic_digits(Index count, std::uint64_t seed);

}  // namespace paper
