"""One look for every figure: the same colour and marker per strategy, on white and on black, on a desk and on a phone."""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Hue says the idea (after Okabe and Ito, safe for the colour-blind), lightness and marker the variant.
COLOURS = {
    "fixed-16": "#0072B2",
    "fixed-8": "#3D9BE0",
    "fixed-4": "#7CC0F4",
    "median-8-16": "#E69F00",
    "median-4-16": "#B97A00",
    "threshold-4-16": "#D55E00",
    "ema-4-16": "#009E73",
    "ema-6-12": "#63BF5F",
    "random-4-16": "#8C8C8C",
    "fixed-16-spectral": "#6A6BD8",
    "ema-4-16-spectral": "#B86BE0",
    "ema-4-16-anneal": "#00807A",
    "ema-8-16-spectral-anneal": "#CC5FA0",
}
SPARE = ["#0072B2", "#E69F00", "#009E73", "#CC5FA0", "#D55E00", "#3D9BE0", "#6A6BD8", "#63BF5F"]
FULL = "full"


@dataclass(frozen=True)
class Look:
    """Where a figure will be seen: a light or dark page, wide or on a phone."""

    dark: bool = False
    narrow: bool = False

    @property
    def ink(self) -> str:
        """Text and the baseline."""
        return "#E8E6E1" if self.dark else "#1F2328"

    @property
    def faint(self) -> str:
        """Axes, ticks, remarks."""
        return "#9BA1A8" if self.dark else "#646B73"

    @property
    def hair(self) -> str:
        """Grid lines."""
        return "#30363D" if self.dark else "#E2E5E9"

    @property
    def paper(self) -> str:
        """The page behind the figure; the same as in style.css."""
        return "#14171B" if self.dark else "#FFFFFF"

    @property
    def good(self) -> str:
        """The zone in which an accuracy counts as equal, and what lies on the front."""
        return "#3FB27F" if self.dark else "#12855A"

    def colour(self, strategy: str) -> str:
        """The colour of a strategy, the same in every figure of every study."""
        if strategy == FULL:
            return self.ink
        return COLOURS.get(strategy) or SPARE[sum(map(ord, strategy)) % len(SPARE)]

    def marker(self, strategy: str) -> str:
        """Variants of one idea share a hue and differ in their marker."""
        if strategy == FULL:
            return "*"
        if strategy.startswith("random"):
            return "X"
        spectral, anneal = "spectral" in strategy, "anneal" in strategy
        return "D" if spectral and anneal else "s" if spectral else "^" if anneal else "o"

    def levels(self, levels: list[int]) -> dict[int, tuple]:
        """A colour per compression level, few coefficients pale and many deep, so that more ink means more bytes."""
        shades = plt.get_cmap("viridis")
        places = [0.5] if len(levels) == 1 else [0.93 - 0.75 * rank / (len(levels) - 1) for rank in range(len(levels))]
        return {level: shades(place) for level, place in zip(levels, places, strict=True)}

    def name(self, strategy: str) -> str:
        """The name of a strategy as a tick label; on a phone a long one takes two lines."""
        if not self.narrow or len(strategy) < 15:
            return strategy
        cuts = [place for place, letter in enumerate(strategy) if letter == "-"]
        cut = min(cuts, key=lambda place: abs(place - len(strategy) / 2), default=len(strategy) - 1)
        return f"{strategy[: cut + 1]}\n{strategy[cut + 1 :]}"

    def lines(self, text: str) -> str:
        """A title or axis label, broken where a phone needs it."""
        return textwrap.fill(text, 40, break_on_hyphens=False) if self.narrow else text

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within this block matplotlib draws in this look."""
        size = 10
        settings = {
            **{"font.family": "DejaVu Sans", "font.size": size, "axes.titlesize": size + 0.5, "axes.labelsize": size},
            **{"xtick.labelsize": size - 1, "ytick.labelsize": size - 1, "axes.titleweight": "bold"},
            **{"axes.titlelocation": "left", "axes.titlepad": 7, "axes.spines.top": False, "axes.spines.right": False},
            **{"axes.grid": True, "axes.axisbelow": True, "grid.color": self.hair, "grid.linewidth": 0.8},
            **{"xtick.major.size": 0, "ytick.major.size": 0, "xtick.minor.size": 0, "ytick.minor.size": 0},
            **{"axes.edgecolor": self.hair, "axes.labelcolor": self.faint, "axes.titlecolor": self.ink},
            **{"xtick.color": self.faint, "ytick.color": self.faint, "text.color": self.ink},
            **{"figure.facecolor": self.paper, "axes.facecolor": self.paper, "savefig.facecolor": self.paper},
            **{"lines.linewidth": 1.6, "lines.solid_capstyle": "round", "legend.frameon": False},
            **{"figure.constrained_layout.use": True, "figure.dpi": 200, "savefig.dpi": 200},
            **{"figure.constrained_layout.w_pad": 0.08, "figure.constrained_layout.h_pad": 0.06},
            "axes.prop_cycle": mpl.cycler(color=SPARE),
        }
        with mpl.rc_context(settings):
            yield

    def panels(self, count: int, height: float, columns: int = 2, **options: object) -> tuple[Figure, list[Axes]]:
        """A figure of `count` panels in `columns` columns (one on a phone); height in inches per panel."""
        columns = min(columns, count) if not self.narrow else min(columns // 2 or 1, count)
        rows = -(-count // columns)
        size = (4.0 if self.narrow else 9.2, height * rows)
        figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, **options)
        axes = list(grid.flat)
        for unused in axes[count:]:
            unused.set_axis_off()
        return figure, axes[:count]


def looks() -> Iterator[Look]:
    """All four looks, the one that is saved as a file first."""
    for narrow in (False, True):
        for dark in (False, True):
            yield Look(dark=dark, narrow=narrow)
