"""Figures that every study shares: accuracies, differences to the baseline, what it takes to a target, and the clock.

Each function takes the tables of one data set and model, and a look; it returns a matplotlib Figure.
"""

import textwrap

import matplotlib.ticker as ticker
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from frugal.report.costs import COSTS
from frugal.report.labels import name_points, remark
from frugal.report.load import Comparison
from frugal.report.theme import Look


def accuracy_bars(compared: Comparison, look: Look) -> Figure:
    """Test accuracy of each strategy with values and 95 % intervals, on uncompressed images too where that differs."""
    summary = compared.summary
    count = len(summary)
    figure, (axes,) = look.panels(1, height=(0.42 if compared.fidelity_differs else 0.3) * count + 0.9)
    rows = np.arange(count)
    kinds = [("test_accuracy", -0.19, 1.0), ("test_accuracy_full_fidelity", 0.19, 0.45)]
    both = compared.fidelity_differs
    for metric, offset, strength in kinds if both else [("test_accuracy", 0, 1.0)]:
        mean, low, high = (100 * summary[f"{metric}_{part}"] for part in ("mean", "low", "high"))
        colours = [look.colour(strategy) for strategy in summary["strategy"]]
        axes.barh(rows + offset, mean, height=0.36 if both else 0.6, color=colours, alpha=strength)
        known = low.notna()
        whiskers = [(mean - low)[known], (high.clip(upper=100) - mean)[known].clip(lower=0)]
        axes.errorbar(mean[known], (rows + offset)[known], xerr=whiskers, fmt="none", ecolor=look.ink, elinewidth=0.9)
        for row, value, end in zip(rows + offset, mean, high.clip(upper=100).fillna(mean), strict=True):
            axes.text(max(value, end) + 1, row, f"{value:.2f}", va="center", fontsize="small", color=look.ink)
    axes.set_yticks(rows, [look.name(strategy) for strategy in summary["strategy"]], color=look.ink)
    axes.set_ylim(count - 0.4, -0.6)
    axes.set_xlabel("test accuracy in %, 95 % interval over seeds" if not look.narrow else "test accuracy in %")
    axes.grid(False, axis="y")
    if both:
        remark(axes, look, "upper bar: at the strategy's own fidelity; lower, paler bar: on uncompressed images")
    axes.set_xlim(0, 122 if look.narrow else 110)
    axes.set_xticks(range(0, 101, 20))
    return figure


def differences(compared: Comparison, look: Look) -> Figure:
    """Accuracy minus the baseline's, paired by seed, with its 95 % interval and the zone that counts as equal."""
    summary = compared.summary[compared.summary["strategy"] != compared.study.baseline].reset_index(drop=True)
    margin = 100 * compared.study.margin
    figure, (axes,) = look.panels(1, height=0.32 * len(summary) + 1.1)
    rows = np.arange(len(summary))
    axes.axvspan(-margin, margin, color=look.good, alpha=0.16, linewidth=0)
    axes.axvline(0, color=look.faint, linewidth=1)
    axes.set_xscale("symlog", linthresh=max(2 * margin, 0.1), linscale=1.2)
    kinds = [("test_accuracy", -0.15, None), ("test_accuracy_full_fidelity", 0.18, look.paper)]
    both = compared.fidelity_differs
    for metric, offset, face in kinds if both else [("test_accuracy", 0, None)]:
        mean, low, high = (100 * summary[f"{metric}_difference_{part}"] for part in ("mean", "low", "high"))
        for row, strategy in enumerate(summary["strategy"]):
            colour = look.colour(strategy)
            axes.plot([low[row], high[row]], [row + offset] * 2, color=colour, linewidth=1.8 if face is None else 1.0)
            shape = {"marker": look.marker(strategy), "markersize": 5, "markerfacecolor": face or colour}
            axes.plot(mean[row], row + offset, color=colour, linestyle="none", **shape)
    axes.set_yticks(rows, [look.name(strategy) for strategy in summary["strategy"]], color=look.ink)
    axes.set_ylim(len(summary) - 0.4, -0.6)
    ends = axes.get_xlim()
    candidates = (-100, -10, -1, 0, 1, 10, 100) if look.narrow else (-100, -30, -10, -3, -1, 0, 1, 3, 10, 30, 100)
    ticks = [tick for tick in candidates if ends[0] <= tick <= ends[1]]
    axes.set_xticks(ticks, [f"{tick:+d}".replace("-", "\N{MINUS SIGN}") if tick else "0" for tick in ticks])
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    label = f"points of test accuracy against {compared.study.baseline}, 95 % interval (axis stretched around 0)"
    axes.set_xlabel(textwrap.fill(label, 30) if look.narrow else label)
    axes.grid(False, axis="y")
    fidelities = "filled: own fidelity; hollow: uncompressed images; " if both else ""
    remark(axes, look, f"{fidelities}green: within the margin of {margin:g} points")
    return figure


def to_target(compared: Comparison, look: Look) -> Figure:
    """What it took until validation accuracy first reached the target; a dot per seed, a bar at their mean."""
    target = compared.study.target(compared.dataset, compared.model)
    strategies = compared.summary["strategy"].tolist()
    kinds = [("epochs_to_target", "epochs", _plain), ("seconds_to_target", "seconds", _plain)]
    if compared.runs["cost_to_target"].notna().any() and compared.study.cost != "train_seconds":
        cost = COSTS[compared.study.cost]
        kinds.insert(1, ("cost_to_target", cost.axis.removesuffix(" in training"), cost.told))
    height = (0.32 if look.narrow else 0.26) * len(strategies) + 0.9
    wrap = 40 if look.narrow or len(kinds) < 3 else 26
    figure, panels = look.panels(len(kinds), height=height, columns=len(kinds), sharey=not look.narrow)
    for axes, (column, unit, told_as) in zip(panels, kinds, strict=True):
        most = compared.runs[column].max()
        most = 1.0 if np.isnan(most) else most
        for row, strategy in enumerate(strategies):
            values = compared.runs.loc[compared.runs["strategy"] == strategy, column]
            reached, colour = values.dropna(), look.colour(strategy)
            axes.scatter(reached, [row] * len(reached), s=18, color=colour, alpha=0.65, linewidths=0, zorder=3)
            if len(reached) == len(values):  # a mean over the seeds that made it would flatter
                axes.plot([reached.mean()] * 2, [row - 0.33, row + 0.33], color=colour, linewidth=2.2, zorder=3)
                told = told_as(reached.mean())
            else:
                told = f"{len(reached)} of {len(values)} seeds" if len(reached) else "not reached"
            axes.text(
                reached.max() + 0.04 * most if len(reached) else 0.02 * most, row, told, va="center", fontsize="small"
            )
        axes.set_yticks(range(len(strategies)), [look.name(strategy) for strategy in strategies], color=look.ink)
        axes.set_ylim(len(strategies) - 0.4, -0.6)
        axes.set_xlim(0, 1.4 * most)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(4, integer=unit == "epochs"))
        axes.xaxis.set_major_formatter(lambda value, _, told_as=told_as: told_as(value))
        axes.set_xlabel(textwrap.fill(f"{unit} to {100 * target:g} % validation accuracy", wrap))
        axes.grid(False, axis="y")
    return figure


def _plain(value: float) -> str:
    return f"{value:.3g}"


def clock(compared: Comparison, look: Look) -> Figure:
    """Seconds saved against what was saved of the study's cost, both paired by seed: how much of it reaches the clock."""
    study, cost = compared.study, compared.study.cost
    summary = compared.summary.dropna(subset=[f"{cost}_saved_mean", "train_seconds_saved_mean"])
    figure, (axes,) = look.panels(1, height=4.0 if look.narrow else 4.6)
    x, y = (100 * summary[f"{column}_saved_mean"].to_numpy() for column in (cost, "train_seconds"))
    right, top = 1.15 * max((10, *x)), 1.15 * max((10, *x, *y))
    left, bottom = min(-1, 1.15 * min(x, default=0)), min(-2, 1.15 * min(y, default=0))
    far = max(right, top)
    axes.plot([-far, far], [-far, far], color=look.faint, linewidth=1)
    axes.fill_between([0, far], [0, 0.95 * far], [0, far], color=look.good, alpha=0.2, linewidth=0)
    axes.axhline(0, color=look.faint, linewidth=0.8)
    for row, at, mean in zip(summary.itertuples(), x, y, strict=True):
        colour = look.colour(row.strategy)
        ends = [100 * row.train_seconds_saved_low, 100 * row.train_seconds_saved_high]
        if pd.notna(ends[0]):
            axes.plot([at, at], ends, color=colour, alpha=0.55, linewidth=1.2)
        axes.scatter(at, mean, s=44, color=colour, marker=look.marker(row.strategy), zorder=3, linewidths=0)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(ticker.MaxNLocator(6))
        axis.set_major_formatter(ticker.PercentFormatter(decimals=0, symbol=" %"))
    axes.set_xlabel(f"{COSTS[cost].heading} against {study.baseline}")
    axes.set_ylabel("seconds saved")
    remark(axes, look, "on the line the whole saving reaches the clock; green: at least 95 % of it")
    strategies = summary["strategy"].tolist()
    name_points(axes, x, y, strategies, [look.colour(strategy) for strategy in strategies], look.ink)
    return figure
