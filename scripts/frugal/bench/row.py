"""One line of the benchmark table, and how times are compared."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Row:
    """A measured figure. target: what it has to reach, or None where it is shown for information."""

    group: str
    what: str
    value: float
    unit: str
    target: float | None = None
    sense: Literal["at least", "at most"] = "at least"

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.target is None:
            return None
        return self.value >= self.target if self.sense == "at least" else self.value <= self.target


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
    one(), other()
    pairs = [(seconds_of(one), seconds_of(other)) for _ in range(rounds)]
    return statistics.median(a / b for a, b in pairs)
