"""Benchmark of the data-parallel run with one rank, against the plain process: what talking costs, and that it changes nothing.

torchrun starts the one rank, whose messages go to itself: through NCCL on a GPU, gloo on a CPU. So one card tries the code that
several would run.
"""

import csv
import json
import subprocess
import sys
from pathlib import Path

import torch

from frugal.bench import generated
from frugal.bench.row import Row
from frugal.errors import FrugalError, last_line
from frugal.plan import torchrun
from frugal.record import HISTORY, ITERATIONS, MANIFEST

SHAPE = (3, 32, 32)
TRAIN = Path(__file__).resolve().parents[2] / "train.py"


def measure(folder: Path) -> list[Row]:
    """ResNet-18 at batch 512 on a GPU, ResNet-8 at 64 on a CPU. folder: for generated images and two records."""
    gpu = torch.cuda.is_available()
    samples, batch, depth = (50_000, 512, 18) if gpu else (512, 64, 8)
    parameters = {"depth": depth} if gpu else {"depth": depth, "width": 4}
    recipe = {"batch_size": batch, "epochs": 4 if gpu else 3, "deterministic": True, "compile": "off",
              "precision": "bfloat16" if gpu else "float32", "augment": {"crop_padding": 4, "flip": True}}  # fmt: skip
    generated.cache(folder / "data", samples, SHAPE)
    spec = generated.spec("full", SHAPE, "resnet", parameters, recipe).model_dump_json()
    started = {
        "alone": [sys.executable],
        "a rank": [sys.executable, "-m", "torch.distributed.run", *torchrun(1).split()[1:]],
    }
    for name, launcher in started.items():
        train(launcher, spec, folder / "data/manifest.json", folder / name, "cuda" if gpu else "cpu")
    backend = backend_of(folder / "a rank")
    curves = [losses(folder / name) for name in started]
    apart = max(abs(one - other) for one, other in zip(*curves, strict=True))
    seconds = [fastest_epoch(folder / name) for name in started]
    net = f"ResNet-{depth}, batch {batch}"
    return [
        Row("parallel", f"{net}: an epoch of one rank on {backend} over one process", seconds[1] / seconds[0], "x"),
        Row(
            "parallel",
            f"{net}: one rank on {backend}, largest difference of a loss, to six digits",
            apart,
            "",
            0,
            "at most",
        ),
    ]


def train(launcher: list[str], spec: str, cache: Path, out: Path, device: str) -> None:
    """One run with its record. Raises FrugalError with its last line where it fails."""
    command = [*launcher, TRAIN, "--spec", spec, "--cache", cache, "--out", out, "--device", device]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FrugalError(f"the run {out.name} failed: {last_line(done.stderr) or 'it said nothing'}")


def backend_of(record: Path) -> str:
    """That the ranks of a run talked through. Raises FrugalError where its record doesn't say so."""
    marks = "shared among them, through "
    notes = json.loads((record / MANIFEST).read_text())["notes"]
    found = [note.split(marks)[1] for note in notes if marks in note]
    if not found:
        raise FrugalError("the one rank did not talk to itself: its record names no backend")
    return found[0]


def losses(record: Path) -> list[float]:
    """Of each step."""
    with open(record / ITERATIONS, newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def fastest_epoch(record: Path) -> float:
    """Seconds of training; the first epoch, which plans, is left out."""
    with open(record / HISTORY, newline="") as file:
        ends = [float(row["train_seconds"]) for row in csv.DictReader(file)]
    return min(after - before for before, after in zip(ends, ends[1:], strict=False))
