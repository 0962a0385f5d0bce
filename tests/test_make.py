"""What `make` does to the environment: setup, demo, run and test may change it, nothing else; and what `status` is told."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOVES = ("setup", "demo", "run", "test")
STAYS = (
    "status",
    "watch",
    "compare",
    "share",
    "lint",
    "format",
    "bench",
    "speedrun",
    "gpu",
    "lock",
    "schemas",
    "test-slurm",
    "check-reference",
    "error-rates",
    "known-outcomes",
)


@pytest.fixture
def checkout(tmp_path):
    """A folder with the Makefile, in a path with a space and an umlaut, and no environment."""
    folder = tmp_path / "ein Häuschen" / "frugal"
    folder.mkdir(parents=True)
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    return folder


def make(folder, *arguments):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("target", STAYS)
def test_without_an_environment_a_look_makes_none(checkout, target):
    done = make(checkout, target)
    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == "there is no environment in .venv, or not a whole one: run make setup first"
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("target", [*MOVES, *STAYS])
def test_only_four_commands_bring_the_environment_up_to_date(checkout, target):
    tools = checkout / ".venv/bin"
    tools.mkdir(parents=True)
    shutil.copy(shutil.which("true"), tools / "python")
    (checkout / ".venv/.installed").touch()
    os.utime(checkout / ".venv/.installed", (0, 0))  # older than the lock
    assert ("pip sync" in make(checkout, "-n", target).stdout) == (target in MOVES)


def test_compare_says_how_it_is_used(checkout):
    (checkout / ".venv/bin").mkdir(parents=True)
    shutil.copy(shutil.which("true"), checkout / ".venv/bin/python")
    (checkout / ".venv/.installed").touch()
    for given in ((), ("A=results/demo",)):
        done = make(checkout, "compare", *given)
        assert done.returncode != 0
        assert done.stderr.startswith("give two sets of results: make compare A=results/demo B=/elsewhere/demo\n")


def test_make_passes_config_on_word_for_word(checkout):
    (checkout / ".venv/bin").mkdir(parents=True)
    tool = f"#!/bin/sh\nexec '{sys.executable}' -c 'import json, sys; print(json.dumps(sys.argv[1:]))' \"$@\"\n"
    for name in ("python", "snakemake"):
        (checkout / f".venv/bin/{name}").write_text(tool)
        (checkout / f".venv/bin/{name}").chmod(0o755)
    (checkout / ".venv/.installed").touch()
    config = "results='/else where' studies=[ast] override={seeds:1,recipe:{epochs:2}} data=\"x y\""
    words = ["results=/else where", "studies=[ast]", "override={seeds:1,recipe:{epochs:2}}", "data=x y"]
    for target in ("status", "watch", "run"):
        done = make(checkout, target, "SCALE=cpu", f"CONFIG={config}")
        assert json.loads(done.stdout.splitlines()[-1])[-5:] == ["scale=cpu", *words]


def test_status_takes_the_keys_of_a_run(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("studies: [compression]\noverride: {recipe: {epochs: 2}}\n")
    given = (
        f"results={tmp_path}/out/",
        "override={strategies: [full, ema-4-16], seeds: 1, budgets: [], levels_for: 28}",
    )
    page = tmp_path / "status.html"
    command = [
        sys.executable,
        "scripts/status.py",
        "--page",
        str(page),
        *given,
        "scale=demo",
        "--configfile",
        str(mine),
    ]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # over the page of before
    assert done.returncode == 0, done.stderr
    assert f"runs under {tmp_path}/out/demo\n" in done.stdout
    assert done.stdout.count("compression") == 2, "its row, and that its time left is unknown"
    assert " 2 " in done.stdout  # two strategies, one seed, waiting
    assert "time left: unknown yet" in done.stdout
    assert "0 of 2 done, 2 waiting" in page.read_text()


def test_status_writes_its_page_over_no_other_file(tmp_path):
    notes = tmp_path / "notes.md"
    notes.write_text("mine")
    command = [sys.executable, "scripts/status.py", "--page", str(notes), f"results={tmp_path}", "scale=demo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout
    assert f"{notes} is there and no page of this kind" in done.stderr
    assert notes.read_text() == "mine"


@pytest.mark.parametrize("word", ["scale", "1=2", "override={seeds: 5"])
def test_status_refuses_what_it_cannot_read_in_one_line(word):
    done = subprocess.run(
        [sys.executable, "scripts/status.py", word], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("frugal: ")
    assert done.stderr.count("\n") == 1
