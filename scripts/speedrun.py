"""CIFAR-10 from nothing, seed after seed: how long the CPU of this machine takes, and how accurate the net becomes.

No figure is claimed here yet: none has been measured on a machine that computes bfloat16.

It trains the baseline of scale `strong` of studies/cross.yaml: the net of airbench94 (models/airbench.py) on the 45,000
training images that validation leaves, by the recipe that stands there. How each column is measured:

seconds      of training alone: reading, augmentation, steps, and the initial values of the first layer. Evaluation, checkpoints,
             the choice of precision and the start of Python are not in it.
CPU seconds  of the process in the same time, over all threads
PFLOP        products that were executed in training, forward and backward, counted by torch
accuracy     of the finished net on the 10,000 test images, once per seed; nothing is chosen by it
with views   the same net on the mean of its logits for six views of each test image: it, moved by a pixel up and left, and down
             and right, each with its mirror image

Every run has a process of its own and leaves its record where that study looks for it: one that is there is not trained again,
here or there, unless code, recipe or data changed. With --epochs records lie under build/speedrun, apart from the others.
The mean stands with its 95 % t-interval over seeds.

    make speedrun                                       # five seeds, one thread
    .venv/bin/python scripts/speedrun.py --seeds 10 --threads 2 --data /data
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from frugal.data.prepare import prepare
from frugal.data.sources.cifar10 import RELEASE
from frugal.errors import FrugalError, exit_with_one_line
from frugal.plan import Plan
from frugal.report.statistics import t_interval
from frugal.training.device import cpu_flags
from frugal.yamlfile import read_yaml

STUDY, DATASET, MODEL, STRATEGY = "cross", "cifar-10", "airbench", "full"
TELLING = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # instructions of a CPU that say what to expect of it
COLUMNS = {
    "seed": "{seed:>4}",
    "   seconds": "{train_seconds:>10,.1f}",
    "CPU seconds": "{cpu_seconds:>11,.1f}",
    "   PFLOP": "{petaflops:>8.4f}",
    "accuracy, %": "{accuracy:>11.2f}",
    "with views, %": "{views:>13.2f}",
}


def main() -> int:
    """Train and print a row per seed, then the mean and the machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=positive, default=5, help="how many, from 0 on")
    parser.add_argument("--epochs", type=float, help="in place of those of the recipe; may end within one")
    parser.add_argument("--data", help="folder that holds CIFAR-10 (default: FRUGAL_DATA)")
    parser.add_argument("--threads", type=positive, default=1, help="CPU threads of a run")
    parser.add_argument("--results", help="folder of these runs (default: results, with --epochs build/speedrun)")
    given = parser.parse_args()
    results = given.results or ("results" if given.epochs is None else "build/speedrun")
    plan = planned(results, given.seeds, given.epochs)
    cache = prepared(plan, given.data or os.environ.get("FRUGAL_DATA"), given.threads)
    print(" ".join(COLUMNS), flush=True)
    records = []
    for seed in range(given.seeds):
        records.append(train(plan, cache, seed, given.threads))
        print(row(records[-1][0]), flush=True)
    print(summary(records, json.loads(cache.read_text())["notes"]))
    return 0


def positive(word: str) -> int:
    """A whole number of at least 1; raises ValueError, which argparse tells in its words, for anything else."""
    if (number := int(word)) < 1:
        raise ValueError(word)
    return number


def planned(results: str, seeds: int, epochs: float | None) -> Plan:
    """The plan of the baseline alone. Raises FrugalError for epochs that the recipe can't have."""
    override: dict[str, Any] = {"strategies": [STRATEGY], "budgets": [], "seeds": seeds}
    if epochs is not None:
        override["recipe"] = {"epochs": int(epochs) if epochs == int(epochs) else epochs}
    config = {"scale": "strong", "studies": [STUDY], "results": results, "override": override}
    return Plan(read_yaml(Path("config/config.yaml")) | config)


def prepared(plan: Plan, data: str | None, threads: int) -> Path:
    """The manifest of the prepared images. Raises FrugalError where CIFAR-10 isn't there: nothing is downloaded for a race."""
    out = Path(plan.caches, DATASET)
    folder = Path(data).expanduser() if data else None
    if not (out / "manifest.json").exists():
        places = [folder / RELEASE.folder, folder / RELEASE.archive] if folder else []
        if not any(place.exists() for place in places):
            where = f"{folder} has neither" if folder else "no folder is named by FRUGAL_DATA or --data; put into one"
            raise FrugalError(
                f"CIFAR-10 isn't there: {where} {RELEASE.folder}/ {'nor' if folder else 'or'} {RELEASE.archive}, its binary "
                "version"
            )
    return prepare(json.loads(plan.dataset_json(DATASET)), out, Path(plan.results, "downloads"), folder, threads)


def train(plan: Plan, cache: Path, seed: int, threads: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """metrics.json and manifest.json of the run with that seed. Raises FrugalError, with its last line, where it failed."""
    spec = plan.run(STUDY, DATASET, MODEL, STRATEGY, seed)
    out = Path(plan.results, "runs", STUDY, DATASET, MODEL)
    command = [sys.executable, Path(__file__).with_name("train.py"), "--spec", f"[{spec.model_dump_json()}]"]
    command += ["--seeds", str(seed), "--cache", cache, "--out", out, "--threads", str(threads), "--device", "cpu"]
    done = subprocess.run(command, stderr=subprocess.DEVNULL, check=False)
    folder = out / STRATEGY / f"seed-{seed}"
    if done.returncode:
        log = folder / "train.log"
        last = (log.read_text().strip().splitlines() if log.exists() else []) or ["it left no log"]
        raise FrugalError(f"seed {seed} failed, see {log}: {last[-1].removeprefix('frugal: ')}")
    return tuple(json.loads((folder / name).read_text()) for name in ("metrics.json", "manifest.json"))


def row(metrics: dict[str, Any]) -> str:
    """A line of the table. FLOPs that couldn't be counted are shown as nan."""
    flops = metrics["flops_executed"]
    shown = {
        "petaflops": float("nan") if flops is None else flops / 1e15,
        "accuracy": 100 * metrics["test_accuracy"],
        "views": 100 * metrics["test_accuracy_flips"],
    }
    return " ".join(COLUMNS.values()).format(**metrics, **shown)


def summary(records: list[tuple[dict[str, Any], dict[str, Any]]], notes: list[str]) -> str:
    """Means with their intervals, and on what they were made. records: metrics and manifest of each seed; notes: on the data."""
    lines = [
        f"{name}: {interval([100 * metrics[key] for metrics, _ in records])}"
        for name, key in (("accuracy", "test_accuracy"), ("with views", "test_accuracy_flips"))
    ]
    about = records[0][1]
    hardware, git = about["hardware"], about["git"]
    commit = (git["commit"] or "unknown")[:12] + (" with changes" if git["dirty"] else "")
    flags = [flag for flag in TELLING if flag in cpu_flags()]
    lines += [
        f"machine: {hardware['cpu']}, {', '.join(flags) or 'none of ' + ', '.join(TELLING)}; threads: {hardware['threads']}",
        f"torch {about['versions']['torch']}, commit {commit}, {records[0][0]['epochs_trained']:g} epochs",
        next((note for note in about["notes"] if note.startswith("precision")), "precision: not told"),
        *(f"data: {note}" for note in notes),
    ]
    return "\n".join(lines)


def interval(values: list[float]) -> str:
    """Mean of percentages with its 95 % t-interval."""
    mean, (low, high) = np.mean(values), t_interval(np.array(values))
    if len(values) < 2:
        return f"{mean:.2f} % (one seed has no interval)"
    return f"{mean:.2f} %, 95 % interval {low:.2f} to {high:.2f}, {len(values)} seeds"


if __name__ == "__main__":
    exit_with_one_line(main)
