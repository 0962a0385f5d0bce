"""`make speedrun`: what it trains, what it says, and that it refuses where CIFAR-10 isn't there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

import speedrun
from frugal.errors import FrugalError
from frugal.training.muon import Muon

ROOT = Path(__file__).parents[1]


def test_the_scale_strong_steps_its_filters_as_far_as_the_source(tmp_path):
    """By 0.24 of a norm that is the root of a matrix's rows; where ours is largest it has 256 rows and 256 x 3 x 3 columns."""
    spec = speedrun.planned(str(tmp_path), 2, None).run("cross", "cifar-10-49000", "airbench", "full", 1)
    recipe, rows, columns = spec.recipe, 256, 256 * 9
    assert (spec.seed, recipe.batch_size, recipe.optimizer, recipe.momentum) == (1, 1024, "muon", 0.6)
    weight = torch.zeros(rows, columns, requires_grad=True)
    optimizer = Muon([{"params": [weight], "matrix": True}], recipe.learning_rate, recipe.momentum)
    weight.grad = torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))
    optimizer.step()
    assert weight.norm().item() == pytest.approx(0.24 * rows**0.5, rel=0.15)  # singular values of a step are about 1
    assert recipe.average.decay == pytest.approx(0.95**5, abs=1e-5)


def test_epochs_replace_those_of_the_recipe(tmp_path):
    plan = speedrun.planned(str(tmp_path), 1, 0.25)
    assert plan.run("cross", "cifar-10-49000", "airbench", "full", 0).recipe.epochs == 0.25
    with pytest.raises(FrugalError, match="recipe.epochs is 0"):
        speedrun.planned(str(tmp_path), 1, 0)


def test_without_cifar_10_there_is_one_clear_line_and_nothing_is_made(tmp_path):
    command = [sys.executable, "scripts/speedrun.py", "--results", tmp_path / "new"]
    environment = {key: value for key, value in os.environ.items() if key != "FRUGAL_DATA"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("frugal: CIFAR-10 isn't there: no folder is named by FRUGAL_DATA or --data")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_folder_without_it_is_named(tmp_path):
    plan = speedrun.planned(str(tmp_path / "new"), 1, None)
    with pytest.raises(FrugalError, match=f"{tmp_path} has neither cifar-10-batches-bin/ nor cifar-10-binary.tar.gz"):
        speedrun.prepared(plan, str(tmp_path), 1)


METRICS = {"seed": 3, "train_seconds": 1234.56, "cpu_seconds": 1200, "flops_executed": 3.2e14, "epochs_trained": 10}
MANIFEST = {
    "hardware": {"cpu": "A CPU", "threads": 2},
    "git": {"commit": "0123456789abcdef", "dirty": True},
    "versions": {"torch": "2.15"},
    "notes": ["device: cpu", "precision auto: float32, since", "gradients of convolutions' weights: so"],
}


@pytest.mark.parametrize("told", [0.5, None])
def test_a_watched_run_gives_its_exit_status_and_its_bar_stands_where_the_run_is(tmp_path, monkeypatch, told):
    progress, stood = tmp_path / "progress.json", []
    if told is not None:
        progress.write_text(json.dumps({"epochs_done": told}))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    close = speedrun.tqdm.close
    monkeypatch.setattr(speedrun.tqdm, "close", lambda bar: (stood.append(bar.n), close(bar)))
    command = [sys.executable, "-c", "import time; time.sleep(1.5); raise SystemExit(3)"]
    assert speedrun.watched(command, progress, "seed 0", 2.0) == 3
    assert stood[0] == (told or 0)


def test_a_row_stands_below_its_headings():
    told = speedrun.row(METRICS | {"test_accuracy": 0.9312, "test_accuracy_flips": 0.94})
    assert told.split() == ["3", "1,234.6", "1,200.0", "0.3200", "93.12", "94.00"]
    assert len(told) == len(" ".join(speedrun.COLUMNS))
    assert "nan" in speedrun.row(METRICS | {"test_accuracy": 0.9, "test_accuracy_flips": 0.9, "flops_executed": None})


def test_the_end_says_the_mean_with_its_interval_and_the_machine():
    plain, views = [0.93, 0.932, 0.937], [0.94, 0.941, 0.942]
    records = [
        (METRICS | {"test_accuracy": one, "test_accuracy_flips": other}, MANIFEST)
        for one, other in zip(plain, views, strict=True)
    ]
    lines = speedrun.summary(records, ["20 images are others"]).splitlines()
    low, high = stats.t.interval(0.95, 2, np.mean(plain), stats.sem(plain))
    assert lines[0] == f"accuracy: 93.30 %, 95 % interval {100 * low:.2f} to {100 * high:.2f}, 3 seeds"
    assert lines[1].startswith("with views: 94.10 %, 95 % interval")
    assert lines[2].startswith("machine: A CPU, ")
    assert lines[3:] == [
        "torch 2.15, commit 0123456789ab with changes, 10 epochs",
        "precision auto: float32, since",
        "gradients of convolutions' weights: so",
        "data: 20 images are others",
    ]
    assert "one seed has no interval" in speedrun.summary(records[:1], [])
