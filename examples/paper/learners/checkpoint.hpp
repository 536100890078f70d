#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <stdexcept>
#include <vector>

// Checkpoints: the same walk over a learner's members writes them and reads them.
namespace paper {

class Writer {
 public:
  template <class T>
  void operator()(const T& value) {
    (*this)(std::span(&value, 1));
  }
  template <class T>
  void operator()(std::span<T> values) {
    const auto bytes = std::as_bytes(values);
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  template <class T>
  void operator()(T& value) {
    (*this)(std::span(&value, 1));
  }
  template <class T>
  void operator()(std::span<T> values) {
    if (values.size_bytes() > bytes_.size())
      throw std::runtime_error("Learner::restore: the checkpoint is too short");
    if (!values.empty()) std::memcpy(values.data(), bytes_.data(), values.size_bytes());
    bytes_ = bytes_.subspan(values.size_bytes());
  }
  void finish() const {
    if (!bytes_.empty()) throw std::runtime_error("Learner::restore: the checkpoint is too long");
  }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace paper
