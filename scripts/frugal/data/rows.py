"""Rows that need not be in memory: read from many files on disk, or computed from other rows when they are asked for.

They are sliced like an array, and a slice is one. A cache of 19 GB is written from them a few megabytes at a time.
"""

import sys
from collections.abc import Callable, Iterator
from math import prod

import numpy as np
from tqdm import tqdm

VALUES = 1 << 23  # of one piece: 64 MB where they are counted in float64


class Rows:
    """Rows of several arrays, one after the other; what of an ndarray the preparation of a data set uses.

    parts: arrays (n_i, ...) of one shape and type, memory-mapped as a rule; chosen: positions in all of them, None for all
    """

    def __init__(self, parts: list[np.ndarray], chosen: np.ndarray | None = None):
        self.parts = parts
        self.starts = np.cumsum([0, *(len(part) for part in parts)])
        self.chosen = np.arange(self.starts[-1]) if chosen is None else chosen
        self.shape, self.dtype = (len(self.chosen), *parts[0].shape[1:]), parts[0].dtype

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def nbytes(self) -> int:
        """Bytes they take once written."""
        return prod(self.shape) * self.dtype.itemsize

    def select(self, positions: np.ndarray) -> "Rows":
        """Some of them, unread. positions: (m,) int"""
        return Rows(self.parts, self.chosen[positions])

    def __getitem__(self, piece: slice) -> np.ndarray:
        chosen = self.chosen[piece]
        read = np.empty((len(chosen), *self.shape[1:]), self.dtype)
        part = np.searchsorted(self.starts, chosen, side="right") - 1
        ends = [0, *(np.flatnonzero(np.diff(part)) + 1), len(chosen)]  # runs of rows that lie in one part
        for start, stop in zip(ends[:-1], ends[1:], strict=True):
            if start < stop:
                rows = self.parts[part[start]]
                np.take(rows, chosen[start:stop] - self.starts[part[start]], axis=0, out=read[start:stop], mode="clip")
        return read


class ComputedRows:
    """Rows that a function makes of others. function: (n, ...) -> (n, *shape) of that type."""

    def __init__(
        self,
        rows: "np.ndarray | Rows",
        function: Callable[[np.ndarray], np.ndarray],
        shape: tuple[int, ...],
        dtype: np.dtype,
    ):
        self.rows, self.function = rows, function
        self.shape, self.dtype = (len(rows), *shape), np.dtype(dtype)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """Bytes they take once written."""
        return prod(self.shape) * self.dtype.itemsize

    def __getitem__(self, piece: slice) -> np.ndarray:
        return self.function(self.rows[piece])


def bar(total: int | range | None, what: str, unit: str, done: int = 0) -> tqdm:
    """Progress on stderr: on a terminal it moves; in a log it leaves a line now and then, and none of what takes seconds.

    total: of the units, or the range that is gone through
    """
    on_terminal = sys.stderr.isatty()
    return tqdm(
        total if isinstance(total, range) else None,
        what,
        len(total) if isinstance(total, range) else total,
        initial=done,
        unit=unit,
        unit_scale=True,
        mininterval=0.2 if on_terminal else 10,
        delay=0 if on_terminal else 5,
        leave=not on_terminal,
    )


def select(rows: np.ndarray | Rows, positions: np.ndarray) -> np.ndarray | Rows:
    """Some rows (m, ...) of either kind (n, ...). positions: (m,)"""
    return rows.select(positions) if isinstance(rows, Rows) else rows[positions]


def pieces(rows: np.ndarray | Rows | ComputedRows) -> Iterator[np.ndarray]:
    """All rows in order, a few at a time: at most VALUES numbers, at least one row."""
    count = max(1, VALUES // max(1, prod(rows.shape[1:])))
    for start in range(0, len(rows), count):
        yield rows[start : start + count]
