"""Failed runs: what each leaves in the place of its record, and which runs of a study have none. Never imports torch.

A run that was stopped or killed leaves nothing of the kind: it goes on from its checkpoint when it is asked for again. A data set
that can't be prepared leaves the same in the place of its cache, and none of its runs is begun.
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from frugal.atomic import write_json
from frugal.errors import in_one_line
from frugal.study import Cell, Study

FILE = "failed.json"
SCHEMA = 1
FINDING = "run failed"  # as the audit of a study's tables has it
UNPREPARED = "not run: data set {} can't be prepared"
LOGS = RUN_LOG, DATA_LOG = "train.log", "prepare.log"


class Failed(BaseModel):
    """failed.json. spec: of the run, or the data set's entry; why: in one line; log: where the rest is; ended: when."""

    model_config = ConfigDict(strict=False)

    schema_: int = Field(alias="schema", ge=SCHEMA, le=SCHEMA)
    spec: dict[str, Any]
    why: str = Field(min_length=1)
    log: str
    ended: datetime


def leave(folder: Path, spec: dict[str, Any], error: Exception, log: str = RUN_LOG) -> None:
    """Write failed.json in the folder of a run's record, or of a cache. log: the file there that has the rest"""
    ended = datetime.now(UTC).isoformat(timespec="seconds")
    content = {"schema": SCHEMA, "spec": spec, "why": in_one_line(error, 300), "log": str(folder / log), "ended": ended}
    write_json(folder / FILE, content)


def forget(folder: Path) -> None:
    """It is tried again."""
    (folder / FILE).unlink(missing_ok=True)


def read(folder: Path) -> Failed | None:
    """What a failed run left; None where there is nothing, or nothing whole."""
    try:
        return Failed.model_validate(json.loads((folder / FILE).read_text()))
    except (OSError, ValueError, ValidationError):
        return None


def unprepared(caches: Path, entries: Mapping[str, dict[str, Any] | None]) -> dict[str, str]:
    """Of the data sets with these names those that can't be prepared, and why, in one line.

    entries: of each, as it is planned now; a failure of another is none of these. None: of any
    """
    found = {name: left for name in entries if (left := read(caches / name))}
    return {name: f"{left.why}; {left.log}" for name, left in found.items() if entries[name] in (None, left.spec)}


def why_missing(
    study: Study, cell: Cell, seed: int, results: Path, unprepared: Mapping[str, str] | None = None
) -> str | None:
    """Why a run that failed, follows one that did, or is on a data set that did, has no record, in one line; None for any other.

    A record of before lies where a run follows one that failed later: then it is of other counts, and who follows it waits too.
    unprepared: data sets that can't be prepared, and why
    """
    folder = results / study.folder(cell, seed)
    if not (folder / "metrics.json").exists() and (why := (unprepared or {}).get(cell.dataset)):
        return f"{UNPREPARED.format(cell.dataset)}: {why}"
    if not (folder / "metrics.json").exists() and (failed := read(folder)):
        return f"{failed.why}; {failed.log}"
    leader = study.follows.get(cell.strategy)
    behind = leader and why_missing(study, cell._replace(strategy=leader), seed, results, unprepared)
    return f"not run: it follows {leader}, which failed" if behind else None


def without_record(
    study: Study, results: Path, spec_of: Callable[..., dict[str, Any]], unprepared: Mapping[str, str] | None = None
) -> tuple[dict[str, str], list[str]]:
    """The runs of a study that have no record: those that failed with why, and those that were not tried to their end.

    spec_of: (dataset, model, strategy, seed) -> the run's spec as it is planned now; a failure of another is none of these.
    Paths are relative to the results. unprepared: data sets that can't be prepared, and why
    """
    failed, waiting = {}, []
    for cell, seed in study.runs():
        folder = study.folder(cell, seed)
        if (results / folder / "metrics.json").exists():
            continue
        left, why = read(results / folder), why_missing(study, cell, seed, results, unprepared)
        tried = left is not None and cell.dataset not in (unprepared or {})
        if why is None or (tried and left.spec != spec_of(*cell, seed)):
            waiting.append(folder.as_posix())
        else:
            failed[folder.as_posix()] = why
    return failed, waiting


def told(failed: Mapping[str, str], unprepared: Mapping[str, str]) -> list[str]:
    """One line for each data set that can't be prepared, and for all runs of a model that failed for the same reason.

    failed: runs by their paths, as `without_record` gives them, and why; unprepared: data sets, and why
    """
    alike: dict[tuple[str, str], list[str]] = {}
    lost, left_out = dict(unprepared), Counter[str]()
    for path, why in failed.items():
        _, _, dataset, model, *_ = Path(path).parts
        if why.startswith(start := f"{UNPREPARED.format(dataset)}: "):
            lost.setdefault(dataset, why.removeprefix(start))
            left_out[dataset] += 1
        else:
            cause, _, log = why.rpartition("; ")
            alike.setdefault((model, cause if Path(log).name in LOGS else why), []).append(path)
    lines = []
    for name, why in lost.items():
        runs = f"; {_runs(left_out[name])} on it left out" if left_out[name] else ""
        lines.append(f"data set {name} can't be prepared: {why}{runs}")
    for (model, _), paths in alike.items():
        which = paths[0] if len(paths) == 1 else f"{_runs(len(paths))} of model {model}, the first {paths[0]}"
        lines.append(f"{which}: {failed[paths[0]]}")
    return lines


def _runs(count: int) -> str:
    return f"{count:,} run{'s' * (count != 1)}"


def told_by(audit: Path, study: str) -> dict[str, str] | None:
    """The failed runs that a study's audit.csv names, as `without_record` gives them; None where it can't be read."""
    try:
        with open(audit, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["finding"] == FINDING]
        return {f"runs/{study}/{row['dataset']}/{row['model']}/{row['runs']}": row["detail"] for row in rows}
    except (OSError, ValueError, KeyError, csv.Error):
        return None
