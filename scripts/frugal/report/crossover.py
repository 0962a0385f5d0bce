"""The crossover map: from which sparsity on a sparse layer is faster or smaller than a dense one on this machine."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from frugal.report.theme import INK
from frugal.report.words import code, listed, percent

TIME, MEMORY = "time_over_dense", "memory_over_dense"
CELL = ["outputs", "inputs", "batch", "pattern", "sparsity"]
FURTHEST = 4.0  # times more or less than dense, where the colours end


def fastest(measured: pd.DataFrame) -> pd.DataFrame:
    """Of each cell the row of its fastest kernel. measured: as `scripts/crossover.py` wrote it."""
    best = measured.groupby(CELL, sort=False)[TIME].idxmin()
    return measured.loc[best].reset_index(drop=True)


def crossover_map(measured: pd.DataFrame, column: str = TIME) -> Figure:
    """Time, or bytes held in training, over a dense layer's, of the fastest kernel; blue: less, red: more; a line at break-even.

    column: time_over_dense or memory_over_dense; a panel per shape of the layer
    """
    shapes = list(fastest(measured).groupby(["outputs", "inputs", "batch"], sort=False))
    patterns = measured["pattern"].nunique()
    columns = min(2, len(shapes))
    rows = -(-len(shapes) // columns)
    size = (3.9 * columns, (0.32 * patterns + 0.9) * rows)
    figure, grid = plt.subplots(rows, columns, figsize=size, sharey=True, squeeze=False)
    look = {
        "cmap": "vlag",
        "norm": LogNorm(1 / FURTHEST, FURTHEST),
        "cbar": False,
        "annot": True,
        "annot_kws": {"size": 7.5},
    }
    for axes, ((outputs, inputs, batch), cells) in zip(grid.flat, shapes, strict=False):
        cells = cells.assign(sparsity=(100 * cells["sparsity"]).round(1).map("{:g}".format))
        values = cells.pivot(index="pattern", columns="sparsity", values=column).loc[cells["pattern"].unique()]
        sns.heatmap(values, ax=axes, fmt=".2f", **look)
        for ends in _break_even(values.to_numpy()):
            axes.plot(*ends, color="black", linewidth=2.2, solid_capstyle="butt", clip_on=False)
        axes.set(title=f"{outputs} x {inputs}, batch {batch}", xlabel="% of the weights left out", ylabel="")
        axes.tick_params(axis="y", labelcolor=INK, rotation=0)
    for unused in grid.flat[len(shapes) :]:
        unused.set_axis_off()
    figure.tight_layout()
    return figure


def _break_even(grid: np.ndarray) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Edges, as (xs, ys), between neighbouring cells of which one lies below 1 and the other doesn't; grid: (rows, columns)."""
    less, edges = grid < 1, []
    for row, place in np.argwhere(less[:, 1:] != less[:, :-1]):
        edges.append(((place + 1, place + 1), (row, row + 1)))
    for row, place in np.argwhere(less[1:] != less[:-1]):
        edges.append(((place, place + 1), (row + 1, row + 1)))
    return edges


def where_it_pays(measured: pd.DataFrame) -> str:
    """Per pattern the sparsity from which on it is faster than dense for each shape, and what holds at 50 %. Markdown."""
    best = fastest(measured)
    shapes, lines = best.groupby(["outputs", "inputs"], sort=False), []
    for pattern in best["pattern"].unique():
        told = []
        for (outputs, inputs), cells in shapes:
            start = _from(cells[cells["pattern"] == pattern])
            told.append(f"{outputs} x {inputs} {'never' if start is None else f'from {percent(start)}'}")
        lines.append(f"- `{pattern}` is faster than dense: {', '.join(told)}")
    return "\n".join(lines) + "\n\n" + at_half(best)


def _from(cells: pd.DataFrame) -> float | None:
    """The least sparsity from which on all measured ones are faster than dense."""
    start = None
    for row in cells.sort_values("sparsity", ascending=False).itertuples():
        if getattr(row, TIME) >= 1:
            break
        start = row.sparsity
    return start


def _short(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.0f}"


def at_half(best: pd.DataFrame) -> str:
    """Which patterns are faster than dense at 50 %, which aren't, and by how much. best: see `fastest`."""
    half = best[best["sparsity"] == 0.5].groupby("pattern", sort=False)[TIME].agg(["min", "max"])
    if half.empty:
        return "No cell was measured at 50 %."
    kinds = {"faster": half["max"] < 1, "not": half["min"] >= 1}
    kinds["by shape"] = ~(kinds["faster"] | kinds["not"])
    said = []
    for kind, opening in (
        ("not", "**At 50 % not faster than dense, on any shape:**"),
        ("by shape", "At 50 % faster on some shapes only:"),
        ("faster", "At 50 % faster than dense on every shape:"),
    ):
        rows = half[kinds[kind]].itertuples()
        told = [f"`{row.Index}` ({_short(row.min)} to {_short(row.max)} times as long)" for row in rows]
        if told:
            said.append(f"{opening} {listed(told)}.")
    return " ".join(said)


def what_it_holds(measured: pd.DataFrame) -> str:
    """Bytes held at 50 %, per pattern and kernel. Markdown."""
    half = measured[measured["sparsity"] == 0.5]
    if half.empty:
        return ""
    fixed = half.groupby(["pattern", "kernel"], sort=False)[MEMORY].mean()
    told = [f"`{pattern}` with `{kernel}` {percent(share)}" for (pattern, kernel), share in fixed.items()]
    temporary = code(sorted(half.loc[half["temporary_over_dense"] > 0, "kernel"].unique()))
    also = (
        f" Beside it {temporary} lays the dense weight or gradient out for the time of a pass, a quarter of what a dense "
        "layer holds, and one layer at a time."
        if temporary != "none"
        else ""
    )
    held = "Weights, gradients, Adam's moments and indices at 50 %, over a dense layer's 16 bytes per weight"
    return f"{held}: {listed(told)}.{also}"
