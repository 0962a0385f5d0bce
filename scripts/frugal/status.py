"""Status of the runs of a plan, read from what lies in their folders, whichever machine they are on.

Never imports torch or pandas: it is asked while everything else is busy.
"""

import json
import os
import tempfile
import time
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from frugal.study import Study

STATES = ("done", "running", "failed", "stopped", "waiting")
# Seconds without a sign of life after which a run is taken for dead; one comes every five but in evaluation.
SILENT = 300.0


@dataclass(frozen=True)
class RunStatus:
    """One run. path: of its folder under the results; epochs_done, epochs, seconds_left: of a running one that has begun.

    why: of a failed or stopped one, in one line, with the log to read.
    """

    path: str
    state: str
    epochs_done: float | None = None
    epochs: int | None = None
    seconds_left: float | None = None
    why: str = ""


def status_of(study: Study, results: Path, due: Container[str] = ()) -> list[RunStatus]:
    """Every run of a study, in its order. results: results/<scale>; due: runs whose record there is not of this plan."""
    now = file_system_time(results)
    runs = [status_of_run(results / folder, results, now) for folder in (study.folder(*run) for run in study.runs())]
    return [RunStatus(run.path, "waiting") if run.state == "done" and run.path in due else run for run in runs]


def status_of_run(folder: Path, results: Path, now: float) -> RunStatus:
    """What a run's folder tells. now: seconds since the epoch by the clock that dates its files."""
    path, log = folder.relative_to(results).as_posix(), folder / "train.log"
    if (folder / "metrics.json").exists():
        return RunStatus(path, "done")
    last, written = _last_line(log)
    beat, beaten = _beat(folder / "progress.json")
    alive = now - max(written or 0.0, beaten or 0.0) < SILENT
    trained = last.startswith("{")  # and its record, which is gone, is made from the checkpoint again
    if written is None or trained:
        return RunStatus(path, "waiting")
    if "stopped by SIG" in last:
        return RunStatus(path, "stopped", why=f"{last.removeprefix('frugal: ')}; {log}")
    if last.startswith("frugal: ") and "warning" not in last or _is_error(last):
        return RunStatus(path, "failed", why=f"{last.removeprefix('frugal: ')}; {log}")
    if alive and beat:
        return RunStatus(path, "running", beat["epochs_done"], beat["epochs"], beat["seconds_left"])
    if alive:
        return RunStatus(path, "running")
    silent = now - max(written, beaten or 0.0)
    return RunStatus(path, "stopped", why=f"no sign of life for {silent / 60:.0f} min, it was killed; {log}")


def file_system_time(folder: Path) -> float:
    """Now, by the clock that dates the files of a folder: a file server's may differ from this machine's."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".now.") as file:
            return os.stat(file.name).st_mtime
    except OSError:  # not there yet, or not ours to write
        return time.time()


def _last_line(log: Path) -> tuple[str, float | None]:
    """The last line of a log that isn't empty, and when it was written; None where there is no log."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
            return next((line for line in reversed(lines) if line.strip()), ""), os.fstat(file.fileno()).st_mtime
    except OSError:
        return "", None


def _is_error(line: str) -> bool:
    """Whether it is how a traceback ends: `SomeError: what`."""
    name, colon, _ = line.partition(":")
    return (
        name.isidentifier()
        and name.endswith(("Error", "Exception", "Interrupt"))
        or (bool(colon) and name.rpartition(".")[2].endswith(("Error", "Exception")) and " " not in name)
    )


def _beat(file: Path) -> tuple[dict | None, float | None]:
    try:
        return json.loads(file.read_text()), file.stat().st_mtime
    except (OSError, ValueError):
        return None, None
