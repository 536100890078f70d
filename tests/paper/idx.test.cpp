#include "data/idx.hpp"

#include "files.hpp"

using paper::Index;

namespace {

bool refused(const fs::path& path, const std::string& reason) {
  const std::string text = message([&] { paper::read_idx(path); });
  INFO(text);
  CHECK(contains(text, "read_idx: " + path.string() + ": "));
  CHECK(contains(text, reason));
  return contains(text, reason);
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
  CHECK(refused(folder.path, "is a folder"));
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
