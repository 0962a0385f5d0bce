"""What the workflow costs beside the work: planning a thousand runs, and making their tables."""

import os
import subprocess
import sys
import time
from pathlib import Path

from frugal.bench import records
from frugal.bench.row import Row, seconds_of
from frugal.errors import FrugalError

STEPS = 352  # of an epoch: those of CIFAR-10 in batches of 128


def measure(folder: Path) -> list[Row]:
    """Dry run of 1,008 training jobs and the tables of as many records, in processes of their own as a user starts them.

    folder: for their results. Raises FrugalError where one of them fails.
    """
    snakemake = Path(sys.executable).with_name("snakemake")
    command = [snakemake, "-n", "-q", "--cores", "2", "--config", "override={seeds: 72}", f"results={folder}/none"]

    def dry_run() -> None:
        done = subprocess.run([*command, "studies=[compression]"], capture_output=True, text=True)
        if done.returncode:
            raise FrugalError(f"the dry run failed: {done.stderr[-500:]}")

    planned = min(seconds_of(dry_run) for _ in range(2))
    seconds, memory = _tables(folder / "records")
    return [
        Row("workflow", "dry run of 1,008 training jobs", planned, "s", 5, "at most"),
        Row("workflow", f"tables of 1,008 runs, {records.EPOCHS * STEPS:,} steps each", seconds, "s", 10, "at most"),
        Row("workflow", "peak memory of making them", memory / 2**30, "GiB", 2, "at most"),
    ]


def _tables(results: Path) -> tuple[float, int]:
    """Seconds and peak resident memory in bytes of tabulate_runs.py."""
    study = records.study(strategies=14, seeds=72)
    records.write(study, results, STEPS)
    script = Path(__file__).parents[2] / "tabulate_runs.py"
    given = ["--study", study.model_dump_json(), "--results", str(results), "--out", str(results / "tables")]
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, script, *given], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise FrugalError(f"{script} failed; its message stands above")
    return time.perf_counter() - start, usage.ru_maxrss * 1024
