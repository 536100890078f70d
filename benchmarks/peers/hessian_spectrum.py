#!/usr/bin/env python3
"""The spectrum of one network's Hessian, by Sagitta's products and by two packages on PyTorch.

    python3 benchmarks/peers/hessian_spectrum.py [width of the hidden layers, default 16]

Needs torch, curvlinops-for-pytorch, hessian-eigenthings and a C++ compiler (measured with torch 2.13.0,
curvlinops 3.0.1, hessian-eigenthings 1.0.0a5). Trains 36-W-W-W-10 with ReLU in float64, hands it to
hessian_spectrum.cpp, and prints for every side the five eigenvalues of largest modulus, the trace, mean and
second moment of the spectral density, the effective rank at 0.99, and the seconds each took, one thread.
Exit status 1 where ours disagrees with all eigenvalues or with the others' converged ones.
"""
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
import hessian_eigenthings as eigenthings
from curvlinops import HessianLinearOperator, hutchpp_trace, lanczos_approximate_spectrum
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
                    "/usr/include/eigen3", here / "hessian_spectrum.cpp", paper / "learners/eigen_mlp.cpp",
                    paper / "learners/eigen_mlp_curvature.cpp", paper / "learners/activation.cpp", "-o", folder / "hessian_spectrum"], check=True)
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
    (grid, density), density_seconds = timed(lambda: lanczos_approximate_spectrum(operator, 80, num_repeats=4))

    peer = eigenthings.HessianOperator(
        model, [(inputs, labels)], eigenthings.supervised_loss(nn.CrossEntropyLoss(reduction="sum")))
    pairs, pairs_seconds = timed(lambda: eigenthings.lanczos(peer, k=5, tol=1e-10, seed=0))
    peer_density, peer_seconds = timed(
        lambda: eigenthings.spectral_density(peer, num_runs=4, lanczos_steps=80, seed=0))

    places = order_of(model)
    difference = np.abs(hessian[np.ix_(places, places)] - dense).max() / np.abs(dense).max()
    norm = np.abs(top[0])
    worst = np.abs(np.array(ours["extreme"]) - top).max() / norm
    order = np.argsort(-np.abs(pairs.eigenvalues.numpy()))
    theirs, converged = pairs.eigenvalues.numpy()[order], pairs.converged.numpy()[order]
    exact = rank(eigenvalues)

    def moments(x, y):  # of a density on a grid of equal steps
        weights = y / y.sum()
        return float((x * weights).sum()), float((x * x * weights).sum())

    one = {name: values[0] for name, values in ours.items()}
    rows = [("", "exact", "sagitta", "curvlinops", "hessian-eigenthings")]
    for i in range(5):
        rows.append((f"eigenvalue {i + 1}", f"{top[i]:.8f}", f"{ours['extreme'][i]:.8f}", "-",
                     f"{theirs[i]:.8f}" + ("" if converged[i] else " (not converged)")))
    rows += [("  seconds", f"{matrix_seconds + eigen_seconds:.2f}",
              f"{one['extreme_seconds']:.2f} ({one['extreme_products']:.0f} products)", "-", f"{pairs_seconds:.2f}"),
             ("trace", f"{eigenvalues.sum():.3f}", f"{one['trace']:.3f} +- {one['trace_error']:.3f}", f"{trace:.3f}",
              "-"),
             ("  seconds", "-", f"{one['trace_seconds']:.2f}", f"{trace_seconds:.2f}", "-")]
    found = [(eigenvalues.mean(), (eigenvalues**2).mean()), (one["density_mean"], one["density_square"]),
             moments(grid.numpy(), density.numpy()), moments(peer_density.grid.numpy(), peer_density.density.numpy())]
    rows += [("density, mean", *(f"{mean:.5f}" for mean, _ in found)),
             ("density, 2nd moment", *(f"{square:.5f}" for _, square in found)),
             ("  seconds", "-", f"{one['density_seconds']:.2f} ({one['density_products']:.0f} products)",
              f"{density_seconds:.2f}", f"{peer_seconds:.2f}"),
             ("effective rank", str(exact), f"{one['rank']:.0f}; estimated {one['estimated_rank']:.1f}", "-", "-"),
             ("  seconds", f"{matrix_seconds + eigen_seconds:.2f}",
              f"{one['matrix_seconds']:.2f}; {one['estimated_rank_seconds']:.2f}", "-", "-")]
    print(f"d = {d}, largest difference of the matrices {difference:.1e} of the largest entry\n")
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    for row in rows:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
        if row is rows[0]:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    agree = (difference < 1e-10 and worst < 1e-8 and exact == one["rank"]
             and np.abs(theirs - np.array(ours["extreme"]))[converged].max(initial=0) < 1e-6 * norm
             and abs(one["estimated_rank"] / exact - 1) < .1
             and abs(one["trace"] - eigenvalues.sum()) < 5 * one["trace_error"] + 1e-9)
    print("they agree" if agree else "THEY DISAGREE")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
