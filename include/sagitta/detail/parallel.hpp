#pragma once

#include <atomic>
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
  threads = (std::min)(threads, jobs);
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

// Threads that stay for many rounds of work, each too short for threads of its own. Between rounds they look
// out for the next one, which costs processor time: for as long as one function runs, not longer.
class Team {
 public:
  // at most `threads`, the one that calls among them; fewer where the system gives no more
  explicit Team(Index threads) {
    if (threads < 2) return;
    others_.reserve(static_cast<std::size_t>(threads - 1));
    try {
      while (static_cast<Index>(others_.size()) < threads - 1)
        others_.emplace_back([this, first = static_cast<Index>(others_.size()) + 1] { serve(first); });
    } catch (const std::exception&) {  // no more threads, or no memory for one
    }
    size_ = static_cast<Index>(others_.size()) + 1;
  }
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  ~Team() {
    call_ = nullptr;
    round_.fetch_add(1, std::memory_order_release);
    for (std::thread& other : others_) other.join();
  }

  // Calls work(0) ... work(jobs - 1), as in_parallel does. A job is done by the same thread in every round,
  // near whose caches are what it left there.
  template <class Work>
  void run(Index jobs, const Work& work) {
    call_ = [](const void* w, Index job) { (*static_cast<const Work*>(w))(job); };
    work_ = &work;
    jobs_ = jobs;
    busy_.store(static_cast<Index>(others_.size()), std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    take_jobs(0);
    while (busy_.load(std::memory_order_acquire) > 0) std::this_thread::yield();
  }

 private:
  void take_jobs(Index first) const {
    for (Index job = first; job < jobs_; job += size_) call_(work_, job);
  }

  void serve(Index first) {
    for (Index seen = 0;; ++seen) {
      while (round_.load(std::memory_order_acquire) == seen) std::this_thread::yield();
      if (call_ == nullptr) return;
      take_jobs(first);
      busy_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::vector<std::thread> others_;
  void (*call_)(const void*, Index) = nullptr;  // of this round; none ends the team
  const void* work_ = nullptr;
  Index jobs_ = 0, size_ = 1;
  std::atomic<Index> round_{0}, busy_{0};
};

}  // namespace sagitta::detail
