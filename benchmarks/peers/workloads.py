#!/usr/bin/env python3
"""What Python has to offer for the workloads of the benchmarks, measured for benchmarks/run.py.

Reads lines "WORKLOAD/SCALAR" from standard input and answers each with one line of JSON, {route: [milliseconds of
processor time, result]}: the median of repeated calls for about a tenth of a second, and what was computed. An empty
object where there is no peer. Needs torch (measured with 2.13.0); POT, where it is installed, is measured too. To add a
peer, write a function from the numbers in a workload's name and a scalar to {route: call}, and enter it in PEERS.
"""
import json
import re
import statistics
import sys
import time

import torch

import inputs

try:
    import ot
except ImportError:
    ot = None

torch.set_num_threads(1)


def wasserstein(n, scalar):
    """value and gradient of sum (theta_(i) - theta0_(i))^2, added to a gradient as a training loop does it"""
    theta0 = torch.from_numpy(inputs.uniform(n, 1, 1, scalar)[:, 0])
    theta = (theta0 + .1 * torch.from_numpy(inputs.uniform(n, 1, 2, scalar)[:, 0])).requires_grad_()
    theta.grad = torch.zeros_like(theta)
    sorted0 = theta0.sort().values

    def by_sort():
        value = (theta.sort().values - sorted0).square().sum()
        (.001 * value).backward()
        return value.item()

    def by_pot():
        value = n * ot.wasserstein_1d(theta, theta0, p=2)
        (.001 * value).backward()
        return value.item()
    return {"torch": by_sort, **({"POT": by_pot} if ot and n <= 200704 else {})}


def features(n, width, scalar):
    return torch.from_numpy(inputs.uniform(n, width, 1, scalar)).relu()


def dormancy(n, width, scalar):
    phi = features(n, width, scalar)

    def mean_first():
        activity = phi.abs().mean(0)
        p = activity / activity.sum()
        return torch.special.xlogy(p, p).sum().item()
    return {"torch": mean_first}


def per_sample_dormancy(n, width, scalar):
    phi = features(n, width, scalar)

    def each():
        p = phi.abs()
        p = p / p.sum(1, keepdim=True)
        return -torch.special.entr(p).sum(1).mean().item()
    return {"torch": each}


def dormant_fraction(n, width, scalar):
    phi = features(n, width, scalar)

    def fraction():
        activity = phi.abs().mean(0)
        return (activity <= .025 * activity.mean()).double().mean().item()
    return {"torch": fraction}


def feature_rank(n, width, scalar):
    phi = torch.from_numpy(inputs.decaying(n, width, scalar))
    return {"torch": lambda: inputs.plain_rank(torch.linalg.svdvals(phi))}


def symmetric_effective_rank(n, scalar):
    A = torch.from_numpy(inputs.symmetric(n, scalar))
    return {"torch": lambda: inputs.plain_rank(torch.linalg.eigvalsh(A))}


PEERS = [
    (r"WassersteinPenalty n=(\d+)", wasserstein),
    (r"dormancy (\d+)x(\d+)", dormancy),
    (r"per_sample_dormancy (\d+)x(\d+)", per_sample_dormancy),
    (r"dormant_fraction (\d+)x(\d+)", dormant_fraction),
    (r"feature_rank (\d+)x(\d+)", feature_rank),
    (r"symmetric_effective_rank n=(\d+)", symmetric_effective_rank),
]


def peers_of(workload, scalar):
    for pattern, make in PEERS:
        found = re.fullmatch(pattern, workload)
        if found:
            return make(*map(int, found.groups()), scalar)
    return {}


def measure(call):
    result, times, deadline = call(), [], time.perf_counter() + .1
    while not times or time.perf_counter() < deadline:
        start = time.thread_time()
        result = call()
        times.append((time.thread_time() - start) * 1e3)
    return [statistics.median(times), result]


def main():
    last, peers = None, {}
    for line in sys.stdin:
        name = line.strip()
        if name != last:
            peers = peers_of(*name.split("/"))
            last = name
        print(json.dumps({route: measure(call) for route, call in peers.items()}), flush=True)


if __name__ == "__main__":
    main()
