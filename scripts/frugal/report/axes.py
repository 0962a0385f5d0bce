"""What our figures share: panels, an accuracy axis stretched towards 100 %, round ticks of costs, names beside points."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.transforms import Bbox

from frugal.report.theme import INK

# Where a label may stand around its point: (dx, dy) in units of text height, and its alignment. Nearest first.
PLACES = [
    (distance * np.cos(angle), distance * np.sin(angle), "left" if np.cos(angle) > 0 else "right")
    for distance in (0.8, 1.2, 1.7, 2.3, 3.0, 3.8, 4.8, 6.0)
    for angle in np.radians((0, 180, 30, -30, 150, -150, 60, -60, 120, -120))
]


def panels_of(count: int, height: float, columns: int) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels in at most `columns` columns; height in inches per row."""
    columns = max(1, min(columns, count))
    rows = max(1, -(-count // columns))
    size = (5.8 if columns == 1 else 7.4, height * rows)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout=None)
    axes = list(grid.flat)
    for unused in axes[count:]:
        unused.set_axis_off()
    return figure, axes[:count]


def stretch_accuracy(axes: Axes, highest: float) -> None:
    """Stretch the vertical axis towards 100 %. highest: accuracy, as a fraction, that will be drawn."""
    stretch = 0.002 if highest > 0.97 else 0.02  # keeps 100 % on the axis
    forward = lambda value: -np.log10(np.maximum(1 + stretch - np.asarray(value), 1e-9))  # noqa: E731
    axes.set_yscale("function", functions=(forward, lambda value: 1 + stretch - 10 ** -np.asarray(value)))


def stretch_to_lines(axes: Axes) -> None:
    """Stretch the vertical axis, accuracies as fractions, as `stretch_accuracy` does, over what the lines in it reach."""
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines] or [np.array([0.0, 1.0])])
    low, high = np.nanmin(drawn), np.nanmax(drawn)
    stretch_accuracy(axes, high)
    accuracy_ticks(axes, low, high)


def accuracy_ticks(axes: Axes, low: float, high: float) -> None:
    """Round ticks between the lowest and the highest accuracy that is drawn, as fractions, without labels that touch."""
    coarse = [0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.97, 0.98, 0.985, 0.99, 0.995, 1.0]
    for candidates in (coarse, *(np.arange(0, 1 + step / 2, step).round(4) for step in (0.1, 0.05, 0.02, 0.01, 0.005))):
        below = [tick for tick in candidates if tick < low - min(0.1 * (1 - low), 0.2 * (high - low) + 0.001)]
        bottom = below[-1] if below else 0.0
        if sum(bottom <= tick <= high for tick in candidates) >= 4:
            break
    axes.set_ylim(bottom, min(1.0, high + min(0.3 * (1 - high), 0.5 * (high - low) + 0.001)))
    inside = [tick for tick in candidates if bottom <= tick <= axes.get_ylim()[1] + 1e-9]
    heights = axes.transAxes.inverted().transform(axes.transData.transform([(0, tick) for tick in inside]))[:, 1]
    points = axes.get_window_extent().height * 72 / axes.figure.dpi
    least = 1.25 * _label_size() / points  # height of a label, as a share of the axis
    shown: list[int] = []
    for place in reversed(range(len(inside))):  # near 0 % the axis is narrow
        if not shown or heights[shown[-1]] - heights[place] > least:
            shown.append(place)
    ticks = [inside[place] for place in reversed(shown)]
    axes.set_yticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
    axes.yaxis.set_minor_locator(ticker.NullLocator())


def cost_scale(axes: Axes, cost: np.ndarray, formatter: ticker.Formatter, most: int) -> None:
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


def _label_size() -> float:
    """Of tick labels, in points."""
    return FontProperties(size=plt.rcParams["xtick.labelsize"]).get_size_in_points()


def name_points(axes: Axes, x: Sequence, y: Sequence, names: Sequence[str], colours: Sequence[str]) -> None:
    """Write each name beside its point (data units), at the nearest place that covers no point and no other name.

    A name that had to go further away is tied to its point by a line of its colour.
    """
    if not len(names):
        return
    figure, renderer = axes.figure, axes.figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    points = axes.transData.transform(np.column_stack([x, y]))
    size = _label_size()
    unit = size * figure.dpi / 72
    taken = [Bbox.from_extents(px - 0.4 * unit, py - 0.4 * unit, px + 0.4 * unit, py + 0.4 * unit) for px, py in points]
    for (px, py), name, colour in sorted(zip(points, names, colours, strict=True), key=lambda item: -item[0][1]):
        text = axes.annotate(name, (px, py), xycoords="figure pixels", fontsize=size, va="center")
        best, least = None, np.inf
        extent = text.get_window_extent(renderer)  # of the text; a place only moves it
        for rank, (dx, dy, align) in enumerate(PLACES):
            left = px + dx * unit - (extent.width if align == "right" else 0)
            middle = py + dy * unit
            box = Bbox.from_bounds(left, middle - extent.height / 2, extent.width, extent.height).padded(0.08 * unit)
            over = (frame.x0 - box.x0, box.x1 - frame.x1, frame.y0 - box.y0, box.y1 - frame.y1)
            outside = sum(max(length, 0) for length in over)
            covered = sum(1 for other in taken if box.overlaps(other))
            start, end = np.array([px, py]), np.array([px + dx * unit, middle])
            far = (point for point in points if np.hypot(*(point - start)) > 1)
            crossed = sum(1 for point in far if _distance(point, start, end) < 0.4 * unit)
            penalty = 100 * covered + 60 * outside / unit + 25 * crossed + rank
            if penalty < least:
                best, least, kept = (dx, dy, align), penalty, box
            if least <= rank:  # every further place costs more
                break
        text.remove()
        dx, dy, align = best
        tie = {"arrowstyle": "-", "lw": 0.9, "shrinkA": 0, "shrinkB": 2, "relpos": (0 if align == "left" else 1, 0.5)}
        axes.annotate(
            name,
            axes.transData.inverted().transform((px, py)),
            **{"xytext": (dx * size, dy * size), "textcoords": "offset points", "fontsize": size, "color": INK},
            **{"ha": align, "va": "center"},
            arrowprops=tie | {"color": colour} if np.hypot(dx, dy) > 1.5 else None,
        )
        taken.append(kept)


def _distance(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    """Distance of a point from the stretch between two others."""
    along = np.clip(np.dot(point - start, end - start) / np.dot(end - start, end - start), 0, 1)
    return float(np.hypot(*(point - start - along * (end - start))))
