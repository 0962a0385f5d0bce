"""When the leaving out ends: a share of the epochs selects, the last ones don't."""

from math import ceil


def selecting_epochs(delta: float, epochs: int) -> int:
    """The smallest whole number that is at least delta * epochs: epochs before it (from 0) select."""
    # Rounded first: 0.7 * 10 is a little more than 7 in floating point.
    return ceil(round(delta * epochs, 9))
