#include "catch.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "dataset.hpp"
#include "idx.hpp"

namespace {

namespace fs = std::filesystem;
using paper::Dataset;
using paper::Index;
using Bytes = std::vector<std::uint8_t>;

// a folder of its own, gone with the test
class Folder {
 public:
  Folder() {
    std::random_device random;  // only for a name that no other process has
    do {
      path_ = fs::temp_directory_path() / ("sagitta-dataset-" + std::to_string(random()));
    } while (!fs::create_directory(path_));
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  fs::path operator/(const std::string& name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

void write(const fs::path& path, const Bytes& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  REQUIRE(file.good());
}

Bytes contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

Bytes gzipped(const Folder& folder, const Bytes& bytes) {
  const fs::path path = folder / "packed";
  gzFile file = gzopen(path.string().c_str(), "wb");
  REQUIRE(file != nullptr);
  if (!bytes.empty()) REQUIRE(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())) > 0);
  REQUIRE(gzclose(file) == Z_OK);
  return contents(path);
}

Bytes idx_header(const std::vector<std::uint32_t>& dims) {
  Bytes bytes{0, 0, 8, static_cast<std::uint8_t>(dims.size())};
  for (const std::uint32_t dim : dims)
    for (const unsigned shift : {24u, 16u, 8u, 0u}) bytes.push_back(static_cast<std::uint8_t>(dim >> shift));
  return bytes;
}

Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

Bytes noise(std::size_t count) {  // does not compress, so that cuts fall where they are meant to
  std::mt19937 generator(5);
  Bytes bytes(count);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(generator() >> 24);
  return bytes;
}

// what a std::runtime_error of the call says; empty where it did not throw one
template <class Call>
std::string message(Call&& call) {
  try {
    call();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return {};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

bool refused(const fs::path& path, const std::string& reason) {
  const std::string text = message([&] { paper::read_idx(path); });
  INFO(text);
  CHECK(contains(text, "read_idx: " + path.string() + ": "));
  CHECK(contains(text, reason));
  return contains(text, reason);
}

Bytes mnist_pixels(std::size_t count) { return noise(count * 6); }  // images of 3 x 2

Bytes mnist_images(std::uint32_t count) { return idx_header({count, 3, 2}) + mnist_pixels(count); }

Bytes mnist_labels(const Bytes& labels) {
  return idx_header({static_cast<std::uint32_t>(labels.size())}) + labels;
}

std::string load_message(const Folder& folder) {
  return message([&] { paper::load_mnist(folder.path()); });
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

TEST_CASE("read_idx reads what was written, plain and gzip") {
  const Folder folder;
  const std::vector<std::vector<std::uint32_t>> shapes = {
      {1},       {7},         {3, 5},       {4, 3, 2}, {2, 3, 4, 5},  // every number of dimensions
      {0},       {0, 28, 28}, {5, 0},                                 // no bytes at all
      {1048576}, {1048577},   {2, 1048576},                           // about the sizes in which it reads
  };
  for (const auto& dims : shapes) {
    std::size_t count = 1;
    for (const std::uint32_t dim : dims) count *= dim;
    const Bytes bytes = noise(count), file = idx_header(dims) + bytes;
    write(folder / "plain.gz", file);  // the name does not decide
    write(folder / "packed-ubyte", gzipped(folder, file));
    for (const char* name : {"plain.gz", "packed-ubyte"}) {
      const paper::IdxArray array = paper::read_idx(folder / name);
      CHECK(array.dims == std::vector<Index>(dims.begin(), dims.end()));
      CHECK((array.bytes == bytes));
    }
  }
}

TEST_CASE("read_idx names a file that is absent, a folder or empty") {
  const Folder folder;
  CHECK(refused(folder / "absent", "cannot be opened"));
  CHECK(refused(folder.path(), "is a folder"));
  write(folder / "empty", {});
  CHECK(refused(folder / "empty", "is empty"));
  write(folder / "empty.gz", gzipped(folder, {}));
  CHECK(refused(folder / "empty.gz", "is empty"));
  CHECK_THROWS_AS(paper::read_idx(folder / "absent"), std::runtime_error);
}

TEST_CASE("read_idx refuses headers that are no IDX of bytes") {
  const Folder folder;
  const auto check = [&](const Bytes& bytes, const std::string& reason) {
    write(folder / "plain", bytes);
    CHECK(refused(folder / "plain", reason));
    write(folder / "packed", gzipped(folder, bytes));
    CHECK(refused(folder / "packed", reason));
  };
  for (std::size_t count = 1; count < 4; ++count)
    check(Bytes(count, 0), "header ends after " + std::to_string(count) + " bytes, expected 4");
  const Bytes whole = idx_header({2, 3, 4});
  for (std::size_t count = 4; count < whole.size(); ++count)
    check(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(count)),
          "header ends after " + std::to_string(count) + " bytes, expected 16");
  check({'P', 'K', 3, 4}, "begins with 0x50 0x4b, expected an IDX file's 0x00 0x00");
  check({0, 1, 8, 1, 0, 0, 0, 0}, "begins with 0x00 0x01");
  check({0, 0, 0x0d, 1, 0, 0, 0, 0}, "type code is 0x0d, expected 0x08");
  check({0, 0, 8, 0}, "has 0 dimensions, expected 1 to 4");
  check({0, 0, 8, 5}, "has 5 dimensions, expected 1 to 4");
  check({0, 0, 8, 255}, "has 255 dimensions, expected 1 to 4");
}

TEST_CASE("read_idx believes no size before the bytes are there") {
  const Folder folder;
  const std::uint32_t huge = 0xffffffffu;
  for (const std::vector<std::uint32_t>& dims :
       std::vector<std::vector<std::uint32_t>>{{0x80000001u},  // 2^31 + 1
                                               {huge},
                                               {65536, 65536},                // 2^32
                                               {huge, huge, huge, huge},      // overflows 64 bits
                                               {65536, 65536, 65536, 65536},  // 2^64, which is 0
                                               {0x10001u, 0xffff0001u, 0xffff0001u, 1}}) {
    write(folder / "file", idx_header(dims) + Bytes(16, 1));
    CHECK(refused(folder / "file", "expected at most 2147483648"));
  }
  write(folder / "file", idx_header({0x80000000u}) + Bytes(16, 1));  // 2^31, allowed, and not there
  CHECK(refused(folder / "file", "holds 16 bytes after its header, expected 2147483648 (2147483648)"));
}

TEST_CASE("read_idx refuses fewer and more bytes than the header says") {
  const Folder folder;
  for (const std::size_t count : {24u, 1048576u}) {
    const Bytes header = idx_header({static_cast<std::uint32_t>(count)}), bytes = noise(count + 1);
    const std::string size = std::to_string(count);
    for (const std::size_t got : {std::size_t{0}, count - 1, count + 1}) {
      const Bytes file = header + Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(got));
      const std::string reason =
          got > count ? "holds more bytes after its header than the expected " + size
                      : "holds " + std::to_string(got) + " bytes after its header, expected " + size;
      write(folder / "plain", file);
      CHECK(refused(folder / "plain", reason));
      write(folder / "packed", gzipped(folder, file));
      CHECK(refused(folder / "packed", reason));
    }
  }
  SECTION("a second gzip stream counts") {
    const Bytes file = idx_header({4}) + Bytes{1, 2, 3, 4};
    write(folder / "two", gzipped(folder, file) + gzipped(folder, {5}));
    CHECK(refused(folder / "two", "holds more bytes"));
  }
}

TEST_CASE("read_idx tells damaged gzip") {
  const Folder folder;
  const Bytes whole = gzipped(folder, idx_header({3000}) + noise(3000));
  SECTION("cut anywhere, the sum at its end included") {
    for (const std::size_t cut : {std::size_t{2}, std::size_t{9}, std::size_t{12}, std::size_t{1500},
                                  whole.size() - 9, whole.size() - 8, whole.size() - 4, whole.size() - 1}) {
      write(folder / "cut", Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(cut)));
      CHECK(refused(folder / "cut", "ends inside its gzip stream"));
    }
  }
  SECTION("a wrong sum or length at its end") {
    for (const std::size_t back : {1u, 4u, 5u, 8u}) {
      Bytes wrong = whole;
      wrong[wrong.size() - back] ^= 1;
      write(folder / "wrong", wrong);
      CHECK(refused(folder / "wrong", "gzip data is damaged (incorrect "));
    }
  }
  SECTION("a flipped bit in the middle") {
    Bytes wrong = whole;
    wrong[1500] ^= 4;
    write(folder / "wrong", wrong);
    CHECK(refused(folder / "wrong", "gzip data is damaged ("));
  }
  SECTION("not deflate") {
    Bytes wrong = whole;
    wrong[2] = 7;
    write(folder / "wrong", wrong);
    CHECK(refused(folder / "wrong", "gzip data is damaged ("));
  }
}

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
        CHECK(!paper::has_mnist(folder.path()));
        const auto is_gz = [](const std::string& name) { return name.ends_with(".gz"); };
        write(folder.path() / place / image_name,
              is_gz(image_name) ? gzipped(folder, image_file) : image_file);
        CHECK(!paper::has_mnist(folder.path()));
        write(folder.path() / place / label_name,
              is_gz(label_name) ? gzipped(folder, label_file) : label_file);
        CHECK(paper::has_mnist(folder.path()));
        const Dataset data = paper::load_mnist(folder.path());
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
  CHECK(!paper::has_mnist(folder.path()));
  write(folder / "mnist/train-images-idx3-ubyte", mnist_images(2));
  CHECK(paper::has_mnist(folder.path()));
  CHECK(paper::load_mnist(folder.path()).images.cols() == 2);
}

TEST_CASE("load_mnist names what is missing or does not fit") {
  const Folder folder;
  const std::string image_name = "train-images-idx3-ubyte", label_name = "train-labels-idx1-ubyte";
  CHECK(!paper::has_mnist(folder / "absent"));
  CHECK_THROWS_AS(paper::load_mnist(folder / "absent"), std::runtime_error);
  CHECK(contains(load_message(folder),
                 "load_mnist: " + folder.path().string() + ": found neither " + image_name));
  write(folder / image_name, mnist_images(3));
  CHECK(contains(load_message(folder), "found neither " + label_name));
  fs::create_directory(folder / label_name);  // a folder of that name is no file
  CHECK(!paper::has_mnist(folder.path()));
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

TEST_CASE("synthetic digits are determined by seed and place") {
  const Dataset data = paper::synthetic_digits(200, 7);
  CHECK(data.name == "synthetic");
  CHECK(data.width == 28);
  CHECK(data.height == 28);
  CHECK(data.channels == 1);
  CHECK(data.classes == 10);
  REQUIRE(data.images.rows() == 784);
  REQUIRE(data.images.cols() == 200);
  REQUIRE(data.labels.size() == 200);
  for (std::size_t i = 0; i < 200; ++i) CHECK(data.labels[i] == static_cast<int>(i % 10));

  const Dataset again = paper::synthetic_digits(200, 7), fewer = paper::synthetic_digits(33, 7);
  CHECK((again.images == data.images));
  CHECK(again.fingerprint == data.fingerprint);
  CHECK((fewer.images == data.images.leftCols(33)));
  CHECK(fewer.fingerprint != data.fingerprint);
  const Dataset other = paper::synthetic_digits(200, 8);
  CHECK(other.fingerprint != data.fingerprint);
  for (Index i = 0; i < 200; ++i) CHECK((other.images.col(i) != data.images.col(i)));

  CHECK(paper::synthetic_digits(0, 7).images.cols() == 0);
  CHECK_THROWS_AS(paper::synthetic_digits(-1, 7), std::invalid_argument);
  CHECK_THROWS_AS(paper::synthetic_digits(std::numeric_limits<Index>::max(), 7), std::invalid_argument);
}

TEST_CASE("synthetic digits are the same on every machine") {
  // of GCC and Clang, optimised or not, with and without fused multiply-add: results of different machines
  // can be compared only if this holds
  CHECK(paper::synthetic_digits(10000, 1).fingerprint == 0xe427eac9u);
}

TEST_CASE("synthetic digits look like digits") {
  const Dataset train = paper::synthetic_digits(2000, 1), test = paper::synthetic_digits(1000, 2);
  CHECK((train.images.minCoeff() == 0.0f));
  CHECK((train.images.maxCoeff() == 1.0f));
  CHECK(train.images.mean() > 0.10f);
  CHECK(train.images.mean() < 0.25f);
  const Eigen::VectorXf shares = train.images.colwise().mean();
  CHECK(shares.minCoeff() > 0.02f);  // a thin 1
  CHECK(shares.maxCoeff() < 0.40f);

  // the digit stays inside: next to no ink on the rim
  double rim = 0;
  for (Index k = 0; k < 28; ++k)
    for (const Index pixel : {k, 27 * 28 + k, 28 * k, 28 * k + 27})
      rim += static_cast<double>(train.images.row(pixel).mean());
  CHECK(rim / (4 * 28) < 0.005);

  // within a class no two images agree
  for (Index i = 0; i + 10 < train.images.cols(); ++i)
    CHECK((train.images.col(i) != train.images.col(i + 10)));

  Eigen::MatrixXf means = Eigen::MatrixXf::Zero(784, 10);
  for (Index i = 0; i < 2000; ++i) means.col(i % 10) += train.images.col(i) / 200.0f;
  int right = 0;
  std::array<int, 10> right_of_class{};
  for (Index i = 0; i < 1000; ++i) {
    Index nearest = -1;
    (means.colwise() - test.images.col(i)).colwise().squaredNorm().minCoeff(&nearest);
    if (nearest == test.labels[static_cast<std::size_t>(i)]) {
      ++right;
      ++right_of_class[static_cast<std::size_t>(nearest)];
    }
  }
  CAPTURE(right);
  CHECK(right > 700);
  for (const int count : right_of_class) CHECK(count > 50);  // of 100: every class, not only the easy ones

  // neither so alike that there is nothing to tell apart: MNIST's class means reach about 80 %
  CHECK(right < 970);

  // images hang together as MNIST's do: the mean cosine of two of them is .39 there
  Eigen::MatrixXf unit = test.images.leftCols(500);
  unit.colwise().normalize();
  const double together = static_cast<double>(unit.rowwise().sum().squaredNorm());
  const double cosine = (together - 500) / (500.0 * 499.0);
  CAPTURE(cosine);
  CHECK(cosine > 0.3);
  CHECK(cosine < 0.5);
}
