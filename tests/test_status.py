"""What a run's folder tells of it."""

import json
import os
import time

import pytest

from frugal.status import SILENT, status_of_run

BEAT = json.dumps({"epochs_done": 2.5, "epochs": 10, "seconds_left": 30.0, "host": "n1", "pid": 1})
STARTED = "digits/cnn/full/seed-0: device auto: runs on the CPU\n"


@pytest.mark.parametrize(
    ("files", "age", "state", "why"),
    [
        ({}, 0, "waiting", ""),
        ({"metrics.json": "{}", "train.log": STARTED}, 0, "done", ""),
        ({"train.log": STARTED, "progress.json": BEAT}, 0, "running", ""),
        ({"train.log": STARTED}, 0, "running", ""),
        ({"train.log": ""}, 0, "running", ""),
        ({"train.log": STARTED, "progress.json": BEAT}, SILENT + 60, "stopped", "no sign of life for 6 min"),
        ({"train.log": STARTED + "frugal: a/b: stopped by SIGTERM in epoch 2\n"}, 9, "stopped", "stopped by SIGTERM"),
        ({"train.log": STARTED + "frugal: the loss is NaN; lower the rate\n\n"}, 9, "failed", "the loss is NaN"),
        ({"train.log": "Traceback\n  File\nRuntimeError: broken: x\n"}, 1e6, "failed", "RuntimeError: broken: x"),
        ({"train.log": "torch.AcceleratorError: CUDA error\n"}, 1, "failed", "torch.AcceleratorError: CUDA error"),
        ({"train.log": STARTED + "frugal: warning: checkpoint x is damaged\n"}, 0, "running", ""),
        ({"train.log": STARTED + '{"test_accuracy": 1.0}\n'}, 1e6, "waiting", ""),
        ({"train.log": "\xff\xfe broken bytes", "progress.json": "{"}, 0, "running", ""),
    ],
)
def test_the_state_of_a_run_is_read_from_its_folder(tmp_path, files, age, state, why):
    folder = tmp_path / "runs" / "seed-0"
    folder.mkdir(parents=True)
    now = time.time()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="latin-1")
        os.utime(folder / name, (now - age, now - age))
    found = status_of_run(folder, tmp_path, now)
    assert (found.path, found.state) == ("runs/seed-0", state)
    assert why in found.why
    assert ("train.log" in found.why) == bool(found.why)
    if "progress.json" in files and state == "running" and files["progress.json"] == BEAT:
        assert (found.epochs_done, found.epochs, found.seconds_left) == (2.5, 10, 30.0)
