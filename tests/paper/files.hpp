#pragma once

#include "catch.hpp"

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "folder.hpp"

// Files for the tests of the readers: bytes, IDX headers, gzip, and what the errors say.
namespace fs = std::filesystem;
using Bytes = std::vector<std::uint8_t>;

inline void write(const fs::path& path, const Bytes& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  REQUIRE(file.good());
}

inline Bytes contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

inline Bytes gzipped(const Folder& folder, const Bytes& bytes) {
  const fs::path path = folder / "packed";
  gzFile file = gzopen(path.string().c_str(), "wb");
  REQUIRE(file != nullptr);
  if (!bytes.empty()) REQUIRE(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())) > 0);
  REQUIRE(gzclose(file) == Z_OK);
  return contents(path);
}

inline Bytes idx_header(const std::vector<std::uint32_t>& dims) {
  Bytes bytes{0, 0, 8, static_cast<std::uint8_t>(dims.size())};
  for (const std::uint32_t dim : dims)
    for (const unsigned shift : {24u, 16u, 8u, 0u}) bytes.push_back(static_cast<std::uint8_t>(dim >> shift));
  return bytes;
}

inline Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

inline Bytes noise(std::size_t count) {  // does not compress, so that cuts fall where they are meant to
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

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
