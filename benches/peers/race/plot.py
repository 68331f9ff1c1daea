"""Draws bars from what it reads on standard input: run by the Python that has the library.

    plot.py FILE.svg < {"cases": [[title, {contender: ratio}]...]}
"""

import json
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams |= {"svg.hashsalt": "speed", "svg.fonttype": "none", "font.family": "sans-serif"}

from matplotlib import pyplot  # noqa: E402

# Longer bars are cut: what is told is who is ahead, and how far.
LONGEST = 4


def draw(cases, path):
    figure, panels = pyplot.subplots(len(cases), 1, layout="constrained", figsize=(
        8, sum(0.5 + 0.24 * len(bars) for _, bars in cases)),
        gridspec_kw={"height_ratios": [1.5 + len(bars) for _, bars in cases]}, squeeze=False)
    for panel, (title, bars) in zip(panels.flat, cases):
        names = sorted(bars, key=bars.get, reverse=True)
        lengths = [min(bars[name], LONGEST) for name in names]
        colours = ["#c2410c" if name.startswith("fetch") else "#94a3b8" for name in names]
        shown = panel.barh(names, lengths, color=colours)
        panel.bar_label(shown, [f"{bars[name]:.2f}" for name in names], padding=3, fontsize=8)
        panel.axvline(1, color="#64748b", linewidth=0.8, linestyle=":")
        panel.set_xlim(0, LONGEST + 0.4)
        panel.set_title(title, fontsize=9, loc="left")
        panel.tick_params(labelsize=8)
        panel.set_xticks([])
        panel.spines[:].set_visible(False)
    figure.savefig(path, metadata={"Date": None}, facecolor="white")


draw(json.load(sys.stdin)["cases"], sys.argv[1])
