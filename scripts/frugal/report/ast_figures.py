"""Figures of the AST study: what the controllers did, batch by batch, and what each stage took."""

import matplotlib.ticker as ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frugal.report.labels import remark
from frugal.report.load import Comparison
from frugal.report.stages import by_stage, relative
from frugal.report.theme import Look


def rates(compared: Comparison, look: Look) -> Figure:
    """Activation rate of each batch of candidates against its target (dashed): running mean, mean over seeds."""
    return _traces(compared, look, "activation_rate", "activation rate", targets=True)


def thresholds(compared: Comparison, look: Look) -> Figure:
    """Threshold on the significance after each batch of candidates, mean over seeds."""
    return _traces(compared, look, "threshold", "threshold on the significance", targets=False)


def _traces(compared: Comparison, look: Look, column: str, label: str, targets: bool) -> Figure:
    trace, study = compared.trace, compared.study
    logged = [name for name in study.strategies if column in trace and (trace["strategy"] == name).any()]
    groups = {title: [n for n in names if n in logged] for title, names in study.panels.items()}
    groups = {title: names for title, names in groups.items() if names}
    figure, panels = look.panels(max(1, len(groups)), height=2.9, sharey=True)
    if not groups:
        panels[0].set_axis_off()
        panels[0].text(0.5, 0.5, "no strategy selects batch by batch", ha="center", transform=panels[0].transAxes)
        return figure
    for axes, (title, names) in zip(panels, groups.items(), strict=True):
        axes.set_title(title)
        for name in names:
            mine = trace[trace["strategy"] == name]
            seeds = mine.assign(at=mine.groupby("seed").cumcount() + 1).pivot(index="at", columns="seed", values=column)
            window = max(1, len(seeds) // 40)
            line = seeds.rolling(window, min_periods=1).mean().mean(axis=1)
            kept = np.unique(np.linspace(0, len(line) - 1, min(300, len(line))).round().astype(int))
            axes.plot(line.index[kept], line.iloc[kept], color=look.colour(name), label=name)
            if targets:
                axes.axhline(
                    study.parameters[name]["target"], color=look.colour(name), linestyle=(0, (4, 3)), linewidth=1
                )
        axes.set_xlabel("batch of candidates after the warm-up")
        axes.margins(x=0.01)
        axes.tick_params(labelleft=True)
    for axes in panels[:: 1 if look.narrow else 2]:
        axes.set_ylabel(label)
    if targets:
        panels[0].yaxis.set_major_formatter(ticker.PercentFormatter(1, decimals=0, symbol=" %"))
        panels[0].set_ylim(0, min(1, panels[0].get_ylim()[1]))
    handles = [pair for axes in panels for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    _legend(figure, handles, look)
    return figure


def _legend(figure: Figure, handles: list, look: Look) -> None:
    lines, names = zip(*handles, strict=True)
    columns = 2 if look.narrow else 4
    figure.legend(lines, names, loc="outside upper left", ncols=columns, fontsize="small", handlelength=2)


def stages(compared: Comparison, look: Look) -> Figure:
    """Seconds of training in the warm-up and in the sparse stage, mean over seeds; the baseline knows no stages."""
    table = by_stage(compared).groupby("strategy")[["warmup_seconds", "sparse_seconds"]].mean()
    table = table.loc[compared.study.strategies]
    figure, (axes,) = look.panels(1, height=0.3 * len(table) + 1.0)
    rows = np.arange(len(table))
    colours = [look.colour(strategy) for strategy in table.index]
    warm, sparse = table["warmup_seconds"].to_numpy(), table["sparse_seconds"].to_numpy()
    axes.barh(rows, warm, height=0.62, color=colours, alpha=0.4)
    axes.barh(rows, sparse, left=warm, height=0.62, color=colours)
    for row, (first, then) in enumerate(zip(warm, sparse, strict=True)):
        told = f"{first:.3g} + {then:.3g} s" if then else f"{first:.3g} s"
        axes.text(first + then + 0.01 * (warm + sparse).max(), row, told, va="center", fontsize="small", color=look.ink)
    _names(axes, look, list(table.index))
    axes.set_xlim(0, (1.4 if look.narrow else 1.16) * (warm + sparse).max())
    axes.set_xlabel("seconds of training, mean over seeds")
    remark(axes, look, "pale: epochs that train on everything; full colour: the sparse stage")
    return figure


def executed(compared: Comparison, look: Look) -> Figure:
    """An epoch of the sparse stage over an epoch of the baseline: FLOPs executed, seconds, and what the cost model says."""
    table = relative(compared)
    figure, (axes,) = look.panels(1, height=0.46 * max(1, len(table)) + 1.1)
    if table.empty:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no strategy has a sparse stage", ha="center", transform=axes.transAxes)
        return figure
    rows = np.arange(len(table))
    colours = [look.colour(strategy) for strategy in table["strategy"]]
    axes.barh(rows - 0.17, table["flops_mean"], height=0.32, color=colours)
    axes.barh(rows + 0.17, table["seconds_mean"], height=0.32, color=colours, alpha=0.45)
    end = table[["flops_mean", "seconds_mean", "predicted_mean"]].max(axis=1)
    limit = (1.5 if look.narrow else 1.25) * max(1, end.max())
    for row, low, high in zip(rows + 0.17, table["seconds_low"], table["seconds_high"], strict=True):
        # an interval of few seeds may be wider than the figure; the table has its numbers
        axes.plot([max(0, low), min(limit, high)], [row, row], color=look.ink, linewidth=0.9, alpha=0.6)
    axes.plot(table["predicted_mean"], rows, linestyle="none", marker="|", markersize=24, color=look.ink, mew=1.6)
    for row, (at, flops, seconds) in enumerate(zip(end, table["flops_mean"], table["seconds_mean"], strict=True)):
        axes.text(at + 0.02, row - 0.17, f"{flops:.2f}, {seconds:.2f}", va="center", fontsize="small", color=look.ink)
    _names(axes, look, table["strategy"].tolist())
    axes.axvline(1, color=look.faint, linewidth=1)
    axes.set_xlim(0, limit)
    axes.set_xlabel(f"over an epoch of {compared.study.baseline}")
    remark(
        axes, look, "upper bar: FLOPs executed; lower, paler bar: seconds; stroke: the cost model at the measured rate"
    )
    return figure


def _names(axes: Axes, look: Look, strategies: list[str]) -> None:
    axes.set_yticks(range(len(strategies)), [look.name(strategy) for strategy in strategies], color=look.ink)
    axes.set_ylim(len(strategies) - 0.4, -0.6)
    axes.grid(False, axis="y")
