"""Figures of the pruning study: how the net shrinks over the epochs, layer by layer, and whether the epochs get shorter.

Each function takes the tables of one data set and model, and a look; it returns a matplotlib Figure.
"""

import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frugal.report.labels import legend
from frugal.report.load import Comparison
from frugal.report.theme import Look

WIDTH = "width_"
PARTS = {  # of the names of layers, what tells nothing within one net
    **{
        "net.": "",
        "bert.": "",
        "wav2vec2.": "",
        "encoder.": "",
        "feature_extractor.": "",
        "attention.self.": "attention.",
    },
    **{"feed_forward.": "", "conv_layers.": "features.", ".conv": "", "layers.": "layer.", ".k_proj": "", ".query": ""},
}


def shrinking(compared: Comparison, look: Look) -> Figure:
    """Live parameters and FLOPs of a sample after each epoch: mean over seeds with a band of one standard error."""
    figure, panels = look.panels(2, height=2.6 if look.narrow else 3.2)
    for axes, (column, title) in zip(
        panels,
        (("live_parameters", "Live parameters"), ("flops_per_sample", "FLOPs of a sample, forward")),
        strict=True,
    ):
        _lines(axes, compared, look, compared.by_epoch(column))
        axes.set_title(title)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(ticker.EngFormatter(sep="\N{THIN SPACE}"))
    legend(figure, panels[0], look)
    return figure


def epoch_seconds(compared: Comparison, look: Look) -> Figure:
    """Seconds of training of each epoch: mean over seeds with a band of one standard error."""
    figure, (axes,) = look.panels(1, height=3.4)
    _lines(axes, compared, look, seconds_by_epoch(compared))
    axes.set_ylim(bottom=0)
    axes.set_ylabel("seconds of training per epoch")
    legend(figure, axes, look)
    return figure


def widths(compared: Comparison, look: Look) -> Figure:
    """Share of each layer's neurons (channels, heads) that are left after each epoch, for each strategy that removes some."""
    grids = {name: grid for name in compared.study.strategies if (grid := left_by_layer(compared, name)) is not None}
    if not grids:
        figure, (axes,) = look.panels(1, height=1.6)
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no strategy removes neurons while it trains", ha="center", transform=axes.transAxes)
        return figure
    layers = max(len(grid) for grid in grids.values())
    figure, panels = look.panels(len(grids), height=0.9 + max(1.4, 0.25 * layers), columns=1)
    for axes, (strategy, grid) in zip(panels, grids.items(), strict=True):
        image = axes.imshow(grid, aspect="auto", vmin=0, vmax=1, cmap="viridis", interpolation="nearest")
        axes.set_yticks(range(len(grid)), [short(name, look.narrow) for name in grid.index], fontsize="x-small")
        epochs = grid.columns.tolist()
        step = max(1, -(-len(epochs) // (6 if look.narrow else 12)))
        axes.set_xticks(range(0, len(epochs), step), epochs[::step])
        axes.set_xlabel("epoch")
        axes.set_title(strategy)
        axes.grid(False)
    bar = figure.colorbar(image, ax=panels, format=ticker.PercentFormatter(1, symbol=" %"), shrink=0.9, pad=0.02)
    bar.set_label("of its neurons left")
    bar.outline.set_visible(False)
    return figure


def seconds_by_epoch(compared: Comparison) -> dict[str, pd.DataFrame]:
    """Per strategy: a row per epoch; mean, low and high (one standard error) over seeds of its seconds of training."""
    history = compared.history.sort_values(["strategy", "seed", "epoch"])
    before = history.groupby(["strategy", "seed"])["train_seconds"].shift(fill_value=0)
    history = history.assign(epoch_seconds=history["train_seconds"] - before)
    found = {}
    for strategy in compared.study.strategies:
        seeds = history[history["strategy"] == strategy].pivot(index="epoch", columns="seed", values="epoch_seconds")
        mean, error = seeds.mean(axis=1), seeds.sem(axis=1).fillna(0)
        found[strategy] = pd.DataFrame({"mean": mean, "low": mean - error, "high": mean + error})
    return found


def left_by_layer(compared: Comparison, strategy: str) -> pd.DataFrame | None:
    """(layers, epochs) share of each layer's neurons left, mean over seeds; None where a strategy never removes any in training.

    A layer's full width is the widest that any run of the comparison has, since the first epoch may already remove some.
    """
    history, names = compared.history, [name for name in compared.history if name.startswith(WIDTH)]
    mine = history[history["strategy"] == strategy]
    if "removals" not in mine or not mine["removals"].max() > 0:
        return None
    names = [name for name in names if mine[name].notna().any()]
    full = history[names].max()
    return (mine.groupby("epoch")[names].mean() / full).T.rename(index=lambda name: name.removeprefix(WIDTH))


def short(name: str, narrow: bool) -> str:
    """A layer's name without the parts that all of them share; on a phone at most 18 letters of its end."""
    for part, instead in PARTS.items():
        name = name.replace(part, instead)
    return f"…{name[-17:]}" if narrow and len(name) > 18 else name


def _lines(axes: Axes, compared: Comparison, look: Look, bands: dict[str, pd.DataFrame]) -> None:
    for strategy, band in bands.items():
        colour, control = look.colour(strategy), strategy in compared.study.controls
        axes.fill_between(band.index, band["low"], band["high"], color=colour, alpha=0.16, linewidth=0)
        style = {"linestyle": (0, (4, 2)), "zorder": 2.5} if control else {}
        mark = {"marker": look.marker(strategy), "markevery": max(1, len(band) // 8), "markersize": 5}
        axes.plot(band.index, band["mean"], color=colour, label=strategy, **style, **mark)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(8, integer=True))
    axes.set_xlabel("epoch")
