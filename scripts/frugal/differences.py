"""Differences between two runs, in a few words: settings, and source files."""

from collections.abc import Iterable
from typing import Any

NOT_SETTINGS = {"seed", "study", "scale"}  # what a run's path says already
SHOWN = 3


def of_settings(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Each setting that differs, "recipe.epochs was 16, is 500"; before, now: a RunSpec, or a section of one, as JSON has it."""
    pairs = dict(_leaves(before, ())), dict(_leaves(now, ()))
    return [
        f"{'.'.join(key)} {_shown('was', pairs[0], key)}, {_shown('is', pairs[1], key)}"
        for key in dict.fromkeys([*pairs[0], *pairs[1]])
        if key[0] not in NOT_SETTINGS and pairs[0].get(key, ...) != pairs[1].get(key, ...)
    ]


def of_code(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Names of source files that differ. before, now: sha256 by name"""
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def some(found: Iterable[str]) -> str:
    """The first few of them in one line."""
    found = list(found)
    return ", ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")


def _leaves(value: Any, at: tuple[str, ...]) -> Iterable[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*at, str(key)))
    else:
        yield at, value


def _shown(verb: str, leaves: dict[tuple[str, ...], Any], key: tuple[str, ...]) -> str:
    return f"{verb} {leaves[key]}" if key in leaves else f"{verb} not set"
