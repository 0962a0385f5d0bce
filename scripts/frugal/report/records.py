"""Read the records of a study's runs; one that is missing, broken, or of other settings, code or data is named and left out."""

import hashlib
import io
import json
import math
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import BaseModel, ValidationError

from frugal import failed
from frugal.differences import of_code, of_settings, some
from frugal.errors import FrugalError
from frugal.imports import SCRIPTS, checksums
from frugal.record import FILES, KEPT, SCHEMA, SCORES, Unsealed, check_files, fits, read_identity
from frugal.record import HISTORY as HISTORY_FILE
from frugal.report.repeat import making
from frugal.report.schema import HISTORY, ITERATIONS, TRACE, Manifest, Metrics
from frugal.study import Cell, Study, one_line

Checked = TypeVar("Checked", bound=BaseModel)
OF_A_RUN = {  # what the rule `train` leaves in the folder of a run
    *(*FILES, *KEPT.values()),
    *("train.log", "benchmark.tsv", "checkpoints", "progress.json", failed.FILE),
}
OF_A_PAIR = {"train.log", "benchmark.tsv", "runs.json"}  # where one job trains all runs on a data set and model
CLOCKS = 0.01  # share by which the scheduler's clock and that of the wall may differ
LATE = 0.1  # seconds that a thread may wait between the readings of the two


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
    """A run of the study whose record can't be used, and why, in one line.

    failed: whether it, or one it follows, failed; made: whether there is a record, or a part of one
    """

    cell: Cell
    seed: int
    why: str
    failed: bool = False
    made: bool = True


@dataclass(frozen=True)
class Found:
    """What lies where a study's records belong: those that can be used, those that can't, and paths that aren't its own.

    foreign: relative to the results folder; classes: of each prepared data set that has some, by name
    """

    records: list[Record]
    left_out: list[LeftOut]
    foreign: list[str]
    classes: dict[str, int] = field(default_factory=dict)


def read_records(study: Study, results: Path, caches: Path | None = None) -> Found:
    """The records of exactly the runs the study lists, in its order; what can't be used is named and left out.

    caches: folder of the prepared data sets that they must be of, as far as these are there; None: of any.
    Raises FrugalError naming the first bad file where no run of the baseline is left: there would be nothing to compare.
    """
    prepared = {name: _prepared(caches / name / "manifest.json") for name in study.datasets} if caches else {}
    unprepared = failed.unprepared(caches, dict.fromkeys(study.datasets)) if caches else {}
    found: dict[tuple[Cell, int], Record | LeftOut] = {}
    for cell, seed in study.runs():
        try:
            record = read_record(study, cell, seed, results)
            with _telling_how(study, record.folder):
                _check_planned(study, record, prepared.get(cell.dataset, {}).get("checksum"))
            found[cell, seed] = record
        except FrugalError as error:
            there = (results / study.folder(cell, seed) / "metrics.json").exists()
            why = None if there else failed.why_missing(study, cell, seed, results, unprepared)
            found[cell, seed] = LeftOut(cell, seed, why or str(error), failed=why is not None, made=there)
    while late := _of_lost_leaders(study, found):  # those of one more run, where a run follows one that follows another
        found |= late
    records = [one for one in found.values() if isinstance(one, Record)]
    left_out = [one for one in found.values() if isinstance(one, LeftOut)]
    if not any(record.cell.strategy == study.baseline for record in records):
        raise FrugalError(next(run.why for run in left_out if run.cell.strategy == study.baseline))
    classes = {name: about["classes"] for name, about in prepared.items() if about.get("classes")}
    return Found(records, left_out, foreign(study, results), classes)


def _of_lost_leaders(study: Study, found: dict[tuple[Cell, int], Record | LeftOut]) -> dict[tuple[Cell, int], LeftOut]:
    """The records that can't be used because that of the run which they follow can't: what they repeat isn't planned any more.

    A run that fails keeps the history.csv of its earlier record, which `_check_planned` would still find to fit.
    """
    late = {}
    for (cell, seed), one in found.items():
        strategy = one.manifest.spec.get("strategy", {}).get("follows") if isinstance(one, Record) else None
        leader = found.get((cell._replace(strategy=strategy), seed))
        if isinstance(leader, LeftOut):
            lost = "which failed" if leader.failed else "whose record is " + ("left out" if leader.made else "missing")
            why = f"the record {one.folder / 'metrics.json'} is not used: it follows {strategy}, {lost}"
            first = again(study, one.folder.parents[1] / strategy / one.folder.name)
            late[cell, seed] = LeftOut(cell, seed, f"{why}; make that one again with: {first}")
    return late


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
    with _telling_how(study, folder):
        return _read(study, cell, seed, folder)


def _read(study: Study, cell: Cell, seed: int, folder: Path) -> Record:
    metrics = _checked(Metrics, folder / "metrics.json")
    told = (metrics.study, metrics.dataset, metrics.model, metrics.strategy, metrics.seed)
    if told != (study.name, *cell, seed):
        raise _broken(folder / "metrics.json", f"it describes the run {'/'.join(map(str, told))}")
    manifest = _checked(Manifest, folder / "manifest.json")
    if manifest.fingerprint != metrics.fingerprint:
        raise _broken(folder / "manifest.json", "its fingerprint is not that of metrics.json")
    if manifest.run is not None and manifest.run != "/".join(map(str, (*told[:4], f"seed-{seed}"))):
        raise _broken(folder / "manifest.json", f"it describes the run {manifest.run}")
    if manifest.spec.get("seed", seed) != seed:
        raise _broken(folder / "manifest.json", f"it describes seed {manifest.spec['seed']}")
    history = _history(folder / "history.csv", metrics)
    iterations = _iterations(folder / "iterations.csv", metrics)
    trace = _table(folder / "trace.csv", TRACE)
    _check_agreement(folder, metrics, history)
    if manifest.seal is not None:
        _check_seal(folder)
    return Record(cell, seed, folder, metrics, manifest, history, trace, iterations)


def _check_agreement(folder: Path, metrics: Metrics, history: pd.DataFrame) -> None:
    """Raise FrugalError where history.csv and metrics.json tell of two different trainings, or of seconds that no clock gives."""
    last = history.iloc[-1]
    told = {
        "val_accuracy": last["val_accuracy"],
        "best_val_accuracy": history["val_accuracy"].max(),
        "steps": last["steps"],
        "flops_executed": last["flops_executed"],
        "train_seconds": last["train_seconds"],  # nothing is trained after the last row, and what is charged is in both
        "cpu_seconds": last.get("cpu_seconds"),  # older histories lack it
    }
    for name, value in told.items():
        figure = getattr(metrics, name)
        if figure is not None and pd.notna(value) and not math.isclose(figure, value, rel_tol=1e-9, abs_tol=1e-9):
            raise _broken(folder / "metrics.json", f"its {name} is {figure}, history.csv says {value}")
    queued, train = metrics.train_queued_seconds or 0.0, metrics.train_seconds
    if queued > train + max(CLOCKS * train, LATE):
        raise _broken(
            folder / "metrics.json", f"its train_queued_seconds, {queued}, are more than its train_seconds, {train}"
        )


def _check_seal(folder: Path) -> None:
    try:
        check_files(folder, read_identity(folder)["files"], thoroughly=True)
    except Unsealed as error:
        raise _broken(folder / error.file, str(error)) from error


def _check_planned(study: Study, record: Record, prepared: str | None) -> None:
    """Raise FrugalError for a record that is whole and belongs to another plan or to other data than is prepared."""
    manifest, cell = record.manifest, record.cell
    planned = study.plans.get(f"{cell.dataset}/{cell.model}", {}).get(cell.strategy)
    if planned is not None and manifest.seal is None:
        raise _other(record, "no seal, it was made by a version that sealed no records")
    if planned is not None and manifest.plan != planned:
        raise _other(record, _other_plan(study, record))
    if prepared is not None and manifest.data_checksum != prepared:
        raise _other(record, f"made with other data than data set {cell.dataset} holds now")
    if manifest.followed is not None and (strategy := manifest.spec.get("strategy", {}).get("follows")):
        folder = record.folder.parents[1] / strategy / record.folder.name
        there = (name for name in (HISTORY_FILE, SCORES) if (folder / name).is_file())
        files = {name: {"sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()} for name in there}
        if HISTORY_FILE in files and not fits(manifest.followed, files):
            raise _other(record, f"it repeats the counts of another record of {strategy} than is there now")


def _other_plan(study: Study, record: Record) -> str:
    made, cell = record.manifest.spec, record.cell
    recipe = dict(study.recipe)
    for own in (study.pair(cell.dataset, cell.model).recipe, study.recipes.get(cell.strategy, {})):
        recipe |= {key: recipe.get(key, {}) | value if isinstance(value, dict) else value for key, value in own.items()}
    differing = of_settings({"recipe": made.get("recipe", {})}, {"recipe": recipe})
    if differing:
        return f"made with other settings: {some(differing)}"
    code = of_code(
        record.manifest.code,
        checksums(tuple(SCRIPTS / name for name in record.manifest.code if (SCRIPTS / name).is_file())),
    )
    return f"made by other code: {some(code)}" if code else "made with other settings or code"


def _prepared(manifest: Path) -> dict[str, Any]:
    """What a prepared data set says of itself, its checksum and classes among it; nothing where it isn't prepared."""
    try:
        about = json.loads(manifest.read_bytes())
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def _other(record: Record, why: str) -> FrugalError:
    return FrugalError(f"the record {record.folder / 'metrics.json'} is not of this plan: {why}")


def _broken(path: Path, why: str) -> FrugalError:
    return FrugalError(f"the record {path} is broken: {why}")


@contextmanager
def _telling_how(study: Study, folder: Path) -> Iterator[None]:
    """Errors about the record in a folder end with the command that makes it again."""
    try:
        yield
    except FrugalError as error:
        raise FrugalError(f"{error}; make it again with: {again(study, folder)}") from error


def again(study: Study, folder: Path) -> str:
    """The command for the record in a folder. By force, a run whose finished checkpoint fits writes it again in seconds."""
    return making(study, f"--force {shlex.quote(str(folder / 'metrics.json'))}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise FrugalError(f"the record {path} is missing") from error
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
