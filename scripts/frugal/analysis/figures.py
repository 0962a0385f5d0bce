"""Figures that every study shares: loss curves, accuracies, time to a target, accuracy against a cost.

Each function takes the tables of one data set and model, and a look; it returns a matplotlib Figure.
"""

import textwrap

import matplotlib.ticker as ticker
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frugal.analysis.comparison import Comparison
from frugal.analysis.labels import name_points, spread
from frugal.analysis.pareto import front
from frugal.analysis.theme import Look

COSTS = {
    "bytes_read": ("bytes read in training", ticker.EngFormatter(unit="B")),
    "flops_executed": ("FLOPs executed in training", ticker.EngFormatter(unit="FLOP")),
    "train_seconds": ("seconds of training", ticker.EngFormatter(unit="s")),
}


def loss_curves(compared: Comparison, look: Look) -> Figure:
    """Training loss per iteration: mean over seeds, band of one standard error, a running mean; full in every panel."""
    curves, window = compared.loss_curves
    groups = compared.groups()
    figure, panels = look.panels(len(groups), height=2.5 if look.narrow else 2.9, sharex=True, sharey=True)
    for axes, (title, strategies) in zip(panels, groups.items(), strict=True):
        axes.set_title(title)
        axes.set_yscale("log")
        ends = []
        for strategy in [compared.study.baseline, *strategies]:
            curve, colour = curves[strategy], look.colour(strategy)
            axes.fill_between(curve.index, curve["low"], curve["high"], color=colour, alpha=0.2, linewidth=0)
            axes.plot(curve.index, curve["mean"], color=colour, linewidth=1.1 if strategy == "full" else 1.5)
            ends.append((strategy, curve.index[-1], curve["mean"].iloc[-1]))
        _name_ends(axes, ends, look)
        axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axes.set_xlabel("iteration")
        axes.margins(x=0)
    for axes in panels[:: 1 if look.narrow else 2]:
        axes.set_ylabel("training loss")
    count = len(compared.study.seeds)
    seeds = f"mean and standard error over {count} seeds" if count > 1 else "one seed"
    smooth = f"; running mean over {window} iterations" if window > 1 else ""
    figure.supxlabel(look.lines(seeds + smooth), fontsize="small", color=look.faint)
    return figure


def _name_ends(axes: Axes, ends: list[tuple[str, float, float]], look: Look) -> None:
    """Names in the right margin, each beside the end of its curve."""
    axes.figure.draw_without_rendering()
    low, high = np.log(axes.get_ylim())
    heights = [(np.log(y) - low) / (high - low) for _, _, y in ends]
    line = 12 * axes.figure.dpi / 72 / axes.get_window_extent().height
    placed = spread(heights, line)
    shift = max(0, -min(placed) + line / 2)
    for (strategy, _, _), start, place in zip(ends, heights, placed, strict=True):
        axes.annotate(
            strategy,
            (1, start),
            xytext=(1.06, place + shift),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            fontsize="small",
            color=look.ink,
            arrowprops={
                "arrowstyle": "-",
                "color": look.colour(strategy),
                "lw": 1.2,
                "shrinkA": 1,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
            annotation_clip=False,
        )


def accuracy_bars(compared: Comparison, look: Look) -> Figure:
    """Test accuracy of each strategy, at its own fidelity and on uncompressed images, with values and 95 % intervals."""
    summary = compared.summary
    count = len(summary)
    figure, (axes,) = look.panels(1, height=0.42 * count + 0.9)
    rows = np.arange(count)
    kinds = [("test_accuracy", -0.19, 1.0), ("test_accuracy_full_fidelity", 0.19, 0.45)]
    for metric, offset, strength in kinds:
        mean, low, high = (100 * summary[f"{metric}_{part}"] for part in ("mean", "low", "high"))
        colours = [look.colour(strategy) for strategy in summary["strategy"]]
        axes.barh(rows + offset, mean, height=0.36, color=colours, alpha=strength)
        known = low.notna()
        whiskers = [(mean - low)[known], (high.clip(upper=100) - mean)[known].clip(lower=0)]
        axes.errorbar(mean[known], (rows + offset)[known], xerr=whiskers, fmt="none", ecolor=look.ink, elinewidth=0.9)
        for row, value, end in zip(rows + offset, mean, high.clip(upper=100).fillna(mean), strict=True):
            axes.text(max(value, end) + 1, row, f"{value:.2f}", va="center", fontsize="small", color=look.ink)
    axes.set_yticks(rows, [look.name(strategy) for strategy in summary["strategy"]], color=look.ink)
    axes.set_ylim(count - 0.4, -0.6)
    axes.set_xlabel("test accuracy in %, 95 % interval over seeds" if not look.narrow else "test accuracy in %")
    axes.grid(False, axis="y")
    _remark(axes, look, "upper bar: at the strategy's own fidelity; lower, paler bar: on uncompressed images")
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
    for metric, offset, face in (("test_accuracy", -0.15, None), ("test_accuracy_full_fidelity", 0.18, look.paper)):
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
    _remark(
        axes, look, f"filled: own fidelity; hollow: uncompressed images; green: within the margin of {margin:g} points"
    )
    return figure


def to_target(compared: Comparison, look: Look) -> Figure:
    """Epochs and seconds until validation accuracy first reaches the target; a dot per seed, a bar at their mean."""
    strategies = compared.summary["strategy"].tolist()
    figure, panels = look.panels(
        2, height=(0.32 if look.narrow else 0.26) * len(strategies) + 0.9, sharey=not look.narrow
    )
    for axes, (column, unit) in zip(
        panels, (("epochs_to_target", "epochs"), ("seconds_to_target", "seconds")), strict=True
    ):
        most = compared.runs[column].max()
        most = 1.0 if np.isnan(most) else most
        for row, strategy in enumerate(strategies):
            values = compared.runs.loc[compared.runs["strategy"] == strategy, column]
            reached, colour = values.dropna(), look.colour(strategy)
            axes.scatter(reached, [row] * len(reached), s=18, color=colour, alpha=0.65, linewidths=0, zorder=3)
            if len(reached) == len(values):  # a mean over the seeds that made it would flatter
                axes.plot([reached.mean()] * 2, [row - 0.33, row + 0.33], color=colour, linewidth=2.2, zorder=3)
                told = f"{reached.mean():.3g}"
            else:
                told = f"reached by {len(reached)} of {len(values)}" if len(reached) else "not reached"
            axes.text(
                reached.max() + 0.04 * most if len(reached) else 0.02 * most, row, told, va="center", fontsize="small"
            )
        axes.set_yticks(range(len(strategies)), [look.name(strategy) for strategy in strategies], color=look.ink)
        axes.set_ylim(len(strategies) - 0.4, -0.6)
        axes.set_xlim(0, 1.25 * most)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=unit == "epochs"))
        axes.set_xlabel(f"{unit} to {100 * compared.study.target_accuracy:g} % validation accuracy")
        axes.grid(False, axis="y")
    return figure


def tradeoff(compared: Comparison, look: Look, cost: str = "bytes_read") -> Figure:
    """Test accuracy at own fidelity against a cost, both means over seeds, with the front of the undominated ones.

    The accuracy axis is stretched towards 100 %, since from 98 to 99 % half of the errors go.
    """
    label, formatter = COSTS[cost]
    summary = compared.summary.dropna(subset=[f"{cost}_mean"])
    figure, (axes,) = look.panels(1, height=5.2 if look.narrow else 4.8)
    if summary.empty:
        axes.text(0.5, 0.5, f"{label}: not measured on this machine", transform=axes.transAxes, ha="center")
        return figure
    x, y = summary[f"{cost}_mean"].to_numpy(), summary["test_accuracy_mean"].to_numpy()
    stretch = 0.002 if y.max() > 0.97 else 0.02  # keeps 100 % on the axis
    forward = lambda value: -np.log10(np.maximum(1 + stretch - np.asarray(value), 1e-9))  # noqa: E731
    axes.set_yscale("function", functions=(forward, lambda value: 1 + stretch - 10 ** -np.asarray(value)))
    best = front(x, y)
    axes.step(
        x[best], y[best], where="post", color=look.good, linewidth=5, alpha=0.25, solid_joinstyle="round", zorder=1
    )
    for row in summary.itertuples():
        at, mean, colour = getattr(row, f"{cost}_mean"), row.test_accuracy_mean, look.colour(row.strategy)
        if pd.notna(row.test_accuracy_low):
            ends = [max(row.test_accuracy_low, 0), min(row.test_accuracy_high, 1)]
            axes.plot([at, at], ends, color=colour, alpha=0.55, linewidth=1.2)
        size = 110 if row.strategy == "full" else 44
        axes.scatter(at, mean, s=size, color=colour, marker=look.marker(row.strategy), zorder=3, linewidths=0)
    _ticks_for_accuracy(axes, y.min(), summary["test_accuracy_high"].fillna(summary["test_accuracy_mean"]).max())
    _scale_for_cost(axes, x, formatter, most=4 if look.narrow else 7)
    axes.set_xlabel(f"{label}, mean over seeds")
    axes.set_ylabel("test accuracy, own fidelity")
    _remark(axes, look, "up and to the left is better; green band: nobody is better in both")
    strategies = summary["strategy"].tolist()
    name_points(axes, x, y, strategies, [look.colour(strategy) for strategy in strategies], look.ink)
    return figure


def tradeoff_flops(compared: Comparison, look: Look) -> Figure:
    """Test accuracy at own fidelity against the FLOPs executed in training."""
    return tradeoff(compared, look, "flops_executed")


def tradeoff_seconds(compared: Comparison, look: Look) -> Figure:
    """Test accuracy at own fidelity against the seconds of training."""
    return tradeoff(compared, look, "train_seconds")


def _remark(axes: Axes, look: Look, text: str) -> None:
    """How to read a figure, above it, where it covers no data."""
    axes.set_title(look.lines(text), fontweight="normal", fontsize="medium", color=look.faint)


def _scale_for_cost(axes: Axes, cost: np.ndarray, formatter: ticker.Formatter, most: int) -> None:
    """A logarithmic axis where the costs differ by more than a factor of three, with at most `most` round ticks."""
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


def _ticks_for_accuracy(axes: Axes, low: float, high: float) -> None:
    candidates = [0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.97, 0.98, 0.985, 0.99, 0.995, 1.0]
    below = [tick for tick in candidates if tick < low - (1 - low) * 0.1]
    bottom = below[-1] if below else 0.0
    axes.set_ylim(bottom, min(1.0, high + (1 - high) * 0.3))
    shown = [tick for tick in candidates if bottom <= tick <= axes.get_ylim()[1] + 1e-9]
    axes.set_yticks(shown, [f"{100 * tick:g} %" for tick in shown])
    axes.yaxis.set_minor_locator(ticker.NullLocator())
