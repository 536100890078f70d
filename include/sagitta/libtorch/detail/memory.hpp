#pragma once

#include <c10/core/Device.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <limits>
#include <sagitta/detail/check.hpp>
#include <string>

// What cannot fit is refused before it is tried: an allocation that fails late may have cost minutes, and one
// that the operating system grants on credit ends the process.
namespace sagitta::libtorch::detail {

// Bytes that this process may still take, by the operating system and its control group (version 2); the
// largest number where neither tells, and for other devices, whose allocators refuse by themselves.
inline double available_bytes(c10::Device device) {
  constexpr double unknown = std::numeric_limits<double>::max();
  if (!device.is_cpu()) return unknown;
  double available = unknown;
  std::ifstream system("/proc/meminfo");
  for (std::string line; std::getline(system, line);)
    if (line.rfind("MemAvailable:", 0) == 0) available = std::stod(line.substr(13)) * 1024;
  const auto number = [](const char* path) {
    double value = -1;
    std::ifstream(path) >> value;  // "max" leaves -1 or 0
    return value;
  };
  const double limit = number("/sys/fs/cgroup/memory.max"), used = number("/sys/fs/cgroup/memory.current");
  if (limit > 0 && used >= 0) available = std::min(available, std::max(limit - used, 0.0));
  return available;
}

// Throws std::invalid_argument where `bytes` for `what` are more than there are; `remedy` says what to do.
inline void check_fits(double bytes, c10::Device device, const char* function, const std::string& what,
                       const char* remedy) {
  const double available = available_bytes(device);
  if (bytes <= available) return;
  const auto gib = [](double n) { return std::round(n / (1 << 30) * 100) / 100; };
  sagitta::detail::reject(function, what, " takes ", gib(bytes), " GiB, and ", gib(available),
                          " GiB are free; ", remedy);
}

}  // namespace sagitta::libtorch::detail
