#!/usr/bin/env python3
"""Builds and runs the benchmarks and writes a table in Markdown to standard output.

    benchmarks/run.py [--all] [--only REGEX] [--repetitions N]

Every diagnostic at the paper's sizes, in float and double, beside other ways to the same number in the same run: Eigen's
solvers, OpenBLAS's LAPACK where it is there (Debian: libopenblas-dev), and the plain formula. One thread. Times are
medians of processor time over interleaved repetitions, ratios are to Sagitta (above 1: it takes longer), and the last
column is what each way computed. Needs Google Benchmark (libbenchmark-dev). The sizes that take minutes run with --all.
"""
import argparse
import collections
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parent.parent
build = root / "build/benchmarks"
SLOW = "n=2304|n=3626|M=256 C="


def call(*command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"run.py: {command[0]} failed\n{done.stdout}")
    return done.stdout


def measure(program, pattern, repetitions):
    """{(workload, scalar): {route: ([ms], result)}} of one program; a whole workload at a time, for its ratios"""
    seconds = [] if repetitions == 1 else ["--benchmark_min_time=0.1"]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(program), f"--benchmark_filter={pattern}", f"--benchmark_repetitions={repetitions}", *seconds,
                           "--benchmark_enable_random_interleaving=true", "--benchmark_format=json"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"run.py: {program} failed\n{done.stderr}")
    rows = collections.defaultdict(dict)
    for run in json.loads(done.stdout)["benchmarks"]:
        if run["run_type"] == "iteration":
            workload, scalar, route = run["name"].split("/")[:3]
            times, _ = rows[workload, scalar].get(route, ([], 0))
            times.append(run["cpu_time"])
            rows[workload, scalar][route] = (times, run["result"])
    return rows


def number(value):
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def machine():
    name = platform.processor() or platform.machine()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"model name\s*: (.*)", cpuinfo.read_text())
        name = found.group(1) if found else name
    cache = (build / "CMakeCache.txt").read_text()
    compiler = re.search(r"CMAKE_CXX_COMPILER:\w+=(.*)", cache).group(1)
    version = call(compiler, "--version").splitlines()[0]
    lapack = re.search(r"SAGITTA_OPENBLAS:\w+=(.*)", cache).group(1)
    lapack = "no LAPACK" if lapack.endswith("NOTFOUND") else "LAPACK of " + pathlib.Path(lapack).resolve().name
    busy = os.getloadavg()[0]
    return f"{name}, {os.cpu_count()} cores of which one is used, {version}, -O3 -march=native, {lapack}, load {busy:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--all", action="store_true", help="also the sizes that take minutes, once each")
    parser.add_argument("--only", metavar="REGEX", default=".", help="workloads whose name matches, for example n=256")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N")
    options = parser.parse_args()

    call("cmake", "-S", root, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DSAGITTA_NATIVE=ON",
         "-DSAGITTA_BUILD_BENCHMARKS=ON", "-DSAGITTA_BUILD_TESTS=OFF", "-DSAGITTA_BUILD_EXAMPLES=OFF")
    call("cmake", "--build", build)

    print(f"Machine: {machine()}.\n")
    print("| workload | scalar | route | ms | ratio | result |\n|---|---|---|---|---|---|")
    for source in sorted((root / "benchmarks").glob("*.bench.cpp")):
        program = build / "benchmarks" / f"bench_{source.name.split('.')[0]}"
        names = call(program, "--benchmark_list_tests").splitlines()
        for slow, repetitions in ((False, options.repetitions), (True, 1)):
            if slow and not options.all:
                continue
            chosen = [name for name in names
                      if re.search(options.only, name.split("/")[0]) and bool(re.search(SLOW, name)) == slow]
            if not chosen:
                continue
            rows = measure(program, "^(" + "|".join(chosen) + ")$", repetitions)
            for name in chosen:
                workload, scalar, route = name.split("/")
                ours, _ = rows[workload, scalar]["sagitta"]
                times, result = rows[workload, scalar][route]
                time = statistics.median(times)
                print(f"| {workload} | {scalar} | {route} | {number(time)} | {time / statistics.median(ours):.2f} | {result:.6g} |",
                      flush=True)


if __name__ == "__main__":
    main()
