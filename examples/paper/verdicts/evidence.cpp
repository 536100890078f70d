#include "verdicts/evidence.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace paper {

Interval reach(const std::vector<double>& values) {
  Interval interval = mean_interval(values);
  if (interval.count < 2 || interval.count >= fewest_for_interval) return interval;
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  interval.low = *least;
  interval.high = *most;
  return interval;
}

int side(const std::vector<double>& effects, double low, double high) {
  if (effects.size() < 2) return 0;
  const Interval interval = reach(effects);
  return interval.low > high ? 1 : interval.high < low ? -1 : 0;
}

bool within(const std::vector<double>& effects, double low, double high) {
  if (effects.size() < 2) return false;
  const Interval interval = reach(effects);
  return interval.low >= low && interval.high <= high;
}

std::string figure(double value, bool plus) {
  if (!std::isfinite(value)) return "nan";
  if (value == 0) return "0";
  const double size = std::abs(value);
  char text[64];  // to_chars: the decimal point of printf depends on the locale
  const auto print = [&](std::chars_format format, int precision) {
    return std::string(text, std::to_chars(text, text + sizeof text, size, format, precision).ptr);
  };
  std::string digits = size < 5e-4   ? print(std::chars_format::scientific, 1)
                       : size < 1    ? print(std::chars_format::fixed, 3)
                       : size < 1000 ? print(std::chars_format::general, 4)
                       : size < 1e7  ? print(std::chars_format::fixed, 0)
                                     : print(std::chars_format::scientific, 3);
  if (digits[0] == '0') digits.erase(0, 1);
  return (value < 0 ? "-" : plus ? "+" : "") + digits;
}

std::string spread(const std::vector<double>& effects) {
  const auto [mean, low, high, count] = reach(effects);
  std::string text = figure(mean, true);
  if (count < 2) return text;
  if (count >= fewest_for_interval) return text + " [" + figure(low, true) + ", " + figure(high, true) + "]";
  return text + " (" + figure(low, true) + " to " + figure(high, true) + ")";
}

std::string seeds_used(const std::vector<double>& effects) {
  return ", " + std::to_string(effects.size()) + (effects.size() == 1 ? " seed (2 needed)" : " seeds");
}

std::string some_of(std::size_t some, std::size_t all, const char* what) {
  return some == 0 ? "" : ", " + std::to_string(some) + " of " + std::to_string(all) + " " + what;
}

}  // namespace paper
