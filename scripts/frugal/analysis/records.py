"""Read the records of a study's runs; a missing or broken one is named in one line."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd
from pydantic import BaseModel, ValidationError

from frugal.analysis.schema import HISTORY, ITERATIONS, TRACE, Manifest, Metrics
from frugal.errors import FrugalError
from frugal.study import Cell, Study, one_line

Checked = TypeVar("Checked", bound=BaseModel)


@dataclass(frozen=True)
class Record:
    """One run, as it was written down."""

    cell: Cell
    seed: int
    folder: Path
    metrics: Metrics
    manifest: Manifest
    history: pd.DataFrame  # a row per epoch
    trace: pd.DataFrame  # what the strategy logged batch by batch, with columns epoch and batch; mostly empty
    iterations: str  # the rows of iterations.csv, as text: there are many of them, and they are only handed on

    @property
    def loss_curve(self) -> str:
        """A short digest of the training-loss curve: equal only where every single loss is equal."""
        return hashlib.sha256(self.iterations.encode()).hexdigest()[:16]


def read_records(study: Study, results: Path) -> list[Record]:
    """The records of exactly the runs the study lists, in its order. Raises FrugalError naming the first bad file."""
    return [read_record(study, cell, seed, results) for cell, seed in study.runs()]


def read_record(study: Study, cell: Cell, seed: int, results: Path) -> Record:
    """The record of one run under `results`. Raises FrugalError where a file is missing, cut off or another run's."""
    folder = results / study.folder(cell, seed)
    metrics = _checked(Metrics, folder / "metrics.json")
    told = (metrics.study, metrics.dataset, metrics.model, metrics.strategy, metrics.seed)
    if told != (study.name, *cell, seed):
        raise _broken(folder / "metrics.json", f"it describes the run {'/'.join(map(str, told))}")
    manifest = _checked(Manifest, folder / "manifest.json")
    if manifest.fingerprint != metrics.fingerprint:
        raise _broken(folder / "manifest.json", "its fingerprint is not that of metrics.json")
    history = _history(folder / "history.csv", metrics)
    iterations = _iterations(folder / "iterations.csv", metrics)
    trace = _table(folder / "trace.csv", TRACE)
    return Record(cell, seed, folder, metrics, manifest, history, trace, iterations)


def _broken(path: Path, why: str) -> FrugalError:
    return FrugalError(f"the record {path} is broken: {why}; remove the folder {path.parent} and run again")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise FrugalError(f"the record {path} is missing; make it with: snakemake --cores all {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise _broken(path, f"it cannot be read ({error})") from error


def _checked(schema: type[Checked], path: Path) -> Checked:
    """A JSON file, checked; in the reading of the schema a number is a number, never a string that looks like one."""
    try:
        return schema.model_validate(json.loads(_text(path)))
    except json.JSONDecodeError as error:
        raise _broken(path, f"not valid JSON ({error})") from error
    except ValidationError as error:
        raise _broken(path, one_line(error)) from error


def _table(path: Path, columns: list[str]) -> pd.DataFrame:
    _text(path)
    try:
        table = pd.read_csv(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise _broken(path, f"not a table ({error})") from error
    missing = [column for column in columns if column not in table]
    if missing:
        raise _broken(path, f"column {missing[0]} is missing")
    return table


def _history(path: Path, metrics: Metrics) -> pd.DataFrame:
    history = _table(path, HISTORY)
    wrong = [column for column in HISTORY if not pd.api.types.is_numeric_dtype(history[column])]
    if wrong:
        raise _broken(path, f"column {wrong[0]} holds something that is not a number")
    if history["epoch"].tolist() != list(range(1, metrics.epochs + 1)):
        raise _broken(path, f"{len(history)} rows where metrics.json counts {metrics.epochs} epochs")
    return history


def _iterations(path: Path, metrics: Metrics) -> str:
    """The rows without the header. Only the frame is checked: header, number of rows, a whole last one."""
    header, _, rows = _text(path).replace("\r\n", "\n").partition("\n")
    if header.split(",") != ITERATIONS:
        raise _broken(path, f"its columns are {header!r}, not {','.join(ITERATIONS)!r}")
    if rows.count("\n") != metrics.steps or not rows.endswith("\n"):
        raise _broken(path, f"{rows.count(chr(10))} whole rows where metrics.json counts {metrics.steps} steps")
    return rows
