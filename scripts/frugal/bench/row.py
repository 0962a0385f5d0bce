"""Rows of the benchmark table, and how times are compared."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from scipy.stats import binom


@dataclass(frozen=True)
class Row:
    """A measured figure. target: what it has to reach, or None where it is shown for information.

    value: None where this machine can't measure it, and `why` says for what reason
    interval: 95 % of the figure, where it is given; a target is missed only where all of it misses
    """

    group: str
    what: str
    value: float | None
    unit: str
    target: float | None = None
    sense: Literal["at least", "at most"] = "at least"
    interval: tuple[float, float] | None = None
    why: str | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none, or no figure."""
        if self.target is None or self.value is None:
            return None
        low, high = self.interval or (self.value, self.value)
        return high >= self.target if self.sense == "at least" else low <= self.target


def seconds_of(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rate(work: Callable[[], int], seconds: float = 1.0) -> float:
    """Samples per second of `work`, which returns how many it handled; the best of three spans, each `seconds` long."""
    best = 0.0
    for _ in range(3):
        done, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            done += work()
        best = max(best, done / elapsed)
    return best


def ratio(one: Callable[[], object], other: Callable[[], object], rounds: int = 9) -> float:
    """Median over rounds of the time of `one` over the time of `other`, taken in turns so that both see the same machine."""
    return statistics.median(ratios(one, other, rounds))


def ratios(one: Callable[[], object], other: Callable[[], object], rounds: int) -> list[float]:
    """The same, each round's."""
    one(), other()
    pairs = [(seconds_of(one), seconds_of(other)) for _ in range(rounds)]
    return [a / b for a, b in pairs]


def interval_of_median(values: list[float]) -> tuple[float, float]:
    """95 % confidence interval of the median, from order statistics; at least six values."""
    outside = int(binom.ppf(0.025, len(values), 0.5))
    ordered = sorted(values)
    return ordered[outside - 1], ordered[-outside]
