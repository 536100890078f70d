#include "runs/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>
#include <system_error>

namespace paper {
namespace {

// whether the path still names the opened file: its last holder may have removed it in between
bool same_file(int descriptor, const char* path) {
  struct stat opened, named;
  return fstat(descriptor, &opened) == 0 && stat(path, &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

std::string holder(int descriptor) {
  char digits[32] = {};
  const ssize_t size = pread(descriptor, digits, sizeof digits - 1, 0);
  return size > 0 ? " (process " + std::string(digits, static_cast<std::size_t>(size)) + ")" : "";
}

}  // namespace

FileLock::FileLock(const std::filesystem::path& file) {
  std::error_code unresolved;  // two names of one file must not be two locks
  path_ = std::filesystem::weakly_canonical(file, unresolved);
  if (unresolved) path_ = file;
  path_ += ".lock";
  while (true) {
    descriptor_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0)
      throw std::runtime_error(file.string() + ": cannot create " + path_.string() + ": " +
                               std::strerror(errno));
    if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return;
      const std::string other = holder(descriptor_);
      close(descriptor_);
      throw std::runtime_error(
          file.string() + ": another program" + other +
          " is writing it, expected to be the only one: wait for it, or write another file");
    }
    if (same_file(descriptor_, path_.c_str())) break;
    close(descriptor_);
  }
  const std::string id = std::to_string(getpid());
  if (ftruncate(descriptor_, 0) != 0 || write(descriptor_, id.data(), id.size()) < 0)
    return;  // only for the message
}

FileLock::~FileLock() {
  unlink(path_.c_str());  // while the lock is held, so that nobody's new file is removed
  close(descriptor_);
}

}  // namespace paper
