"""The scripts as Snakemake calls them, and the pages that they make of invented records."""

import json
import shutil
import subprocess
from pathlib import Path

from forks import REPORTS
from report import factory

STUDIES = {"compression": factory.study(), "infobatch": factory.with_budgets()}
CROSS = factory.study(
    name="cross",
    title='Every <strategy> on the "same" ground',
    strategies=["full", "fixed-16", "fixed-4"],
    seeds=[0, 1],
)


def call(script: str, **options: object) -> subprocess.CompletedProcess:
    """A script of the workflow with these options."""
    several = {name: value if isinstance(value, list) else [value] for name, value in options.items()}
    named = [part for name, values in several.items() for part in (f"--{name}", *map(str, values))]
    return REPORTS.run([f"scripts/{script}.py", *named])


def outputs(root: Path, name: str) -> dict[str, Path]:
    """What the rendering of a study writes."""
    reports = root / "reports"
    return {
        **{"ipynb": reports / f"{name}.ipynb", "html": reports / f"{name}.html"},
        **{"figures": reports / name, "failed": root / "failed.ipynb"},
    }


def render(root: Path, name: str = "compression", **changes: object) -> subprocess.CompletedProcess:
    """One study's report."""
    given = {
        **{"notebook": f"notebooks/{name}.ipynb", "tables": root / "tables" / name},
        **{"reported": f"config/reported/{name}.csv", "reports": list(STUDIES)},
    }
    return call("render", **given | outputs(root, name) | changes)


def make(root: Path) -> Path:
    """Records, tables, reports and front page made by the scripts alone: of two studies, and of one that only the overview has,
    which lacks a record and all those of a strategy, and has a stranger's file among its runs."""
    steps = []
    for given in (*STUDIES.values(), CROSS):
        factory.write_runs(root, given)
    (root / "runs/cross/digits/cnn-tiny/fixed-16/seed-1/metrics.json").write_text("{")
    shutil.rmtree(root / "runs/cross/digits/cnn-tiny/fixed-4")
    (root / "runs/cross/notes.txt").write_text("mine")
    for name, given in {**STUDIES, "cross": CROSS}.items():
        steps.append(call("tabulate_runs", study=json.dumps(given), results=root, out=root / "tables" / name))
    steps += [render(root, name) for name in STUDIES]
    steps.append(
        call("index", studies=[*STUDIES, "cross"], results=root, out=root / "index.html", reports=list(STUDIES))
    )
    for step in steps:
        assert step.returncode == 0, step.stderr
    return root
