"""The crossover map: from which sparsity on a sparse layer is faster or smaller than a dense one on this machine."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.figure import Figure

from frugal.report.sentences import code, listed, percent
from frugal.report.theme import Look

TIME, MEMORY = "time_over_dense", "memory_over_dense"
CELL = ["outputs", "inputs", "batch", "pattern", "sparsity"]
FURTHEST = 4.0  # times more or less than dense, where the colours end


def fastest(measured: pd.DataFrame) -> pd.DataFrame:
    """Of each cell the row of its fastest kernel. measured: as `scripts/crossover.py` wrote it."""
    best = measured.groupby(CELL, sort=False)[TIME].idxmin()
    return measured.loc[best].reset_index(drop=True)


def time_map(measured: pd.DataFrame, look: Look) -> Figure:
    """Time of a forward and backward pass over a dense layer's, of the fastest kernel, with the break-even line."""
    return _map(measured, look, TIME, "time over dense")


def memory_map(measured: pd.DataFrame, look: Look) -> Figure:
    """Bytes held while training over a dense layer's, with the kernel of the time map and the break-even line."""
    return _map(measured, look, MEMORY, "memory over dense")


def _map(measured: pd.DataFrame, look: Look, column: str, label: str) -> Figure:
    best = fastest(measured)
    shapes = best[["outputs", "inputs", "batch"]].drop_duplicates().itertuples(index=False)
    shapes = list(shapes)
    patterns, sparsities = list(best["pattern"].unique()), sorted(best["sparsity"].unique())
    figure, panels = look.panels(len(shapes), height=0.36 * len(patterns) + 1.0, sharex=True, sharey=True)
    colours = LinearSegmentedColormap.from_list("saved", [look.good, look.paper, "#D55E00"])
    norm = TwoSlopeNorm(0.0, -np.log(FURTHEST), np.log(FURTHEST))
    for axes, shape in zip(panels, shapes, strict=True):
        mine = best[(best[["outputs", "inputs", "batch"]] == list(shape)).all(axis=1)]
        grid = mine.pivot(index="pattern", columns="sparsity", values=column).loc[patterns, sparsities].to_numpy()
        axes.imshow(np.log(grid), cmap=colours, norm=norm, aspect="auto")
        for (row, place), value in np.ndenumerate(grid):
            axes.text(place, row, _short(value), ha="center", va="center", fontsize=7, color=_ink(value, look))
        for ends in _break_even(grid):
            axes.plot(*ends, color=look.ink, linewidth=2.2, solid_capstyle="butt")
        axes.set_title(f"{shape.outputs} x {shape.inputs}, batch {shape.batch}")
        axes.set_xticks(range(len(sparsities)), [f"{100 * sparsity:g}" for sparsity in sparsities])
        axes.set_yticks(range(len(patterns)), patterns, color=look.ink)
        axes.tick_params(labelbottom=True)
        axes.grid(False)
        axes.spines[:].set_visible(False)
    for axes in panels if look.narrow else panels[-2:]:
        axes.set_xlabel("% of the weights left out")
    plt.setp([text for axes in panels for text in axes.texts], clip_on=True)
    note = f"{label}; green: less, orange: more; thick line: break-even"
    figure.supxlabel(look.lines(note), fontsize="small", color=look.faint)
    return figure


def _short(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.0f}"


def _ink(value: float, look: Look) -> str:
    """Legible on the cell: strong colours are about as dark on both pages."""
    strong = abs(np.log(value)) > 0.7 * np.log(FURTHEST)
    return "#FFFFFF" if strong else look.ink


def _break_even(grid: np.ndarray) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Edges, as (xs, ys), between neighbouring cells of which one lies below 1 and the other doesn't."""
    less, edges = grid < 1, []
    for row, place in np.argwhere(less[:, 1:] != less[:, :-1]):
        edges.append(((place + 0.5, place + 0.5), (row - 0.5, row + 0.5)))
    for row, place in np.argwhere(less[1:] != less[:-1]):
        edges.append(((place - 0.5, place + 0.5), (row + 0.5, row + 0.5)))
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
