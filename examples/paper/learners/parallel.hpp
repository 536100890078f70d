#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "data/index.hpp"

namespace paper {

// work(i) for i below count, on at most `threads` threads; the first exception ends it and is thrown on
template <class Work>
void parallel(Index count, int threads, Work work) {
  std::atomic<Index> next{0};
  std::exception_ptr failure;
  std::mutex mutex;
  const auto run = [&] {
    for (Index i = next++; i < count; i = next++) try {
        work(i);
      } catch (...) {
        const std::scoped_lock lock(mutex);
        if (!failure) failure = std::current_exception();
        next = count;
      }
  };
  {
    std::vector<std::jthread> others;
    for (int t = 1; t < std::min<Index>(threads, count); ++t) others.emplace_back(run);
    run();
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace paper
