"""Put labels beside what they name, without covering each other, and say above a figure how to read it."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from frugal.report.theme import Look

# Where a label may stand around its point: (dx, dy) in units of text height, and its alignment. Nearest first.
PLACES = [
    (distance * np.cos(angle), distance * np.sin(angle), "left" if np.cos(angle) > 0 else "right")
    for distance in (0.8, 1.2, 1.7, 2.3, 3.0, 3.8, 4.8, 6.0)
    for angle in np.radians((0, 180, 30, -30, 150, -150, 60, -60, 120, -120))
]


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Positions as near as possible to `wanted` (any order) that lie at least `gap` apart, in the same order.

    This is isotonic regression on (wanted - rank * gap): neighbours that would collide share their mean.
    """
    order = np.argsort(wanted, kind="stable")
    blocks: list[list[float]] = []  # [sum, count] of positions minus rank * gap
    for rank, index in enumerate(order):
        blocks.append([wanted[index] - rank * gap, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1] = [blocks[-1][0] + total, blocks[-1][1] + count]
    level = [total / count for total, count in blocks for _ in range(int(count))]
    placed = [0.0] * len(wanted)
    for rank, index in enumerate(order):
        placed[index] = float(level[rank] + rank * gap)
    return placed


def name_points(
    axes: Axes, x: Sequence[float], y: Sequence[float], names: Sequence[str], colours: Sequence[str], ink: str
) -> None:
    """Write each name beside its point (data units), at the nearest place that covers no point and no other name.

    colours: of the points; a name that had to go further away is tied to its point by a line of that colour
    """
    figure = axes.figure
    figure.draw_without_rendering()  # finds the layout, so that pixels mean something
    figure.set_layout_engine("none")  # and keeps it
    renderer = figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    points = axes.transData.transform(np.column_stack([x, y]))
    size = float(axes.xaxis.get_ticklabels()[0].get_fontsize())
    unit = size * figure.dpi / 72
    taken = [Bbox.from_extents(px - 0.4 * unit, py - 0.4 * unit, px + 0.4 * unit, py + 0.4 * unit) for px, py in points]
    for (px, py), name, colour in sorted(zip(points, names, colours, strict=True), key=lambda item: -item[0][1]):
        text = axes.annotate(name, (px, py), xycoords="figure pixels", fontsize=size, va="center")
        best, least = None, np.inf
        for rank, (dx, dy, align) in enumerate(PLACES):
            text.set_position((px + dx * unit, py + dy * unit))
            text.set_ha(align)
            box = text.get_window_extent(renderer).padded(0.08 * unit)
            over = (frame.x0 - box.x0, box.x1 - frame.x1, frame.y0 - box.y0, box.y1 - frame.y1)
            outside = sum(max(length, 0) for length in over)
            covered = sum(1 for other in taken if box.overlaps(other))
            start, end = np.array([px, py]), np.array([px + dx * unit, py + dy * unit])
            crossed = sum(
                1 for point in points if np.hypot(*(point - start)) > 1 and _near(point, start, end) < 0.4 * unit
            )
            penalty = 100 * covered + 60 * outside / unit + 25 * crossed + rank
            if penalty < least:
                best, least, kept = (dx, dy, align), penalty, box
            if least <= rank:  # every further place costs more
                break
        dx, dy, align = best
        text.remove()
        tie = {"arrowstyle": "-", "lw": 0.9, "shrinkA": 0, "shrinkB": 2, "relpos": (0 if align == "left" else 1, 0.5)}
        distant = np.hypot(dx, dy) > 1.5
        axes.annotate(
            name,
            axes.transData.inverted().transform((px, py)),
            xytext=(dx * size, dy * size),
            textcoords="offset points",
            fontsize=size,
            color=ink,
            ha=align,
            va="center",
            arrowprops=tie | {"color": colour} if distant else None,
        )
        taken.append(kept)


def _near(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    """Distance of a point from the stretch between two others."""
    along = np.clip(np.dot(point - start, end - start) / np.dot(end - start, end - start), 0, 1)
    return float(np.hypot(*(point - start - along * (end - start))))


def name_ends(axes: Axes, ends: list[tuple[str, float, float]], look: Look) -> None:
    """Names in the right margin, each beside the end of its curve."""
    axes.figure.draw_without_rendering()
    heights = axes.transAxes.inverted().transform(axes.transData.transform([(x, y) for _, x, y in ends]))[:, 1]
    line = 12 * axes.figure.dpi / 72 / axes.get_window_extent().height
    placed = spread(heights, line)
    shift = max(0, -min(placed) + line / 2)
    for (strategy, _, _), start, place in zip(ends, heights, placed, strict=True):
        axes.annotate(
            strategy,
            (1, start),
            xytext=(1.06, place + shift),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            fontsize="small",
            color=look.ink,
            arrowprops={
                "arrowstyle": "-",
                "color": look.colour(strategy),
                "lw": 1.2,
                "shrinkA": 1,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
            annotation_clip=False,
        )


def remark(axes: Axes, look: Look, text: str) -> None:
    """How to read a figure, above it, where it covers no data."""
    axes.set_title(look.lines(text), fontweight="normal", fontsize="medium", color=look.faint)


def legend(figure: Figure, axes: Axes, look: Look) -> None:
    """The names of what is drawn in `axes`, above the whole figure."""
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside upper left",
        ncols=2 if look.narrow else 5,
        fontsize="small",
        handlelength=2.4,
    )
