"""Costs that add up while a net is trained, those which a control may spend as much of, and where a history tells them."""

from typing import NamedTuple


class Running(NamedTuple):
    """Where a history tells a cost. column: of history.csv; summed: whether it holds each epoch's part rather than all so far.

    charged: another column, which only some histories have, with what was spent of it before: by the run whose scores are used
    """

    column: str
    summed: bool
    charged: str = ""


RUNNING = {
    "flops_executed": Running("flops_executed", summed=False),
    "samples_backpropagated": Running("samples", summed=True, charged="charged_samples_backpropagated"),
    "bytes_read": Running("bytes_read", summed=True, charged="charged_bytes_read"),
    "train_seconds": Running("train_seconds", summed=False),
    "cpu_seconds": Running("cpu_seconds", summed=False),
}
TIMED = ("train_seconds", "cpu_seconds")  # differ from run to run; all others are counts, and the same again


def spent(history: list[dict[str, float]], cost: str) -> float | None:
    """What a whole run spent, from the rows of its history; None where they don't tell."""
    column, summed, charged = RUNNING[cost]
    values = [row.get(column) for row in history]
    if not values or None in values:
        return None
    return sum(values) + history[-1].get(charged, 0) if summed else values[-1]
