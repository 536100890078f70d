#!/usr/bin/env python3
"""Draws how many times longer than Sagitta others take, by n.

    benchmarks/draw.py MEASUREMENTS.json PICTURE.svg [--route torch]

Of what benchmarks/run.py --json wrote: one panel for each scalar, one line for each workload with two sizes or more,
against ROUTE. Of what benchmarks/peers/eigenvalues.py --json wrote: the rank of a symmetric matrix, one line for each
solver. Needs matplotlib.
"""
import argparse
import collections
import json
import re

import matplotlib
matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator


def by_workload(rows, route, scalar):
    """{workload without its size: [(n, ratio)]}"""
    lines = collections.defaultdict(list)
    for row in rows:
        found = re.fullmatch(r"(.*) n=(\d+)", row["workload"])
        if found and row["route"] == route and row["scalar"] == scalar:
            lines[found.group(1)].append((int(found.group(2)), row["ratio"]))
    return {name: sorted(points) for name, points in lines.items() if len(points) > 1}


def by_solver(rows):
    """{route: [(n, ratio)]} of the ranks of symmetric matrices"""
    lines = collections.defaultdict(list)
    for row in rows:
        found = re.fullmatch(r"rank n=(\d+)", row["workload"])
        if found and not row["route"].startswith("sagitta"):
            lines[row["route"]].append((int(found.group(1)), row["ratio"]))
    return {name: sorted(points) for name, points in lines.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("measurements")
    parser.add_argument("picture")
    parser.add_argument("--route", default="torch")
    options = parser.parse_args()
    with open(options.measurements, encoding="utf-8") as file:
        measured = json.load(file)
    if isinstance(measured, list):
        panels, whose = {"effective rank, n x n": by_solver(measured)}, "all eigenvalues"
    else:
        panels = {scalar: by_workload(measured["rows"], options.route, scalar) for scalar in ("float", "double")}
        whose = options.route
    plt.rcParams["svg.hashsalt"] = "sagitta"  # the same picture from the same numbers
    figure, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels) + 1, 3.4), sharey=True, squeeze=False,
                                layout="constrained")
    for axis, (title, lines) in zip(axes[0], panels.items()):
        for name, points in lines.items():
            axis.plot(*zip(*points), marker="o", markersize=3, label=name)
        axis.axhline(1, color="black", linewidth=.6)
        axis.set(xscale="log", yscale="log", xlabel="n", title=title)
        sizes = sorted({n for points in lines.values() for n, _ in points})
        axis.set_xticks(sizes if len(sizes) <= 6 else sizes[::2], labels=sizes if len(sizes) <= 6 else sizes[::2])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.grid(which="major", linewidth=.3)
    axes[0][0].set_ylabel(f"time of {whose} / time of Sagitta")
    axes[0][0].legend(fontsize="small")
    figure.savefig(options.picture, metadata={"Date": None})


if __name__ == "__main__":
    main()
