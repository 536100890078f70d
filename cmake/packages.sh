# Sourced by examples/demo.sh and tests/run.sh: brings in Debian packages, and only those that are missing.

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
