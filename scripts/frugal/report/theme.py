"""Theme of a report: settings of seaborn, a colour per strategy, and figures saved as SVG, PDF and PNG.

A figure is drawn once. Its SVG names the colours of text, grid and paper as CSS properties, so that a dark page shows it dark;
a program that knows no such properties shows the light colours that stand beside them.
"""

import gc
import html
import io
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from IPython.display import display
from matplotlib import ticker
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frugal.atomic import write_bytes
from frugal.report.costs import METRICS
from frugal.report.load import SERIES

INK, FAINT, HAIR, PAPER, GOOD = "#1f2328", "#646b73", "#e2e5e9", "#ffffff", "#12855a"
BAD, OPEN = "#b3261e", "#8a6100"
PROPERTIES = {
    INK: "--ink",
    FAINT: "--faint",
    HAIR: "--hair",
    PAPER: "--paper",
    GOOD: "--good",
    BAD: "--bad",
    OPEN: "--open",
}  # of templates/style.css
# Seven of seaborn's "colorblind", those that show on white and on black alike.
HUES = ["#0173b2", "#de8f05", "#029e73", "#cc78bc", "#d55e00", "#56b4e9", "#ca9161"]
MARKS = ["o", "s", "^", "D", "v", "P", "X"]
KINDS = {
    "baseline": INK,
    "proposal": HUES[0],
    "control": HUES[1],
}  # a palette, where a colour per strategy is not needed
DASHES = {"baseline": "", "proposal": "", "control": (4, 2)}  # of seaborn's style="kind"
WORDS = {  # axis labels of columns that are not those of runs.csv
    **{"epoch": "epoch", "step": "iteration", "loss": "training loss", "train_loss": "training loss"},
    **{"val_loss": "validation loss", "train_accuracy": "training accuracy", "test_loss": "test loss"},
    **{"pruned_share": "samples left out", "activation_rate": "activation rate", "flip_rate": "changed level"},
    **{"epoch_seconds": "seconds of an epoch", "flops_per_sample": "FLOPs of a sample, forward"},
    **{"accuracy": "test accuracy", "share": "share of samples", "live_parameters": "live parameters"},
    **{"at": "batch of candidates after the warm-up", "threshold": "threshold on the significance"},
}
SHARES = re.compile(r".*accuracy|.*_share|.*_rate|share")  # fractions, shown in per cent
WIDE = 620  # CSS pixels from which on a phone scrolls a figure rather than shrinking it

_folder = Path("figures")


def set_theme(figures: str | Path) -> None:
    """Use the theme of the reports, and save figures in this folder from now on."""
    global _folder
    _folder = Path(figures)
    # A figure is many small objects that stay; to look among them for garbage takes a tenth of the time of drawing.
    gc.freeze()
    gc.set_threshold(100_000)
    size = 9
    settings = {
        **{"font.family": "DejaVu Sans", "font.size": size, "axes.titlesize": size, "axes.labelsize": size},
        **{"xtick.labelsize": size - 0.5, "ytick.labelsize": size - 0.5, "legend.fontsize": size - 0.5},
        **{
            "axes.titlelocation": "left",
            "axes.titley": 1.0,  # left to itself, matplotlib looks for labels above the axes in every pass
            "legend.frameon": False,
            "legend.title_fontsize": 0.1,
        },
        **{"axes.labelcolor": FAINT, "xtick.color": FAINT, "ytick.color": FAINT, "text.color": INK},
        **{"axes.edgecolor": HAIR, "grid.color": HAIR, "axes.titlecolor": INK, "grid.linewidth": 0.8},
        **{"figure.facecolor": PAPER, "axes.facecolor": PAPER, "lines.linewidth": 1.5},
        **{"figure.figsize": (5.8, 3.4), "svg.fonttype": "none", "savefig.dpi": 160},
    }
    sns.set_theme(style="whitegrid", palette=HUES, rc=settings)
    sns.FacetGrid.tight_layout = _lay_out_when_drawn


def _lay_out_when_drawn(grid: sns.FacetGrid, **options: Any) -> sns.FacetGrid:
    """Instead of seaborn's own, which lays a grid out when it is made, when it is filled and when it is labelled."""
    grid.figure.set_layout_engine("tight", **{"rect": grid._tight_layout_rect} | options)
    return grid


def palette(frame: pd.DataFrame) -> dict[str, str]:
    """A colour per strategy, for seaborn: ink for the baseline, and within a panel of a figure no two alike.

    frame: with the columns strategy, kind and group, as `runs` has them
    """
    return {name: INK if place < 0 else HUES[place % len(HUES)] for name, place in _places(frame).items()}


def lines(frame: pd.DataFrame) -> dict[str, Any]:
    """Arguments of `sns.relplot` for a curve per strategy in panels: mean over seeds with a band of one standard error.

    frame: with a column panel, as `panels` makes it; controls are dashed
    """
    panels = frame["panel"].nunique()
    size = {"height": 3.0, "aspect": 1.9} if panels == 1 else {"height": 2.3, "aspect": 1.45, "col_wrap": 2}
    look = {"hue": "strategy", "style": "kind", "dashes": DASHES, "palette": palette(frame), "errorbar": "se"}
    return (
        {"kind": "line", "col": "panel", "facet_kws": {"sharey": False, "sharex": False, "legend_out": False}}
        | look
        | size
    )


def markers(frame: pd.DataFrame) -> dict[str, str]:
    """A marker per strategy, a star for the baseline; frame: as for `palette`."""
    return {name: "*" if place < 0 else MARKS[place % len(MARKS)] for name, place in _places(frame).items()}


def _places(frame: pd.DataFrame) -> dict[str, int]:
    known = frame.drop_duplicates("strategy").sort_values("strategy")
    others = known[known["kind"] != "baseline"]
    crowded = len(others) > len(HUES)
    counted = others.groupby("group", observed=True).cumcount() if crowded else range(len(others))
    own = dict.fromkeys(known.loc[known["kind"] == "baseline", "strategy"], -1)
    return own | dict(zip(others["strategy"], map(int, counted), strict=True))


def save(drawn: Axes | Figure | sns.FacetGrid, name: str, caption: str) -> None:
    """Show a figure, and save it as <name>.svg, .pdf and .png in the folder of `set_theme`.

    An axis that is named after a column of ours gets its words and its unit. caption: what the figure shows, in plain text
    """
    figure = drawn if isinstance(drawn, Figure) else drawn.figure
    grid = drawn if isinstance(drawn, sns.FacetGrid) else None
    if grid is not None and not any(
        "\n" in axes.get_title() or axes.get_title() in WORDS.values() for axes in figure.axes
    ):
        grid.set_titles("{col_name}" if len(grid.col_names) > 1 else "")
    _in_words([axes for axes in figure.axes if axes.get_label() != "<colorbar>"])
    entries = _without_legends(figure)
    if grid is not None:
        grid.tight_layout().figure.get_layout_engine().execute(figure)
    figure.set_layout_engine(None)  # from here on nothing moves, and a file is one rendering
    _legends(figure, grid, entries)
    image, options = io.BytesIO(), {"bbox_inches": figure.get_tightbbox().padded(0.04)}
    with mpl.rc_context({"svg.hashsalt": name}):  # ids that are the same each time, and no other figure's
        figure.savefig(image, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")), **options)
    svg = _responsive(image.getvalue().decode(), name, caption)
    write_bytes(_folder / f"{name}.svg", svg.encode())
    for kind in ("pdf", "png"):
        image = io.BytesIO()
        figure.savefig(image, format=kind, **options, **({"metadata": {"CreationDate": None}} if kind == "pdf" else {}))
        write_bytes(_folder / f"{name}.{kind}", image.getvalue())
    plt.close(figure)
    display(Picture(svg, caption, name))


class Picture:
    """A figure as a notebook shows it: SVG, with its caption beside it for the page."""

    def __init__(self, svg: str, caption: str, name: str) -> None:
        """name: of the files that hold it, without their ending."""
        self.svg, self.caption, self.name = svg, caption, name

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        about = {"image/svg+xml": {"caption": self.caption, "name": self.name}}
        return {"image/svg+xml": self.svg, "text/plain": self.caption}, about


def of_the_page(drawing: str) -> str:
    """A drawing, as SVG or Vega-Lite, whose colours are those of the page that shows it, and by itself those of a light page."""
    for colour, property in PROPERTIES.items():
        drawing = re.sub(rf"{colour}\b", f"var({property}, {colour})", drawing, flags=re.IGNORECASE)
    return drawing


def _responsive(svg: str, name: str, caption: str) -> str:
    """An SVG that takes its colours from the page, scales with it, and says what it shows; ids are the figure's own.

    Its own width and height stay: as an image of another page, Snakemake's report for one, it would have no size without.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    svg = of_the_page(svg)
    svg = svg.replace("font: ", "font: ").replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
    width = round(float(re.search(r'width="([\d.]+)pt"', svg)[1]) * 96 / 72)
    least = min(width, WIDE) if width <= WIDE else round(0.75 * width)
    style = f"width:100%;max-width:{round(1.25 * width)}px;min-width:min({least}px,{round(0.78 * width)}px);height:auto"
    label = f'role="img" aria-label="{html.escape(caption, quote=True)}" style="{style}" '
    return svg.replace("<svg ", f"<svg {label}", 1)


def _in_words(every: list[Axes]) -> None:
    for axis_of in (lambda axes: axes.xaxis, lambda axes: axes.yaxis):
        named = {axis_of(axes).get_label_text() for axes in every} - {""}
        for axes in every:
            axis = axis_of(axes)
            name = axis.get_label_text() or (next(iter(named)) if len(named) == 1 else "")
            metric = METRICS.get(name)
            words = metric.axis if metric else WORDS.get(name)
            if words is None:
                continue
            if axis.get_label_text():
                axis.set_label_text(words)
            if axis.get_scale() == "log":
                axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
                axis.set_major_formatter(ticker.FormatStrFormatter("%g"))
                axis.set_minor_locator(ticker.NullLocator())
            elif isinstance(axis.get_major_formatter(), ticker.ScalarFormatter):
                _unit(axis, name)


def _unit(axis: mpl.axis.Axis, name: str) -> None:
    metric = METRICS.get(name)
    if SHARES.fullmatch(name):
        axis.set_major_formatter(ticker.PercentFormatter(1, symbol=" %"))
    elif name == "epoch":
        axis.set_major_locator(ticker.MaxNLocator(6, integer=True))
    elif metric and metric.scale < 1 or name in ("flops_per_sample", "live_parameters", "samples_backpropagated"):
        axis.set_major_formatter(ticker.EngFormatter(unit=metric.unit if metric else "", sep="\N{THIN SPACE}"))


def _without_legends(figure: Figure) -> dict[str, Artist]:
    """Take all legends off a figure; what they named, without headings and the dashes of controls."""
    entries: dict[str, Artist] = {}
    found = [axes.get_legend() for axes in figure.axes if axes.get_legend()] + figure.legends
    named = [(one.legend_handles, [text.get_text() for text in one.get_texts()]) for one in found]
    for handles, names in named or [axes.get_legend_handles_labels() for axes in figure.axes]:
        shown = names[: names.index("kind")] if "kind" in names else names
        entries |= dict(zip(shown, handles, strict=False))
    for one in found:
        one.remove()
    entries.pop("strategy", None)
    return entries


def _legends(figure: Figure, grid: sns.FacetGrid | None, entries: dict[str, Artist]) -> None:
    """The names of what is drawn: above the figure, or beside each panel where panels use a colour for several strategies."""
    if not entries:
        return
    if grid is not None and len(entries) > SERIES and "strategy" in grid.data:
        places, wrap = [place for place, _ in grid.facet_data()], grid._col_wrap or len(grid.col_names)
        named = [[name for name in entries if name in set(rows["strategy"])] for _, rows in grid.facet_data()]
        followed = [at % wrap != wrap - 1 and named[at : at + 1] == named[at + 1 : at + 2] for at in range(len(named))]
        inside = any(not same and at % wrap != wrap - 1 for at, same in enumerate(followed[:-1]))
        figure.subplots_adjust(wspace=0.75 if inside else 0.3)
        for (row, column, _), names, same in zip(places, named, followed, strict=True):
            if same:  # the next panel of this row names the same
                continue
            handles = [entries[name] for name in names]
            at = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "fontsize": 7.5, "handlelength": 1.4}
            grid.facet_axis(row, column).legend(handles, names, **at)
        return
    top = max(axes.get_tightbbox().y1 for axes in figure.axes) / figure.bbox.height
    columns = min(len(entries), 3 if figure.get_figwidth() < 6.5 else 4)
    at = {"loc": "lower left", "bbox_to_anchor": (0.02, top + 0.01), "borderaxespad": 0.0}
    figure.legend(entries.values(), entries.keys(), ncols=columns, handlelength=2.2, columnspacing=1.2, **at)
