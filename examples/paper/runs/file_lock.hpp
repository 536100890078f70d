#pragma once

#include <filesystem>

namespace paper {

// An advisory lock on FILE.lock, held until destruction or the end of the process, however it ends.
// std::runtime_error when another program holds it (it is named by its process id) or the lock file cannot be
// created. On file systems without locks there is none: then SQLite's own still keep the file whole.
class FileLock {
 public:
  explicit FileLock(const std::filesystem::path& file);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace paper
