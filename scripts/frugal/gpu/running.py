"""Running the steps: one after the other, each in a process group of its own, stopped in time, its figure written at once.

What is known of a step under way lies in <work>/steps/<name>.json, so that a command that is killed at any moment can be started
again: how often it was tried, the seconds these tries took, why the last one failed.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from frugal.atomic import write_json
from frugal.errors import FrugalError, last_line
from frugal.gpu.steps import Places, Step
from frugal.record import METRICS
from frugal.training.signals import Interrupt, die_with_parent

SAVING = 45.0  # seconds that a step has to save and end, once it was asked to; then it is killed
WORTH_STARTING = 120.0  # seconds; less of a training is gone with starting it
NOTED = 10.0  # seconds after which the time of a step under way is written again
LOOK = 0.1  # seconds between two looks at it
HEADING = "# make gpu, "  # of each command in a log


@dataclass
class Known:
    """Of a step that isn't done. seconds: of all tries; cut: of the longest that was stopped; failed: its last line, and log.

    again: whether its figure, if there is one, is of an earlier time, and to be replaced
    """

    tries: int = 0
    seconds: float = 0.0
    cut: float = 0.0
    failed: dict[str, str] | None = None
    again: bool = False


class Runner:
    """Runs steps in their places. tell: what is said to the user, a line at a time."""

    def __init__(self, places: Places, tell: Callable[[str], None] = print):
        self.places, self.tell = places, tell

    def figure(self, step: Step) -> Path:
        """Where its figure is written."""
        return self.places.out / f"{step.name}.json"

    def log(self, step: Step) -> Path:
        """What its commands print."""
        return self.places.work / "logs" / f"{step.name}.log"

    def known(self, step: Step) -> Known:
        """What earlier tries left. Raises FrugalError where that can't be read."""
        file = self._file(step)
        try:
            return Known(**json.loads(file.read_text())) if file.exists() else Known()
        except (OSError, ValueError, TypeError) as error:
            raise FrugalError(f"{file} can't be read ({error}); delete it") from error

    def done(self, step: Step) -> bool:
        """Whether its figure is there, and nobody asked for it again."""
        return self.figure(step).exists() and not self.known(step).again

    def needed(self, step: Step) -> float:
        """Seconds that have to be left for it to be started. A training goes on where it was, whatever is left of it."""
        if step.resumes:
            return WORTH_STARTING
        return max(3600 * step.estimate.hours, 1.5 * self.known(step).cut)

    def do_again(self, step: Step) -> None:
        """Have a step that is done run anew, its runs too; they are set aside. One that is due is left to go on."""
        if not self.done(step):
            return
        runs = self.places.work / "runs" / step.name
        if runs.exists():
            number = 1 + len(list(runs.parent.glob(f"{step.name}.before-*")))
            runs.rename(runs.with_name(f"{step.name}.before-{number}"))
        self._write(step, Known(again=True))

    def run(self, step: Step, limit: float | None, interrupt: Interrupt) -> str:
        """Run a step for at most `limit` seconds; returns "done", "failed" or "stopped", which is to go on another time."""
        known, start = self.known(step), time.monotonic()
        known.tries, before = known.tries + 1, known.seconds
        made = self.places.work / "figures" / f"{step.name}.json"
        for folder in (made.parent, self.log(step).parent):
            folder.mkdir(parents=True, exist_ok=True)
        made.unlink(missing_ok=True)
        begin = self.log(step).stat().st_size if self.log(step).exists() else 0
        for number, words in enumerate(step.commands(self.places)):
            if number:
                renew_dates(self.places.work / "runs" / step.name)
            left = None if limit is None else limit - (time.monotonic() - start)
            status, stopped = self._process(step, words, left, interrupt, known)
            known.seconds = before + time.monotonic() - start
            if status or stopped:
                break
        known.failed = None
        found, why = None, f"exit status {status}"
        try:
            if made.exists():  # a benchmark that misses a target has measured all the same
                found = json.loads(made.read_text())
            elif status == 0 and step.collect:
                found = step.collect(self.places.work / "runs" / step.name)
        except (FrugalError, OSError, ValueError, KeyError) as error:
            why = f"{type(error).__name__}: {error}"
        if found is not None:
            self._write_figure(step, found, known)
            return "done"
        if stopped:
            known.cut = max(known.cut, time.monotonic() - start)
        else:
            told = why_failed(self.log(step), begin) if status else None  # else what is wrong isn't in the log
            known.failed = {"line": told or why, "log": str(self.log(step))}
        self._write(step, known)
        return "stopped" if stopped else "failed"

    def _process(
        self, step: Step, words: list[str], limit: float | None, interrupt: Interrupt, known: Known
    ) -> tuple[int, bool]:
        """Exit status of a command, and whether it was asked to stop. limit: seconds, which may be over already."""
        with open(self.log(step), "ab") as log:
            log.write(
                f"\n{HEADING}{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, try {known.tries}: {' '.join(words)}\n".encode()
            )
            log.flush()
            before, start = known.seconds, time.monotonic()
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(signal.SIGTERM),
            )
            asked, noted = None, float("-inf")
            while process.poll() is None:
                passed = time.monotonic() - start
                if passed - noted >= NOTED:
                    known.seconds, noted = before + passed, passed
                    self._write(step, known)
                if asked is None and (interrupt.number is not None or (limit is not None and passed >= limit)):
                    asked = passed
                    _signal_group(process, signal.SIGTERM)
                if asked is not None and passed - asked >= SAVING:
                    _signal_group(process, signal.SIGKILL)
                time.sleep(LOOK)
            if asked is not None:
                _signal_group(process, signal.SIGKILL)  # what its children left behind
        return process.returncode, asked is not None

    def _write_figure(self, step: Step, found: dict[str, Any], known: Known) -> None:
        about = {
            "name": step.name,
            "answers": step.answers,
            "commands": [" ".join(words) for words in step.commands(self.places)],
            "estimated_hours": round(step.estimate.hours, 3),
            "reckoned": step.estimate.reckoned,
            "took_hours": round(known.seconds / 3600, 4),
            "tries": known.tries,
        }
        write_json(self.figure(step), {"step": about} | found)
        self._file(step).unlink(missing_ok=True)

    def _write(self, step: Step, known: Known) -> None:
        write_json(self._file(step), asdict(known))

    def _file(self, step: Step) -> Path:
        return self.places.work / "steps" / f"{step.name}.json"


def _signal_group(process: subprocess.Popen, number: signal.Signals) -> None:
    """To the command and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def renew_dates(runs: Path) -> None:
    """Make all records younger than the data that was just prepared, or Snakemake would have them trained again.

    On a fresh machine data is prepared after the records that were carried there were made. Whether they fit it, the code and
    the settings is not a matter of dates: `frugal.due` compares their checksums.
    """
    now = time.time()
    for file in runs.rglob(METRICS):
        os.utime(file, (now, now))


def why_failed(log: Path, begin: int) -> str | None:
    """The last line of a try that failed, whose part of the log begins there; None where it said nothing."""
    with open(log, "rb") as file:
        file.seek(begin)
        lines = file.read().decode(errors="replace").splitlines()
    told = last_line("\n".join(line for line in lines if not line.startswith(HEADING)))
    return told and told[:300]
