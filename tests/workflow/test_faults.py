"""The fault campaign in short; the whole one is `python scripts/faults.py`, its table under benchmarks/."""

import json
import subprocess
import sys

import pytest

from frugal.faults.checkout import differing
from workflow.conftest import ROOT

FAULTS = ROOT / "scripts" / "faults.py"


@pytest.mark.slow
@pytest.mark.xdist_group("faults")  # beside the other tests of the workflow, with whose checkouts it shares nothing
def test_a_grid_survives_a_kill(tmp_path):
    command = [sys.executable, FAULTS, "--kills", "1", "--accidents", "--seed", "1"]
    done = subprocess.run([*command, "--out", tmp_path / "faults.json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    faults = json.loads((tmp_path / "faults.json").read_text())["faults"]
    assert sum(fault["tried"] for fault in faults if fault["fault"].startswith("kill -9")) == 1
    assert all(fault["survived"] == fault["tried"] for fault in faults)


def test_a_record_that_differs_is_missing_or_foreign_is_found():
    same, other = ({"test_accuracy": 0.9}, "1,2.3"), ({"test_accuracy": 0.9}, "1,2.4")
    assert differing({"a": same, "b": same}, {"a": same, "b": same}) == []
    assert differing({"a": same, "b": other, "d": same}, {"a": same, "b": same, "c": same}) == ["b", "c", "d"]


def test_an_accident_nobody_knows_is_refused():
    done = subprocess.run(
        [sys.executable, FAULTS, "--accidents", "earthquake"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("frugal: unknown accident 'earthquake'")
