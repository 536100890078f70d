#pragma once

#include <stdexcept>
#include <string>

// The message of the std::invalid_argument that a call throws; empty where it throws nothing or something
// else.
template <class Call>
std::string rejection(Call call) {
  try {
    call();
  } catch (const std::invalid_argument& error) {
    return error.what();
  } catch (...) {
  }
  return {};
}

inline bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
