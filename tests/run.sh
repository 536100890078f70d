#!/usr/bin/env bash
# Builds and runs all tests: the core under the sanitizers, a release build of everything, and the LibTorch adapter
# once more with Debian's LibTorch where that is installed.
usage() {
  cat <<'TEXT'
usage: tests/run.sh [--help]

Installs the Debian packages that are missing, builds in build/sanitize, build/tests and, with Debian's libtorch-dev,
build/tests-debian-libtorch, and runs CTest in each.

LibTorch is the one in CMAKE_PREFIX_PATH, else the torch wheel in build/libtorch, installed once by pip. Where neither
can be had its adapter is left out, and the last line says so; with CI=true that is an error. The Python package is built
once, installed and tested with the same wheel and the packages of python/tests/requirements.txt.
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
need_packages "${build_packages[@]}" "${paper_packages[@]}" catch2 libbenchmark-dev

# build_and_test NAME TARGET TESTS CMAKE_ARGUMENT...: the tests whose names match
build_and_test() {
  local build=$root/build/$1 target=$2 tests=$3
  shift 3
  cmake -S "$root" -B "$build" -G Ninja "$@"
  cmake --build "$build" --target "$target"
  (cd "$build" && ctest --output-on-failure --no-tests=error -R "$tests" -j "$(nproc)")
}
release=(-DCMAKE_BUILD_TYPE=Release "-DCMAKE_CXX_FLAGS_RELEASE=-O2 -DNDEBUG")

adapter=(-DSAGITTA_WITH_LIBTORCH=OFF)
left_out=
if need_libtorch "$root/build/libtorch"; then
  echo "LibTorch: $libtorch_prefix"
  adapter=(-DSAGITTA_WITH_LIBTORCH=ON "-DCMAKE_PREFIX_PATH=$libtorch_prefix")
else
  left_out="no LibTorch in CMAKE_PREFIX_PATH and no torch wheel from pip: the LibTorch adapter is left out of build/tests"
  echo "$left_out" >&2
  [ "${CI:-}" != true ] || exit 1
fi

python=()
if need_python "$root/build/libtorch" "$root/python/tests/requirements.txt"; then
  python=("-DSAGITTA_PYTHON=$root/build/libtorch/bin/python")
else
  no_python="pip cannot bring what python/tests/requirements.txt names: the Python package is not tested"
  echo "$no_python" >&2
  [ "${CI:-}" != true ] || exit 1
  left_out=${left_out:+$left_out; }$no_python
fi

# without optimisation: sanitized templates take the compiler many times longer with it than the tests then save
build_and_test sanitize all . -DCMAKE_BUILD_TYPE=None -DSAGITTA_BUILD_EXAMPLES=OFF -DSAGITTA_WITH_LIBTORCH=OFF \
  "-DCMAKE_CXX_FLAGS=-g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
build_and_test tests all . "${release[@]}" "${adapter[@]}" "${python[@]}" -DSAGITTA_BUILD_BENCHMARKS=ON
if [ "$(dpkg-query -W -f='${db:Status-Status}' libtorch-dev 2>/dev/null)" = installed ]; then
  (
    unset CMAKE_PREFIX_PATH
    build_and_test tests-debian-libtorch libtorch_tests ^libtorch "${release[@]}" -DSAGITTA_WITH_LIBTORCH=ON
  )
fi
[ -z "$left_out" ] || echo "note: $left_out"
