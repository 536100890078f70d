#include "data/idx.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

namespace paper {
namespace {

constexpr std::uint64_t max_bytes = std::uint64_t{1} << 31;  // beyond any data set that comes as IDX
constexpr std::size_t chunk = std::size_t{1} << 20;          // bytes asked for at a time
constexpr unsigned byte_type = 0x08;
constexpr std::size_t max_dims = 4;

struct Close {
  void operator()(gzFile_s* file) const { gzclose_r(file); }
};

std::string hex(unsigned byte) {
  constexpr const char* digits = "0123456789abcdef";
  return {'0', 'x', digits[(byte >> 4) & 15u], digits[byte & 15u]};
}

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : path_(path.string()) {
    // zlib opens a folder without complaint and fails later, with less to say
    if (std::error_code ignored; std::filesystem::is_directory(path, ignored))
      fail("is a folder, expected an IDX file");
    errno = 0;
    file_.reset(gzopen(path_.c_str(), "rb"));
    if (!file_)
      fail("cannot be opened (" + std::generic_category().message(errno) + "), expected an IDX file");
    gzbuffer(file_.get(), 1u << 17);
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error("read_idx: " + path_ + ": " + what);
  }

  // up to `wanted` (at most `chunk`) bytes; fewer only where the file ends
  std::size_t read(std::uint8_t* target, std::size_t wanted) {
    errno = 0;
    const int got = gzread(file_.get(), target, static_cast<unsigned>(wanted));
    if (got < 0 || static_cast<std::size_t>(got) < wanted) check();
    return static_cast<std::size_t>(got);
  }

 private:
  // gzread returns what it could unpack of a file that is cut short, as if that were all: only gzerror tells
  void check() const {
    int code = Z_OK;
    const std::string text = gzerror(file_.get(), &code);  // "path: reason"
    if (code == Z_OK || code == Z_STREAM_END) return;
    if (code == Z_ERRNO) fail("cannot be read (" + std::generic_category().message(errno) + ")");
    if (code == Z_BUF_ERROR) fail("ends inside its gzip stream, expected the whole of it");
    const auto colon = text.rfind(": ");
    fail("gzip data is damaged (" + (colon == std::string::npos ? text : text.substr(colon + 2)) +
         "), expected an intact stream");
  }

  std::string path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

}  // namespace

IdxArray read_idx(const std::filesystem::path& path) {
  Reader reader(path);
  std::array<std::uint8_t, 4> magic{};
  const std::size_t magic_bytes = reader.read(magic.data(), 4);
  if (magic_bytes == 0) reader.fail("is empty, expected an IDX file");
  if (magic_bytes < 4)
    reader.fail("header ends after " + std::to_string(magic_bytes) + " bytes, expected 4 and the dimensions");
  if (magic[0] != 0 || magic[1] != 0)
    reader.fail("begins with " + hex(magic[0]) + " " + hex(magic[1]) + ", expected an IDX file's 0x00 0x00");
  if (magic[2] != byte_type)
    reader.fail("type code is " + hex(magic[2]) + ", expected 0x08 (unsigned bytes)");
  const std::size_t dimensions = magic[3];
  if (dimensions == 0 || dimensions > max_dims)
    reader.fail("has " + std::to_string(dimensions) + " dimensions, expected 1 to 4");

  std::array<std::uint8_t, 4 * max_dims> sizes{};
  const std::size_t size_bytes = reader.read(sizes.data(), 4 * dimensions);
  if (size_bytes < 4 * dimensions)
    reader.fail("header ends after " + std::to_string(4 + size_bytes) + " bytes, expected " +
                std::to_string(4 + 4 * dimensions));
  IdxArray array;
  std::string shape;
  for (std::size_t k = 0; k < dimensions; ++k) {
    std::uint64_t size = 0;
    for (std::size_t byte = 0; byte < 4; ++byte) size = size << 8 | sizes[4 * k + byte];
    array.dims.push_back(static_cast<Index>(size));
    shape += (k == 0 ? "" : " x ") + std::to_string(size);
  }
  std::uint64_t total = 1;
  for (const Index size : array.dims) {
    const auto factor = static_cast<std::uint64_t>(size);
    if (factor > 0 && total > max_bytes / factor)
      reader.fail("header says " + shape + " bytes, expected at most " + std::to_string(max_bytes));
    total *= factor;
  }

  while (array.bytes.size() < total) {
    const std::size_t done = array.bytes.size();
    const std::size_t wanted = std::min(chunk, static_cast<std::size_t>(total) - done);
    array.bytes.resize(done +
                       wanted);  // libstdc++ and libc++ at least double the capacity, so this is linear
    const std::size_t got = reader.read(array.bytes.data() + done, wanted);
    if (got < wanted)
      reader.fail("holds " + std::to_string(done + got) + " bytes after its header, expected " +
                  std::to_string(total) + " (" + shape + ")");
  }
  // one byte more than there should be; this also makes zlib read and check the sum behind the last block
  if (std::uint8_t extra = 0; reader.read(&extra, 1) != 0)
    reader.fail("holds more bytes after its header than the expected " + std::to_string(total) + " (" +
                shape + ")");
  return array;
}

}  // namespace paper
