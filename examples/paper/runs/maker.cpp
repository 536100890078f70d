#include "runs/maker.hpp"

#include <Eigen/Core>
#include <ctime>
#include <fstream>

#include "commit.hpp"  // written by every build: SAGITTA_PAPER_COMMIT

namespace paper {

namespace {

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  std::string line, name = "unknown";
  while (std::getline(file, line))
    if (line.starts_with("model name")) {
      name = line.substr(line.find(':') + 2);
      break;
    }
  return name + " (" + Eigen::SimdInstructionSetsInUse() + ")";
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm day{};
  gmtime_r(&now, &day);
  char text[16];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d", &day)};
}

}  // namespace

Fields this_program() {
#if defined(__clang__)
  const std::string compiler = "Clang " __clang_version__;
#else
  const std::string compiler = "GCC " __VERSION__;
#endif
  const std::string eigen = std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) +
                            "." + std::to_string(EIGEN_MINOR_VERSION);
  static const std::string of_machine = processor();
  return {{"version", SAGITTA_PAPER_VERSION},
          {"commit", SAGITTA_PAPER_COMMIT},
          {"numerics", std::to_string(numerics)},
          {"compiler", compiler},
          {"flags", SAGITTA_PAPER_FLAGS},
          {"processor", of_machine},
          {"eigen", eigen},
          {"libtorch", SAGITTA_PAPER_LIBTORCH},
          {"date", today()}};
}

std::string numerics_of(const Fields& maker) {
  for (const auto& [name, value] : maker)
    if (name == "numerics") return value;
  return "1";
}

}  // namespace paper
