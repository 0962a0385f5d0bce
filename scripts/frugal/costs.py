"""Costs that add up while a net is trained, those which a control may spend as much of, and where a history tells them."""

from typing import NamedTuple


class Running(NamedTuple):
    """Where a history tells a cost. column: of history.csv; summed: whether it holds each epoch's part rather than all so far."""

    column: str
    summed: bool


RUNNING = {
    "flops_executed": Running("flops_executed", summed=False),
    "samples_backpropagated": Running("samples", summed=True),
    "bytes_read": Running("bytes_read", summed=True),
    "train_seconds": Running("train_seconds", summed=False),
    "cpu_seconds": Running("cpu_seconds", summed=False),
}
TIMED = ("train_seconds", "cpu_seconds")  # differ from run to run; all others are counts, and the same again


def spent(history: list[dict[str, float]], cost: str) -> float | None:
    """What a whole run spent, from the rows of its history; None where they don't tell."""
    column, summed = RUNNING[cost]
    values = [row.get(column) for row in history]
    if not values or None in values:
        return None
    return sum(values) if summed else values[-1]
