#!/usr/bin/env python3
"""Draws one figure from a JSON document: plot.py FIGURE.json

{"title": str, "caption": str, "columns": int, "outputs": [paths that end in .png or .svg],
 "panels": [{"title": str, "xlabel": str, "ylabel": str, "ylim": [low, high] or null,
             "curves": [{"label": str, "color": int, "shade": number, "style": "solid" | "dashed" | "dotted",
                         "x": [...], "mean": [...], "low": [...], "high": [...]}]}]}

shade, from 0 to 1, is for curves that have an order (the values of a sweep) and takes the place of the colour; it may be
missing. x, mean, low and high are equally long; null where there is no value. A curve is its mean with the band from low to
high around it. Curves with the same label share one entry of the legend, which all panels share. The same document
gives the same bytes with the same matplotlib. A document that is not as above, or a missing matplotlib, is one line
on standard error and exit status 1, and no output is touched.
"""

import json
import math
import os
import sys
import tempfile
import textwrap

# Okabe and Ito's colours, told apart by colour-blind readers too; yellow last, it is faint on white
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")  # one a colour: for readers and printers without colour
STYLES = {"solid": "-", "dashed": (0, (5, 2)), "dotted": (0, (1.2, 1.6))}
PANEL_WIDTH, PANEL_HEIGHT = 2.75, 2.15  # inches; three columns are about 900 pixels wide
DPI = 110
INCH_PER_LINE = 0.15  # of small text
GREY = "#555555"
# for sweeps: made for colour-blind readers, and its lightness rises evenly; the end is left out, it is faint on white
SEQUENTIAL, SEQUENTIAL_END = "cividis", 0.85


class Trouble(Exception):
    """What the user is told, in one line."""


def demand(condition, where, found, expected):
    if not condition:
        text = repr(found)
        raise Trouble(f"{where} is {text if len(text) < 60 else text[:57] + '...'}, expected {expected}")


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def field(owner, name, where, kind, expected):
    if name not in owner:
        raise Trouble(f"{where}{name} is missing, expected {expected}")
    value = owner[name]
    demand(isinstance(value, kind) and not isinstance(value, bool), where + name, value, expected)
    return value


def numbers(curve, name, where, length=None):
    values = field(curve, name, where, list, "a list of numbers")
    demand(length in (None, len(values)), f"the length of {where}{name}", len(values), f"{length}, as that of x")
    for i, value in enumerate(values):
        demand(value is None or is_number(value), f"{where}{name}[{i}]", value, "a number or null")
    return [value if value is not None and math.isfinite(value) else math.nan for value in values]


def read_curve(curve, where):
    demand(isinstance(curve, dict), where.rstrip("."), curve, "a curve")
    x = numbers(curve, "x", where)
    style = field(curve, "style", where, str, "a line style")
    demand(style in STYLES, where + "style", style, "one of " + ", ".join(STYLES))
    color = field(curve, "color", where, int, "a whole number from 0 on")
    demand(color >= 0, where + "color", color, "a whole number from 0 on")
    shade = curve.get("shade")
    demand(shade is None or (is_number(shade) and 0 <= shade <= 1), where + "shade", shade, "a number from 0 to 1")
    rest = {name: numbers(curve, name, where, len(x)) for name in ("mean", "low", "high")}
    return {"label": field(curve, "label", where, str, "a text"), "color": color, "shade": shade, "style": style,
            "x": x, **rest}


def read_panel(panel, where):
    demand(isinstance(panel, dict), where.rstrip("."), panel, "a panel")
    result = {name: field(panel, name, where, str, "a text") for name in ("title", "xlabel", "ylabel")}
    ylim = panel.get("ylim")
    good = ylim is None or (isinstance(ylim, list) and len(ylim) == 2 and all(map(is_number, ylim)))
    demand(good and (ylim is None or ylim[0] < ylim[1]), where + "ylim", ylim, "[low, high] or null")
    curves = field(panel, "curves", where, list, "a list of curves")
    result["ylim"] = ylim
    result["curves"] = [read_curve(curve, f"{where}curves[{i}].") for i, curve in enumerate(curves)]
    return result


def read_figure(path):
    """The document, checked, with NaN for null."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except OSError as error:
        raise Trouble(error.strerror) from None
    except ValueError as error:  # bad JSON and bad UTF-8
        raise Trouble(f"not JSON: {error}") from None
    demand(isinstance(document, dict), "the document", document, "an object")
    figure = {name: field(document, name, "", str, "a text") for name in ("title", "caption")}
    figure["columns"] = field(document, "columns", "", int, "a whole number from 1 on")
    demand(figure["columns"] >= 1, "columns", figure["columns"], "a whole number from 1 on")
    figure["outputs"] = field(document, "outputs", "", list, "a list of paths")
    demand(figure["outputs"], "outputs", figure["outputs"], "at least one path")
    for i, output in enumerate(figure["outputs"]):
        good = isinstance(output, str) and output.lower().endswith((".png", ".svg"))
        demand(good, f"outputs[{i}]", output, "a path that ends in .png or .svg")
    panels = field(document, "panels", "", list, "a list of panels")
    demand(panels, "panels", panels, "at least one panel")
    figure["panels"] = [read_panel(panel, f"panels[{i}].") for i, panel in enumerate(panels)]
    return figure


def load_matplotlib():
    try:
        import matplotlib
        matplotlib.use("Agg")
        import matplotlib.pyplot as pyplot
    except ImportError as error:
        raise Trouble(f"matplotlib is needed to draw ({error}): install python3-matplotlib") from None
    matplotlib.rcdefaults()  # a user's own settings must not change the pictures
    matplotlib.rcParams.update({
        "svg.hashsalt": "sagitta", "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 8,
        "mathtext.fontset": "dejavusans",
        "axes.titlesize": 8.5, "axes.labelsize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7,
        "legend.fontsize": 8, "axes.linewidth": 0.6, "axes.edgecolor": GREY, "axes.axisbelow": True,
        "axes.spines.top": False, "axes.spines.right": False, "xtick.color": GREY, "ytick.color": GREY,
        "xtick.labelcolor": "black", "ytick.labelcolor": "black", "xtick.major.width": 0.6,
        "ytick.major.width": 0.6, "xtick.major.size": 2.5, "ytick.major.size": 2.5,
        "axes.formatter.limits": (-3, 4), "axes.formatter.useoffset": False,
        "axes.formatter.use_mathtext": True,
    })
    return matplotlib, pyplot


def literal(text):
    return text.replace("$", r"\$")  # or matplotlib reads formulas between two dollars


def draw_curve(axes, curve, order):
    """The band and the mean; returns the line, for the legend."""
    color = PALETTE[curve["color"] % len(PALETTE)]
    marker = MARKERS[curve["color"] % len(MARKERS)]
    if curve["shade"] is not None:
        from matplotlib import colormaps
        color = colormaps[SEQUENTIAL](SEQUENTIAL_END * curve["shade"])
        marker = MARKERS[order % len(MARKERS)]
    count = len(curve["x"])
    # about seven markers a curve, begun at another place for each, so that they seldom cover one another
    step = max(1, round(count / 7))
    axes.fill_between(curve["x"], curve["low"], curve["high"], color=color, alpha=0.18, linewidth=0)
    line, = axes.plot(curve["x"], curve["mean"], color=color, linestyle=STYLES[curve["style"]], linewidth=1.4,
                      marker=marker, markersize=3.6, markeredgecolor="white", markeredgewidth=0.5,
                      markevery=(min(order * step // 4 % step, max(count - 1, 0)), step) if count else None)
    return line


def draw_panel(axes, panel, lines):
    from matplotlib.ticker import MaxNLocator
    for order, curve in enumerate(panel["curves"]):
        line = draw_curve(axes, curve, order)
        lines.setdefault(curve["label"], line)
    if all(math.isnan(y) for curve in panel["curves"] for y in curve["mean"]):
        axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", va="center", color=GREY)
        axes.set_xticks([])
    axes.set_title(literal("\n".join(textwrap.wrap(panel["title"], 34))))  # what the width of a panel holds
    axes.set_xlabel(literal(panel["xlabel"]), labelpad=2)
    axes.set_ylabel(literal(panel["ylabel"]), labelpad=3)
    axes.grid(color="#E4E4E4", linewidth=0.5)
    axes.margins(x=0.02)
    whole = all(x == int(x) for curve in panel["curves"] for x in curve["x"] if not math.isnan(x))
    if axes.get_xticks().size:
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10), integer=whole))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if panel["ylim"]:
        axes.set_ylim(panel["ylim"])


def draw(figure, pyplot):
    columns = min(figure["columns"], len(figure["panels"]))
    rows = -(-len(figure["panels"]) // columns)
    width = max(PANEL_WIDTH * columns, 4.2)
    labels = list(dict.fromkeys(curve["label"] for panel in figure["panels"] for curve in panel["curves"]))
    longest = max(map(len, labels), default=0)
    legend_columns = max(1, min(len(labels), int(width / (0.55 + 0.068 * longest))))
    legend_rows = -(-len(labels) // legend_columns)
    paragraphs = figure["caption"].split("\n") if figure["caption"].strip() else []
    caption = [line for text in paragraphs for line in textwrap.wrap(text, int(width * 18)) or [""]]

    # measured in inches from the top: title, panels, legend, caption; the panels share what is theirs
    top = 0.34 if figure["title"] else 0.06
    legend_height = 0.08 + 0.165 * legend_rows if labels else 0
    caption_height = 0.1 + INCH_PER_LINE * len(caption) if caption else 0
    height = top + PANEL_HEIGHT * rows + legend_height + caption_height + 0.06
    picture = pyplot.figure(figsize=(width, height), dpi=DPI)
    if figure["title"]:
        picture.text(0.5, 1 - 0.09 / height, literal(figure["title"]), ha="center", va="top", fontsize=10, weight="bold")
    lines = {}
    grid = picture.add_gridspec(rows, columns)
    for i, panel in enumerate(figure["panels"]):
        draw_panel(picture.add_subplot(grid[i // columns, i % columns]), panel, lines)
    bottom = (legend_height + caption_height + 0.06) / height
    picture.tight_layout(rect=(0, bottom, 1, 1 - top / height), pad=0.4, w_pad=1.0, h_pad=0.9)
    if labels:
        picture.legend(lines.values(), map(literal, lines), loc="lower center", ncol=legend_columns, frameon=False,
                       bbox_to_anchor=(0.5, (caption_height + 0.03) / height), borderaxespad=0, borderpad=0.2,
                       handlelength=2.6, columnspacing=1.6, labelspacing=0.35)
    for i, line in enumerate(caption):
        picture.text(0.12 / width, (caption_height - 0.04 - INCH_PER_LINE * i) / height, literal(line), ha="left", va="top",
                     fontsize=6.8, color=GREY)
    return picture


def save(picture, path):
    """Writes beside the path and renames, so that a failure leaves no half picture."""
    kind = path.lower().rsplit(".", 1)[1]
    # no date, no version: the bytes depend on the document alone
    metadata = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(suffix="." + kind, dir=os.path.dirname(path) or ".")
        os.close(handle)
        picture.savefig(temporary, format=kind, dpi=DPI, metadata=metadata)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # mkstemp's is for its owner alone
        os.replace(temporary, path)
    except OSError as error:
        raise Trouble(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.remove(temporary)


def main(arguments):
    if len(arguments) != 2 or arguments[1].startswith("-"):
        print(__doc__.split("\n", 1)[0], file=sys.stderr)
        return 2
    try:
        figure = read_figure(arguments[1])
        _, pyplot = load_matplotlib()
        picture = draw(figure, pyplot)
        for output in figure["outputs"]:
            save(picture, output)
    except Trouble as trouble:
        print(f"plot.py: {arguments[1]}: {trouble}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
