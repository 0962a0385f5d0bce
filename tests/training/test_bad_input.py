"""What can go wrong while a run runs: one line, a non-zero exit, nothing half-written, nothing finished lost."""

import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import tiny
from forks import TRAINING
from frugal.errors import exit_with_one_line
from train import main as train_main

TRAIN = Path(__file__).parents[2] / "scripts" / "train.py"


class Done(NamedTuple):
    """How a run ended."""

    returncode: int
    stderr: str


@pytest.fixture
def train(capfd, monkeypatch):
    """Run train.py as its command line would, without paying for a new process and its imports."""

    def run(cache, out, run=None, device="cpu"):
        spec = (run or tiny.spec()).model_dump_json()
        command = ["train.py", "--spec", spec, "--cache", str(cache), "--out", str(out), "--device", device]
        monkeypatch.setattr(sys, "argv", command)
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            exit_with_one_line(train_main)
        return Done(stopped.value.code or 0, capfd.readouterr().err)

    return run


@pytest.fixture
def finished(tmp_path, train):
    """A cache and a finished run on it."""
    cache = tiny.write_digits(tmp_path / "data")
    assert train(cache, tmp_path / "run").returncode == 0
    return tmp_path


def complaint(done):
    """The one line, of a run that failed as it should."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("frugal: ") and "warning" not in line]
    assert len(lines) == 1
    return lines[0]


def leftovers(folder):
    return [
        file.name for file in folder.rglob("*") if ".tmp" in file.name or file.name in ("metrics.json", "history.csv")
    ]


def damage(file, at=0.5):
    content = bytearray(file.read_bytes())
    content[int(len(content) * at)] ^= 0xFF
    file.write_bytes(content)


def test_a_damaged_cache(finished, train):
    damage(finished / "data" / "train_images.npy")
    line = complaint(train(finished / "data" / "manifest.json", finished / "out"))
    assert "train_images.npy" in line
    assert "damaged" in line
    assert leftovers(finished / "out") == []


def test_a_missing_cache(tmp_path, train):
    assert "manifest.json" in complaint(train(tmp_path / "manifest.json", tmp_path / "out"))


def test_a_damaged_newest_checkpoint_falls_back_to_the_older_one(finished, train):
    newest = max((finished / "run" / "checkpoints").glob("*/step-*.pt"))
    newest.with_name("step-000000000.pt").write_bytes(newest.read_bytes())
    damage(newest)
    done = train(finished / "data" / "manifest.json", finished / "run")
    assert done.returncode == 0
    assert (
        f"warning: checkpoint {newest} is damaged (its checksum does not match); trying the one before" in done.stderr
    )


def test_only_damaged_checkpoints(finished, train):
    for file in (finished / "run" / "checkpoints").glob("*/step-*.pt"):
        damage(file)
    record = (finished / "run" / "metrics.json").read_text()
    line = complaint(train(finished / "data" / "manifest.json", finished / "run"))
    assert "is sound; remove that folder to train from the start" in line
    assert (finished / "run" / "metrics.json").read_text() == record


def test_a_checkpoint_of_another_run_is_refused(finished, train):
    (mine,) = (finished / "run" / "checkpoints").iterdir()
    other = tiny.spec(seed=1)
    assert train(finished / "data" / "manifest.json", finished / "other", other).returncode == 0
    (theirs,) = (finished / "other" / "checkpoints").iterdir()
    shutil.rmtree(mine)
    theirs.rename(mine)
    line = complaint(train(finished / "data" / "manifest.json", finished / "run"))
    assert "belongs to another run (fingerprint" in line


def test_a_results_folder_that_cannot_be_written(finished, train):
    (finished / "file").write_text("in the way")
    line = complaint(train(finished / "data" / "manifest.json", finished / "file" / "run"))
    assert "a part of that path is a file" in line


def test_a_full_disk(finished):
    command = [TRAIN, "--spec", tiny.spec().model_dump_json(), "--out", finished / "out"]
    command += ["--cache", finished / "data" / "manifest.json", "--device", "cpu"]
    done = TRAINING.run(command, limits={"RLIMIT_FSIZE": 2000})
    assert "cannot write" in complaint(done)
    assert leftovers(finished / "out") == []


def test_a_loss_that_is_not_a_number(finished, train):
    run = tiny.spec(recipe={"learning_rate": 1e30, "schedule": "constant"})
    line = complaint(train(finished / "data" / "manifest.json", finished / "out", run))
    assert "the training loss is not a number at step 2 (epoch 1, learning rate 1e+30)" in line
    assert leftovers(finished / "out") == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there(finished, train):
    line = complaint(train(finished / "data" / "manifest.json", finished / "out", device="cuda"))
    assert "device is cuda, but torch finds no CUDA GPU here" in line


def test_a_level_beyond_the_image(finished, train):
    run = tiny.spec("compression", k_hi=9)
    line = complaint(train(finished / "data" / "manifest.json", finished / "out", run))
    assert "level 9" in line
    assert "8" in line
