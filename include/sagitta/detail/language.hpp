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
