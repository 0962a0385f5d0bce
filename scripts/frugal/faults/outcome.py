"""What became of one kind of fault."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """tried, survived: how many; None where it couldn't be tried here. told: how, or why not, in one line."""

    fault: str
    tried: int | None
    survived: int | None
    told: str


def differing(found: dict[str, tuple], expected: dict[str, tuple]) -> list[str]:
    """Runs whose record isn't the expected one, missing and foreign ones among them."""
    return sorted(path for path in found.keys() | expected.keys() if found.get(path) != expected.get(path))


def seconds(finished: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Seconds of training of each finished run: one that was trained again would take others."""
    return {path: figures["train_seconds"] for path, figures in finished.items()}
