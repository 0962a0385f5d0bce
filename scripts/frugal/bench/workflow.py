"""Benchmark of the workflow: overhead of planning thousands of runs, of their tables, and of starting each."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from frugal.bench import records
from frugal.bench.row import Row
from frugal.errors import FrugalError

STEPS = 352  # of an epoch: those of CIFAR-10 in batches of 128


def measure(folder: Path) -> list[Row]:
    """Dry runs of 1,008 and of 10,010 training jobs, tables of as many records, and a grid of 100 runs grouped and not.

    folder: for their results; each in processes of its own as a user starts them. Raises FrugalError where one fails.
    """
    thousand = min(_snakemake(folder, "-n", seeds=72)[0] for _ in range(2))
    ten_thousand, planning = _snakemake(folder, "-n", seeds=715)
    target = f"{folder}/none/demo/runs/compression/digits/cnn-small/full/seed-700/metrics.json"
    one, _ = _snakemake(folder, "-n", target, seeds=715)
    seconds, memory = _tables(folder / "records")
    return [
        Row("workflow", "dry run of 1,008 training jobs", thousand, "s", 5, "at most"),
        Row("workflow", "dry run of 10,010 training jobs", ten_thousand, "s", 15, "at most"),
        Row("workflow", "peak memory of planning them", planning / 1e6, "MB", 500, "at most"),
        Row("workflow", "dry run of one target among them", one, "s", 4, "at most"),
        Row("workflow", f"tables of 1,008 runs, {records.EPOCHS * STEPS:,} steps each", seconds, "s", 10, "at most"),
        Row("workflow", "peak memory of making them", memory / 2**30, "GiB", 2, "at most"),
        Row(
            "workflow",
            "grid of 100 runs on digits, each a job, over one job for all",
            _grouping(folder),
            "x",
            2,
            "at least",
        ),
    ]


def _snakemake(folder: Path, *arguments: str, **override: object) -> tuple[float, int]:
    """Seconds and peak resident memory in bytes of Snakemake, with the compression study of the demo; two cores."""
    settings = ", ".join(f"{key}: {value}" for key, value in ({"grouped": "false"} | override).items())
    config = ["--config", "studies=[compression]", f"override={{{settings}}}", f"results={folder}/none", "device=cpu"]
    command = [Path(sys.executable).with_name("snakemake"), "-q", "--cores", "2", *arguments, *config]
    return _timed([str(part) for part in command])


# From a small process: a child counts as its own the memory of the one that forked it, and this one holds torch.
RUN_AND_WEIGH = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(status)
"""


def _timed(command: list[str]) -> tuple[float, int]:
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-S", "-c", RUN_AND_WEIGH, *command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise FrugalError(f"{' '.join(command)[:200]} ... failed; start it by hand to see why")
    return time.perf_counter() - start, int(done.stdout)


def _grouping(folder: Path) -> float:
    """How many times as long the runs take, from prepared data to the last record, when each starts Python and torch anew."""
    grid = {"strategies": "[full, fixed-8]", "seeds": 50, "recipe": "{epochs: 2}"}
    _snakemake(folder, f"{folder}/none/demo/data/digits/manifest.json", **grid)
    runs = [
        f"{folder}/none/demo/runs/compression/digits/cnn-small/{s}/seed-{n}/metrics.json"
        for s in ("full", "fixed-8")
        for n in range(50)
    ]
    alone, _ = _snakemake(folder, *runs, **grid)
    shutil.rmtree(folder / "none/demo/runs")
    stamp = f"{folder}/none/demo/runs/compression/digits/cnn-small/runs.json"
    together, _ = _snakemake(folder, stamp, **grid | {"grouped": "true"})
    return alone / together


def _tables(results: Path) -> tuple[float, int]:
    """Seconds and peak resident memory in bytes of tabulate_runs.py."""
    study = records.study(strategies=14, seeds=72)
    records.write(study, results, STEPS)
    script = Path(__file__).parents[2] / "tabulate_runs.py"
    given = ["--study", study.model_dump_json(), "--results", str(results), "--out", str(results / "tables")]
    return _timed([sys.executable, str(script), *given])
