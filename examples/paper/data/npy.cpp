#include "data/npy.hpp"

#include <fstream>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace paper {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& what) {
  throw std::runtime_error("read_npy: " + path.string() + ": " + what);
}

// The header is a Python dictionary: {'descr': '|u1', 'fortran_order': False, 'shape': (256, 3, 32, 32), }
class Header {
 public:
  Header(std::string_view text, const std::filesystem::path& path) : text_(text), path_(path) {}

  NpyArray read() {
    std::optional<std::string> descr, order;
    std::optional<std::vector<Index>> shape;
    expect('{');
    while (!accept('}')) {
      const std::string key = word();
      expect(':');
      if (key == "descr" && !descr)
        descr = word();
      else if (key == "fortran_order" && !order)
        order = name();
      else if (key == "shape" && !shape)
        shape = tuple();
      else
        bad();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip();
    if (at_ != text_.size() || !descr || !order || !shape) bad();
    if (*descr != "|u1") fail(path_, "dtype is '" + *descr + "', expected '|u1' (uint8)");
    if (*order != "False") fail(path_, "fortran_order is " + *order + ", expected False (C order)");
    return {*shape, {}};
  }

 private:
  [[noreturn]] void bad() const {
    fail(path_, "its header is damaged, expected {'descr': ..., 'fortran_order': ..., 'shape': ..., }");
  }
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool accept(char c) {
    skip();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) bad();
  }
  std::string word() {  // between quotes
    skip();
    if (at_ == text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) bad();
    const std::size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) bad();
    std::string result(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return result;
  }
  std::string name() {
    skip();
    const std::size_t first = at_;
    while (at_ < text_.size() &&
           ((text_[at_] >= 'a' && text_[at_] <= 'z') || (text_[at_] >= 'A' && text_[at_] <= 'Z')))
      ++at_;
    if (at_ == first) bad();
    return std::string(text_.substr(first, at_ - first));
  }
  std::vector<Index> tuple() {
    std::vector<Index> numbers;
    expect('(');
    while (!accept(')')) {
      skip();
      const std::size_t first = at_;
      Index number = 0;
      for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
        if (number > std::numeric_limits<Index>::max() / 10 - 1) bad();
        number = 10 * number + (text_[at_] - '0');
      }
      if (at_ == first) bad();
      numbers.push_back(number);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return numbers;
  }

  std::string_view text_;
  const std::filesystem::path& path_;
  std::size_t at_ = 0;
};

}  // namespace

NpyArray read_npy(const std::filesystem::path& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  std::ifstream file(path, std::ios::binary);
  if (error || !file) fail(path, "cannot be read" + (error ? " (" + error.message() + ")" : std::string()));
  unsigned char start[12]{};
  const auto get = [&](void* to, std::size_t count) {
    return static_cast<bool>(file.read(static_cast<char*>(to), static_cast<std::streamsize>(count)));
  };
  if (size < 10 || !get(start, 10))
    fail(path, "holds " + std::to_string(size) + " bytes, expected an NPY file");
  if (std::string_view(reinterpret_cast<const char*>(start), 6) != "\x93NUMPY")
    fail(path, "does not begin with \\x93NUMPY, expected an NPY file");
  const int major = start[6], minor = start[7];
  if ((major != 1 && major != 2) || minor != 0)
    fail(path,
         "is NPY version " + std::to_string(major) + "." + std::to_string(minor) + ", expected 1.0 or 2.0");
  if (major == 2 && !get(start + 10, 2)) fail(path, "ends inside its header");
  // little-endian; 2 bytes in version 1.0, 4 in 2.0
  std::size_t length = start[8] + std::size_t{256} * start[9];
  if (major == 2) length += (std::size_t{1} << 16) * start[10] + (std::size_t{1} << 24) * start[11];
  const std::size_t before = major == 1 ? 10 : 12;
  if (length > size - before) fail(path, "ends inside its header");
  std::string header(length, ' ');
  if (length > 0 && !get(header.data(), length)) fail(path, "ends inside its header");
  NpyArray array = Header(header, path).read();

  std::string shape;
  std::size_t count = 1;
  const std::size_t rest = size - before - length;
  bool fits = true;
  for (const Index number : array.shape) {
    shape += (shape.empty() ? "" : ", ") + std::to_string(number);
    const auto factor = static_cast<std::size_t>(number);
    if (factor != 0 && count > std::numeric_limits<std::size_t>::max() / factor)
      fits = false;
    else
      count *= factor;
  }
  if (!fits || count != rest)
    fail(path, "holds " + std::to_string(rest) + " bytes after its header, expected " +
                   (fits ? std::to_string(count) : "more than fit") + " for shape (" + shape + ")");
  array.bytes.resize(count);
  if (count > 0 && !get(array.bytes.data(), count)) fail(path, "cannot be read to its end");
  return array;
}

}  // namespace paper
