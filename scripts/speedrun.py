"""CIFAR-10 from nothing, seed after seed: how long this machine takes, CPU or GPU, and how accurate the net becomes.

94.03 % on six views of each test image (95 % interval 93.89 to 94.18), 93.42 % on one (93.34 to 93.49), in 30 CPU minutes on one
core and 0.343 PFLOP: the mean of five seeds, on AMD EPYCs with AVX-512 bfloat16, 2026-11-29 and 30, commit d1e0ecc, printed
by `python scripts/speedrun.py --seeds 5` from the records of that scale (benchmarks/2026-11-30-amd-epyc-speedrun.json).
On a core with AMX one seed took 15 minutes (benchmarks/2026-11-30-intel-r--xeon-r--processor-speedrun.json).

It trains the baseline of scale `strong` of studies/cross.yaml: the net of airbench94 (models/airbench.py) on the 49,000
training images that validation leaves, by the recipe that stands there. How each column is measured:

seconds      of training alone: reading, augmentation, steps, and the initial values of the first layer. Evaluation, checkpoints,
             the choice of precision and the start of Python are not in it.
CPU seconds  of the process in the same time, over all threads
PFLOP        products that were executed in training, forward and backward, counted by torch
accuracy     of the finished net on the 10,000 test images, once per seed; nothing is chosen by it
with views   the same net on the mean of its logits for six views of each test image: it, moved by a pixel up and left, and down
             and right, each with its mirror image

Every run has a process of its own and leaves its record where that study looks for it: one that is there is not trained again,
here or there, unless code, recipe or data changed. With --epochs records lie under build/speedrun, apart from the others, and
those of other epochs take their place; 0.1 epochs, five steps, are the least. While a seed trains, a bar tells how far it is.
The mean stands with its 95 % t-interval over seeds.

With --plain each seed is followed by one of a plain torch loop of the same net and recipe (frugal/bench/airbench_loop.py), in the
precision that ours chose, so that both see the same machine.

    make speedrun                                       # five seeds, one thread
    .venv/bin/python scripts/speedrun.py --seeds 10 --threads 2 --data /data
    .venv/bin/python scripts/speedrun.py --device cuda --plain --out benchmarks/speedrun.json
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from frugal.atomic import write_json
from frugal.data.prepare import is_current, prepare
from frugal.data.sources.cifar10 import RELEASE
from frugal.errors import FrugalError, exit_with_one_line, last_line
from frugal.imports import closure, digest
from frugal.plan import Plan
from frugal.record import provenance
from frugal.report.statistics import t_interval
from frugal.training.device import choose_device, cpu_flags
from frugal.training.progress import PROGRESS_FILE
from frugal.yamlfile import read_yaml

STUDY, DATASET, MODEL, STRATEGY = "cross", "cifar-10-49000", "airbench", "full"
TELLING = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # instructions of a CPU that say what to expect of it
COLUMNS = {
    "seed": "{seed:>4}",
    "   seconds": "{train_seconds:>10,.1f}",
    "CPU seconds": "{cpu_seconds:>11,.1f}",
    "   PFLOP": "{petaflops:>8.4f}",
    "accuracy, %": "{accuracy:>11.2f}",
    "with views, %": "{views:>13.2f}",
}


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=positive, default=5, help="how many, from 0 on")
    parser.add_argument("--epochs", type=float, help="in place of those of the recipe; may end within one")
    parser.add_argument("--data", help="folder that holds CIFAR-10 (default: FRUGAL_DATA)")
    parser.add_argument("--threads", type=positive, default=1, help="CPU threads of a run")
    parser.add_argument("--results", help="folder of these runs (default: results, with --epochs build/speedrun)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--plain", action="store_true", help="after each seed, one of a plain torch loop of the same recipe"
    )
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    return parser


def main() -> int:
    """Train and print a row per seed, then the mean and the machine."""
    given = parser().parse_args()
    choose_device(given.device)  # refused before anything is made
    results = given.results or ("results" if given.epochs is None else "build/speedrun")
    plan = planned(results, given.seeds, given.epochs)
    cache = prepared(plan, given.data or os.environ.get("FRUGAL_DATA"), given.threads)
    print(" ".join(COLUMNS), flush=True)
    records, others = [], []
    for seed in range(given.seeds):
        records.append(train(plan, cache, seed, given.threads, given.device))
        print(row(records[-1][0]), flush=True)
        if given.plain:
            others.append(train_plain(plan, cache, seed, given.threads, given.device, records[-1]))
            print(row(others[-1]) + "  plain loop", flush=True)
    print(summary(records, json.loads(cache.read_text())["notes"], others))
    if given.out:
        figures = {key: vars(given)[key] for key in ("seeds", "epochs", "threads", "device")}
        figures |= {"ours": [shown(metrics) for metrics, _ in records], "plain": [shown(one) for one in others]}
        about = provenance(records[0][1]) | {"command": " ".join(["python", *sys.argv])}
        write_json(given.out, about | figures)
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
    described = json.loads(plan.dataset_json(DATASET))
    if is_current(described, out, folder):
        return out / "manifest.json"
    return prepare(described, out, Path(plan.results, "downloads"), folder, threads)


def train(
    plan: Plan, cache: Path, seed: int, threads: int, device: str = "cpu"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """metrics.json and manifest.json of the run with that seed. Raises FrugalError, with its last line, where it failed."""
    spec = plan.run(STUDY, DATASET, MODEL, STRATEGY, seed)
    out = Path(plan.results, "runs", STUDY, DATASET, MODEL)
    command = [sys.executable, Path(__file__).with_name("train.py"), "--spec", f"[{spec.model_dump_json()}]"]
    command += ["--seeds", str(seed), "--cache", cache, "--out", out, "--threads", str(threads), "--device", device]
    folder = out / STRATEGY / f"seed-{seed}"
    if watched(command, folder / PROGRESS_FILE, f"seed {seed}", spec.recipe.epochs):
        log = folder / "train.log"
        last = last_line(log.read_text()) if log.exists() else None
        raise FrugalError(f"seed {seed} failed, see {log}: {last or 'it left no log'}")
    return tuple(json.loads((folder / name).read_text()) for name in ("metrics.json", "manifest.json"))


def watched(command: list[str | Path], progress: Path, name: str, epochs: float) -> int:
    """The exit status of a run. At a terminal a bar tells how far it is, by the file that the run writes for `make status`."""
    form = "{desc}: {bar}| {n:.2f}/{total:.4g} epochs [{elapsed}<{remaining}]"
    with (
        subprocess.Popen(command, stderr=subprocess.DEVNULL) as process,
        tqdm(total=epochs, desc=name, leave=False, disable=not sys.stderr.isatty(), bar_format=form) as bar,
    ):
        while True:
            try:
                return process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                with suppress(FileNotFoundError):  # before the first step, and when the record is written
                    bar.update(json.loads(progress.read_text())["epochs_done"] - bar.n)


def train_plain(
    plan: Plan, cache: Path, seed: int, threads: int, device: str, ours: tuple[dict[str, Any], dict[str, Any]]
) -> dict[str, Any]:
    """The figures of the plain loop with that seed, trained for as long and in the same precision as ours.

    What is there is taken, unless code, data or settings changed. Raises FrugalError, with its last line, where it failed.
    """
    metrics, manifest = ours
    precision = "bfloat16" if any("precision auto: bfloat16" in note for note in manifest["notes"]) else "float32"
    of = {"code": digest(closure("frugal.bench.airbench_loop")), "data": json.loads(cache.read_text())["checksum"]}
    settings = {"epochs": metrics["epochs_trained"], "precision": precision, "device": device, "threads": threads}
    out, kept = Path(plan.results, "plain", f"seed-{seed}.json"), Path(plan.results, "plain", f"seed-{seed}.of.json")
    if out.exists() and kept.exists() and json.loads(kept.read_text()) == of | settings:
        return json.loads(out.read_text())
    out.unlink(missing_ok=True)
    words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    command = [
        sys.executable,
        "-m",
        "frugal.bench.airbench_loop",
        "--cache",
        cache,
        "--out",
        out,
        "--seed",
        str(seed),
        *words,
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise FrugalError(f"the plain loop failed: {last_line(done.stderr) or 'it said nothing'}")
    write_json(kept, of | settings)
    return json.loads(out.read_text())


def shown(metrics: dict[str, Any]) -> dict[str, Any]:
    """What of a run is among the figures."""
    names = ("seed", "train_seconds", "cpu_seconds", "flops_executed", "test_accuracy", "test_accuracy_flips")
    return {name: metrics.get(name) for name in names}


def row(metrics: dict[str, Any]) -> str:
    """A line of the table. FLOPs that couldn't be counted are shown as nan."""
    flops = metrics.get("flops_executed")
    percent = {
        "petaflops": float("nan") if flops is None else flops / 1e15,
        "accuracy": 100 * metrics["test_accuracy"],
        "views": 100 * metrics["test_accuracy_flips"],
    }
    return " ".join(COLUMNS.values()).format(**metrics, **percent)


def summary(
    records: list[tuple[dict[str, Any], dict[str, Any]]], notes: list[str], others: list[dict[str, Any]] = ()
) -> str:
    """Means with their intervals, and on what they were made.

    records: metrics and manifest of each seed; notes: on the data; others: figures of the plain loop, for each seed or none
    """
    kinds = {"": [metrics for metrics, _ in records]} | ({"plain loop, ": others} if others else {})
    lines = [
        f"{whose}{name}: {interval([100 * metrics[key] for metrics in found])}"
        for whose, found in kinds.items()
        for name, key in (("accuracy", "test_accuracy"), ("with views", "test_accuracy_flips"))
    ]
    if others:
        times = [
            one["train_seconds"] / metrics["train_seconds"] for (metrics, _), one in zip(records, others, strict=True)
        ]
        lines.append(f"seconds of the plain loop over ours: {statistics.median(times):.2f}, median over seeds")
    about = records[0][1]
    hardware, git = about["hardware"], about["git"]
    commit = (git["commit"] or "unknown")[:12] + (" with changes" if git["dirty"] else "")
    flags = [flag for flag in TELLING if flag in cpu_flags()]
    gpu = f"{hardware['gpu']}, " if hardware.get("gpu") else ""
    lines += [
        f"machine: {gpu}{hardware['cpu']}, {', '.join(flags) or 'none of ' + ', '.join(TELLING)}; threads: {hardware['threads']}",
        f"torch {about['versions']['torch']}, commit {commit}, {records[0][0]['epochs_trained']:g} epochs",
        next((note for note in about["notes"] if note.startswith("precision")), "precision: not told"),
        *(note for note in about["notes"] if note.startswith("gradients of convolutions")),
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
