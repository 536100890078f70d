#!/usr/bin/env python3
"""The spectrum of one network's Hessian, by Sagitta's products and by curvlinops on PyTorch.

    python3 benchmarks/peers/hessian_spectrum.py [width of the hidden layers, default 16]

Needs torch, curvlinops-for-pytorch and a C++ compiler (measured with torch 2.13.0, curvlinops 3.0.1). Trains
36-W-W-W-10 with ReLU in float64, hands it to hessian_spectrum.cpp, and prints for both sides the five
eigenvalues of largest modulus, the trace, the effective rank at 0.99, and the seconds each took, one thread;
and the largest differences. Exit status 1 where they disagree.
"""
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
from curvlinops import HessianLinearOperator, hutchpp_trace
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
here = pathlib.Path(__file__).resolve().parent
root = here.parent.parent


def trained(width, n=192):
    inputs, labels = torch.randn(n, 36), torch.randint(10, (n,))
    widths = [36, width, width, width, 10]
    layers = []
    for fan_in, fan_out in zip(widths, widths[1:]):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(300):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    return model, widths, inputs, labels


def sagitta(folder, model, widths, inputs, labels):
    theta = [p.detach().numpy().flatten(order="F") for p in model.parameters()]
    np.concatenate(theta).tofile(folder / "theta.f64")
    inputs.numpy().tofile(folder / "inputs.f64")
    labels.numpy().astype(np.int32).tofile(folder / "labels.i32")
    paper = root / "examples/paper"
    subprocess.run(["c++", "-std=c++20", "-O3", "-march=native", "-I", root / "include", "-I", paper, "-isystem",
                    "/usr/include/eigen3", here / "hessian_spectrum.cpp", paper / "eigen_mlp.cpp",
                    paper / "eigen_mlp_curvature.cpp", "-o", folder / "hessian_spectrum"], check=True)
    output = subprocess.run([folder / "hessian_spectrum", folder, *map(str, widths)], check=True, text=True,
                            stdout=subprocess.PIPE).stdout
    values = {}
    for line in output.splitlines():
        name, value = line.split()
        values.setdefault(name, []).append(float(value))
    d = sum(p.numel() for p in model.parameters())
    hessian = np.fromfile(folder / "hessian.f64").reshape(d, d)
    return values, hessian


def order_of(model):
    """Where each of torch's parameters, weights row by row, lies in ours, column by column."""
    places, start = [], 0
    for p in model.parameters():
        index = start + np.arange(p.numel()).reshape(p.shape, order="F")
        places.append(index.flatten())
        start += p.numel()
    return np.concatenate(places)


def rank(values, threshold=0.99):
    values = np.sort(np.abs(values))[::-1]
    return int(np.argmax(np.cumsum(values) > threshold * values.sum())) + 1


def timed(work):
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def main():
    width = int(sys.argv[1]) if len(sys.argv) > 1 else 16
    model, widths, inputs, labels = trained(width)
    with tempfile.TemporaryDirectory() as name:
        ours, hessian = sagitta(pathlib.Path(name), model, widths, inputs, labels)
    parameters = [p for p in model.parameters() if p.requires_grad]
    operator = HessianLinearOperator(model, nn.CrossEntropyLoss(reduction="sum"), parameters, [(inputs, labels)],
                                     check_deterministic=False)
    d = operator.shape[0]
    dense, matrix_seconds = timed(lambda: (operator @ torch.eye(d)).detach().numpy())
    dense = (dense + dense.T) / 2
    eigenvalues, eigen_seconds = timed(lambda: np.linalg.eigvalsh(dense))
    top = eigenvalues[np.argsort(-np.abs(eigenvalues))][:5]
    trace, trace_seconds = timed(lambda: float(hutchpp_trace(operator, 99)))

    places = order_of(model)
    difference = np.abs(hessian[np.ix_(places, places)] - dense).max() / np.abs(dense).max()
    print(f"d = {d}, largest difference of the matrices {difference:.1e} of the largest entry")
    print(f"matrix     sagitta {ours['matrix_seconds'][0]:.2f} s with its rank, "
          f"curvlinops {matrix_seconds:.2f} s + eigenvalues {eigen_seconds:.2f} s")
    worst = np.abs(np.array(ours["extreme"]) - top).max() / np.abs(top[0])
    print(f"extreme    largest difference {worst:.1e}; sagitta {ours['extreme_seconds'][0]:.2f} s, "
          f"{int(ours['extreme_products'][0])} products")
    print(f"trace      exact {eigenvalues.sum():.4f}; sagitta {ours['trace'][0]:.4f} +- {ours['trace_error'][0]:.4f} "
          f"({ours['trace_seconds'][0]:.2f} s), curvlinops Hutch++ {trace:.4f} ({trace_seconds:.2f} s)")
    exact = rank(eigenvalues)
    print(f"rank       exact {exact}; sagitta {int(ours['rank'][0])}, estimated {ours['estimated_rank'][0]:.1f} "
          f"({ours['estimated_rank_seconds'][0]:.2f} s)")
    agree = (difference < 1e-10 and worst < 1e-8 and exact == ours["rank"][0]
             and abs(ours["estimated_rank"][0] / exact - 1) < .1
             and abs(ours["trace"][0] - eigenvalues.sum()) < 5 * ours["trace_error"][0] + 1e-9)
    print("they agree" if agree else "THEY DISAGREE")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
