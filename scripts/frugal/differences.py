"""Differences between two runs, in a few words: settings, and source files."""

from collections.abc import Iterable
from typing import Any

NOT_SETTINGS = {"seed", "study", "scale"}  # what a run's path says already
SHOWN = 3
NOT_SET = "not set"


def of_settings(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Each setting that differs, "recipe.epochs was 16, is 500"; before, now: a RunSpec, or a section of one, as JSON has it."""
    return [f"{key} was {was}, is {told}" for key, was, told in settings_apart(before, now)]


def settings_apart(before: dict[str, Any], now: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Each setting that differs, as ("recipe.epochs", "16", "500"); "not set" where one of the two hasn't it."""
    pairs = dict(_leaves(before, ())), dict(_leaves(now, ()))
    return [
        (".".join(key), *(str(leaves.get(key, NOT_SET)) for leaves in pairs))
        for key in dict.fromkeys([*pairs[0], *pairs[1]])
        if key[0] not in NOT_SETTINGS and pairs[0].get(key, ...) != pairs[1].get(key, ...)
    ]


def of_entries(cache: dict[str, Any], entry: dict[str, Any]) -> list[str]:
    """Each setting of a data set that was another one when its cache was made, "validation was 180, is 200".

    cache: its manifest. A setting that only one of the two has is of a version before or after it, and told by no one.
    entry: with the name, as JSON has it
    """
    apart = settings_apart(cache["entry"], entry) if cache.get("entry") else []
    return [f"{key} was {was}, is {now}" for key, was, now in apart if NOT_SET not in (was, now)]


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
