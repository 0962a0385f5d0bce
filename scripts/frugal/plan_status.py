"""Status of a whole plan: the state of each of its runs, and the time that is left, estimated from what other runs took.

A run that is still to come is taken to last as long as the mean of the finished runs of its strategy, on its data set and model,
in its study; else as the mean of all finished runs there. What running ones expect of themselves counts as well. A run with a
budget lasts that share. Tables and pages are not in the estimate, nor are failed runs, which only the next `snakemake` tries.
"""

import json
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean

from frugal.due import find, told
from frugal.failed import unprepared, why_missing
from frugal.imports import digest_of_training
from frugal.plan import Plan
from frugal.record import METRICS
from frugal.status import RunStatus, status_of
from frugal.study import Cell, Study

BEGUN = 0.05  # share of its epochs after which what a run expects of itself counts
LOOKS = 12  # in which the most runs at a time were seen: between two runs there is one less for a moment
PARTS = [
    *("train_seconds", "evaluation_seconds", "checkpoint_seconds", "compile_seconds"),
    *("inference_seconds", "counting_seconds", "other_seconds"),
]

Took = Callable[[RunStatus], float | None]  # seconds that a finished run took


@dataclass(frozen=True)
class PlanStatus:
    """results: folder of the scale; studies: the runs of each; due: records to be made again, in words; at: when it was so.

    at_a_time: runs that go on side by side; 0 where none is running
    seconds_left: until the last run ends, or, where none is running, of one run after the other; without the unknown ones
    unknown: as "study on data set, model", those of which no run has told yet how long it takes
    """

    results: str
    studies: dict[str, list[RunStatus]]
    due: list[str]
    at: datetime
    at_a_time: int = 0
    seconds_left: float = 0.0
    unknown: tuple[str, ...] = ()

    @property
    def runs(self) -> list[RunStatus]:
        """Those of all studies."""
        return [run for runs in self.studies.values() for run in runs]

    def count(self, state: str) -> int:
        """How many runs are in a state."""
        return sum(run.state == state for run in self.runs)

    @property
    def over(self) -> bool:
        """Whether nothing goes on any more: each run is done, has failed, or waits for one that failed."""
        return all(run.state in ("done", "failed") or (run.state == "waiting" and run.why) for run in self.runs)

    def time_left(self) -> str:
        """The time that is left, in words."""
        if self.over:
            others = len(self.runs) - self.count("done")
            return f"nothing goes on: {others} not done" if others else "all done"
        runs = "1 run" if self.at_a_time == 1 else f"{self.at_a_time} runs"
        pace = f"left, {runs} at a time" if self.at_a_time else "of work, one run at a time"
        stands = "" if self.at_a_time else "nothing is running; "
        if not self.unknown:
            return f"{stands}about {duration(self.seconds_left)} {pace}"
        more = f" and {len(self.unknown) - 1} more" if len(self.unknown) > 1 else ""
        least = f"at least {duration(self.seconds_left)} {pace}; the rest is" if self.seconds_left else "time left:"
        return f"{stands}{least} unknown yet, no run of {self.unknown[0]}{more} has told how long it takes"


class Look:
    """Looks at a plan's runs, as often as it is called; each finished record is read once."""

    def __init__(self, plan: Plan):
        self.plan, self.took = plan, {}
        self.running: deque[int] = deque(maxlen=LOOKS)

    def __call__(self) -> PlanStatus:
        """How things stand now."""
        results, again = Path(self.plan.results), find(self.plan, digest_of_training)
        entries = {name: entry.model_dump(mode="json") for name, entry in self.plan.datasets.items()}
        lost = unprepared(Path(self.plan.caches), entries)
        due = {os.path.relpath(one.folder, results) for one in again}
        studies = {
            name: _with_reasons(study, status_of(study, results, due), results, lost)
            for name, study in self.plan.studies.items()
        }
        state = PlanStatus(self.plan.results, studies, told(again), datetime.now(UTC))
        self.running.append(state.count("running"))
        return with_time_left(state, self.plan.studies, self._took, max(self.running))

    def _took(self, run: RunStatus) -> float | None:
        if run.path not in self.took:
            self.took[run.path] = seconds_of(Path(self.plan.results, run.path))
        return self.took[run.path]


def seconds_of(folder: Path) -> float | None:
    """What a finished run took, seconds of wall time without what it was charged with; None where its record can't be read."""
    try:
        metrics = json.loads((folder / METRICS).read_bytes())
        charged = metrics.get("charged_train_seconds") or 0
        return sum(metrics.get(part) or 0 for part in PARTS) - charged
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def with_time_left(state: PlanStatus, studies: dict[str, Study], took: Took, at_a_time: int) -> PlanStatus:
    """The state with the time that is left. at_a_time: runs side by side"""
    work, unknown = [], {}
    for name, runs in state.studies.items():
        lasts = _Lasting(studies[name], runs, took)
        for run in runs:
            if run.state in ("running", "stopped") or (run.state == "waiting" and not run.why):
                seconds = run.seconds_left if run.seconds_left is not None else lasts.rest_of(run)
                if seconds is None:
                    study, *ground = run.path.split("/")[1:4]
                    unknown[f"{study} on {', '.join(ground)}"] = None
                else:
                    work.append((seconds, run.state == "running"))
    longest = max((seconds for seconds, running in work if running), default=0.0)
    left = max(sum(seconds for seconds, _ in work) / max(at_a_time, 1), longest)
    return replace(state, at_a_time=at_a_time, seconds_left=left, unknown=tuple(unknown))


class _Lasting:
    """How long runs of a study last, as far as others have told."""

    def __init__(self, study: Study, runs: Iterable[RunStatus], took: Took):
        self.shares = {name: share for budgets in study.budgets.values() for name, share in budgets.items()}
        self.of_strategy, self.of_ground = defaultdict(list), defaultdict(list)
        for run in runs:
            seconds = took(run) if run.state == "done" else _expected(run)
            if seconds is not None:
                cell, share = self._place(run)
                self.of_strategy[cell].append(seconds)
                self.of_ground[cell[:2]].append(seconds / share)

    def rest_of(self, run: RunStatus) -> float | None:
        """Seconds that a run still needs, None where nothing is known."""
        cell, share = self._place(run)
        if cell in self.of_strategy:
            whole = mean(self.of_strategy[cell])
        elif cell[:2] in self.of_ground:
            whole = share * mean(self.of_ground[cell[:2]])
        else:
            return None
        return whole * (1 - (run.epochs_done / run.epochs if run.epochs_done and run.epochs else 0))

    def _place(self, run: RunStatus) -> tuple[Cell, float]:
        cell = Cell(*run.path.split("/")[2:5])
        return cell, self.shares.get(cell.strategy, 1.0)


def _expected(run: RunStatus) -> float | None:
    """What a running run will have taken, by its own pace; None before it can tell."""
    if run.seconds_left is None or not run.epochs or run.epochs_done < BEGUN * run.epochs:
        return None
    left = 1 - run.epochs_done / run.epochs
    return run.seconds_left / left if left > BEGUN else None


def _with_reasons(study: Study, runs: list[RunStatus], results: Path, lost: dict[str, str]) -> list[RunStatus]:
    """The runs; those that wait for one that failed, or for a data set that can't be prepared, say so. lost: these, and why"""
    found = []
    for run, (cell, seed) in zip(runs, study.runs(), strict=True):
        behind = run.state == "waiting" and (cell.strategy in study.follows or cell.dataset in lost)
        why = why_missing(study, cell, seed, results, lost) if behind else None
        found.append(replace(run, why=why) if why and why.startswith("not run") else run)
    return found


def duration(seconds: float) -> str:
    """A time in words: 45 s, 12 min, 3 h 20 min, 2.5 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes / 60 / 24:.1f} days"
