#!/usr/bin/env python3
"""Draws what examples/hessian_spectrum.cpp wrote, as PNG and SVG beside it. Needs matplotlib.

    python3 examples/hessian_spectrum.py [FILE, default hessian_spectrum.json]
"""
import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

path = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "hessian_spectrum.json")
states = json.loads(path.read_text())
figure, panels = plt.subplots(1, len(states), figsize=(4.6 * len(states), 3), squeeze=False, layout="constrained")
for panel, state in zip(panels[0], states):
    d, rank = state["parameters"], f"rank {state['rank']:.0f} of {state['parameters']}"
    if "eigenvalues" in state:
        low, high = state["x"][0], state["x"][-1]
        counts = [0] * 128
        for value in state["eigenvalues"]:
            counts[min(127, int((value - low) / (high - low) * 128))] += 1
        edges = [low + (high - low) * i / 128 for i in range(129)]
        heights = [128 * count / d / (high - low) for count in counts]
        panel.stairs(heights, edges, fill=True, color="#cccccc", label="all eigenvalues")
        rank += f" (exactly {state['exact_rank']})"
    panel.plot(state["x"], state["density"], color="#0072b2", linewidth=1.2, label="Lanczos, 320 products")
    panel.set(yscale="log", ylim=(1e-2 / d, None), xlabel="eigenvalue", ylabel="density",
              title=f"{state['when']} training, {rank}")
    panel.title.set_fontsize(10)
    panel.legend(frameon=False, fontsize=8)
for end in (".png", ".svg"):
    figure.savefig(path.with_suffix(end), dpi=100)
    print(path.with_suffix(end))
