"""Statistical power: which difference a study's seeds can see, and how many seeds a margin asks for.

A difference is found where its interval (Dunnett's, `simultaneous`) leaves out 0. By the same arithmetic a strategy that is as
good as the baseline is called equal within a margin with at least this power where the margin is a difference that is found.
The estimated difference over its standard error follows a noncentral t distribution.
"""

import numpy as np
from scipy import optimize, special

from frugal.report.pool import TINY
from frugal.report.simultaneous import critical_value

POWER = 0.8
MOST = 1000  # seeds; a margin that asks for more is out of reach
LEVELS = 2000  # quantiles of the spread over which a chance is averaged


def power(difference: float, spread: float, freedom: float, seeds: int, comparisons: int) -> float:
    """The chance to find a true difference to the baseline, in [0, 1].

    spread: standard deviation of one run around its strategy and seed, in the unit of the difference; freedom: its degrees of
    freedom; seeds: of each strategy; comparisons: strategies beside the baseline
    """
    return _found(abs(difference) / (spread * np.sqrt(2 / seeds)), _edges(freedom, comparisons))


def detectable(spread: float, freedom: float, seeds: int, comparisons: int, wanted: float = POWER) -> float:
    """The smallest true difference that is found with the wanted power, in the unit of the spread; else as for `power`.

    Null where there is no spread or nothing to estimate it from.
    """
    if not (spread**2 > TINY and freedom >= 1 and seeds >= 1 and comparisons >= 1):
        return np.nan
    edges = _edges(freedom, comparisons)
    errors = optimize.brentq(lambda shift: _found(shift, edges) - wanted, 0, 2 * edges[-1] + 10, xtol=1e-6)
    return float(errors * spread * np.sqrt(2 / seeds))


def seeds_for(
    margin: float, spread: float, comparisons: int, freedom: float | None = None, wanted: float = POWER
) -> int | None:
    """The smallest number of seeds, at least 2, with which a difference of the margin is found; None beyond MOST.

    freedom: degrees of freedom of the spread where it is known from elsewhere, as from a reference; None: it is estimated from
    the study itself, all strategies pooled, so that it grows with the seeds. Raises ValueError for a margin or a spread that
    isn't above 0, which no number of seeds can answer.
    """
    if not (margin > 0 and spread > 0):
        raise ValueError("margin and spread must be above 0")

    def enough(seeds: int) -> bool:
        known = comparisons * (seeds - 1) if freedom is None else freedom
        return detectable(spread, known, seeds, comparisons, wanted) <= margin

    low, high = 1, 2  # `low` is not enough
    while not enough(high):
        low, high = high, 2 * high
        if low >= MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high if high <= MOST else None


def _edges(freedom: float, comparisons: int) -> np.ndarray:
    """The bound of the standardised difference at quantiles of the estimated spread over the true one: (LEVELS,)."""
    levels = (np.arange(LEVELS) + 0.5) / LEVELS
    return critical_value(comparisons, freedom) * np.sqrt(special.chdtri(freedom, 1 - levels) / freedom)


def _found(shift: float, edges: np.ndarray) -> float:
    """P(|t| > bound) for a noncentral t: normal, mixed over the spread's distribution, which never overflows."""
    return float((special.ndtr(shift - edges) + special.ndtr(-edges - shift)).mean())
