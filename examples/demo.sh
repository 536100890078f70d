#!/usr/bin/env bash
# The paper's first, fourth and sixth figure in miniature: networks that learn one task after another lose their
# plasticity together with their directions of curvature, and regularisers keep both. A few minutes in all.
usage() {
  cat <<'TEXT'
usage: examples/demo.sh [--data DIR|synthetic] [--profile smoke|demo|medium] [--output DIR] [--help]

Installs the Debian packages that are missing, builds, trains (about a minute on two cores), draws the
figures and judges the paper's claims. Run again, it continues what was stopped and repeats nothing.

  --data DIR    folder with the MNIST files, or "synthetic" for built-in digits; else SAGITTA_DATA, else
                ../shared/data, else a download to build/data, else the built-in digits
  --profile P   size of the experiments (demo)
  --output DIR  where results and pictures go (build/demo)
TEXT
}
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
data=${SAGITTA_DATA:-} profile=demo output=$root/build/demo
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --data | --profile | --output)
      [ $# -ge 2 ] || { echo "$1 needs a value" >&2; usage >&2; exit 2; }
      case $1 in --data) data=$2 ;; --profile) profile=$2 ;; --output) output=$2 ;; esac
      shift 2 ;;
    *) echo "unknown argument $1" >&2; usage >&2; exit 2 ;;
  esac
done

. "$root/cmake/packages.sh"
need_packages "${build_packages[@]}" "${paper_packages[@]}"

mkdir -p "$root/build"
build=$root/build/examples
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DSAGITTA_NATIVE=ON -DSAGITTA_BUILD_TESTS=OFF -DSAGITTA_WITH_LIBTORCH=OFF >"$root/build/demo-configure.log" 2>&1 ||
  { cat "$root/build/demo-configure.log" >&2; exit 1; }
rm -f "$root/build/demo-configure.log"
echo "building (about a minute the first time)"
cmake --build "$build" --target sagitta-paper quick_start | tail -n 1
paper=$build/examples/paper/sagitta-paper

if [ -z "$data" ]; then
  if [ -d "$root/../shared/data/mnist" ]; then
    data=$root/../shared/data
  elif python3 "$root/examples/paper/data/fetch_data.py" mnist "$root/build/data"; then
    data=$root/build/data
  else
    data=synthetic
  fi
fi

mkdir -p "$output"
figures=(fig1 fig4 fig6) # of the first problem; permuted pixels hardly degrade at this size
results=$output/results.sqlite
[ "$data" != synthetic ] || results=$output/results-synthetic.sqlite # what was learnt from MNIST is not this run's
common=("${figures[@]}" --problem random_label_mnist --profile "$profile" --results "$results")
"$paper" run "${common[@]}" --data "$data"
"$paper" check "${common[@]}" >"$output/verdicts.txt"
pictures=$("$paper" plot "${common[@]}" --output "$output")

# a condition's error and share of directions of curvature, from the first tasks to the last
seen() {
  "$paper" check "$1" "${common[@]:${#figures[@]}}" --verbose |
    sed -nE "s/^[A-Z]+ +($2), curvature goes with plasticity[^:]*: error ([^,]*),.*; rank ([^,]*),.*/  \1: error \2, directions of curvature \3/p"
}
cat <<TEXT

Trained: networks that learn one task after another, each the same digits with other labels, so that every
task is as hard as the first. A network that keeps its plasticity keeps its error low. Seen, from the first
tasks to the last (curvature: the share of directions that is left):
$(seen fig4 ReLU)
$(seen fig4 tanh)
$(seen fig6 'leaky ReLU \+ Wasserstein')
Pictures: $(echo $pictures)
What of the paper this shows, claim by claim: $output/verdicts.txt
TEXT
