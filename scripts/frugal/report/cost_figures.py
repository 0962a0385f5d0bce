"""Figures of what a cost buys: accuracy against what was spent, and exchange rates.

Each takes the folder of a study's tables and returns what `report.save` takes.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frugal.report import load
from frugal.report.axes import accuracy_ticks, cost_scale, name_points, panels_of, stretch_accuracy
from frugal.report.budget_curve import currency
from frugal.report.costs import METRICS
from frugal.report.exchange_rate import SAVES, SHORTER, WASTES
from frugal.report.theme import BAD, FAINT, GOOD, INK, OPEN, markers, palette


def pareto_front(cost: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """Pareto front: indices (m,) of the undominated of n points, (n,) each, by rising cost."""
    order = np.lexsort((-accuracy, cost))
    highest = np.maximum.accumulate(np.concatenate([[-np.inf], accuracy[order][:-1]]))
    return order[accuracy[order] > highest]


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
    every["half"] = half_bar(every)
    summary = load.panels(every.dropna(subset=[f"{cost}_mean"]).reset_index(drop=True))
    names = list(dict.fromkeys(summary["panel"]))
    figure, panels = panels_of(len(names), 3.3 if len(names) == 1 else 2.9, columns=2)
    colours, marks = palette(every), markers(every)
    for axes, panel in zip(panels, names, strict=True):
        mine = summary[summary["panel"] == panel]
        there = every[every["where"] == mine["where"].iloc[0]].dropna(subset=[f"{cost}_mean"])
        x, y = there[f"{cost}_mean"].to_numpy(), there["test_accuracy_mean"].to_numpy()
        stretch_accuracy(axes, y.max())
        lowest = mine["test_accuracy_mean"].min()  # of this panel: a failure of another one must not squeeze it
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
            lowest = min(lowest, reached.min())
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
        ends = mine["test_accuracy_mean"] + mine["half"].fillna(0).clip(upper=0.3 * (1 - mine["test_accuracy_mean"]))
        accuracy_ticks(
            axes, lowest, max([ends.max(), *(curve["test_accuracy_mean"].max() for curve in curves.values())])
        )
        cost_scale(axes, x, METRICS[cost].formatter, most=3 if len(names) > 1 else 6)
        axes.set_title(panel if len(names) > 1 else "")
        axes.set_xlabel(METRICS[cost].axis)
    for axes in panels[::2]:
        axes.set_ylabel("test accuracy")
    figure.tight_layout()
    for axes, panel in zip(panels, names, strict=True):
        mine = summary[summary["panel"] == panel]
        named = list(mine["strategy"])
        name_points(axes, mine[f"{cost}_mean"], mine["test_accuracy_mean"], named, [colours[one] for one in named])
    return figure


def half_bar(summary: pd.DataFrame) -> pd.Series:
    """Half of the error bar through each strategy's accuracy: its part of the interval of its difference to the baseline."""
    return (summary["test_accuracy_difference_high"] - summary["test_accuracy_difference_low"]) / 2 / np.sqrt(2)


def _budget_curves(budgets: pd.DataFrame, cost: str, strategies: set[str]) -> dict[str, pd.DataFrame]:
    """The rows of each strategy that was trained for several budgets, from cheap to dear, where this cost was measured."""
    if f"{cost}_mean" not in budgets:
        return {}
    known = budgets[budgets["strategy"].isin(strategies)].dropna(subset=[f"{cost}_mean"]).sort_values(f"{cost}_mean")
    return {str(name): rows for name, rows in known.groupby("strategy", observed=True) if len(rows) > 1}


def exchange_forest(tables: str | Path, costs: Sequence[str] = ("cpu_seconds", "bytes_read")) -> Figure:
    """Exchange rate of every strategy with its simultaneous 95 % interval, the highest first: right of 1 it saves, left of 1 it
    wastes. A column for the cost of `exchange_curve` and each of `costs` that was measured, a row of panels per data set and net.

    An arrowhead in place of a point: a bound, since the strategy is more or less accurate than all of the baseline's curve.
    Controls are named in grey.
    """
    study, summary = load.read_study_of(tables), load.summary(tables)
    paid = currency(study)
    known = summary[summary[f"{paid}_exchange_rate"].notna() & (summary["kind"] != "baseline")]
    shown = [paid, *(cost for cost in costs if cost != paid and known[f"{cost}_exchange_rate"].notna().any())]
    places = {str(where): rows for where, rows in known.groupby("where", observed=True)}
    heights = [len(rows) + 2 for rows in places.values()] or [1]
    size = (7.4, 0.17 * sum(heights) + 0.5)
    figure, grid = plt.subplots(
        max(1, len(places)), len(shown), figsize=size, squeeze=False, sharey="row", height_ratios=heights
    )
    for line, (where, rows) in zip(grid, places.items(), strict=False):
        rows = rows.sort_values(f"{paid}_exchange_rate", ascending=False, ignore_index=True)
        for axes, cost in zip(line, shown, strict=True):
            _forest(axes, rows, cost)
            axes.set_xlabel(f"{'exchange rate ' * (cost == paid)}in {METRICS[cost].noun}")
        line[0].set_yticks(range(len(rows)), rows["strategy"])
        for label, kind in zip(line[0].get_yticklabels(), rows["kind"], strict=True):
            label.set_color(FAINT if kind == "control" else INK)
        line[0].set_ylim(len(rows) - 0.4, -0.6)
        line[0].set_title(where if len(places) > 1 else "")
    figure.tight_layout()
    return figure


def _forest(axes: Axes, rows: pd.DataFrame, cost: str, ends: tuple[float, float] | None = None) -> None:
    """The rates of one cost on a logarithmic axis. ends: of the axis, by default where the rates end; intervals may go beyond."""
    rate, low, high = (rows[f"{cost}_exchange_{part}"].to_numpy(float) for part in ("rate", "low", "high"))
    if ends is None:
        ends = np.nanmin(rate, initial=0.8) / 1.3, np.nanmax(rate, initial=1.25) * 1.3
        ends = max(ends[0], 0.1), min(ends[1], 10.0)
    axes.set_xscale("log")
    axes.set_xlim(*ends)
    axes.axvline(1, color=FAINT, linewidth=1)
    for row, verdict in enumerate(rows[f"{cost}_exchange_verdict"]):
        if np.isnan(rate[row]):
            continue
        colour, bound = {SAVES: GOOD, WASTES: BAD}.get(verdict, OPEN), rows[f"{cost}_exchange_bound"].iloc[row]
        if not np.isnan(low[row]):
            axes.plot(np.clip([low[row], high[row]], *ends), [row, row], color=colour, linewidth=1.6, alpha=0.7)
        marker = {"<": 4, ">": 5}.get(bound if isinstance(bound, str) else "", "o")  # matplotlib's carets, or a point
        axes.plot(np.clip(rate[row], *ends), row, color=colour, marker=marker, markersize=5 if marker == "o" else 7)
    for candidates in ((0.1, 0.2, 0.5, 1, 2, 5, 10), (0.5, 0.7, 1, 1.4, 2)):
        ticks = [tick for tick in candidates if ends[0] <= tick <= ends[1]]
        if len(ticks) > 2:  # one tick is no scale
            break
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.grid(False, axis="y")


def exchange_grid(studies: Iterable[str | Path], cost: str = "flops_executed") -> Figure:
    """Exchange rates of all strategies that were tried on more than one data set and net, with their 95 % intervals: a column per
    data set and net, those of most strategies first. No controls.

    studies: folders of tables. cost: in which the rates are told. Marks as in `exchange_forest`; on one axis for all. A dagger:
    the plain net itself is more accurate there when it is trained for less.
    """
    known = pd.concat([load.summary(tables) for tables in studies], ignore_index=True).astype(
        {"where": str, "strategy": str}
    )
    known = known[known[f"{cost}_exchange_rate"].notna() & (known["kind"] == "proposal")]
    known = known[known.groupby("strategy")["where"].transform("nunique") > 1]
    names = known.groupby("strategy")[f"{cost}_exchange_rate"].median().sort_values(ascending=False).index
    places = known["where"].value_counts().index
    figure, line = plt.subplots(
        1,
        max(1, len(places)),
        figsize=(2 + 1.15 * len(places), 0.24 * len(names) + 1),
        squeeze=False,
        sharey=True,
        sharex=True,
    )
    for axes, where in zip(line[0], places, strict=False):
        _forest(axes, known[known["where"] == where].set_index("strategy").reindex(names), cost, ends=(0.15, 6.0))
        reasons = known.loc[known["where"] == where, "exchange_reason"]
        mark = "\N{DAGGER}" if reasons.str.contains(SHORTER, regex=False).eq(True).any() else ""
        axes.set_title(where.replace(", ", "\n") + mark, fontsize="small")
        axes.grid(axis="y", linewidth=0.4)
    line[0][0].set_yticks(range(len(names)), names, color=INK)
    line[0][0].set_ylim(len(names) - 0.4, -0.6)
    figure.supxlabel(f"exchange rate in {METRICS[cost].noun}", fontsize="small")
    figure.tight_layout()
    return figure
