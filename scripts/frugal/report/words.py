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


def exchange(row: pd.Series, paid: str) -> str:
    """An exchange rate with its bound and interval, e.g. "0.97 (0.90 to 1.05)"; row: of summary.csv."""
    value, low, high = (row[f"{paid}_{part}"] for part in ("exchange_rate", "exchange_low", "exchange_high"))
    bound = row[f"{paid}_exchange_bound"]
    told = f"{bound if isinstance(bound, str) else ''}{NARROW * isinstance(bound, str)}{value:.2f}"
    if pd.isna(value):
        return "–"
    if pd.isna(low):
        return f"{told} (no interval)"
    if low == 0 and np.isinf(high):
        return f"{told} (no bound)"
    if low == 0 or np.isinf(high):  # the curve ends before the interval does
        return f"{told} ({high:.2f} or less)" if low == 0 else f"{told} ({low:.2f} or more)"
    return f"{told} ({low:.2f} to {high:.2f})"
