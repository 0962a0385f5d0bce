"""Read the records of a study's runs; a missing or broken one is named in one line and left out."""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd
from pydantic import BaseModel, ValidationError

from frugal.errors import FrugalError
from frugal.report.schema import HISTORY, ITERATIONS, SCHEMA, TRACE, Manifest, Metrics
from frugal.study import Cell, Study, one_line

Checked = TypeVar("Checked", bound=BaseModel)
OF_A_RUN = {  # what the rule `train` leaves in the folder of a run
    *("metrics.json", "history.csv", "iterations.csv", "trace.csv", "manifest.json"),
    *("train.log", "benchmark.tsv", "checkpoints", "progress.json"),
}
OF_A_PAIR = {"train.log", "benchmark.tsv"}  # where one job trains all runs on a data set and model


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


@dataclass(frozen=True)
class LeftOut:
    """A run of the study whose record can't be used, and why, in one line."""

    cell: Cell
    seed: int
    why: str


@dataclass(frozen=True)
class Found:
    """What lies where a study's records belong: those that can be used, those that can't, and paths that aren't its own."""

    records: list[Record]
    left_out: list[LeftOut]
    foreign: list[str]  # relative to the results folder


def read_records(study: Study, results: Path) -> Found:
    """The records of exactly the runs the study lists, in its order; what can't be used is named and left out.

    Raises FrugalError naming the first bad file where no run of the baseline is left: there would be nothing to compare.
    """
    records, left_out = [], []
    for cell, seed in study.runs():
        try:
            records.append(read_record(study, cell, seed, results))
        except FrugalError as error:
            left_out.append(LeftOut(cell, seed, str(error)))
    if not any(record.cell.strategy == study.baseline for record in records):
        raise FrugalError(next(run.why for run in left_out if run.cell.strategy == study.baseline))
    return Found(records, left_out, foreign(study, results))


def foreign(study: Study, results: Path) -> list[str]:
    """Paths among the study's runs that belong to none of them, the topmost of each; runs of other settings are such too."""
    top = results / "runs" / study.name
    ours = {results / study.folder(cell, seed) for cell, seed in study.runs()}
    on_the_way = {parent for folder in ours for parent in folder.parents}

    def strangers(folder: Path) -> Iterator[str]:
        for path in sorted(folder.iterdir()):
            if path in on_the_way and path.is_dir():
                yield from strangers(path)
            elif path.name in OF_A_PAIR:
                continue
            elif path not in ours or not path.is_dir():
                yield path.relative_to(results).as_posix()
            else:
                inside = (inner for inner in sorted(path.iterdir()) if inner.name not in OF_A_RUN)
                yield from (inner.relative_to(results).as_posix() for inner in inside)

    return list(strangers(top)) if top.is_dir() else []


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
        content = json.loads(_text(path))
        if isinstance(content, dict) and content.get("schema") != SCHEMA:
            raise _broken(path, f"its schema is {content.get('schema')}, this version reads {SCHEMA}")
        return schema.model_validate(content)
    except json.JSONDecodeError as error:
        raise _broken(path, f"not valid JSON ({error})") from error
    except ValidationError as error:
        raise _broken(path, one_line(error)) from error


def _table(path: Path, columns: list[str]) -> pd.DataFrame:
    text = _text(path)
    if text == ",".join(columns) + "\n":  # most traces: parsing thousands of headers takes seconds
        return pd.DataFrame(columns=columns)
    try:
        table = pd.read_csv(io.StringIO(text))
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
