#pragma once

#include <chrono>
#include <cmath>
#include <ctime>
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

// "23:40" of now and some seconds, with the day where that is another one
inline std::string clock_after(double seconds) {
  const std::time_t now = std::time(nullptr), then = now + static_cast<std::time_t>(seconds);
  std::tm today{}, day{};
  localtime_r(&now, &today);
  localtime_r(&then, &day);
  char text[32];
  const bool same = today.tm_yday == day.tm_yday && today.tm_year == day.tm_year;
  return {text, std::strftime(text, sizeof text, same ? "%H:%M" : "%b %d %H:%M", &day)};
}

// How far all runs are. Work is counted in operations, so that the time left is right for runs of unequal
// cost.
class Progress {
 public:
  Progress(std::size_t runs, Index tasks, double work, bool bar, std::ostream& log)
      : runs_(runs), tasks_(tasks), work_(work), bar_(bar), log_(log), start_(Clock::now()), last_(start_) {}

  void add(double work, Index tasks, std::size_t runs_ended) {
    const std::scoped_lock lock(mutex_);
    done_ += work;
    tasks_done_ += tasks;
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
         << tasks_done_ << " of " << tasks_ << " tasks, " << duration(elapsed);
    if (share > .01 && share < 1) {
      const double left = elapsed / share * (1 - share);
      line << ", about " << duration(left) << " left, until " << clock_after(left);
    }
    if (bar_)
      log_ << '\r' << std::left << std::setw(90) << line.str() << std::flush;
    else
      log_ << line.str() << std::endl;
  }

  std::size_t runs_, runs_done_ = 0;
  Index tasks_, tasks_done_ = 0;
  double work_, done_ = 0;
  bool bar_;
  std::ostream& log_;
  Clock::time_point start_, last_;
  std::mutex mutex_;
};

}  // namespace paper
