#include <zlib.h>

#include "fuzz.hpp"

// Any bytes as an IDX file, plain and packed: whether and how they are read does not depend on the packing.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::Bytes bytes(data, size);
  if (size >= 2 && data[0] == 0x1f && data[1] == 0x8b) return 0;  // packed already: gzip.fuzz.cpp
  const auto plain = fuzz::read(fuzz::file("plain", bytes));

  const std::filesystem::path path = fuzz::file("packed", {});
  gzFile packed = gzopen(path.c_str(), "wb1");
  if (size > 0) gzwrite(packed, data, static_cast<unsigned>(size));
  fuzz::demand(gzclose(packed) == Z_OK, "zlib packs the file");
  const auto unpacked = fuzz::read(path);

  fuzz::demand(plain.has_value() == unpacked.has_value(), "plain and packed are both read or both refused");
  if (plain) fuzz::demand(plain->dims == unpacked->dims && plain->bytes == unpacked->bytes, "the same array");
  return 0;
}
