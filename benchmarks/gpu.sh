#!/usr/bin/env bash
# What Sagitta does on your GPU, in ten minutes: one table to send us.
usage() {
  cat <<'TEXT'
usage: benchmarks/gpu.sh [--minutes N] [--build DIR] [--output DIR]

In N minutes (default 10): builds in DIR (default build/gpu), runs the adapter's tests on the card, times the adapter and
networks trained together, and runs Figure 1 at the paper's size. Prints a table in Markdown that says what was run, what
was not, and why; it and the logs are kept in DIR (default build/gpu-report). Ends with status 0 where all that was run
went well, and where there is no card.

LibTorch with CUDA is looked for in CMAKE_PREFIX_PATH, else python3's torch is taken. Libraries, Catch2 and MNIST are taken
from .gpu-kit in the checkout where it is there. MNIST: SAGITTA_DATA, else as sagitta-paper finds it.
TEXT
}
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
minutes=10 build=$root/build/gpu output=$root/build/gpu-report
while [ $# -gt 0 ]; do
  case $1 in
    --minutes | --build | --output)
      [ $# -gt 1 ] || { echo "gpu.sh: $1 needs a value" >&2; exit 2; }
      printf -v "${1#--}" %s "$2"
      shift 2
      ;;
    --help | -h) usage; exit 0 ;;
    *) echo "gpu.sh: unknown argument $1" >&2; usage >&2; exit 2 ;;
  esac
done
[[ $minutes =~ ^[0-9]*[1-9][0-9]*$ ]] || { echo "gpu.sh: --minutes is \"$minutes\", expected a whole number above 0" >&2; exit 2; }
start=$(date +%s)

# name, compute capability, memory, driver: the first card's, a line
card=$(nvidia-smi --query-gpu=name,compute_cap,memory.total,driver_version --format=csv,noheader 2>/dev/null | head -n 1) || card=
if [ -z "$card" ]; then
  echo "no GPU here (nvidia-smi is not there or knows none): nothing was built or run"
  exit 0
fi

kit=$root/.gpu-kit
if [ -d "$kit/root/usr" ]; then
  export CMAKE_PREFIX_PATH=$kit/root/usr${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}
  export LD_LIBRARY_PATH=$kit/root/usr/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi
if [ -z "${SAGITTA_DATA:-}" ] && [ -d "$kit/data" ]; then export SAGITTA_DATA=$kit/data; fi
. "$root/cmake/packages.sh"
found=
IFS=':;' read -r -a prefixes <<<"${CMAKE_PREFIX_PATH:-}"
for prefix in "${prefixes[@]}"; do
  if [ -n "$prefix" ] && holds_libtorch "$prefix"; then found=$prefix && break; fi
done
if [ -z "$found" ]; then
  found=$(python3 -c 'import torch; print(torch.utils.cmake_prefix_path)' 2>/dev/null) ||
    { echo "gpu.sh: no LibTorch in CMAKE_PREFIX_PATH, and python3 has no torch" >&2; exit 1; }
  export CMAKE_PREFIX_PATH=${CMAKE_PREFIX_PATH:+$CMAKE_PREFIX_PATH:}$found
fi
export TORCH_CUDA_ARCH_LIST=${TORCH_CUDA_ARCH_LIST:-$(cut -d, -f2 <<<"$card" | tr -d ' ')}
exec python3 "$root/benchmarks/gpu.py" --card "$card" --libtorch "$found" --deadline $((start + 60 * minutes)) \
  --build "$build" --output "$output"
