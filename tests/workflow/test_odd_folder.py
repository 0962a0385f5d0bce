"""A checkout whose path has a space and an umlaut, with its environment in it: planned, run, and submitted to a cluster."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from frugal.faults.checkout import snapshot

CACHE = "digits/manifest.json"
RUN = "runs/compression/digits/cnn-tiny/full/seed-0/metrics.json"
SMALL = (
    "studies=[compression]",
    "override={strategies: [full], seeds: 1, budgets: [], recipe: {epochs: 1}, grouped: false}",
)
SUBMIT = '#!/bin/sh\n(sh "$1" > submitted.log 2>&1 &)\necho 1\n'


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd") / "ein Häuschen" / "frugal"
    snapshot(folder)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "submit it.sh").write_text(SUBMIT)
    (folder / "submit it.sh").chmod(0o755)
    return folder


def snakemake(checkout, *arguments):
    command = [checkout / ".venv/bin/python", "-m", "snakemake", "--cores", "1", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def test_a_run_with_results_and_caches_in_such_folders(checkout):
    config = ("--config", *SMALL, "results=out put/", "caches=ca ches/")
    assert "warning" not in snakemake(checkout, "-n", *config).lower()
    snakemake(checkout, f"out put/demo/{RUN}", *config)
    assert Path(checkout, f"out put/demo/{RUN}").is_file()
    assert Path(checkout, f"ca ches/demo/{CACHE}").is_file()


def test_a_job_of_a_cluster(checkout):
    cluster = ("--executor", "cluster-generic", "--cluster-generic-submit-cmd", "'./submit it.sh'", "--jobs", "1")
    cluster += ("--seconds-between-status-checks", "1")
    snakemake(checkout, *cluster, f"results/demo/data/{CACHE}", "--config", *SMALL)
    assert Path(checkout, f"results/demo/data/{CACHE}").is_file()
