"""Figures that several studies share: differences to the baseline, what is realised in seconds, curves over the epochs.

Each takes the folder of a study's tables and returns what `report.save` takes.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import seaborn as sns
from matplotlib import ticker
from matplotlib.figure import Figure

from frugal.report import load
from frugal.report.axes import name_points, panels_of, stretch_to_lines
from frugal.report.costs import METRICS
from frugal.report.theme import DASHES, FAINT, GOOD, INK, PAPER, WORDS, markers, palette


def differences(tables: str | Path) -> Figure:
    """Accuracy minus the baseline's, paired by seed, with 95 % intervals; green: within the study's margin. A panel per data set.

    Where tests at two fidelities differ, a hollow marker gives the difference on uncompressed images.
    """
    study, summary = load.read_study_of(tables), load.summary(tables)
    shown = summary[summary["kind"] != "baseline"]
    margin, places = 100 * study.margin, list(shown["where"].cat.remove_unused_categories().cat.categories)
    count = max(shown.groupby("where", observed=True).size(), default=1)  # with the baseline alone there is no panel
    figure, every = panels_of(len(places), 0.24 * count + 0.7, columns=1)
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


def clock(tables: str | Path) -> Figure:
    """Seconds saved against what was saved of the study's cost, both paired by seed; on the line all of it is realised."""
    study, summary = load.read_study_of(tables), load.panels(load.summary(tables))
    cost, names = study.cost, list(dict.fromkeys(summary["panel"]))
    figure, panels = panels_of(len(names), 3.2, columns=2)
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
        name_points(axes, x, y, named, [colours[one] for one in named])
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
            stretch_to_lines(axes)
        elif measure.endswith("loss"):  # one bad epoch must not flatten the rest
            last = mine[mine["epoch"] == mine["epoch"].max()].groupby("strategy", observed=True)["value"].mean()
            axes.set_ylim(top=min(axes.get_ylim()[1], 4 * last.max() + 0.5))
        else:
            axes.set_ylim(0, 1.08 * mine["value"].max())
            axes.yaxis.set_major_formatter(ticker.EngFormatter(sep="\N{THIN SPACE}"))
    return grid.set_axis_labels("epoch", "")


def stretched(grid: sns.FacetGrid) -> sns.FacetGrid:
    """The grid with its vertical axes, accuracies as fractions, stretched towards 100 % as in `tradeoff`: the last points differ
    by less than the first epochs do.
    """
    for axes in grid.axes.flat:
        stretch_to_lines(axes)
    return grid
