#!/usr/bin/env python3
"""A network learns random labels, task after task, and a monitor watches its directions of curvature.

    python python/examples/plasticity.py [--data DIR] [--tasks 40] [--output plasticity.png]

The setting of Lewandowski et al. (2023) in miniature: the images of MNIST stay, and with each task their labels are drawn
anew. A leaky ReLU network is trained twice, without a regulariser and with the paper's Wasserstein penalty (section 5).
DIR holds MNIST's file train-images-idx3-ubyte (or with .gz). Needs torch, matplotlib and pysagitta; less than a minute on
one core.
"""
import argparse
import gzip
import pathlib

import numpy as np
import torch
from torch import nn

import pysagitta.torch as st


def mnist_images(folder, count):
    """[count, 196], from 0 to 1: pixels in blocks of 2 x 2."""
    for path in (folder / "train-images-idx3-ubyte", folder / "train-images-idx3-ubyte.gz"):
        if path.exists():
            read = gzip.open if path.suffix == ".gz" else open
            with read(path, "rb") as file:
                file.seek(16)
                pixels = np.frombuffer(file.read(784 * count), np.uint8).reshape(count, 14, 2, 14, 2)
            return torch.tensor(pixels.mean((2, 4)).reshape(count, 196) / 255, dtype=torch.float32)
    raise SystemExit(f"{folder} has no train-images-idx3-ubyte; give the folder of MNIST's files by --data")


def run(images, arguments, strength):
    """Learns all tasks; for each the error at its end and the relative rank at its beginning."""
    torch.manual_seed(1)
    layers = []
    for width in arguments.widths:
        layers += [nn.LazyLinear(width), nn.LeakyReLU()]
    model = nn.Sequential(*layers, nn.LazyLinear(10))
    model(images[:1])
    optimizer = torch.optim.Adam(model.parameters(), lr=arguments.rate)
    penalty = st.WassersteinPenalty(model)
    monitor = st.Monitor(model, x=images, updates=False)
    errors, ranks = [], []
    for task in range(arguments.tasks):
        labels = torch.randint(0, 10, (len(images),))
        ranks.append(monitor.measure(y=labels).fisher_rank.relative)
        for _ in range(arguments.epochs):
            for batch in torch.randperm(len(images)).split(arguments.batch):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
                if strength:
                    penalty.add_gradient_(model, strength)
                optimizer.step()
        with torch.no_grad():
            errors.append((model(images).argmax(1) != labels).double().mean().item())
        print(f"task {task + 1:2}: rank at its beginning {ranks[-1]:.3f}, error at its end {errors[-1]:.3f}", flush=True)
    return errors, ranks


def draw(results, path):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3), layout="constrained")
    for (name, (errors, ranks)), style in zip(results.items(), ("C3-", "C0--")):
        axes[0].plot(range(1, len(errors) + 1), errors, style, label=name)
        axes[1].plot(range(1, len(ranks) + 1), ranks, style, label=name)
    axes[0].set(xlabel="task", ylabel="error at the end of the task", ylim=(-0.03, 1))
    axes[1].set(xlabel="task", ylabel="relative rank at its beginning", ylim=(0, 1))
    axes[0].legend()
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path(__file__).parents[3] / "shared/data/mnist")
    parser.add_argument("--output", type=pathlib.Path, default="plasticity.png")
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--images", type=int, default=192)
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=0.001)
    parser.add_argument("--strength", type=float, default=0.005, help="of the Wasserstein penalty")
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 64, 64])
    arguments = parser.parse_args()
    images = mnist_images(arguments.data, arguments.images)
    results = {}
    for name, strength in (("leaky ReLU", 0), ("with the Wasserstein penalty", arguments.strength)):
        print(name)
        results[name] = run(images, arguments, strength)
    draw(results, arguments.output)
    print(f"drawn in {arguments.output}")


if __name__ == "__main__":
    main()
