"""How training goes: loss per iteration, loss and accuracy per epoch, accuracy by what was spent so far.

Each function takes the tables of one data set and model, and a look; it returns a matplotlib Figure.
"""

import matplotlib.ticker as ticker
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frugal.report.costs import COSTS
from frugal.report.labels import legend, name_ends, remark
from frugal.report.load import Comparison
from frugal.report.theme import Look
from frugal.report.tradeoff import stretch_accuracy, ticks_for_accuracy

TOLD = {"test": "test", "val": "validation"}


def loss_curves(compared: Comparison, look: Look) -> Figure:
    """Training loss per iteration: mean over seeds, band of one standard error, a running mean; the baseline in every panel."""
    curves, window = compared.loss_curves
    groups = compared.study.panels
    figure, panels = look.panels(len(groups), height=2.5 if look.narrow else 2.9, sharex=True, sharey=True)
    for axes, (title, strategies) in zip(panels, groups.items(), strict=True):
        axes.set_title(title)
        axes.set_yscale("log")
        ends = []
        for strategy in [compared.study.baseline, *strategies]:
            curve, colour = curves[strategy], look.colour(strategy)
            axes.fill_between(curve.index, curve["low"], curve["high"], color=colour, alpha=0.2, linewidth=0)
            axes.plot(
                curve.index, curve["mean"], color=colour, linewidth=1.1 if strategy == compared.study.baseline else 1.5
            )
            ends.append((strategy, curve.index[-1], curve["mean"].iloc[-1]))
        name_ends(axes, ends, look)
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


def epochs(compared: Comparison, look: Look) -> Figure:
    """Loss and accuracy per epoch, of training and test: mean over seeds with a band of one standard error."""
    told = TOLD[compared.curve]
    kinds = {
        "train_loss": "training loss",
        f"{compared.curve}_loss": f"{told} loss",
        "train_accuracy": "training accuracy",
        f"{compared.curve}_accuracy": f"{told} accuracy",
    }
    kinds = {
        column: title for column, title in kinds.items() if compared.by_epoch(column)
    }  # transcripts: no training accuracy
    figure, panels = look.panels(len(kinds), height=2.2 if look.narrow else 2.7, sharex=True)
    for axes, (column, title) in zip(panels, kinds.items(), strict=True):
        bands = compared.by_epoch(column)
        for strategy, band in bands.items():
            _line(axes, band.index, band, strategy, compared, look)
        axes.set_title(title)
        last = [band["mean"].iloc[-1] for band in bands.values()]
        if column.endswith("accuracy"):
            axes.yaxis.set_major_formatter(ticker.PercentFormatter(1, decimals=0, symbol=" %"))
            axes.set_ylim(top=min(1.0, max(band["high"].max() for band in bands.values()) + 0.02))
        else:
            axes.set_ylim(top=min(axes.get_ylim()[1], 4 * max(last) + 0.5))  # one bad epoch must not flatten the rest
        axes.xaxis.set_major_locator(ticker.MaxNLocator(8, integer=True))
        axes.tick_params(labelbottom=True)
        axes.margins(x=0.01)
    for axes in panels if look.narrow else panels[2:]:
        axes.set_xlabel("epoch")
    legend(figure, panels[0], look)
    return figure


def accuracy_by_cost(compared: Comparison, look: Look) -> Figure:
    """Accuracy after each epoch against what had been spent of the study's cost by then, means over seeds, controls dashed."""
    cost, column = COSTS[compared.study.cost], f"{compared.curve}_accuracy"
    bands, spent = compared.by_epoch(column), compared.spent(compared.study.cost)
    figure, (axes,) = look.panels(1, height=4.6)
    if not spent:
        axes.set_axis_off()
        axes.text(0.5, 0.5, f"{cost.axis}: not known by epoch", ha="center", transform=axes.transAxes)
        return figure
    stretch_accuracy(axes, max(band["mean"].max() for band in bands.values()))
    for strategy, band in bands.items():
        _line(axes, spent[strategy].loc[band.index], band, strategy, compared, look, ends=True)
    ticks_for_accuracy(
        axes,
        min(band["low"].iloc[len(band) // 4 :].min() for band in bands.values()),
        max(b["high"].max() for b in bands.values()),
    )
    axes.xaxis.set_major_locator(ticker.MaxNLocator(5 if look.narrow else 8))
    axes.xaxis.set_major_formatter(cost.formatter)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"{cost.axis.removesuffix(' in training')} so far")
    axes.set_ylabel(f"{TOLD[compared.curve]} accuracy")
    remark(axes, look, "further left at the same height is better; dashed: controls; a marker ends each curve")
    legend(figure, axes, look)
    return figure


def _line(
    axes: Axes,
    x: pd.Index | pd.Series,
    band: pd.DataFrame,
    strategy: str,
    compared: Comparison,
    look: Look,
    ends: bool = False,
) -> None:
    """One strategy's curve with its band, controls dashed, so that curves that lie on each other both show."""
    colour, study = look.colour(strategy), compared.study
    axes.fill_between(x, band["low"], band["high"], color=colour, alpha=0.16, linewidth=0)
    style = {"linestyle": (0, (4, 2)), "zorder": 2.5} if strategy in study.controls else {}
    marks = (
        {"marker": look.marker(strategy), "markevery": [-1], "markersize": 9 if strategy == study.baseline else 6}
        if ends
        else {}
    )
    width = 1.2 if strategy == study.baseline else 1.7
    axes.plot(x, band["mean"], color=colour, linewidth=width, label=strategy, **style, **marks)
