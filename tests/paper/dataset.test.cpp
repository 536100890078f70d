#include "data/dataset.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "files.hpp"

namespace {

using paper::Dataset;
using paper::Index;

Bytes mnist_pixels(std::size_t count) { return noise(count * 6); }  // images of 3 x 2

Bytes mnist_images(std::uint32_t count) { return idx_header({count, 3, 2}) + mnist_pixels(count); }

Bytes mnist_labels(const Bytes& labels) {
  return idx_header({static_cast<std::uint32_t>(labels.size())}) + labels;
}

std::string load_message(const Folder& folder) {
  return message([&] { paper::load_mnist(folder.path); });
}

// the mean of a box, straight from the definition
double naive_mean(const Dataset& data, Index image, Index channel, Index y, Index x, Index factor) {
  double sum = 0;
  for (Index v = 0; v < factor; ++v)
    for (Index u = 0; u < factor; ++u)
      sum += static_cast<double>(
          data.images((channel * data.height + y * factor + v) * data.width + x * factor + u, image));
  return sum / static_cast<double>(factor * factor);
}

double largest_pooling_error(const Dataset& data, const Dataset& small, Index factor) {
  double worst = 0;
  for (Index i = 0; i < small.images.cols(); ++i)
    for (Index c = 0; c < small.channels; ++c)
      for (Index y = 0; y < small.height; ++y)
        for (Index x = 0; x < small.width; ++x)
          worst = std::max(
              worst, std::abs(static_cast<double>(small.images((c * small.height + y) * small.width + x, i)) -
                              naive_mean(data, i, c, y, x, factor)));
  return worst;
}

}  // namespace

TEST_CASE("make_dataset scales the bytes and names the data by their sum") {
  const Bytes pixels{0, 51, 255, 10, 20, 30}, labels{3, 0};
  const Dataset data = paper::make_dataset("tiny", 1, 1, 3, 4, pixels, labels);
  CHECK(data.name == "tiny");
  CHECK(data.channels == 1);
  CHECK(data.height == 1);
  CHECK(data.width == 3);
  CHECK(data.classes == 4);
  CHECK((data.labels == std::vector<int>{3, 0}));
  REQUIRE(data.images.rows() == 3);
  REQUIRE(data.images.cols() == 2);
  for (Index i = 0; i < 6; ++i)
    CHECK(data.images(i % 3, i / 3) == static_cast<float>(pixels[static_cast<std::size_t>(i)]) / 255.0f);
  CHECK(data.fingerprint ==
        0x92d56f5eu);  // Python: zlib.crc32(struct.pack("<5q", 1, 1, 3, 4, 2) + pixels + labels)

  const auto fingerprint = [&](Index channels, Index height, Index width, Index classes, const Bytes& p,
                               const Bytes& l) {
    return paper::make_dataset("other name", channels, height, width, classes, p, l).fingerprint;
  };
  CHECK(fingerprint(1, 1, 3, 4, pixels, labels) == data.fingerprint);
  CHECK(fingerprint(1, 3, 1, 4, pixels, labels) != data.fingerprint);
  CHECK(fingerprint(3, 1, 1, 4, pixels, labels) != data.fingerprint);
  CHECK(fingerprint(1, 1, 3, 5, pixels, labels) != data.fingerprint);
  CHECK(fingerprint(1, 1, 3, 4, {0, 51, 255, 10, 20, 31}, labels) != data.fingerprint);
  CHECK(fingerprint(1, 1, 3, 4, pixels, {3, 1}) != data.fingerprint);

  CHECK_THROWS_AS(paper::make_dataset("", 1, 1, 3, 4, {1, 2, 3, 4, 5}, labels), std::invalid_argument);
  CHECK_THROWS_AS(paper::make_dataset("", 1, 1, 3, 3, pixels, labels), std::invalid_argument);
  CHECK_THROWS_AS(paper::make_dataset("", 0, 1, 3, 4, {}, {}), std::invalid_argument);
  CHECK(paper::make_dataset("", 1, 1, 3, 4, {}, {}).images.cols() == 0);
}

TEST_CASE("load_mnist finds every spelling, in the folder and in its mnist") {
  const Bytes labels{5, 0, 4, 9};
  const Bytes image_file = mnist_images(4), label_file = mnist_labels(labels);
  std::uint32_t fingerprint = 0;
  for (const char* place : {"", "mnist"}) {
    for (const char* image_name : {"train-images-idx3-ubyte", "train-images-idx3-ubyte.gz",
                                   "train-images.idx3-ubyte", "train-images.idx3-ubyte.gz"}) {
      for (const char* label_name : {"train-labels-idx1-ubyte", "train-labels-idx1-ubyte.gz",
                                     "train-labels.idx1-ubyte", "train-labels.idx1-ubyte.gz"}) {
        const Folder folder;
        fs::create_directories(folder / place);
        CHECK(!paper::has_mnist(folder.path));
        const auto is_gz = [](const std::string& name) { return name.ends_with(".gz"); };
        write(folder.path / place / image_name, is_gz(image_name) ? gzipped(folder, image_file) : image_file);
        CHECK(!paper::has_mnist(folder.path));
        write(folder.path / place / label_name, is_gz(label_name) ? gzipped(folder, label_file) : label_file);
        CHECK(paper::has_mnist(folder.path));
        const Dataset data = paper::load_mnist(folder.path);
        CHECK(data.name == "mnist");
        CHECK(data.height == 3);
        CHECK(data.width == 2);
        CHECK(data.channels == 1);
        CHECK(data.classes == 10);
        CHECK((data.labels == std::vector<int>{5, 0, 4, 9}));
        const Bytes pixels = mnist_pixels(4);
        REQUIRE(data.images.size() == 24);
        for (std::size_t i = 0; i < 24; ++i)
          CHECK(data.images.data()[i] == static_cast<float>(pixels[i]) / 255.0f);
        if (fingerprint == 0) fingerprint = data.fingerprint;
        CHECK(data.fingerprint == fingerprint);
      }
    }
  }
}

TEST_CASE("load_mnist takes both files from one folder") {
  const Folder folder;
  fs::create_directory(folder / "mnist");
  write(folder / "train-images-idx3-ubyte", mnist_images(3));
  write(folder / "mnist/train-labels-idx1-ubyte", mnist_labels({1, 2}));
  CHECK(!paper::has_mnist(folder.path));
  write(folder / "mnist/train-images-idx3-ubyte", mnist_images(2));
  CHECK(paper::has_mnist(folder.path));
  CHECK(paper::load_mnist(folder.path).images.cols() == 2);
}

TEST_CASE("load_mnist names what is missing or does not fit") {
  const Folder folder;
  const std::string image_name = "train-images-idx3-ubyte", label_name = "train-labels-idx1-ubyte";
  CHECK(!paper::has_mnist(folder / "absent"));
  CHECK_THROWS_AS(paper::load_mnist(folder / "absent"), std::runtime_error);
  CHECK(contains(load_message(folder),
                 "load_mnist: " + folder.path.string() + ": found neither " + image_name));
  write(folder / image_name, mnist_images(3));
  CHECK(contains(load_message(folder), "found neither " + label_name));
  fs::create_directory(folder / label_name);  // a folder of that name is no file
  CHECK(!paper::has_mnist(folder.path));
  fs::remove(folder / label_name);

  const std::string labels_at = "load_mnist: " + (folder / label_name).string() + ": ";
  const std::string images_at = "load_mnist: " + (folder / image_name).string() + ": ";
  write(folder / label_name, mnist_labels({1, 2}));
  CHECK(contains(load_message(folder), images_at + "holds 3 images, expected 2"));
  write(folder / label_name, mnist_labels({1, 10, 2}));
  CHECK(contains(load_message(folder), labels_at + "label 1 is 10, expected 0 to 9"));
  write(folder / label_name, mnist_images(3));
  CHECK(contains(load_message(folder), labels_at + "is 3 x 3 x 2, expected labels in 1 dimension"));
  write(folder / label_name, mnist_labels({1, 2, 3}));
  write(folder / image_name, idx_header({3, 2}) + Bytes(6, 0));
  CHECK(contains(load_message(folder), images_at + "is 3 x 2, expected 3 dimensions"));
  write(folder / image_name, idx_header({3, 0, 2}));
  CHECK(contains(load_message(folder), images_at + "is 3 x 0 x 2, expected at least one"));
  write(folder / image_name, idx_header({0, 3, 2}));
  write(folder / label_name, mnist_labels({}));
  CHECK(contains(load_message(folder), images_at + "is 0 x 3 x 2, expected at least one"));
  write(folder / label_name, {0, 0});  // what read_idx says comes through
  CHECK(contains(load_message(folder),
                 "read_idx: " + (folder / label_name).string() + ": header ends after 2"));
}

TEST_CASE("MNIST itself") {
  const fs::path folder = SAGITTA_SHARED "/data";
  if (!paper::has_mnist(folder)) {
    WARN("no MNIST in " << folder.string() << ": not checked");
    return;
  }
  const Dataset data = paper::load_mnist(folder);
  CHECK(data.width == 28);
  CHECK(data.height == 28);
  CHECK(data.channels == 1);
  CHECK(data.classes == 10);
  REQUIRE(data.images.rows() == 784);
  REQUIRE(data.images.cols() == 60000);
  REQUIRE(data.labels.size() == 60000);
  CHECK(data.labels[0] == 5);
  std::array<int, 10> histogram{};
  for (const int label : data.labels) ++histogram[static_cast<std::size_t>(label)];
  CHECK((histogram == std::array<int, 10>{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949}));
  CHECK(data.images.minCoeff() == 0.0f);
  CHECK(data.images.maxCoeff() == 1.0f);
  // its published mean is .1307; 60000 x 784 floats want a sum in double
  CHECK(std::abs(data.images.cast<double>().mean() - 0.1307) < 5e-5);
  CHECK(data.fingerprint == 0x7c49fa09u);  // by Python's zlib over the same bytes

  const Dataset small = paper::pooled(data, 2);
  CHECK(small.images.rows() == 196);
  CHECK(small.images.cols() == 60000);
  CHECK((small.labels == data.labels));
  CHECK(small.fingerprint == 0xec33f0c2u);
}

TEST_CASE("pooled is the mean of each box") {
  constexpr Index channels = 3, height = 12, width = 6, count = 5;
  const Dataset data = paper::make_dataset("boxes", channels, height, width, 2,
                                           noise(channels * height * width * count), {0, 1, 0, 1, 0});
  std::vector<std::uint32_t> fingerprints{data.fingerprint};
  for (const Index factor : {2, 3, 6}) {
    const Dataset small = paper::pooled(data, factor);
    CHECK(small.name == data.name);
    CHECK(small.width == width / factor);
    CHECK(small.height == height / factor);
    CHECK(small.channels == channels);
    CHECK(small.classes == data.classes);
    CHECK((small.labels == data.labels));
    REQUIRE(small.images.rows() == channels * height * width / (factor * factor));
    REQUIRE(small.images.cols() == count);
    CHECK(largest_pooling_error(data, small, factor) <= 0x1p-24);  // rounding to float of values up to 1
    CHECK(std::count(fingerprints.begin(), fingerprints.end(), small.fingerprint) == 0);
    fingerprints.push_back(small.fingerprint);
  }
  const Dataset same = paper::pooled(data, 1);
  CHECK((same.images == data.images));
  CHECK(same.fingerprint == data.fingerprint);

  for (const Index factor : {-1, 0, 4, 5, 12})  // 4 and 12 divide the height alone
    CHECK_THROWS_AS(paper::pooled(data, factor), std::invalid_argument);
  Dataset broken = data;
  broken.images.resize(7, count);
  CHECK_THROWS_AS(paper::pooled(broken, 2), std::invalid_argument);
  CHECK_THROWS_AS(paper::pooled(broken, 1), std::invalid_argument);
}
