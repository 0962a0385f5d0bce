"""Figures of the compression study: how few bytes, and which samples are read at which level."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from frugal.report.load import Comparison
from frugal.report.theme import Look


def ratio_bars(compared: Comparison, look: Look) -> Figure:
    """Compression ratio of each strategy over the whole training: bytes of the raw images over bytes read."""
    summary = compared.summary
    figure, (axes,) = look.panels(1, height=(0.32 if look.narrow else 0.26) * len(summary) + 0.8)
    rows, ratio = np.arange(len(summary)), summary["compression_ratio_mean"]
    axes.barh(rows, ratio, height=0.62, color=[look.colour(strategy) for strategy in summary["strategy"]])
    for row, value in zip(rows, ratio, strict=True):
        told = f"{value:.2f} : 1" if np.isfinite(value) else "not measured"
        axes.text((value if np.isfinite(value) else 0) + 0.01 * ratio.max(), row, told, va="center", fontsize="small")
    axes.set_yticks(rows, [look.name(strategy) for strategy in summary["strategy"]], color=look.ink)
    axes.set_ylim(len(summary) - 0.4, -0.6)
    axes.set_xlim(0, (1.35 if look.narrow else 1.14) * ratio.max())
    axes.set_xlabel(
        "raw bytes over bytes read" if look.narrow else "bytes of the raw images over bytes read, whole training"
    )
    axes.grid(False, axis="y")
    return figure


def levels(compared: Comparison, look: Look) -> Figure:
    """Share of the samples read at each level, per epoch, and the share that changed level since the epoch before."""
    shares = compared.levels()
    if not shares:
        figure, (axes,) = look.panels(1, height=1.2)
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no strategy of this study reads samples at more than one level", ha="center")
        return figure
    shades = look.levels(sorted({level for share in shares.values() for level in share.columns if level != "flip"}))
    figure, panels = look.panels(len(shares), height=1.75, columns=5, sharex=True, sharey=True)
    for position, (axes, (strategy, share)) in enumerate(zip(panels, shares.items(), strict=True)):
        base, edges = np.zeros(len(share)), np.arange(len(share) + 1) + share.index[0] - 0.5
        for level in sorted(column for column in share.columns if column != "flip"):
            top = base + 100 * share[level].to_numpy()
            axes.stairs(top, edges, baseline=base, fill=True, color=shades[level], linewidth=0)
            base = top
        # two strokes, so that the line shows on pale and deep bars alike
        axes.plot(share.index, 100 * share["flip"], color=look.paper, linewidth=3.4)
        axes.plot(share.index, 100 * share["flip"], color="#E0343C", linewidth=1.6, marker="o", markersize=2.6)
        axes.set_title(look.name(strategy), fontsize="small")
        axes.set_ylim(0, 100)
        axes.set_xlim(share.index[0] - 0.5, share.index[-1] + 0.5)
        axes.grid(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
        columns = 2 if look.narrow else 5
        if position % columns == 0:
            axes.set_ylabel("% of samples")
        if position + columns >= len(shares):
            axes.set_xlabel("epoch")
            axes.tick_params(labelbottom=True)
    keys = [Patch(color=shades[level], label=f"{level} × {level}") for level in shades]
    keys.append(panels[0].lines[-1])
    names = [*(key.get_label() for key in keys[:-1]), "changed level"]
    figure.legend(
        keys, names, loc="outside upper left", ncols=3 if look.narrow else 8, fontsize="small", handlelength=1.2
    )
    return figure
