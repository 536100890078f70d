# Sourced by examples/demo.sh and tests/run.sh: brings in what a build takes, and only what is missing.

# need_packages PACKAGE...: installs what is missing as root or by sudo without a password; otherwise says what
# to install and fails. On systems without dpkg it trusts CMake to say what it does not find.
need_packages() {
  command -v dpkg-query >/dev/null || { echo "no dpkg here: assuming that these are installed: $*" >&2; return 0; }
  local missing=() package
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local apt=(apt-get)
  if [ "$(id -u)" -ne 0 ]; then
    if sudo -n true 2>/dev/null; then
      apt=(sudo -n apt-get)
    else
      echo "these packages are missing; as root: apt-get install ${missing[*]}" >&2
      return 1
    fi
  fi
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  local log
  log=$(mktemp)
  if ! { "${apt[@]}" update -q && "${apt[@]}" install -y -q --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    echo "could not install ${missing[*]}" >&2
    return 1
  fi
  rm -f "$log"
}

# what building anything here takes
build_packages=(g++ cmake ninja-build libeigen3-dev)
# what sagitta-paper takes on top
paper_packages=(libsqlite3-dev zlib1g-dev libcli11-dev nlohmann-json3-dev python3 python3-matplotlib)

libtorch_wheel=torch==2.13.0

# holds_libtorch PREFIX: whether find_package(Torch) finds something there
holds_libtorch() {
  compgen -G "$1/Torch/TorchConfig.cmake" >/dev/null || compgen -G "$1/share/cmake/Torch/TorchConfig.cmake" >/dev/null ||
    compgen -G "$1/lib*/cmake/Torch/TorchConfig.cmake" >/dev/null
}

# need_torch_wheel FOLDER: a virtual environment in FOLDER with the torch wheel, made where it is not there or was left
# half-made.
need_torch_wheel() {
  local folder=$1
  # written last, so that what was interrupted has none; names the wheel, so that another one is a new environment
  local mark=$folder/complete
  if [ "$(cat "$mark" 2>/dev/null)" != "$libtorch_wheel" ]; then
    echo "installing $libtorch_wheel into $folder" >&2
    rm -rf "$folder"
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then need_packages python3 python3-venv || return 1; fi
    mkdir -p "$(dirname "$folder")"
    python3 -m venv "$folder" >&2 || return 1
    # the build without CUDA, from the registry that is set up or from PyTorch's own; C++ needs no other package
    local pip=("$folder/bin/python" -m pip install -q --no-deps --only-binary=:all:)
    "${pip[@]}" "$libtorch_wheel+cpu" >&2 ||
      "${pip[@]}" --index-url https://download.pytorch.org/whl/cpu "$libtorch_wheel+cpu" >&2 || return 1
    echo "$libtorch_wheel" >"$mark"
  fi
}

# need_python FOLDER REQUIREMENTS: in the same environment, also what torch needs to be imported, and the packages of the
# file REQUIREMENTS: the tests of the Python package run there. Fails where they cannot be had.
need_python() {
  local folder=$1 requirements=$2 mark=$1/complete-python wanted
  need_torch_wheel "$folder" || return 1
  wanted="$libtorch_wheel $(cksum <"$requirements")"
  [ "$(cat "$mark" 2>/dev/null)" != "$wanted" ] || return 0
  echo "installing what the Python package's tests take into $folder" >&2
  local header
  header=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include") + "/Python.h")')
  [ -e "$header" ] || need_packages python3-dev || return 1
  # torch is named too, so that nothing brings in another one
  "$folder/bin/python" -m pip install -q --only-binary=:all: "$libtorch_wheel+cpu" -r "$requirements" >&2 || return 1
  echo "$wanted" >"$mark"
}

# need_libtorch FOLDER: sets libtorch_prefix to where CMake finds LibTorch: in the user's CMAKE_PREFIX_PATH, or in a
# virtual environment in FOLDER, which is made where it is not there or was left half-made. Fails where neither
# can be had.
need_libtorch() {
  local folder=$1 prefix
  local prefixes
  IFS=':;' read -r -a prefixes <<<"${CMAKE_PREFIX_PATH:-}"
  for prefix in "${prefixes[@]}"; do
    if [ -n "$prefix" ] && holds_libtorch "$prefix"; then
      libtorch_prefix=$prefix
      return 0
    fi
  done
  need_torch_wheel "$folder" || return 1
  for prefix in "$folder"/lib/python3*/site-packages/torch/share/cmake; do
    if holds_libtorch "$prefix"; then
      libtorch_prefix=$prefix
      return 0
    fi
  done
  echo "$folder holds no LibTorch; remove it to have it made anew" >&2
  return 1
}
