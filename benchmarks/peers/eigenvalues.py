#!/usr/bin/env python3
"""Ranks beside the eigenvalue solvers of MKL (in torch), OpenBLAS and Eigen, in one process and one run.

    python3 benchmarks/peers/eigenvalues.py [--largest N] [--repetitions N] [--only REGEX] [--json FILE]

Builds benchmarks/peers/eigenvalues.cpp with -O3 -march=native into build/peers and calls it through ctypes. Needs torch,
numpy, g++ and Eigen; OpenBLAS (libopenblas.so.0) where it is there. One thread; every route of a workload is run in turn,
small ones a few times in a row, times are medians and minima of the thread's processor time, ratios are to Sagitta (above
1: it takes longer). Writes a table in Markdown; a result below zero counts the ranks that the certificate leaves open.
The rows on threads are wall time, and mean something on an idle machine only.
"""
import argparse
import ctypes
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time
import zlib

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
import numpy as np  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)
root = pathlib.Path(__file__).resolve().parents[2]
WIDTHS = (784, 256, 256, 256, 10)
SAMPLES = 256


def library():
    folder = root / "build/peers"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "libeigenvalues.so"
    flags = subprocess.run(["pkg-config", "--cflags", "eigen3"], capture_output=True, text=True).stdout.split()
    subprocess.run(["g++", "-std=c++20", "-O3", "-DNDEBUG", "-march=native", "-shared", "-fPIC", f"-I{root / 'include'}",
                    *(flags or ["-I/usr/include/eigen3"]), str(root / "benchmarks/peers/eigenvalues.cpp"),
                    "-o", str(target)], check=True)
    loaded = ctypes.CDLL(str(target))
    for name in ("rank_float64", "rank_float32", "fisher_float64", "fisher_float32", "gauss_newton_float64"):
        getattr(loaded, name).restype = ctypes.c_int64
    return loaded


def openblas():
    try:
        return ctypes.CDLL("libopenblas.so.0")
    except OSError:
        return None


def pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


def plain_rank(values):
    """the paper's definition word by word"""
    moduli = np.sort(np.abs(np.asarray(values, dtype=np.float64)))[::-1]
    return int(np.argmax(np.cumsum(moduli) > 0.99 * moduli.sum())) + 1


class Routes:
    """Different ways to one number; each is a function without arguments."""

    def __init__(self, workload):
        self.workload, self.routes = workload, {}

    def add(self, name, work):
        self.routes[name] = work

    def measure(self, repetitions, burst, clock):
        times = {name: [] for name in self.routes}
        results = {}
        for _ in range(repetitions):
            for name, work in self.routes.items():
                start = clock()
                for _ in range(burst):
                    results[name] = work()
                times[name].append((clock() - start) * 1e-6 / burst)
        rows = []
        ours, our_best = (pick(next(iter(times.values()))) for pick in (statistics.median, min))
        for name, of_route in times.items():
            median, best = statistics.median(of_route), min(of_route)
            rows.append({"workload": self.workload, "route": name, "ms": median, "ratio": median / ours,
                         "best_ms": best, "best_ratio": best / our_best, "result": results[name]})
            print(f"| {self.workload} | {name} | {median:.4g} | {median / ours:.2f} | {best:.4g} | "
                  f"{best / our_best:.2f} | {results[name]} |", flush=True)
        return rows


def lapack_rank(blas, A):
    n = len(A)
    scratch, values = A.copy(), np.empty(n)
    integer, info = ctypes.c_int(n), ctypes.c_int()
    work, integers = np.empty(2 * n + 1 + 32 * n), np.empty(1 + n, dtype=np.int32)
    blas.dsyevd_(b"N", b"L", ctypes.byref(integer), pointer(scratch), ctypes.byref(integer), pointer(values),
                 pointer(work), ctypes.byref(ctypes.c_int(len(work))), pointer(integers),
                 ctypes.byref(ctypes.c_int(len(integers))), ctypes.byref(info))
    if info.value != 0:
        sys.exit(f"eigenvalues.py: dsyevd: info is {info.value}, expected 0")
    return plain_rank(values)


def add_solvers(routes, ours, blas, A, eigen=True):
    """the same matrix by everybody's full decomposition"""
    n, tensor = len(A), torch.from_numpy(A)

    def by_eigen():
        values = np.empty(n)
        ours.eigen_float64(pointer(A), n, pointer(values))
        return plain_rank(values)
    routes.add("MKL float64", lambda: plain_rank(torch.linalg.eigvalsh(tensor)))
    single = tensor.float()
    routes.add("MKL float32", lambda: plain_rank(torch.linalg.eigvalsh(single)))
    if blas is not None:
        routes.add("OpenBLAS dsyevd", lambda: lapack_rank(blas, A))
    if eigen:
        routes.add("Eigen", by_eigen)


def symmetric(ours, blas, n, generator):
    """indefinite, as a Hessian is; a fifth of A's columns hold 99 % of its norm"""
    A = generator.uniform(-1, 1, (n, n)) * np.exp(-15 * np.arange(n) / n)
    A = np.asfortranarray((A + A.T) / 2)
    single = np.asfortranarray(A, dtype=np.float32)
    routes = Routes(f"rank n={n}")
    routes.add("sagitta float64", lambda: ours.rank_float64(pointer(A), n, 1))
    routes.add("sagitta float32", lambda: ours.rank_float32(pointer(single), n, 1))

    def all_values():
        values = np.empty(n)
        ours.eigenvalues_float64(pointer(A), n, 1, pointer(values))
        return plain_rank(values)
    routes.add("sagitta, all eigenvalues", all_values)
    add_solvers(routes, ours, blas, A)
    return routes


def low_rank(ours, blas, n, generator):
    """a Gram matrix of which some 20 directions hold 99 %"""
    B = generator.uniform(-1, 1, (n, n)) * np.exp(-0.115 * np.arange(n))
    K = np.asfortranarray(B @ B.T)
    routes = Routes(f"low rank n={n}")
    routes.add("sagitta float64", lambda: ours.rank_float64(pointer(K), n, 1))
    add_solvers(routes, ours, blas, K)
    return routes


def fisher(ours, generator, kind):
    inputs = [np.ascontiguousarray(generator.uniform(-1, 1, (SAMPLES, w)), dtype=kind) for w in WIDTHS[:-1]]
    backprops = [np.ascontiguousarray(generator.uniform(-1, 1, (SAMPLES, w)), dtype=kind) for w in WIDTHS[1:]]
    number = len(inputs)
    a, d = ((ctypes.c_void_p * number)(*(x.ctypes.data for x in arrays)) for arrays in (inputs, backprops))
    widths = np.array(WIDTHS, dtype=np.int64)
    function = ours.fisher_float64 if kind == np.float64 else ours.fisher_float32
    routes = Routes(f"EF rank from layer traces W1, {np.dtype(kind).name}")
    routes.add("sagitta", lambda: function(a, d, pointer(widths), number, SAMPLES))
    tensors = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in zip(inputs, backprops)]

    def structured(kind):
        gram = sum((x @ x.T + 1) * (y @ y.T) for x, y in ((x.to(kind), y.to(kind)) for x, y in tensors))
        return plain_rank(torch.linalg.eigvalsh(gram.double()))
    routes.add("torch float64, structured + eigvalsh", lambda: structured(torch.float64))
    routes.add("torch float32, structured + eigvalsh float64", lambda: structured(torch.float32))
    gradients = torch.cat([torch.cat((torch.einsum("mi,mo->moi", x, y).reshape(SAMPLES, -1), y), 1)
                           for x, y in tensors], 1)
    routes.add(f"torch {np.dtype(kind).name}, dense product alone", lambda: int((gradients @ gradients.T).shape[0]))
    return routes


def gauss_newton(ours, blas, generator, M, C, P):
    J = np.ascontiguousarray(generator.uniform(-1, 1, (M * C, P)) * np.exp(-15 * np.arange(P) / P))
    logits = torch.from_numpy(generator.uniform(-3, 3, (M, C)))
    p = np.ascontiguousarray(torch.softmax(logits, 1).numpy())
    middle = torch.diag_embed(torch.from_numpy(p)) - torch.einsum("mi,mj->mij", torch.from_numpy(p), torch.from_numpy(p))
    tensor = torch.from_numpy(J)
    G = np.asfortranarray((tensor.T @ torch.bmm(middle, tensor.view(M, C, P)).view(M * C, P)).numpy())
    routes = Routes(f"GN rank M={M} C={C} P={P}, others: eigenvalues of the dense matrix alone")
    routes.add("sagitta float64", lambda: ours.gauss_newton_float64(pointer(J), pointer(p), M, C, P, 1))
    add_solvers(routes, ours, blas, G)
    return routes


def threads(ours, n, generator):
    A = generator.uniform(-1, 1, (n, n))
    A = np.asfortranarray((A + A.T) / 2)
    routes = Routes(f"threads n={n}, wall")

    def bits(number):  # of all eigenvalues
        values = np.empty(n)
        ours.eigenvalues_float64(pointer(A), n, number, pointer(values))
        return zlib.crc32(values.tobytes())
    same = "same bits" if bits(1) == bits(2) else "other bits"
    routes.add("1 thread", lambda: ours.rank_float64(pointer(A), n, 1))
    routes.add("2 threads", lambda: f"{ours.rank_float64(pointer(A), n, 2)}, {same}")
    return routes


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--largest", type=int, default=3626, help="leave out larger matrices")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--only", default=".", metavar="REGEX", help="workloads whose name matches")
    parser.add_argument("--json", help="also write the rows there")
    options = parser.parse_args()
    ours, blas = library(), openblas()
    print(f"torch {torch.__version__}, numpy {np.__version__}, load {os.getloadavg()[0]:.1f}\n")
    print("| workload | route | median ms | ratio | least ms | ratio | result |\n|---|---|---|---|---|---|---|")
    makers = [(f"rank n={n}", n, lambda g, n=n: symmetric(ours, blas, n, g)) for n in (128, 256, 512, 1280, 2304, 3626)]
    makers += [(f"low rank n={n}", n, lambda g, n=n: low_rank(ours, blas, n, g)) for n in (256, 1280)]
    makers += [(f"EF rank {kind.__name__}", 256, lambda g, kind=kind: fisher(ours, g, kind)) for kind in (np.float64, np.float32)]
    makers += [("GN rank", 3626, lambda g: gauss_newton(ours, blas, g, 256, 10, 3626))]
    makers += [(f"threads n={n}", n, lambda g, n=n: threads(ours, n, g)) for n in (1280, 2304, 3626)]
    rows = []
    for name, n, make in makers:
        if n > options.largest or not re.search(options.only, name):
            continue
        repetitions = options.repetitions * (5 if n <= 256 else 1)
        clock = time.perf_counter_ns if name.startswith("threads") else time.thread_time_ns
        if n > 2000:
            repetitions = min(repetitions, 3)
        rows += make(np.random.default_rng(1)).measure(repetitions, 5 if n <= 512 else 1, clock)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
