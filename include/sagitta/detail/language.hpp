#pragma once

// What Sagitta asks of a compiler, said once and first, in the place of hundreds of errors that would follow.
#if defined(_MSVC_LANG) ? _MSVC_LANG < 202002L : __cplusplus < 202002L
#error "Sagitta needs C++20: compile with -std=c++20 (MSVC: /std:c++20) or later"
#include <sagitta/needs_cpp_20.hpp>  // is not there: compilers stop here
#endif

#if !defined(__cpp_exceptions) && !defined(_CPPUNWIND)
#error "Sagitta reports bad input by exceptions: compile the files that include it without -fno-exceptions"
#include <sagitta/needs_exceptions.hpp>
#endif

// <windows.h> makes macros of min and max. Our own code stands them, but not every standard library's: what
// we include of it is included while they are none.
#if defined(min) || defined(max)
#pragma push_macro("min")
#pragma push_macro("max")
#undef min
#undef max
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <complex>
#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <numbers>
#include <numeric>
#include <optional>
#include <random>
#include <ranges>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>
#pragma pop_macro("min")
#pragma pop_macro("max")
#endif
