"""Checkout for the fault campaign: a copy of the repository that is disturbed, and what is compared of its records."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[3]
PARTS = ("workflow", "config", "scripts", "notebooks", "envs")
TABLES = "results/demo/tables/compression/summary.csv"
MEASURED = (
    "_seconds",
    "peak_memory",
    "energy",
    "machine_load",
)  # of a record, what differs from one undisturbed run to the next


@dataclass(frozen=True)
class Outcome:
    """tried, survived: how many; None where it couldn't be tried here. told: how, or why not, in one line."""

    fault: str
    tried: int | None
    survived: int | None
    told: str


@dataclass(frozen=True)
class Grid:
    """Runs of the compression study. strategies: `random-4-16` follows `ema-4-16`; grouped: all runs in one job."""

    strategies: tuple[str, ...] = ("full", "ema-4-16", "random-4-16")
    seeds: int = 1
    epochs: int = 3
    grouped: bool = False
    dataset: str = "digits"
    data: str | None = None

    def options(self) -> list[str]:
        """The grid as `--config` of Snakemake; a checkpoint is written every fifth of a second."""
        override = {
            **{
                "strategies": list(self.strategies),
                "seeds": self.seeds,
                "budgets": [],
                "recipe": {"epochs": self.epochs},
            },
            **{"grouped": self.grouped, "datasets": [self.dataset], "models": ["cnn-tiny"]},
        }
        data = [f"data={self.data}"] if self.data else []
        return [
            "studies=[compression]",
            "checkpoint_seconds=0.2",
            "device=cpu",
            f"override={json.dumps(override)}",
            *data,
        ]


def snapshot(folder: Path) -> Path:
    """A copy of the repository as it is now, which nobody edits while a campaign goes on, without the user's config/local."""
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "local"))
    return folder


class Checkout:
    """A copy in `folder` of a snapshot of the repository, and Snakemake in it."""

    def __init__(self, source: Path, folder: Path, grid: Grid) -> None:
        self.folder, self.grid = folder, grid
        shutil.copytree(source, folder)

    @property
    def results(self) -> Path:
        """results/demo"""
        return self.folder / "results" / "demo"

    def start(self, target: str = TABLES, log: Path | None = None) -> subprocess.Popen:
        """Snakemake on its way to a file, by default the study's tables. log: where it writes, by default snakemake.log."""
        with open(log or self.folder / "snakemake.log", "w") as file:
            return subprocess.Popen(
                self._command(target), cwd=self.folder, env=_environment(), stdout=file, stderr=file
            )

    def run(self, target: str = TABLES) -> tuple[int, str]:
        """The same to its end: exit status, and what it said with the logs of failed jobs."""
        status = self.start(target).wait()
        return status, (self.folder / "snakemake.log").read_text()

    def undisturbed(self) -> dict[str, tuple]:
        """The records that a start without any fault leaves; raises RuntimeError where it fails."""
        status, said = self.run()
        if status:
            raise RuntimeError(f"the undisturbed grid failed: {said[-1000:]}")
        return self.records()

    def unlock(self) -> None:
        """What a user does after Snakemake was killed."""
        subprocess.run(
            [*self._command(TABLES), "--unlock"], cwd=self.folder, env=_environment(), capture_output=True, check=True
        )

    def _command(self, target: str) -> list[str]:
        snakemake = Path(sys.executable).parent / "snakemake"
        return [str(snakemake), "--cores", "2", target, "--config", *self.grid.options()]

    def trainers(self) -> tuple[list[psutil.Process], list[psutil.Process]]:
        """Processes that train here now, whoever started them: those of jobs, and forks of these."""
        mine = {}
        for process in psutil.process_iter(["pid", "ppid", "cmdline"]):
            try:
                if "scripts/train.py" in (process.info["cmdline"] or []) and process.cwd() == str(self.folder):
                    mine[process.pid] = process
            except psutil.Error:  # it ended meanwhile
                continue
        forks = [process for process in mine.values() if process.info["ppid"] in mine]
        return [process for process in mine.values() if process not in forks], forks

    def wait_for_trainers(self) -> None:
        """Until every process that trains here has ended, orphans of a killed Snakemake among them."""
        psutil.wait_procs([process for group in self.trainers() for process in group])

    def finished(self) -> dict[str, dict[str, Any]]:
        """metrics.json of every finished run, by its path among the runs."""
        runs = self.results / "runs"
        found = {}
        for file in sorted(runs.glob("*/*/*/*/seed-*/metrics.json")):
            try:
                found[str(file.parent.relative_to(runs))] = json.loads(file.read_text())
            except (OSError, ValueError):  # damaged, or gone while it is made again
                continue
        return found

    def records(self) -> dict[str, tuple]:
        """Of every finished run what must not differ from an undisturbed one: its figures but times, every single loss."""
        runs = self.results / "runs"
        return {
            path: (comparable(figures), (runs / path / "iterations.csv").read_text())
            for path, figures in self.finished().items()
        }


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in ("FRUGAL_DATA", "PYTHONPATH")}


def comparable(metrics: dict[str, Any]) -> dict[str, Any]:
    """Of a record's figures those that must not differ between two runs of the same spec."""
    return {key: value for key, value in metrics.items() if not any(part in key for part in MEASURED)}


def differing(found: dict[str, tuple], expected: dict[str, tuple]) -> list[str]:
    """Runs whose record isn't the expected one, missing and foreign ones among them."""
    return sorted(path for path in found.keys() | expected.keys() if found.get(path) != expected.get(path))


def seconds(finished: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Seconds of training of each finished run: one that was trained again would take others."""
    return {path: figures["train_seconds"] for path, figures in finished.items()}
