#!/usr/bin/env python3
"""Builds and runs the benchmarks and writes a table in Markdown to standard output.

    benchmarks/run.py [--all] [--only REGEX] [--subject REGEX] [--rounds N] [--python PYTHON] [--json FILE]

Every diagnostic at the paper's sizes, in float and double, beside other ways to the same number: Eigen's solvers,
OpenBLAS's LAPACK where it is there (Debian: libopenblas-dev), the plain formula, and what Python has to offer
(peers/workloads.py) where PYTHON has torch. One thread. Each round measures all ways of one workload in turn, on the same
numbers, for about a tenth of a second each; times are medians of processor time over the rounds, ratios are to Sagitta
(above 1: it takes longer), and the last column is what each way computed. FILE receives every measurement; draw.py draws
it. Needs Google Benchmark (libbenchmark-dev). The sizes that take minutes run with --all, once.
"""
import argparse
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
ONE_THREAD = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def call(*command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"run.py: {command[0]} failed\n{done.stdout}")
    return done.stdout


class Program:
    """one Google Benchmark program"""

    def __init__(self, path):
        self.path = path
        self.names = call(path, "--benchmark_list_tests").splitlines()  # WORKLOAD/SCALAR/ROUTE

    def measure(self, workload, scalar, once):
        """{route: [ms, result]} of one round"""
        seconds = [] if once else ["--benchmark_min_time=0.1"]
        done = subprocess.run([str(self.path), f"--benchmark_filter=^{workload}/{scalar}/", *seconds,
                               "--benchmark_format=json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=ONE_THREAD)
        if done.returncode != 0:
            sys.exit(f"run.py: {self.path} failed\n{done.stderr}")
        return {run["name"].split("/")[2]: [run["cpu_time"], run["result"]]
                for run in json.loads(done.stdout)["benchmarks"]}


class Peers:
    """the Python side, one process for all rounds; none where PYTHON has no torch"""

    def __init__(self, python):
        self.about, self.process = "no torch", None
        found = subprocess.run([python, "-c", "import torch; print(torch.__version__)"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
        if found.returncode == 0:
            self.about = "torch " + found.stdout.strip()
            self.process = subprocess.Popen([python, str(root / "benchmarks/peers/workloads.py")], text=True,
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ONE_THREAD)

    def measure(self, workload, scalar):
        if self.process is None:
            return {}
        print(f"{workload}/{scalar}", file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"run.py: peers/workloads.py failed at {workload}/{scalar}")
        return json.loads(answer)


def number(value):
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def machine(peers):
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
    return (f"{name}, {os.cpu_count()} cores of which one is used, {version}, -O3 -march=native, {lapack}, "
            f"{peers.about}, load {busy:.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--all", action="store_true", help="also the sizes that take minutes, once each")
    parser.add_argument("--only", metavar="REGEX", default=".", help="workloads whose name matches, for example n=256")
    parser.add_argument("--subject", metavar="REGEX", default=".", help="programs whose name matches, for example features")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--python", default=sys.executable, metavar="PYTHON", help="one that has torch (default: this one)")
    parser.add_argument("--json", metavar="FILE", help="write every measurement there")
    options = parser.parse_args()

    call("cmake", "-S", root, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DSAGITTA_NATIVE=ON",
         "-DSAGITTA_BUILD_BENCHMARKS=ON", "-DSAGITTA_BUILD_TESTS=OFF", "-DSAGITTA_BUILD_EXAMPLES=OFF",
         "-DSAGITTA_WITH_LIBTORCH=OFF")
    subjects = [source.name.split(".")[0] for source in sorted((root / "benchmarks").glob("*.bench.cpp"))]
    targets = [f"bench_{subject}" for subject in subjects if re.search(options.subject, subject)]
    call("cmake", "--build", build, "--target", *targets)
    programs = [Program(build / "benchmarks" / target) for target in targets]
    peers = Peers(options.python)
    about = machine(peers)
    rows = []

    print(f"Machine: {about}.\n")
    print("| workload | scalar | route | ms | ratio | result |\n|---|---|---|---|---|---|")
    for program in programs:
        for workload, scalar in dict.fromkeys(tuple(name.split("/")[:2]) for name in program.names):
            slow = bool(re.search(SLOW, workload))
            if not re.search(options.only, workload) or (slow and not options.all):
                continue
            times, results = {}, {}
            for _ in range(1 if slow else options.rounds):
                measured = {**program.measure(workload, scalar, slow), **peers.measure(workload, scalar)}
                for route, (time, result) in measured.items():
                    times.setdefault(route, []).append(time)
                    results[route] = result
            ours = statistics.median(times["sagitta"])
            for route, all_times in times.items():
                time = statistics.median(all_times)
                rows.append({"workload": workload, "scalar": scalar, "route": route, "ms": all_times, "median": time,
                             "ratio": time / ours, "result": results[route]})
                print(f"| {workload} | {scalar} | {route} | {number(time)} | {time / ours:.2f} | {results[route]:.6g} |",
                      flush=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"machine": about, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
