"""Numbers and names in words, the same everywhere: per cent, points, exchange rates with their intervals, lists."""

import numpy as np
import pandas as pd

NARROW = "\N{NARROW NO-BREAK SPACE}"  # between a sign and its number


def percent(share: float, digits: int = 0) -> str:
    """A fraction in per cent, never rounded up to all or down to nothing."""
    while digits < 4 and (round(100 * share, digits) >= 100 > 100 * share or round(100 * share, digits) == 0 < share):
        digits += 1
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def points(difference: float) -> str:
    """A difference of two accuracies in percentage points, with its sign."""
    told = f"{100 * difference:+.2f}"
    return "0.00" if float(told) == 0 else told.replace("-", "\N{MINUS SIGN}")


def code(names: list[str]) -> str:
    """Names of strategies as a list in a sentence."""
    return listed([f"`{name}`" for name in names]) or "none"


def listed(parts: list[str]) -> str:
    """Parts of a sentence: a, b and c."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def rate(value: float) -> str:
    """An exchange rate with two decimals, more where they would make 1 of a number that is on one side of it."""
    digits = 2
    while digits < 5 and round(value, digits) == 1 != value:
        digits += 1
    return f"{value:.{digits}f}"


def exchange(row: pd.Series, paid: str) -> str:
    """An exchange rate with its bound and interval, e.g. "0.97 (0.90 to 1.05)"; row: of summary.csv."""
    value, low, high = (row[f"{paid}_{part}"] for part in ("exchange_rate", "exchange_low", "exchange_high"))
    bound = row[f"{paid}_exchange_bound"]
    told = f"{bound if isinstance(bound, str) else ''}{NARROW * isinstance(bound, str)}{rate(value)}"
    if pd.isna(value):
        return "–"
    if pd.isna(low):
        return f"{told} (no interval)"
    if low == 0 and np.isinf(high):
        return f"{told} (no bound)"
    if low == 0 or np.isinf(high):  # the curve ends before the interval does
        return f"{told} ({rate(high)} or less)" if low == 0 else f"{told} ({rate(low)} or more)"
    return f"{told} ({rate(low)} to {rate(high)})"
