"""Outcome of one kind of fault."""

from dataclasses import dataclass
from typing import Any

MEASURED = (
    "_seconds",
    "peak_memory",
    "energy",
    "machine_load",
)  # of a record, what differs from one undisturbed run to the next


class Lost(Exception):
    """Something was not as it should be after a fault."""


@dataclass(frozen=True)
class Outcome:
    """tried, survived: how many; None where it couldn't be tried here. told: how, or why not, in one line."""

    fault: str
    tried: int | None
    survived: int | None
    told: str


def comparable(metrics: dict[str, Any]) -> dict[str, Any]:
    """Of a record's figures those that must not differ between two runs of the same spec."""
    return {key: value for key, value in metrics.items() if not any(part in key for part in MEASURED)}


def demand(holds: bool, otherwise: str) -> None:
    """Raise Lost where it doesn't hold; unlike `assert`, with `python -O` too."""
    if not holds:
        raise Lost(" ".join(otherwise.split())[-300:])


def differing(found: dict[str, tuple], expected: dict[str, tuple]) -> list[str]:
    """Runs whose record isn't the expected one, missing and foreign ones among them."""
    return sorted(path for path in found.keys() | expected.keys() if found.get(path) != expected.get(path))


def seconds(finished: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Seconds of training of each finished run: one that was trained again would take others."""
    return {path: figures["train_seconds"] for path, figures in finished.items()}
