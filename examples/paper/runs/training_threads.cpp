#include "runs/training_threads.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <sstream>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#ifdef SAGITTA_PAPER_TORCH
#include "learners/torch_learner.hpp"
#endif

namespace paper {

void flush_denormals() {
#if defined(__SSE2__)
  _mm_setcsr(_mm_getcsr() | 0x8040);  // flush to zero, denormals are zero
#elif defined(__aarch64__)
  std::uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  __asm__ volatile("msr fpcr, %0" : : "r"(control | (std::uint64_t{1} << 24)));
#endif
}

std::size_t workers(std::size_t groups, const RunnerOptions& options) {
  const int threads = options.on_cpu() ? std::max(1, options.threads) : 1;
  return std::min(static_cast<std::size_t>(threads), groups);
}

std::unique_ptr<LearnerGroup> make_learner_of(const RunGroup& group,
                                              std::span<const Configuration> configurations, const Task& task,
                                              [[maybe_unused]] const RunnerOptions& options) {
#ifdef SAGITTA_PAPER_TORCH
  if (group.torch)
    return make_torch_group(
        configurations, task,
        {.device = options.device, .threads = options.on_cpu() ? 1 : std::max(1, options.threads)});
#endif
  if (group.torch) throw std::logic_error("make_learner_of: built without LibTorch");
  return make_group(make_learner(configurations[0], task.inputs->rows(), task.classes));
}

std::string duration(double seconds) {
  std::ostringstream text;
  const auto whole = static_cast<long>(std::lround(seconds));
  if (whole >= 3600)
    text << whole / 3600 << " h " << whole / 60 % 60 << " min";
  else if (whole >= 120)
    text << whole / 60 << " min " << whole % 60 << " s";
  else
    text << whole << " s";
  return text.str();
}

}  // namespace paper
