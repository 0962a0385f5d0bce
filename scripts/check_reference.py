"""Does this installation converge as it should? Train two seeds of a reference's baseline here and hold them against it."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from frugal.errors import FrugalError, did_you_mean, exit_with_one_line
from frugal.plan import Plan
from frugal.report.records import read_record
from frugal.report.reference import FOLDER, Reference, agreement, check_same_ground, read_all
from frugal.report.terms import recipe_of
from frugal.study import Cell, Study
from frugal.yamlfile import read_yaml

SEEDS = 2


def main() -> int:
    """Print a row per budget; returns 1 where any of them does not agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reference", nargs="?", help=f"its name under {FOLDER}; default: the cheapest to train")
    parser.add_argument("--results", default="build/check-reference", help="folder of these runs, of nothing else")
    parser.add_argument("--cores", default="1", help="for Snakemake")
    parser.add_argument(
        "--minutes", type=float, default=10, help="about how long runs may take; larger budgets are left out"
    )
    given = parser.parse_args()
    reference = chosen(given.reference, read_all())
    budgets = affordable(reference, 60 * given.minutes)
    config = config_of(reference, given.results)
    plan = Plan(read_yaml(Path("config/config.yaml")) | config)
    study = plan.studies[reference.origin("study")]
    cells = cells_of(study, reference, budgets)
    files = [f"{plan.results}/{study.folder(cell, seed)}/metrics.json" for cell in cells for seed in study.seeds]
    words = [f"{key}={json.dumps(value)}" for key, value in config.items()]
    command = [sys.executable, "-m", "snakemake", "--quiet", "all", "--cores", given.cores, *files, "--config", *words]
    print(
        f"reference {reference.name}: {len(files)} runs, seeds {', '.join(map(str, study.seeds))} ...", file=sys.stderr
    )
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout)
        raise FrugalError(f"the runs of reference {reference.name} failed; Snakemake says why above")
    runs = read_runs(study, Path(plan.results), cells, reference)
    return tell(reference, agreement(reference, runs))


def chosen(name: str | None, references: list[Reference]) -> Reference:
    """The reference of that name, or the cheapest. Raises FrugalError where there is none."""
    if not references:
        raise FrugalError(f"{FOLDER} has no reference; make one with the rule `reference`, see config/README.md")
    names = [one.name for one in references]
    if name is not None and name not in names:
        raise FrugalError(f"unknown reference {name!r}; {did_you_mean(name, names)}")
    return references[0 if name is None else names.index(name)]


def affordable(reference: Reference, seconds: float) -> list[float]:
    """Its budgets that fit, from the smallest, by what they took where the reference was made; what is left out is printed.

    Raises FrugalError where none fits.
    """
    table = reference.table
    fits = (SEEDS * table["train_seconds"]).cumsum() <= seconds
    if not fits.any():
        least = SEEDS * table["train_seconds"].iloc[0] / 60
        raise FrugalError(
            f"reference {reference.name} needs {least:.0f} minutes for its smallest budget: raise --minutes"
        )
    for row in table[~fits].itertuples():
        print(
            f"budget {row.budget:g} is left out: {row.train_seconds / 60:.0f} minutes a run; raise --minutes",
            file=sys.stderr,
        )
    return table["budget"][fits].tolist()


def config_of(reference: Reference, results: str) -> dict[str, object]:
    """Keys of config.yaml that train its baseline alone, with seeds that the reference has not."""
    after = max(reference.seeds) + 1
    return {
        "scale": reference.origin("scale"),
        "studies": [reference.origin("study")],
        "results": results,
        "override": {
            "seeds": list(range(after, after + SEEDS)),
            "strategies": [reference.origin("strategy")],
            "datasets": [reference.origin("dataset")],
            "models": [reference.origin("model")],
            "budgets": reference.table["budget"].tolist(),
        },
    }


def cells_of(study: Study, reference: Reference, budgets: list[float]) -> dict[Cell, float]:
    """The baseline at each of these budgets, and the budget."""
    here = reference.origin("dataset"), reference.origin("model")
    runs = study.budgets.get(study.baseline, {study.baseline: 1.0})
    return {Cell(*here, name): share for name, share in runs.items() if share in budgets}


def read_runs(study: Study, results: Path, cells: dict[Cell, float], reference: Reference) -> pd.DataFrame:
    """budget and test_accuracy of each run. Raises FrugalError where they are of another ground than the reference."""
    rows = []
    for cell, budget in cells.items():
        for seed in study.seeds:
            record = read_record(study, cell, seed, results)
            epochs = reference.recipe["epochs"] if budget != 1 else recipe_of(record)["epochs"]
            check_same_ground(reference, recipe_of(record) | {"epochs": epochs}, record.manifest.data_checksum)
            rows.append((budget, record.metrics.test_accuracy))
    return pd.DataFrame(rows, columns=["budget", "test_accuracy"])


def tell(reference: Reference, found: pd.DataFrame) -> int:
    """Print what was found; returns the exit status."""
    table = Table("budget", "reference", "here", "difference", "allowed", "z", "", title=f"reference {reference.name}")
    for row in found.itertuples():
        there = f"{100 * row.reference_mean:.2f} %"
        mark = "[green]as it should" if row.agrees else "[red]not as it should"
        shown = (
            f"{100 * row.mean:.2f} %",
            f"{100 * row.difference:+.2f}",
            f"± {100 * row.allowed:.2f}",
            f"{row.z:+.2f}",
        )
        table.add_row(f"{row.budget:g}", there, *shown, mark)
    console = Console(highlight=False)
    console.width = max(console.width, 100)
    console.print(table)
    sound = bool(found["agrees"].all())
    console.print(
        f"this installation {'converges as it should' if sound else 'does not converge as it should'}: {SEEDS} seeds per budget"
    )
    return int(not sound)


if __name__ == "__main__":
    exit_with_one_line(main)
