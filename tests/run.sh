#!/usr/bin/env bash
# Builds and runs all tests: a release build, then the core once more under the sanitizers.
usage() {
  cat <<'TEXT'
usage: tests/run.sh [--help]

Installs the Debian packages that are missing, builds in build/tests and build/sanitize, and runs CTest in both.
TEXT
}
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
case ${1:-} in
  "") ;;
  --help | -h) usage; exit 0 ;;
  *) echo "unknown argument $1" >&2; usage >&2; exit 2 ;;
esac

. "$root/cmake/packages.sh"
need_packages "${build_packages[@]}" "${paper_packages[@]}" catch2

# build_and_test NAME CMAKE_ARGUMENT...
build_and_test() {
  local build=$root/build/$1
  shift
  cmake -S "$root" -B "$build" -G Ninja "$@"
  cmake --build "$build"
  (cd "$build" && ctest --output-on-failure --no-tests=error -j "$(nproc)")
}

# without optimisation: sanitized templates take the compiler many times longer with it than the tests then save
build_and_test sanitize -DCMAKE_BUILD_TYPE=None -DSAGITTA_BUILD_EXAMPLES=OFF -DSAGITTA_WITH_LIBTORCH=OFF \
  "-DCMAKE_CXX_FLAGS=-g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
build_and_test tests -DCMAKE_BUILD_TYPE=Release -DSAGITTA_WITH_LIBTORCH=OFF "-DCMAKE_CXX_FLAGS_RELEASE=-O2 -DNDEBUG"
