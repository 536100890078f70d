#pragma once

#include <chrono>
#include <cmath>
#include <iomanip>
#include <mutex>
#include <ostream>
#include <sstream>

#include "runs/training_threads.hpp"

namespace paper {

using Clock = std::chrono::steady_clock;

inline double seconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// How far all runs are. Work is counted in operations, so that the time left is right for runs of unequal
// cost.
class Progress {
 public:
  Progress(std::size_t runs, double work, bool bar, std::ostream& log)
      : runs_(runs), work_(work), bar_(bar), log_(log), start_(Clock::now()), last_(start_) {}

  void add(double work, std::size_t runs_ended) {
    const std::scoped_lock lock(mutex_);
    done_ += work;
    runs_done_ += runs_ended;
    const double silence = seconds(last_, Clock::now());
    if (silence > (bar_ ? .2 : 10)) print();
  }
  void finish(bool stopped) {
    const std::scoped_lock lock(mutex_);
    print();
    if (bar_) log_ << '\n';
    if (stopped) log_ << "stopped; what was finished is kept, the same command continues\n";
    log_.flush();
  }

 private:
  void print() {
    last_ = Clock::now();
    const double share = work_ > 0 ? done_ / work_ : 1, elapsed = seconds(start_, last_);
    std::ostringstream line;
    line << std::setw(3) << std::lround(100 * share) << " %, " << runs_done_ << " of " << runs_ << " runs, "
         << duration(elapsed);
    if (share > .01 && share < 1) line << ", about " << duration(elapsed / share * (1 - share)) << " left";
    if (bar_)
      log_ << '\r' << std::left << std::setw(70) << line.str() << std::flush;
    else
      log_ << line.str() << std::endl;
  }

  std::size_t runs_, runs_done_ = 0;
  double work_, done_ = 0;
  bool bar_;
  std::ostream& log_;
  Clock::time_point start_, last_;
  std::mutex mutex_;
};

}  // namespace paper
