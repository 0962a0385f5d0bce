"""Figures that several studies share: differences to the baseline, what a cost buys, what reaches the clock, curves.

Each takes the folder of a study's tables and returns what `report.save` takes.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.transforms import Bbox

from frugal.report import load
from frugal.report.budget_curve import currency
from frugal.report.costs import METRICS
from frugal.report.theme import DASHES, FAINT, GOOD, INK, PAPER, WORDS, markers, palette

# Where a label may stand around its point: (dx, dy) in units of text height, and its alignment. Nearest first.
PLACES = [
    (distance * np.cos(angle), distance * np.sin(angle), "left" if np.cos(angle) > 0 else "right")
    for distance in (0.8, 1.2, 1.7, 2.3, 3.0, 3.8, 4.8, 6.0)
    for angle in np.radians((0, 180, 30, -30, 150, -150, 60, -60, 120, -120))
]


def pareto_front(cost: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """Pareto front: indices (m,) of the undominated of n points, (n,) each, by rising cost."""
    order = np.lexsort((-accuracy, cost))
    highest = np.maximum.accumulate(np.concatenate([[-np.inf], accuracy[order][:-1]]))
    return order[accuracy[order] > highest]


def differences(tables: str | Path) -> Figure:
    """Accuracy minus the baseline's, paired by seed, with 95 % intervals; green: within the study's margin. A panel per data set.

    Where tests at two fidelities differ, a hollow marker gives the difference on uncompressed images.
    """
    study, summary = load.read_study_of(tables), load.summary(tables)
    shown = summary[summary["kind"] != "baseline"]
    margin, places = 100 * study.margin, list(shown["where"].cat.remove_unused_categories().cat.categories)
    count = max(shown.groupby("where", observed=True).size(), default=1)  # with the baseline alone there is no panel
    figure, every = _panels(len(places), 0.24 * count + 0.7, columns=1)
    colours, marks = palette(summary), markers(summary)
    both = (summary["test_accuracy_mean"] != summary["test_accuracy_full_fidelity_mean"]).any()
    for axes, where in zip(every, places, strict=True):
        rows = shown[shown["where"] == where].reset_index(drop=True)
        axes.axvspan(-margin, margin, color=GOOD, alpha=0.16, linewidth=0)
        axes.axvline(0, color=FAINT, linewidth=1)
        axes.set_xscale("symlog", linthresh=max(2 * margin, 0.1), linscale=1.2)
        kinds = [("test_accuracy", -0.14 if both else 0, None), ("test_accuracy_full_fidelity", 0.16, PAPER)]
        for metric, offset, face in kinds[: 1 + both]:
            mean, low, high = (100 * rows[f"{metric}_difference_{part}"] for part in ("mean", "low", "high"))
            for row, strategy in enumerate(rows["strategy"]):
                colour = colours[strategy]
                axes.plot([low[row], high[row]], [row + offset] * 2, color=colour, linewidth=1.0 if face else 1.8)
                shape = {"marker": marks[strategy], "markersize": 5, "markerfacecolor": face or colour}
                axes.plot(mean[row], row + offset, color=colour, linestyle="none", **shape)
        axes.set_yticks(range(len(rows)), rows["strategy"], color=INK)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        ends = axes.get_xlim()
        ticks = [tick for tick in (-100, -30, -10, -3, -1, 0, 1, 3, 10, 30, 100) if ends[0] <= tick <= ends[1]]
        axes.set_xticks(ticks, [f"{tick:+d}".replace("-", "\N{MINUS SIGN}") if tick else "0" for tick in ticks])
        axes.xaxis.set_minor_locator(ticker.NullLocator())
        axes.grid(False, axis="y")
        axes.set_title(where)
    for axes in every[-1:]:
        axes.set_xlabel(f"points of test accuracy against {study.baseline} (axis stretched around 0)")
    figure.tight_layout()
    return figure


def exchange_curve(tables: str | Path) -> Figure:
    """Test accuracy against what was spent, with the baseline's curve over its budgets: a strategy below it wastes, whatever it
    leaves out. The cost is the study's own where a training pays in it, else FLOPs.
    """
    return tradeoff(tables, currency(load.read_study_of(tables)))


def line_of(tables: str | Path, cost: str | None = None) -> str:
    """What the line in `tradeoff` is, for its caption; cost: by default that of `exchange_curve`."""
    study, budgets = load.read_study_of(tables), load.budgets(tables)
    curves = _budget_curves(budgets, cost or currency(study), {study.baseline})
    return "The line: the baseline, trained anew for less." if curves else "Green: the Pareto front."


def tradeoff(tables: str | Path, cost: str | None = None) -> Figure:
    """Test accuracy against what was spent, means over seeds. Strokes: each one's part of the interval of its difference to the
    baseline, so that what all strategies of a seed share is not in it.

    cost: a column of runs.csv, by default the study's own. A line through its budgets is what the baseline reaches when it is
    trained for less; without budgets a green band is the Pareto front. The accuracy axis is stretched towards 100 %, since from
    98 to 99 % half of the errors go. Strategies of other panels stand as grey dots.
    """
    study = load.read_study_of(tables)
    cost, budgets = cost or study.cost, load.budgets(tables)
    every = load.summary(tables)
    every["half"] = half_stroke(every)
    summary = load.panels(every.dropna(subset=[f"{cost}_mean"]).reset_index(drop=True))
    names = list(dict.fromkeys(summary["panel"]))
    figure, panels = _panels(len(names), 3.3 if len(names) == 1 else 2.9, columns=2)
    colours, marks = palette(every), markers(every)
    for axes, panel in zip(panels, names, strict=True):
        mine = summary[summary["panel"] == panel]
        there = every[every["where"] == mine["where"].iloc[0]].dropna(subset=[f"{cost}_mean"])
        x, y = there[f"{cost}_mean"].to_numpy(), there["test_accuracy_mean"].to_numpy()
        _stretch_accuracy(axes, y.max())
        curves = _budget_curves(budgets[budgets["where"] == mine["where"].iloc[0]], cost, set(mine["strategy"]))
        for strategy, curve in curves.items():
            at, reached = curve[f"{cost}_mean"], curve["test_accuracy_mean"]
            line = {
                "color": colours[strategy],
                "linewidth": 1.6,
                "alpha": 0.8,
                "zorder": 2,
                "marker": "|",
                "markersize": 9,
            }
            axes.plot(at, reached, **line)
            ends = [curve[f"test_accuracy_{end}"] for end in ("low", "high")]
            axes.fill_between(at, *ends, color=colours[strategy], alpha=0.15, linewidth=0)
            x, y = np.append(x, at), np.append(y, reached)
        if study.baseline not in curves:
            best = pareto_front(x, y)
            band = {"color": GOOD, "linewidth": 5, "alpha": 0.25, "solid_joinstyle": "round", "zorder": 1}
            axes.step(x[best], y[best], where="post", **band)
        axes.scatter(x, y, s=14, color=FAINT, alpha=0.4, linewidths=0)
        for row in mine.itertuples():
            at, colour = getattr(row, f"{cost}_mean"), colours[row.strategy]
            if pd.notna(row.half):
                ends = [max(row.test_accuracy_mean - row.half, 0), min(row.test_accuracy_mean + row.half, 1)]
                axes.plot([at, at], ends, color=colour, alpha=0.55, linewidth=1.2)
            size = 110 if row.kind == "baseline" else 38
            axes.scatter(at, row.test_accuracy_mean, s=size, color=colour, marker=marks[row.strategy], zorder=3, lw=0)
        _accuracy_ticks(axes, y.min(), max(y.max(), (there["test_accuracy_mean"] + there["half"]).clip(upper=1).max()))
        _cost_scale(axes, x, METRICS[cost].formatter, most=3 if len(names) > 1 else 6)
        axes.set_title(panel if len(names) > 1 else "")
        axes.set_xlabel(METRICS[cost].axis)
    for axes in panels[::2]:
        axes.set_ylabel("test accuracy")
    figure.tight_layout()
    for axes, panel in zip(panels, names, strict=True):
        mine = summary[summary["panel"] == panel]
        named = list(mine["strategy"])
        _name_points(axes, mine[f"{cost}_mean"], mine["test_accuracy_mean"], named, [colours[one] for one in named])
    return figure


def half_stroke(summary: pd.DataFrame) -> pd.Series:
    """Half of the stroke through each strategy's accuracy: its part of the interval of its difference to the baseline."""
    return (summary["test_accuracy_difference_high"] - summary["test_accuracy_difference_low"]) / 2 / np.sqrt(2)


def _budget_curves(budgets: pd.DataFrame, cost: str, strategies: set[str]) -> dict[str, pd.DataFrame]:
    """The rows of each strategy that was trained for several budgets, from cheap to dear, where this cost was measured."""
    if f"{cost}_mean" not in budgets:
        return {}
    known = budgets[budgets["strategy"].isin(strategies)].dropna(subset=[f"{cost}_mean"]).sort_values(f"{cost}_mean")
    return {str(name): rows for name, rows in known.groupby("strategy", observed=True) if len(rows) > 1}


def clock(tables: str | Path) -> Figure:
    """Seconds saved against what was saved of the study's cost, both paired by seed; on the line all of it reaches the clock."""
    study, summary = load.read_study_of(tables), load.panels(load.summary(tables))
    cost, names = study.cost, list(dict.fromkeys(summary["panel"]))
    figure, panels = _panels(len(names), 3.2, columns=2)
    colours, marks = palette(summary), markers(summary)
    placed = []
    for axes, panel in zip(panels, names, strict=True):
        rows = summary[(summary["panel"] == panel)].dropna(subset=[f"{cost}_saved_mean", "train_seconds_saved_mean"])
        x, y = (100 * rows[f"{name}_saved_mean"].to_numpy() for name in (cost, "train_seconds"))
        far = 1.15 * max([10, *x, *y])
        axes.plot([-far, far], [-far, far], color=FAINT, linewidth=1)
        axes.fill_between([0, far], [0, 0.95 * far], [0, far], color=GOOD, alpha=0.2, linewidth=0)
        axes.axhline(0, color=FAINT, linewidth=0.8)
        for row, at, mean in zip(rows.itertuples(), x, y, strict=True):
            colour, ends = colours[row.strategy], [row.train_seconds_saved_low, row.train_seconds_saved_high]
            if pd.notna(ends[0]):
                axes.plot([at, at], [100 * end for end in ends], color=colour, alpha=0.55, linewidth=1.2)
            axes.scatter(at, mean, s=38, color=colour, marker=marks[row.strategy], zorder=3, linewidths=0)
        axes.set_xlim(min(-1, 1.15 * min(x, default=0)), 1.15 * max([10, *x]))
        axes.set_ylim(min(-2, 1.15 * min(y, default=0)), far)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(ticker.MaxNLocator(5))
            axis.set_major_formatter(ticker.PercentFormatter(decimals=0, symbol=" %"))
        axes.set_title(panel if len(names) > 1 else "")
        axes.set_xlabel(METRICS[cost].saved)
        placed.append((axes, x, y, list(rows["strategy"])))
    for axes in panels[::2]:
        axes.set_ylabel("seconds saved")
    figure.tight_layout()
    for axes, x, y, named in placed:
        _name_points(axes, x, y, named, [colours[one] for one in named])
    return figure


def curves(tables: str | Path, measures: Sequence[str] = ()) -> sns.FacetGrid:
    """Columns of history.csv over the epochs: mean over seeds, a band of one standard error, controls dashed.

    measures: by default loss and accuracy in training and on test, or on validation where the recipe asks for no test curve
    """
    history = load.panels(load.history(tables))
    told = "test" if history["test_curve"].any() else "val"
    wanted = measures or ("train_loss", f"{told}_loss", "train_accuracy", f"{told}_accuracy")
    known = [name for name in wanted if history[name].notna().any()]
    long = history.melt(["panel", "strategy", "kind", "epoch", "seed"], known, "measure").dropna(subset=["value"])
    several, columns = long["panel"].nunique() > 1, len(known) if long["panel"].nunique() > 1 else 2
    words = {name: WORDS.get(name) or METRICS[name].axis for name in known}
    long["title"] = long["measure"].map(words) + ("\n" + long["panel"] if several else "")
    order = [title for _, rows in long.groupby("panel", sort=False) for title in rows["title"].unique()]
    size = {"height": 2.2, "aspect": 1.25, "sharex": False, "sharey": False}
    grid = sns.FacetGrid(long, col="title", col_order=order, col_wrap=min(columns, len(order)), **size).set_titles("")
    look = {"hue": "strategy", "style": "kind", "dashes": DASHES, "palette": palette(history), "errorbar": "se"}
    grid.map_dataframe(sns.lineplot, x="epoch", y="value", **look)
    for title, axes in grid.axes_dict.items():
        axes.set_title(title)
        mine = long[long["title"] == title]
        measure = mine["measure"].iloc[0]
        if measure.endswith("accuracy"):
            axes.yaxis.set_major_formatter(ticker.PercentFormatter(1, symbol=" %"))
        elif measure.endswith("loss"):  # one bad epoch must not flatten the rest
            last = mine[mine["epoch"] == mine["epoch"].max()].groupby("strategy", observed=True)["value"].mean()
            axes.set_ylim(top=min(axes.get_ylim()[1], 4 * last.max() + 0.5))
        else:
            axes.set_ylim(0, 1.08 * mine["value"].max())
            axes.yaxis.set_major_formatter(ticker.EngFormatter(sep="\N{THIN SPACE}"))
    return grid.set_axis_labels("epoch", "")


def _panels(count: int, height: float, columns: int) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels in at most `columns` columns; height in inches per row."""
    columns = max(1, min(columns, count))
    rows = max(1, -(-count // columns))
    size = (5.8 if columns == 1 else 7.4, height * rows)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout=None)
    axes = list(grid.flat)
    for unused in axes[count:]:
        unused.set_axis_off()
    return figure, axes[:count]


def _stretch_accuracy(axes: Axes, highest: float) -> None:
    """Stretch the vertical axis towards 100 %. highest: accuracy, as a fraction, that will be drawn."""
    stretch = 0.002 if highest > 0.97 else 0.02  # keeps 100 % on the axis
    forward = lambda value: -np.log10(np.maximum(1 + stretch - np.asarray(value), 1e-9))  # noqa: E731
    axes.set_yscale("function", functions=(forward, lambda value: 1 + stretch - 10 ** -np.asarray(value)))


def _accuracy_ticks(axes: Axes, low: float, high: float) -> None:
    """Round ticks between the lowest and the highest accuracy that is drawn, as fractions, without labels that touch."""
    coarse = [0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.97, 0.98, 0.985, 0.99, 0.995, 1.0]
    for candidates in (coarse, *(np.arange(0, 1 + step / 2, step).round(4) for step in (0.1, 0.05, 0.02, 0.01, 0.005))):
        below = [tick for tick in candidates if tick < low - min(0.1 * (1 - low), 0.2 * (high - low) + 0.001)]
        bottom = below[-1] if below else 0.0
        if sum(bottom <= tick <= high for tick in candidates) >= 4:
            break
    axes.set_ylim(bottom, min(1.0, high + min(0.3 * (1 - high), 0.5 * (high - low) + 0.001)))
    inside = [tick for tick in candidates if bottom <= tick <= axes.get_ylim()[1] + 1e-9]
    heights = axes.transAxes.inverted().transform(axes.transData.transform([(0, tick) for tick in inside]))[:, 1]
    points = axes.get_window_extent().height * 72 / axes.figure.dpi
    least = 1.25 * _label_size() / points  # height of a label, as a share of the axis
    shown: list[int] = []
    for place in reversed(range(len(inside))):  # near 0 % the axis is narrow
        if not shown or heights[shown[-1]] - heights[place] > least:
            shown.append(place)
    ticks = [inside[place] for place in reversed(shown)]
    axes.set_yticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
    axes.yaxis.set_minor_locator(ticker.NullLocator())


def _cost_scale(axes: Axes, cost: np.ndarray, formatter: ticker.Formatter, most: int) -> None:
    """A logarithmic axis where the costs, (n,), differ by more than a factor of three, with at most `most` round ticks."""
    low, high = cost.min(), cost.max()
    if high <= 3 * low:
        axes.margins(x=0.2)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(most, steps=[1, 2, 5, 10]))
    else:
        spare = (high / low) ** 0.12
        low, high = low / spare, high * spare
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        axes.xaxis.set_minor_locator(ticker.NullLocator())
        powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
        for steps in ((1, 2, 5), (1, 3), (1,)):
            ticks = sorted(power * step for power in powers for step in steps if low <= power * step <= high)
            if len(ticks) <= most:
                break
        axes.set_xticks(ticks[:: -(-len(ticks) // most)])
    axes.xaxis.set_major_formatter(formatter)


def _label_size() -> float:
    """Of tick labels, in points."""
    return FontProperties(size=plt.rcParams["xtick.labelsize"]).get_size_in_points()


def _name_points(axes: Axes, x: Sequence, y: Sequence, names: Sequence[str], colours: Sequence[str]) -> None:
    """Write each name beside its point (data units), at the nearest place that covers no point and no other name.

    A name that had to go further away is tied to its point by a line of its colour.
    """
    if not len(names):
        return
    figure, renderer = axes.figure, axes.figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    points = axes.transData.transform(np.column_stack([x, y]))
    size = _label_size()
    unit = size * figure.dpi / 72
    taken = [Bbox.from_extents(px - 0.4 * unit, py - 0.4 * unit, px + 0.4 * unit, py + 0.4 * unit) for px, py in points]
    for (px, py), name, colour in sorted(zip(points, names, colours, strict=True), key=lambda item: -item[0][1]):
        text = axes.annotate(name, (px, py), xycoords="figure pixels", fontsize=size, va="center")
        best, least = None, np.inf
        extent = text.get_window_extent(renderer)  # of the text; a place only moves it
        for rank, (dx, dy, align) in enumerate(PLACES):
            left = px + dx * unit - (extent.width if align == "right" else 0)
            middle = py + dy * unit
            box = Bbox.from_bounds(left, middle - extent.height / 2, extent.width, extent.height).padded(0.08 * unit)
            over = (frame.x0 - box.x0, box.x1 - frame.x1, frame.y0 - box.y0, box.y1 - frame.y1)
            outside = sum(max(length, 0) for length in over)
            covered = sum(1 for other in taken if box.overlaps(other))
            start, end = np.array([px, py]), np.array([px + dx * unit, middle])
            far = (point for point in points if np.hypot(*(point - start)) > 1)
            crossed = sum(1 for point in far if _distance(point, start, end) < 0.4 * unit)
            penalty = 100 * covered + 60 * outside / unit + 25 * crossed + rank
            if penalty < least:
                best, least, kept = (dx, dy, align), penalty, box
            if least <= rank:  # every further place costs more
                break
        text.remove()
        dx, dy, align = best
        tie = {"arrowstyle": "-", "lw": 0.9, "shrinkA": 0, "shrinkB": 2, "relpos": (0 if align == "left" else 1, 0.5)}
        axes.annotate(
            name,
            axes.transData.inverted().transform((px, py)),
            **{"xytext": (dx * size, dy * size), "textcoords": "offset points", "fontsize": size, "color": INK},
            **{"ha": align, "va": "center"},
            arrowprops=tie | {"color": colour} if np.hypot(dx, dy) > 1.5 else None,
        )
        taken.append(kept)


def _distance(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    """Distance of a point from the stretch between two others."""
    along = np.clip(np.dot(point - start, end - start) / np.dot(end - start, end - start), 0, 1)
    return float(np.hypot(*(point - start - along * (end - start))))
