"""Benchmark of the workflow: overhead of planning thousands of runs, of their tables, and of starting each."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from frugal import due
from frugal.bench import records
from frugal.bench.row import Row
from frugal.errors import FrugalError
from frugal.imports import digest_of_training
from frugal.plan import Plan
from frugal.yamlfile import read_yaml

ROOT = Path(__file__).parents[3]
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
STEPS = 352  # of an epoch: those of CIFAR-10 in batches of 128
STRATEGIES, MANY, FEW = 14, 715, 72  # 10,010 and 1,008 runs
ROUNDS = 3
GRID = 12  # seeds of two strategies: more would take longer and tell nothing else
# As many jobs, of two outputs each, and nothing else.
BARE = """
rule all:
    input: [f"runs/{n}/a" for n in range(COUNT)]
rule run:
    output: "runs/{n}/a", "runs/{n}/b"
    shell: "touch {output}"
"""


class Spent(NamedTuple):
    """What a command took: wall seconds, CPU seconds of it and its children, peak resident memory in bytes."""

    wall: float
    cpu: float
    memory: int


def measure(folder: Path) -> list[Row]:
    """Dry runs of thousands of training jobs over those of a bare Snakefile, tables of as many records, and grouped runs.

    folder: for their results; each in processes of its own as a user starts them. Raises FrugalError where one fails.
    """
    settings = {"strategies": f"[{', '.join(_strategies())}]", "budgets": "[]"}
    bare = folder / "bare"
    bare.mkdir()
    (bare / "Snakefile").write_text(BARE.replace("COUNT", str(STRATEGIES * MANY)))
    plain = [_snakemake_alone(bare) for _ in range(ROUNDS)]
    planned = [_snakemake(folder, "-n", seeds=MANY, **settings) for _ in range(ROUNDS)]
    target = f"{folder}/none/demo/runs/compression/digits/cnn-tiny/full/seed-{MANY - 15}/metrics.json"
    one = _snakemake(folder, "-n", target, seeds=MANY, **settings)
    plan = _records_of_the_plan(folder / "none")
    looking = min(_cpu_seconds(lambda: due.find(plan, digest_of_training)) for _ in range(ROUNDS))
    done = [_snakemake(folder, "-n", seeds=MANY, **settings) for _ in range(ROUNDS)]
    shutil.rmtree(folder / "none")
    tables = _tables(folder / "records")
    least = {
        name: min(one.cpu for one in spent) for name, spent in (("bare", plain), ("plan", planned), ("done", done))
    }
    per_run, peak = f"{STRATEGIES * MANY:,} training jobs", max(one.memory for one in (*planned, *done))
    grouped = f"grid of {2 * GRID} runs on digits, each a job, over one job for all"
    return [
        Row(
            "workflow",
            f"dry run of {per_run} over a bare Snakefile's",
            least["plan"] / least["bare"],
            "x",
            1.3,
            "at most",
        ),
        Row(
            "workflow",
            "looking at as many records, share of planning where all are there",
            100 * looking / least["done"],
            "%",
            20,
            "at most",
        ),
        Row("workflow", f"dry run of {per_run}", least["plan"], "CPU s"),
        Row("workflow", "peak memory of planning them", peak / 1e6, "MB", 500, "at most"),
        Row("workflow", "dry run of one target among them", one.wall, "s", 4, "at most"),
        Row(
            "workflow", f"tables of 1,008 runs, {records.EPOCHS * STEPS:,} steps each", tables.wall, "s", 10, "at most"
        ),
        Row("workflow", "peak memory of making them", tables.memory / 2**30, "GiB", 2, "at most"),
        Row("workflow", grouped, _grouping(folder), "x", 2, "at least"),
    ]


def _strategies() -> list[str]:
    """The first strategies of the compression study."""
    study = read_yaml(ROOT / "config/studies/compression.yaml")
    return list(study["strategies"])[:STRATEGIES]


def _records_of_the_plan(results: Path) -> Plan:
    """The plan of that study, and invented records of all of its runs, sealed as what is planned."""
    override = {"seeds": MANY, "strategies": _strategies(), "budgets": [], "grouped": False}
    config = {"studies": ["compression"], "results": str(results), "device": "cpu", "override": override}
    plan = Plan(read_yaml(ROOT / "config/config.yaml") | config, ROOT / "config")
    plans = due.plans(plan, "compression", digest_of_training)
    records.write(plan.studies["compression"], Path(plan.results), 1, plans)
    return plan


def _cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _snakemake(folder: Path, *arguments: str, **override: object) -> Spent:
    """Snakemake with the compression study of the demo; two cores."""
    settings = ", ".join(f"{key}: {value}" for key, value in ({"grouped": "false"} | override).items())
    config = ["--config", "studies=[compression]", f"override={{{settings}}}", f"results={folder}/none", "device=cpu"]
    command = [SNAKEMAKE, "-q", "--cores", "2", *arguments, *config]
    return _timed([str(part) for part in command])


def _snakemake_alone(folder: Path) -> Spent:
    return _timed(
        [str(SNAKEMAKE), "-q", "--cores", "2", "-n", "--directory", str(folder), "-s", str(folder / "Snakefile")]
    )


# From a small process: a child counts as its own the memory of the one that forked it, and this one holds torch.
RUN_AND_WEIGH = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)
sys.exit(status)
"""


def _timed(command: list[str]) -> Spent:
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-S", "-c", RUN_AND_WEIGH, *command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise FrugalError(f"{' '.join(command)[:200]} ... failed; start it by hand to see why")
    cpu, memory = done.stdout.split()
    return Spent(time.perf_counter() - start, float(cpu), int(memory))


def _grouping(folder: Path) -> float:
    """How many times as long the runs take, from prepared data to the last record, when each starts Python and torch anew."""
    grid = {"strategies": "[full, fixed-8]", "seeds": GRID, "budgets": "[]", "recipe": "{epochs: 2}"}
    _snakemake(folder, f"{folder}/none/demo/data/digits/manifest.json", **grid)
    runs = [
        f"{folder}/none/demo/runs/compression/digits/cnn-tiny/{s}/seed-{n}/metrics.json"
        for s in ("full", "fixed-8")
        for n in range(GRID)
    ]
    alone = _snakemake(folder, *runs, **grid).wall
    shutil.rmtree(folder / "none/demo/runs")
    stamp = f"{folder}/none/demo/runs/compression/digits/cnn-tiny/runs.json"
    together = _snakemake(folder, stamp, **grid | {"grouped": "true"}).wall
    return alone / together


def _tables(results: Path) -> Spent:
    """Of tabulate_runs.py, over 1,008 records."""
    study = records.study(strategies=STRATEGIES, seeds=FEW)
    records.write(study, results, STEPS)
    script = ROOT / "scripts/tabulate_runs.py"
    given = ["--study", study.model_dump_json(), "--results", str(results), "--out", str(results / "tables")]
    return _timed([sys.executable, str(script), *given])
