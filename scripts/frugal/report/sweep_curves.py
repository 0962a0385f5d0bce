"""Sweeps: what a parameter of a strategy changes, as curves of accuracy and exchange rate over its values."""

from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frugal.report import load
from frugal.report.budget_curve import currency
from frugal.report.cost_figures import half_bar
from frugal.report.costs import METRICS
from frugal.report.theme import FAINT, palette
from frugal.study import Study, Sweep


def sweeps(tables: str | Path) -> Iterator[tuple[Figure, str, str]]:
    """A figure for each sweep of a study, with its name and its caption; none where no override asked for one.

    Left the test accuracy of each value, dashed that of the control of equal cost, error bars as in `figures.tradeoff`; right the
    exchange rate with its interval. A row for each data set and model. Of two and more parameters, the others' values are lines.
    """
    study, summary = load.read_study_of(tables), load.summary(tables)
    for sweep in study.sweeps:
        shown = summary[summary["strategy"].isin([*sweep.points, *sweep.controls.values()])]
        if shown.empty:
            continue
        swept = " and ".join(sweep.parameters)
        caption = (
            f"{sweep.strategy} by {swept}: test accuracy, dashed the plain net at equal cost, and exchange rate; error bars are "
            "intervals."
        )
        yield _figure(study, sweep, shown), f"sweep-{sweep.strategy}-{'-'.join(sweep.parameters)}", caption


def _figure(study: Study, sweep: Sweep, summary: pd.DataFrame) -> Figure:
    places = list(dict.fromkeys(summary["where"]))
    figure, rows = plt.subplots(len(places), 2, figsize=(7.4, 2.7 * len(places)), squeeze=False, layout=None)
    values = [point[sweep.parameters[0]] for point in sweep.points.values()]
    numeric = all(_is_number(value) for value in values)
    order = sorted(dict.fromkeys(values), key=float) if numeric else list(dict.fromkeys(values))
    colours = list(dict.fromkeys(palette(summary).values()))
    for (accuracy, rate), where in zip(rows, places, strict=True):
        mine = summary[summary["where"] == where].set_index("strategy")
        for place, (others, points) in enumerate(_lines(sweep).items()):
            at = np.array([float(value) if numeric else order.index(value) for value in points.values()])
            beside = 0.012 * (
                float(order[-1]) - float(order[0]) if numeric else len(order) - 1
            )  # error bars aren't hidden
            colour = colours[place % len(colours)]
            label = others or sweep.strategy
            _line(accuracy, at, *_accuracies(mine, list(points)), colour, "o-", label)
            _line(
                accuracy,
                at + beside,
                *_accuracies(mine, [sweep.controls[name] for name in points]),
                colour,
                "s--",
                "equal cost" + (f", {others}" if others else ""),
            )
            spent = currency(study)
            rates = mine.reindex(list(points))[[f"{spent}_exchange_{part}" for part in ("rate", "low", "high")]]
            _line(rate, at, *rates.to_numpy(float).T, colour, "o-", None)
        rate.axhline(1, color=FAINT, linewidth=1)
        accuracy.yaxis.set_major_formatter(ticker.PercentFormatter(1, symbol=" %"))
        accuracy.set_ylabel("test accuracy")
        rate.set_ylabel(f"exchange rate, {METRICS[spent].noun}")
        for axes in (accuracy, rate):
            axes.set_title(where if len(places) > 1 else "")
            axes.set_xlabel(sweep.parameters[0])
            axes.set_xticks([float(value) if numeric else order.index(value) for value in order], order)
    figure.tight_layout()
    return figure


def _lines(sweep: Sweep) -> dict[str, dict[str, str]]:
    """The points of each line, as the first parameter's value by name; a line has one value of each other parameter."""
    lines: dict[str, dict[str, str]] = {}
    for name, values in sweep.points.items():
        others = ", ".join(f"{key} {values[key]}" for key in sweep.parameters[1:])
        lines.setdefault(others, {})[name] = values[sweep.parameters[0]]
    return {
        others: dict(sorted(points.items(), key=lambda point: float(point[1]) if _is_number(point[1]) else 0))
        for others, points in lines.items()
    }


def _is_number(value: str) -> bool:
    try:
        return np.isfinite(float(value))
    except ValueError:
        return False


def _accuracies(mine: pd.DataFrame, names: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and the ends of its error bar, each (points,); NaN where a strategy was left out."""
    rows = mine.reindex(names)
    mean = rows["test_accuracy_mean"].to_numpy(float)
    half = half_bar(rows).to_numpy(float)
    return mean, np.maximum(mean - half, 0), np.minimum(mean + half, 1)


def _line(
    axes: Axes,
    at: list[float],
    mean: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    colour: str,
    style: str,
    label: str | None,
) -> None:
    axes.plot(
        at, mean, style, color=colour, markersize=4.5, linewidth=1.3, label=label, alpha=0.6 if "--" in style else 1
    )
    axes.vlines(at, low, high, color=colour, alpha=0.55, linewidth=1.2)
