"""Accuracy against a cost: what a byte, a sample, a FLOP, a second buys.

Each figure takes the tables of one data set and model, and a look; it returns a matplotlib Figure.
"""

import matplotlib.ticker as ticker
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frugal.report.costs import COSTS
from frugal.report.labels import name_points, remark
from frugal.report.load import Comparison
from frugal.report.pareto import front
from frugal.report.theme import Look

LABEL = 0.04  # height of a tick's label, as a share of the axis


def tradeoff(compared: Comparison, look: Look, cost: str | None = None) -> Figure:
    """Test accuracy against what was spent, means over seeds, with the front of those that nobody beats in both.

    The accuracy axis is stretched towards 100 %, since from 98 to 99 % half of the errors go. cost: by default the study's own
    """
    cost = cost or compared.study.cost
    label, formatter = COSTS[cost].axis, COSTS[cost].formatter
    summary = compared.summary.dropna(subset=[f"{cost}_mean"])
    figure, (axes,) = look.panels(1, height=5.2 if look.narrow else 4.8)
    if summary.empty:
        axes.text(0.5, 0.5, f"{label}: not measured on this machine", transform=axes.transAxes, ha="center")
        return figure
    x, y = summary[f"{cost}_mean"].to_numpy(), summary["test_accuracy_mean"].to_numpy()
    stretch_accuracy(axes, y.max())
    best = front(x, y)
    axes.step(
        x[best], y[best], where="post", color=look.good, linewidth=5, alpha=0.25, solid_joinstyle="round", zorder=1
    )
    for row in summary.itertuples():
        at, mean, colour = getattr(row, f"{cost}_mean"), row.test_accuracy_mean, look.colour(row.strategy)
        if pd.notna(row.test_accuracy_low):
            ends = [max(row.test_accuracy_low, 0), min(row.test_accuracy_high, 1)]
            axes.plot([at, at], ends, color=colour, alpha=0.55, linewidth=1.2)
        size = 110 if row.strategy == compared.study.baseline else 44
        axes.scatter(at, mean, s=size, color=colour, marker=look.marker(row.strategy), zorder=3, linewidths=0)
    ticks_for_accuracy(axes, y.min(), summary["test_accuracy_high"].fillna(summary["test_accuracy_mean"]).max())
    scale_for_cost(axes, x, formatter, most=4 if look.narrow else 7)
    axes.set_xlabel(look.lines(f"{label}, mean over seeds"))
    axes.set_ylabel("test accuracy" + (", own fidelity" if compared.fidelity_differs else ""))
    remark(axes, look, "up and to the left is better; green band: nobody is better in both")
    strategies = summary["strategy"].tolist()
    name_points(axes, x, y, strategies, [look.colour(strategy) for strategy in strategies], look.ink)
    return figure


def tradeoff_flops(compared: Comparison, look: Look) -> Figure:
    """Test accuracy against the FLOPs executed in training."""
    return tradeoff(compared, look, "flops_executed")


def tradeoff_per_sample(compared: Comparison, look: Look) -> Figure:
    """Test accuracy against the FLOPs of a forward pass of one sample, with the network as it ended."""
    return tradeoff(compared, look, "flops_forward_per_sample")


def tradeoff_seconds(compared: Comparison, look: Look) -> Figure:
    """Test accuracy against the seconds of training."""
    return tradeoff(compared, look, "train_seconds")


def tradeoff_bytes(compared: Comparison, look: Look) -> Figure:
    """Test accuracy against the bytes read in training."""
    return tradeoff(compared, look, "bytes_read")


def tradeoff_memory(compared: Comparison, look: Look) -> Figure:
    """Test accuracy against the peak memory of training."""
    return tradeoff(compared, look, "peak_memory_bytes")


def tradeoff_joules(compared: Comparison, look: Look) -> Figure:
    """Test accuracy against the joules metered in training."""
    return tradeoff(compared, look, "energy_joules")


EACH = {  # every cost that a page shows beside each other
    "flops_executed": tradeoff_flops,
    "train_seconds": tradeoff_seconds,
    "bytes_read": tradeoff_bytes,
    "peak_memory_bytes": tradeoff_memory,
    "energy_joules": tradeoff_joules,
}


def stretch_accuracy(axes: Axes, highest: float) -> None:
    """Stretch the vertical axis towards 100 %. highest: accuracy, as a fraction, that will be drawn."""
    stretch = 0.002 if highest > 0.97 else 0.02  # keeps 100 % on the axis
    forward = lambda value: -np.log10(np.maximum(1 + stretch - np.asarray(value), 1e-9))  # noqa: E731
    axes.set_yscale("function", functions=(forward, lambda value: 1 + stretch - 10 ** -np.asarray(value)))


def scale_for_cost(axes: Axes, cost: np.ndarray, formatter: ticker.Formatter, most: int) -> None:
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


def ticks_for_accuracy(axes: Axes, low: float, high: float) -> None:
    """Round ticks between the lowest and the highest accuracy that is drawn, as fractions."""
    coarse = [0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.97, 0.98, 0.985, 0.99, 0.995, 1.0]
    for candidates in (coarse, *(np.arange(0, 1 + step / 2, step).round(4) for step in (0.1, 0.05, 0.02, 0.01, 0.005))):
        below = [tick for tick in candidates if tick < low - min(0.1 * (1 - low), 0.2 * (high - low) + 0.001)]
        bottom = below[-1] if below else 0.0
        if sum(bottom <= tick <= high for tick in candidates) >= 4:
            break
    axes.set_ylim(bottom, min(1.0, high + min(0.3 * (1 - high), 0.5 * (high - low) + 0.001)))
    shown = _apart(axes, [tick for tick in candidates if bottom <= tick <= axes.get_ylim()[1] + 1e-9])
    axes.set_yticks(shown, [f"{100 * tick:g} %" for tick in shown])
    axes.yaxis.set_minor_locator(ticker.NullLocator())


def _apart(axes: Axes, ticks: list[float]) -> list[float]:
    """Those of the ticks whose labels don't touch the next higher one's; near 0 % the axis is narrow."""
    heights = axes.transAxes.inverted().transform(axes.transData.transform([(0, tick) for tick in ticks]))[:, 1]
    kept: list[int] = []
    for place in reversed(range(len(ticks))):
        if not kept or heights[kept[-1]] - heights[place] > LABEL:
            kept.append(place)
    return [ticks[place] for place in reversed(kept)]
