"""Failed runs: what each leaves in the place of its record, and which runs of a study have none. Never imports torch.

A run that was stopped or killed leaves nothing of the kind: it goes on from its checkpoint when it is asked for again.
"""

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from frugal.atomic import write_json
from frugal.errors import FrugalError
from frugal.study import Cell, Study

FILE = "failed.json"
SCHEMA = 1
FINDING = "run failed"  # as the audit of a study's tables has it


class Failed(BaseModel):
    """failed.json. spec: of the run; why: in one line; log: where the rest is; ended: when."""

    model_config = ConfigDict(strict=False)

    schema_: int = Field(alias="schema", ge=SCHEMA, le=SCHEMA)
    spec: dict[str, Any]
    why: str = Field(min_length=1)
    log: str
    ended: datetime


def leave(folder: Path, spec: dict[str, Any], error: Exception) -> None:
    """Write failed.json in the folder of a run's record."""
    lines = str(error).strip().splitlines()
    why = lines[0] if lines and isinstance(error, FrugalError) else f"{type(error).__name__}: {' '.join(lines)[:300]}"
    ended = datetime.now(UTC).isoformat(timespec="seconds")
    content = {"schema": SCHEMA, "spec": spec, "why": why, "log": str(folder / "train.log"), "ended": ended}
    write_json(folder / FILE, content)


def forget(folder: Path) -> None:
    """The run is tried again."""
    (folder / FILE).unlink(missing_ok=True)


def read(folder: Path) -> Failed | None:
    """What a failed run left; None where there is nothing, or nothing whole."""
    try:
        return Failed.model_validate(json.loads((folder / FILE).read_text()))
    except (OSError, ValueError, ValidationError):
        return None


def why_missing(study: Study, cell: Cell, seed: int, results: Path) -> str | None:
    """Why a run that failed, or follows one that did, has no record, in one line; None for any other run.

    A record of before lies where a run follows one that failed later: then it is of other counts, and who follows it waits too.
    """
    folder = results / study.folder(cell, seed)
    if not (folder / "metrics.json").exists() and (failed := read(folder)):
        return f"{failed.why}; {failed.log}"
    leader = study.follows.get(cell.strategy)
    behind = leader and why_missing(study, cell._replace(strategy=leader), seed, results)
    return f"not run: it follows {leader}, which failed" if behind else None


def without_record(
    study: Study, results: Path, spec_of: Callable[..., dict[str, Any]]
) -> tuple[dict[str, str], list[str]]:
    """The runs of a study that have no record: those that failed with why, and those that were not tried to their end.

    spec_of: (dataset, model, strategy, seed) -> the run's spec as it is planned now; a failure of another is none of these.
    Paths are relative to the results.
    """
    failed, waiting = {}, []
    for cell, seed in study.runs():
        folder = study.folder(cell, seed)
        if (results / folder / "metrics.json").exists():
            continue
        left, why = read(results / folder), why_missing(study, cell, seed, results)
        if why is None or (left is not None and left.spec != spec_of(*cell, seed)):
            waiting.append(folder.as_posix())
        else:
            failed[folder.as_posix()] = why
    return failed, waiting


def told_by(audit: Path, study: str) -> dict[str, str] | None:
    """The failed runs that a study's audit.csv names, as `without_record` gives them; None where it can't be read."""
    try:
        with open(audit, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["finding"] == FINDING]
        return {f"runs/{study}/{row['dataset']}/{row['model']}/{row['runs']}": row["detail"] for row in rows}
    except (OSError, ValueError, KeyError, csv.Error):
        return None
