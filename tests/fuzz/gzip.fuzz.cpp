#include <zlib.h>

#include <vector>

#include "fuzz.hpp"

// Any bytes as a gzip stream. What is read was there in full: zlib's inflate, called directly, finds at least
// one whole stream in it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::uint8_t> bytes(data, data + size);
  if (size >= 2) bytes[0] = 0x1f, bytes[1] = 0x8b;  // else nearly every input would be plain
  const auto array = fuzz::read(fuzz::file("packed.gz", bytes));
  if (!array) return 0;

  z_stream stream{};
  fuzz::demand(inflateInit2(&stream, 15 + 16) == Z_OK, "inflate starts");
  stream.next_in = bytes.data();
  stream.avail_in = static_cast<unsigned>(size);
  std::vector<std::uint8_t> out(array->bytes.size() + 64);  // the header has at most 20 bytes
  stream.next_out = out.data();
  stream.avail_out = static_cast<unsigned>(out.size());
  const int code = inflate(&stream, Z_FINISH);
  inflateEnd(&stream);
  fuzz::demand(code == Z_STREAM_END, "a stream that was read is whole");
  return 0;
}
