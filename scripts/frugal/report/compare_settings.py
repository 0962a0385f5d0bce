"""What two sets of results were made with, as far as it differs: commits, data, settings, packages, source files, machine.

Commits, data and machines are those of every run in the tables. Settings, packages and source files are those of one run of each
cell, by its record; where a set has no records beside its tables, the recipes of the tables and the parameters of study.json are
held against each other, and what stays unknown is said.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from frugal.differences import of_code, settings_apart, some
from frugal.record import MANIFEST
from frugal.report.compare import CELL
from frugal.report.load import STUDY
from frugal.report.machines import machines_of


class Apart(NamedTuple):
    """One thing that differs. cells: study/data set/model/strategy where it does, empty for the whole of both sets."""

    kind: str
    name: str
    before: str
    after: str
    cells: list[str]


def apart(
    places: tuple[str | Path, str | Path], sets: tuple[pd.DataFrame, pd.DataFrame]
) -> tuple[list[Apart], list[str]]:
    """What differs, the most telling first, and what isn't known, in one sentence each.

    places: folders or tables that the sets were read from; sets: their runs, as `compare.read_runs` gives them
    """
    groups = [dict(list(one.groupby(CELL, sort=False))) for one in sets]
    cells = [cell for cell in groups[0] if cell in groups[1]]
    found = list(_of_tables([pd.concat([group[cell] for cell in cells]) for group in groups]))
    sides = [(Path(place), group) for place, group in zip(places, groups, strict=True)]
    made = {cell: [_manifest(place, group[cell], cell) for place, group in sides] for cell in cells}
    known = {cell: pair for cell, pair in made.items() if None not in pair}
    settings = {cell: [one["spec"] for one in pair] for cell, pair in known.items()}
    settings |= {
        cell: [_told(place, group[cell], cell) for place, group in sides] for cell in cells if cell not in known
    }
    found += _grouped("setting", cells, {cell: settings_apart(*pair) for cell, pair in settings.items()})
    for kind, key, differing in (("package", "versions", settings_apart), ("source", "code", _files)):
        pairs = {cell: differing(*(one.get(key, {}) for one in pair)) for cell, pair in known.items()}
        found += _grouped(kind, cells, pairs)
    order = ["commit", "data", "setting", "package", "source", "seeds", "machine", "energy meter"]
    unknown = []
    for place, number in zip(places, (0, 1), strict=True):
        without = [cell for cell in cells if made[cell][number] is None]
        if without:
            what = f"{len(without):,} of the {len(cells):,} cells in both have no record under {place} that can be read"
            unknown.append(f"{what}: their packages and source files are unknown, and some of their settings.")
    return sorted(found, key=lambda one: order.index(one.kind)), unknown


def _of_tables(runs: list[pd.DataFrame]) -> Iterator[Apart]:
    """What each run's row in the tables says."""
    yield from _apart("commit", "", [_commits(one) for one in runs])
    if all("data_checksum" in one for one in runs):
        for dataset in runs[0]["dataset"].unique():
            sums = [one.loc[one["dataset"] == dataset, "data_checksum"].astype(str).str[:12] for one in runs]
            yield from _apart("data", dataset, sums)
    for study in runs[0]["study"].unique():
        yield from _apart("seeds", study, [one.loc[one["study"] == study, "seed"] for one in runs])
    yield from _apart("machine", "", [machines_of(one) for one in runs])
    if all("energy_source" in one for one in runs):
        yield from _apart("energy meter", "", [one["energy_source"].astype(str) for one in runs])


def _apart(kind: str, name: str, values: list[pd.Series]) -> Iterator[Apart]:
    sets = [sorted(one.unique()) for one in values]
    if sets[0] != sets[1]:
        yield Apart(kind, name, *(some(map(str, one)) for one in sets), [])


def _commits(runs: pd.DataFrame) -> pd.Series:
    if "git_commit" not in runs:
        return pd.Series("not told", index=runs.index)
    dirty = runs["git_dirty"].astype(str) if "git_dirty" in runs else pd.Series("", index=runs.index)
    changes = dirty.map({"True": " with changes"}).fillna("")
    return runs["git_commit"].astype(object).fillna("not under git").str[:10] + changes


def _manifest(place: Path, runs: pd.DataFrame, cell: tuple[str, ...]) -> dict[str, Any] | None:
    """The manifest of one run of a cell, that of its lowest seed; None where it isn't there, or can't be read."""
    top = Path(*place.absolute().parts[:-3]) if place.is_file() else place  # of <scale>/tables/<study>/runs.csv
    seed = runs["seed"].min()
    try:
        made = json.loads((top / "runs" / Path(*cell) / f"seed-{seed}" / MANIFEST).read_bytes())
        return made if isinstance(made["spec"], dict) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _told(place: Path, runs: pd.DataFrame, cell: tuple[str, ...]) -> dict[str, Any]:
    """What tables alone say of a cell's settings: its recipe, and its strategy's parameters."""
    folder = place.parent if place.is_file() else place / "tables" / cell[0]
    settings: dict[str, Any] = {}
    try:
        if "recipe" in runs:
            settings["recipe"] = json.loads(runs["recipe"].iloc[0])
        parameters = json.loads((folder / STUDY).read_bytes()).get("parameters", {})
        settings["strategy"] = {"parameters": parameters.get(cell[-1].partition("@")[0], {})}
    except (OSError, ValueError, TypeError, AttributeError):
        pass  # what it lacks stands among what is unknown
    return settings


def _files(before: dict[str, str], after: dict[str, str]) -> list[tuple[str, str, str]]:
    return [
        (name, *(sums[name][:12] if name in sums else "not used" for sums in (before, after)))
        for name in of_code(before, after)
    ]


def _grouped(kind: str, cells: list[tuple], found: dict[tuple, list[tuple[str, str, str]]]) -> list[Apart]:
    """One for each difference, with the cells that have it."""
    where: dict[tuple[str, str, str], list[str]] = {}
    for cell, differing in found.items():
        for one in differing:
            where.setdefault(one, []).append("/".join(cell))
    return [Apart(kind, *one, [] if len(mine) == len(cells) else mine) for one, mine in where.items()]
