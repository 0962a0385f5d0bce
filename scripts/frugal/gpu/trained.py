"""Figures of a step that trains runs of a study: what their records say, beside what the study's author reported."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from frugal.errors import FrugalError
from frugal.record import HISTORY, MANIFEST, METRICS, provenance

SHOWN = (
    *("strategy", "seed", "test_accuracy", "val_accuracy", "train_seconds", "compile_seconds", "samples_forwarded"),
    *("samples_backpropagated", "flops_executed", "peak_memory_bytes", "energy_joules", "energy_source", "device"),
)
REPORTED = Path("config/reported")


def figures_of(study: str, dataset: str, model: str) -> Callable[[Path], dict[str, Any]]:
    """What makes the figures of all records in a folder of results, with those reported for that data set and model.

    It raises FrugalError where there is no record.
    """

    def collect(runs: Path) -> dict[str, Any]:
        records = sorted(runs.glob(f"*/runs/{study}/{dataset}/{model}/*/seed-*/{METRICS}"))
        if not records:
            raise FrugalError(f"{runs} holds no record of {study} on {dataset}/{model}")
        rows = [_row(file.parent) for file in records]
        abouts = [json.loads(file.with_name(MANIFEST).read_text()) for file in records]
        return {
            **provenance(max(abouts, key=lambda one: one["ended"])),
            "runs": rows,
            "train_seconds_over_full": _over_full(rows),
            "reported": _reported(study, dataset, model),
        }

    return collect


def _row(record: Path) -> dict[str, Any]:
    """A run's figures. best_test_accuracy: of the epoch that is best on the test set, as some sources report; null without."""
    metrics, about = (json.loads((record / name).read_text()) for name in (METRICS, MANIFEST))
    with open(record / HISTORY, newline="") as file:
        curve = [float(row["test_accuracy"]) for row in csv.DictReader(file) if row.get("test_accuracy")]
    more = {"best_test_accuracy": max(curve, default=None), "resumes": about["resumes"]}
    notes = [note for note in about["notes"] if note.startswith(("precision", "compile"))]
    return {name: metrics[name] for name in SHOWN} | more | {"notes": notes}


def _over_full(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Of each strategy, its mean seconds over those of the baseline `full`."""
    seconds: dict[str, list[float]] = {}
    for row in rows:
        seconds.setdefault(row["strategy"], []).append(row["train_seconds"])
    means = {name: sum(values) / len(values) for name, values in seconds.items()}
    return {name: mean / means["full"] for name, mean in means.items() if "full" in means}


def _reported(study: str, dataset: str, model: str) -> list[dict[str, str]]:
    file = REPORTED / f"{study}.csv"
    if not file.exists():
        return []
    with open(file, newline="") as table:
        return [row for row in csv.DictReader(table) if (row["dataset"], row["model"]) == (dataset, model)]
