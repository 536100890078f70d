# What Sagitta's own tests, examples and benchmarks are compiled with; users of the library get none of it.
if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
endif()

# sagitta_program(TARGET): the core, every warning an error, and the machine's own instructions where asked for
function(sagitta_program target)
  target_link_libraries(${target} PRIVATE sagitta::sagitta)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  if(MSVC)  # not run yet; 4068: pragmas of other compilers
    target_compile_options(${target} PRIVATE /W4 /wd4068 /permissive- /bigobj /utf-8)
    return()
  endif()
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror $<$<BOOL:${SAGITTA_NATIVE}>:-march=native>
    # false alarms of GCC 12: Eigen's allocator, sums of strings, and its own AVX-512 headers
    $<$<CXX_COMPILER_ID:GNU>:-Wno-use-after-free -Wno-restrict>
    $<$<AND:$<CXX_COMPILER_ID:GNU>,$<BOOL:${SAGITTA_NATIVE}>>:-Wno-maybe-uninitialized -Wno-uninitialized>)
endfunction()
