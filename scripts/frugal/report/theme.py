"""One look for every figure: the same colour and marker per strategy, on white and on black, on a desk and on a phone."""

import itertools
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frugal.study import Study

Style = tuple[str, str]  # colour and marker

# Chosen by hand: hue says the idea (after Okabe and Ito, safe for the colour-blind), lightness and marker the variant.
CHOSEN: dict[str, Style] = {
    "fixed-16": ("#0072B2", "o"),
    "fixed-8": ("#3D9BE0", "o"),
    "fixed-4": ("#7CC0F4", "o"),
    "median-8-16": ("#E69F00", "o"),
    "median-4-16": ("#B97A00", "o"),
    "threshold-4-16": ("#D55E00", "o"),
    "ema-4-16": ("#009E73", "o"),
    "ema-6-12": ("#63BF5F", "o"),
    "random-4-16": ("#8C8C8C", "X"),
    "fixed-16-spectral": ("#6A6BD8", "s"),
    "ema-4-16-spectral": ("#B86BE0", "s"),
    "ema-4-16-anneal": ("#00807A", "^"),
    "ema-8-16-spectral-anneal": ("#CC5FA0", "D"),
}
# Every other strategy takes the next of these, neighbours far apart; controls take greys and browns, and crosses.
HUES = ["#0072B2", "#E69F00", "#009E73", "#CC5FA0", "#D55E00", "#56B4E9", "#7A5CD6", "#8CB83A", "#B8860B", "#00A3A3"]
MARKS = ["o", "s", "^", "D", "v", "<", ">"]
MUTED, CROSSES = ["#8C8C8C", "#A9825A", "#6F8196"], ["X", "P"]


def styles(strategies: Sequence[str], baseline: str, controls: Sequence[str]) -> dict[str, Style]:
    """A look for every strategy but the baseline, no two alike; it depends on the order of the study alone.

    Hues repeat after ten and controls' after three, then with another marker.
    """
    given = {name: CHOSEN[name] for name in strategies if name in CHOSEN}
    taken = set(given.values())
    for name in strategies:
        if name not in given and name != baseline:
            hues, marks = (MUTED, CROSSES) if name in controls else (HUES, MARKS)
            given[name] = next(style for style in _combined(hues, marks) if style not in taken)
            taken.add(given[name])
    return given


def _combined(hues: Sequence[str], marks: Sequence[str]) -> Iterator[Style]:
    """Every hue with the marker of its place, then every hue with the next marker, ..., then with a numeral as marker."""
    for turn in itertools.count():
        for place, hue in enumerate(hues):
            if turn < len(marks):
                yield hue, marks[(place + turn) % len(marks)]
            else:
                yield hue, f"${turn}$"


@dataclass(frozen=True)
class Look:
    """Where a figure will be seen: a light or dark page, wide or on a phone; and, once `of` a study, its strategies."""

    dark: bool = False
    narrow: bool = False
    study: Study | None = field(default=None, compare=False, repr=False)

    def of(self, study: Study) -> "Look":
        """This look, with the colours and markers of the study's strategies."""
        return replace(self, study=study)

    @cached_property
    def _styles(self) -> dict[str, Style]:
        return styles(self.study.strategies, self.study.baseline, self.study.controls)

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
        """The colour of a strategy, the same in every figure of its study; the baseline has that of the text."""
        return self.ink if strategy == self.study.baseline else self._styles[strategy][0]

    def marker(self, strategy: str) -> str:
        """The marker of a strategy; the baseline is a star."""
        return "*" if strategy == self.study.baseline else self._styles[strategy][1]

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
            **{"figure.facecolor": self.paper, "axes.facecolor": self.paper},
            **{"lines.linewidth": 1.6, "lines.solid_capstyle": "round", "legend.frameon": False},
            **{"figure.constrained_layout.use": True, "figure.dpi": 200},
            **{"figure.constrained_layout.w_pad": 0.08, "figure.constrained_layout.h_pad": 0.06},
            "axes.prop_cycle": mpl.cycler(color=HUES),
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
