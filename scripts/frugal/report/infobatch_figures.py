"""Figures of the infobatch study: how much of each epoch is left out."""

from matplotlib import ticker
from matplotlib.figure import Figure

from frugal.report.load import Comparison
from frugal.report.theme import Look


def pruned_share(compared: Comparison, look: Look) -> Figure:
    """Share of the training samples left out of each epoch, mean over seeds with a band of one standard error."""
    known = "pruned_share" in compared.history
    bands = compared.by_epoch("pruned_share") if known else {}
    bands = {strategy: band for strategy, band in bands.items() if band["mean"].max() > 0}
    figure, (axes,) = look.panels(1, height=3.2)
    if not bands:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no strategy leaves samples out", ha="center", transform=axes.transAxes)
        return figure
    for strategy, band in bands.items():
        colour, control = look.colour(strategy), strategy in compared.study.controls
        axes.fill_between(band.index, band["low"], band["high"], color=colour, alpha=0.2, linewidth=0)
        # a control follows its strategy exactly: as a broad, pale line it shows behind it
        style = (
            {"linewidth": 6, "alpha": 0.5}
            if control
            else {"linewidth": 1.6, "marker": look.marker(strategy), "markersize": 4.5}
        )
        axes.plot(
            band.index,
            band["mean"],
            color=colour,
            markevery=max(1, len(band) // 12),
            label=strategy,
            zorder=3 - control,
            **style,
        )
    axes.set_ylim(0, min(1, 1.15 * max(band["high"].max() for band in bands.values())))
    axes.yaxis.set_major_formatter(ticker.PercentFormatter(1, decimals=0, symbol=" %"))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(8 if look.narrow else 12, integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel("samples left out")
    figure.legend(loc="outside upper left", ncols=2 if look.narrow else 5, fontsize="small", handlelength=2.4)
    return figure
