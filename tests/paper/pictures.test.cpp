#include "catch.hpp"
#include "folder.hpp"

#include <unistd.h>

#include <fstream>
#include <functional>
#include <set>
#include <stdexcept>
#include <string>

#include "data/image_classes.hpp"
#include "data/npy.hpp"

// The readers of CIFAR-10 and of ImageNet's classes, on good files and on bad ones.
using namespace paper;
namespace fs = std::filesystem;

namespace {

void write(const fs::path& path, const std::string& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string refusal(const std::function<void()>& work) {
  try {
    work();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "no error";
}

bool contains(const std::string& text, const std::string& part) {
  INFO(text);
  const bool found = text.find(part) != std::string::npos;
  CHECK(found);
  return found;
}

std::string npy(const std::string& header, const std::string& content, int major = 1) {
  std::string text = "\x93NUMPY" + std::string{static_cast<char>(major), '\0'};
  std::string padded = header;
  while ((padded.size() + 11 + (major == 1 ? 0u : 2u)) % 64 != 0) padded += ' ';
  padded += '\n';
  for (int byte = 0; byte < (major == 1 ? 2 : 4); ++byte)
    text += static_cast<char>(static_cast<unsigned char>(padded.size() >> (8 * byte)));
  return text + padded + content;
}

std::string header(const std::string& shape, const std::string& descr = "|u1",
                   const std::string& order = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
}

std::string record(int label, int value) {
  std::string bytes(1 + 3072, static_cast<char>(value));
  bytes[0] = static_cast<char>(label);
  return bytes;
}

std::string pixels_of(Index images, char first) {
  std::string bytes;
  for (Index i = 0; i < images; ++i) bytes += std::string(3072, static_cast<char>(first + i));
  return bytes;
}

}  // namespace

TEST_CASE("NPY: versions 1.0 and 2.0, keys in any order, shapes with 0 and 1", "[data]") {
  const Folder folder;
  const fs::path file = folder.path / "a.npy";
  const auto read = [&](const std::string& bytes) {
    write(file, bytes);
    return read_npy(file);
  };
  for (const int major : {1, 2}) {
    const NpyArray array = read(npy(header("(2, 3)"), "abcdef", major));
    CHECK(array.shape == std::vector<Index>{2, 3});
    CHECK(array.bytes == std::vector<std::uint8_t>{'a', 'b', 'c', 'd', 'e', 'f'});
  }
  CHECK(read(npy("{'shape':(4,),\"descr\":\"|u1\",'fortran_order':False}", "abcd")).shape ==
        std::vector<Index>{4});
  CHECK(read(npy(header("()"), "x")).bytes.size() == 1);
  CHECK(read(npy(header("(0, 5)"), "")).bytes.empty());
}

TEST_CASE("NPY: what is not such a file is refused by name", "[data]") {
  const Folder folder;
  const fs::path file = folder.path / "bad.npy";
  const auto says = [&](const std::string& bytes, const std::string& words) {
    write(file, bytes);
    const std::string text = refusal([&] { read_npy(file); });
    return contains(text, "read_npy: " + file.string() + ": ") && contains(text, words);
  };
  const std::string good = npy(header("(2, 3)"), "abcdef");
  says("", "holds 0 bytes, expected an NPY file");
  says("\x89PNG\r\n\x1a\n......", "does not begin with");
  says(good.substr(0, 30), "ends inside its header");
  says(npy(header("(2, 3)"), "abcdef", 2).substr(0, 11), "ends inside its header");
  says(npy(header("(2, 3)"), "abcdef", 3), "is NPY version 3.0, expected 1.0 or 2.0");
  says(good.substr(0, good.size() - 1), "holds 5 bytes after its header, expected 6 for shape (2, 3)");
  says(good + "g", "holds 7 bytes after its header, expected 6");
  says(npy(header("(2, 3)", "<f4"), "abcdef"), "dtype is '<f4', expected '|u1' (uint8)");
  says(npy(header("(2, 3)", "|i1"), "abcdef"), "dtype is '|i1'");
  says(npy(header("(2, 3)", "|u1", "True"), "abcdef"), "fortran_order is True, expected False");
  says(npy(header("(9223372036854775807, 3)"), "abcdef"), "damaged");
  says(npy(header("(4294967296, 4294967296, 4294967296)"), "abcdef"), "more than fit");
  for (const std::string damaged :
       {"", "{}", "{'descr': '|u1'}", "{'descr': '|u1", "{'descr' '|u1'}", "{'descr': 1}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2, -3), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), } x",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2 3), }",
        "{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': [('a', 'u1')], 'fortran_order': False, 'shape': (2,)}"})
    says(npy(damaged, "abcdef"), "its header is damaged");
  fs::remove(file);
  CHECK(contains(refusal([&] { read_npy(file); }), file.string() + ": cannot be read"));
  CHECK(contains(refusal([&] { read_npy(folder.path); }), folder.path.string() + ": "));
}

TEST_CASE("CIFAR-10: five batches of any length, in the folder or below it", "[data]") {
  for (const char* below : {"", "cifar10", "cifar-10-batches-bin"}) {
    const Folder folder;
    for (int batch = 1; batch <= 5; ++batch)
      write(folder.path / below / ("data_batch_" + std::to_string(batch) + ".bin"),
            batch == 2 ? record(9, 255) + record(0, 51) : record(batch, batch));
    CHECK(has_cifar10(folder.path));
    const Dataset data = load_cifar10(folder.path);
    CHECK(data.labels == std::vector<int>{1, 9, 0, 3, 4, 5});
    CHECK((data.channels == 3 && data.height == 32 && data.width == 32 && data.classes == 10));
    CHECK((data.images.rows() == 3072 && data.images.cols() == 6));
    CHECK(data.images(3071, 1) == 1.0f);
    CHECK(data.images(0, 2) == 51.0f / 255.0f);
  }
}

TEST_CASE("CIFAR-10: bad batches are refused by name", "[data]") {
  const Folder folder;
  const auto batch = [&](int number) {
    return folder.path / ("data_batch_" + std::to_string(number) + ".bin");
  };
  CHECK(!has_cifar10(folder.path));
  CHECK(contains(refusal([&] { load_cifar10(folder.path); }),
                 folder.path.string() + ": found no data_batch_1.bin"));
  for (int number = 1; number <= 5; ++number) write(batch(number), record(number, 1));
  const auto says = [&](int number, const std::string& words) {
    const std::string text = refusal([&] { load_cifar10(folder.path); });
    CHECK((contains(text, batch(number).string() + ": ") && contains(text, words)));
    write(batch(number), record(number, 1));
  };
  write(batch(3), record(3, 1).substr(1));
  says(3, "holds 3072 bytes, expected whole records of 3073 bytes");
  write(batch(5), "");
  says(5, "holds 0 bytes");
  write(batch(1), record(1, 1) + record(10, 1));
  says(1, "the label of record 1 is 10, expected 0 to 9");
  fs::remove(batch(4));
  says(4, "cannot be read");
  CHECK(load_cifar10(folder.path).labels.size() == 5);
}

TEST_CASE("classes: files by number, all of one shape, read when asked for", "[data]") {
  const Folder folder;
  const auto file = [&](const std::string& name) { return folder.path / "imagenet32" / "classes" / name; };
  CHECK(!has_image_classes(folder.path, "imagenet32"));
  CHECK(contains(refusal([&] {
                   open_image_classes(folder.path, "imagenet32", ImageShape{3, 32, 32});
                 }),
                 folder.path.string() + ": found no <number>.npy"));
  for (const Index number : {Index{10}, Index{2}, Index{0}})  // 10 comes after 2
    write(file(std::to_string(number) + ".npy"),
          npy(header("(2, 3, 32, 32)"), pixels_of(2, static_cast<char>(number))));
  write(file("readme.npy"), "not a class");
  write(file("3.txt"), "nor this");
  CHECK(has_image_classes(folder.path, "imagenet32"));
  const ImageClasses classes = open_image_classes(folder.path, "imagenet32", ImageShape{3, 32, 32});
  CHECK((classes.classes == 3 && classes.images == 2));
  CHECK(classes.read(2)[3072] == 11);
  CHECK(classes.read(1)[0] == 2);
  const auto fingerprint = classes.fingerprint;
  write(file("2.npy"), npy(header("(2, 3, 32, 32)"), pixels_of(2, 7)));
  CHECK(open_image_classes(folder.path / "imagenet32", "imagenet32", ImageShape{3, 32, 32}).fingerprint !=
        fingerprint);

  const auto says = [&](const std::string& bytes, const std::string& words) {
    write(file("2.npy"), bytes);
    const std::string text = refusal([&] {
      open_image_classes(folder.path, "imagenet32", ImageShape{3, 32, 32});
    });
    return contains(text, file("2.npy").string() + ": ") && contains(text, words);
  };
  says(npy(header("(1, 3, 32, 32)"), pixels_of(1, 1)), "holds 1 images, expected 2 as in ");
  says(npy(header("(2, 32, 32, 3)"), pixels_of(2, 1)),
       "shape is (2, 32, 32, 3), expected (images, 3, 32, 32)");
  says(npy(header("(6144,)"), pixels_of(2, 1)), "shape is (6144)");
  says(npy(header("(0, 3, 32, 32)"), ""), "with at least one image");
  says(npy(header("(2, 3, 32, 32)", "<f4"), pixels_of(2, 1)), "dtype is '<f4'");
}

TEST_CASE("textures: the same everywhere, alike within a class and not across", "[data]") {
  const ImageClasses textures = synthetic_textures(3, 4);
  const auto first = textures.read(0), again = textures.read(0), second = textures.read(1);
  CHECK(first == again);
  CHECK(first != second);
  CHECK(first.size() == 4 * 3072);
  std::set<std::string> distinct;
  for (std::ptrdiff_t i = 0; i < 4; ++i)
    distinct.emplace(first.begin() + i * 3072, first.begin() + (i + 1) * 3072);
  CHECK(distinct.size() == 4);
  const Dataset data = synthetic_textures(Index{20});
  CHECK(data.labels[13] == 3);
  // neighbouring pixels go together, as in pictures: their differences are small against the spread
  float apart = 0, spread = 0;
  for (Index i = 0; i < 20; ++i) {
    const auto red = data.images.col(i).head(1024);
    spread += (red.array() - red.mean()).square().mean();
    apart += (red.tail(1023) - red.head(1023)).squaredNorm() / 1023;
  }
  CHECK(apart < spread);
  CHECK_THROWS_AS(synthetic_textures(0, 1), std::invalid_argument);
  CHECK_THROWS_AS(synthetic_textures(1, 0), std::invalid_argument);
}
