#!/usr/bin/env python3
"""Draws what benchmarks/run.py --json wrote: how many times longer than Sagitta each peer takes, by n.

    benchmarks/draw.py MEASUREMENTS.json PICTURE.svg [--route torch]

One panel for each scalar, one line for each workload with two sizes or more. Needs matplotlib.
"""
import argparse
import collections
import json
import re

import matplotlib
matplotlib.use("svg")
import matplotlib.pyplot as plt


def series(rows, route, scalar):
    """{workload without its size: [(n, ratio)]}"""
    lines = collections.defaultdict(list)
    for row in rows:
        found = re.fullmatch(r"(.*) n=(\d+)", row["workload"])
        if found and row["route"] == route and row["scalar"] == scalar:
            lines[found.group(1)].append((int(found.group(2)), row["ratio"]))
    return {name: sorted(points) for name, points in lines.items() if len(points) > 1}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("measurements")
    parser.add_argument("picture")
    parser.add_argument("--route", default="torch")
    options = parser.parse_args()
    with open(options.measurements, encoding="utf-8") as file:
        rows = json.load(file)["rows"]
    plt.rcParams["svg.hashsalt"] = "sagitta"  # the same picture from the same numbers
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True, layout="constrained")
    for axis, scalar in zip(axes, ("float", "double")):
        for name, points in series(rows, options.route, scalar).items():
            axis.plot(*zip(*points), marker="o", markersize=3, label=name)
        axis.axhline(1, color="black", linewidth=.6)
        axis.set(xscale="log", yscale="log", xlabel="n", title=scalar)
        axis.grid(which="major", linewidth=.3)
    axes[0].set_ylabel(f"time of {options.route} / time of Sagitta")
    axes[0].legend(fontsize="small")
    figure.savefig(options.picture, metadata={"Date": None})


if __name__ == "__main__":
    main()
