#pragma once

#include <exception>
#include <sagitta/detail/check.hpp>
#include <thread>
#include <vector>

// Threads, where a `threads` argument asks for them.
namespace sagitta::detail {

inline void check_threads(Index threads, const char* function) {
  if (threads < 1) reject(function, "threads is ", threads, ", expected at least 1");
}

// Calls work(0) ... work(jobs - 1), which must be independent of each other and not throw, on at most
// `threads` threads, this one among them. Which jobs there are must not depend on `threads`: then neither
// does any result. Where the system gives no more threads, those that there are do the work.
template <class Work>
void in_parallel(Index threads, Index jobs, const Work& work) {
  threads = std::min(threads, jobs);
  const auto share = [&](Index first) {
    for (Index job = first; job < jobs; job += threads) work(job);
  };
  std::vector<std::thread> others;
  Index started = 1;
  if (threads > 1) {
    others.reserve(static_cast<std::size_t>(threads - 1));
    try {
      for (; started < threads; ++started) others.emplace_back(share, started);
    } catch (const std::exception&) {  // no more threads, or no memory for one
    }
  }
  share(0);
  for (; started < threads; ++started) share(started);
  for (std::thread& other : others) other.join();
}

}  // namespace sagitta::detail
