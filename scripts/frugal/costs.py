"""Costs that add up while a net is trained, those which a control may spend as much of, and where a history tells them."""

from typing import Any, NamedTuple

from frugal.parameters import split


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
EQUAL_COST = "equal_cost"  # the strategy that spends what another run spent
TIMED = ("train_seconds", "cpu_seconds")  # differ from run to run; all others are counts, and the same again


def spent(history: list[dict[str, float]], cost: str) -> float | None:
    """What a whole run spent, from the rows of its history; None where they don't tell."""
    column, summed, charged = RUNNING[cost]
    values = [row.get(column) for row in history]
    if not values or None in values:
        return None
    return sum(values) + history[-1].get(charged, 0) if summed else values[-1]


def held_equal(use: str | None, parameters: dict[str, Any]) -> str | None:
    """The cost of which a strategy, or a part of a combination, spends as much as the run it follows; None where it is none.

    use, parameters: of the strategy, as a spec or a record has them
    """
    for one, own in ((use, parameters), *map(split, parameters.get("parts", []))):
        if one == EQUAL_COST:
            return own.get("cost", "flops_executed")
    return None
