"""Report of a study: its notebook is run, and the executed copy, a self-contained web page and the figures are written."""

import argparse
import os
from pathlib import Path

from frugal.errors import exit_with_one_line
from frugal.report import load, repeat
from frugal.report.load import read_study_of
from frugal.report.page import render

SHOWN = {".csv", ".tex", ".json"}  # tables that a reader may want


def main() -> None:
    """Hand the study's tables and the reported figures to the notebook; see --help for what goes where."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--notebook", required=True, type=Path, help="e.g. notebooks/compression.ipynb")
    arguments.add_argument("--tables", required=True, help="folder that tabulate_runs.py wrote")
    arguments.add_argument(
        "--reported",
        help="the authors' figures, e.g. config/reported/compression.csv, where the study repeats an experiment",
    )
    arguments.add_argument(
        "--measurements", help="folder with tables about this machine, for studies that ask for some"
    )
    arguments.add_argument("--ipynb", required=True, type=Path, help="where the executed notebook goes")
    arguments.add_argument("--html", required=True, type=Path, help="where the web page goes")
    arguments.add_argument(
        "--figures", required=True, type=Path, help="folder of the figures as SVG, PDF and PNG; replaced as a whole"
    )
    arguments.add_argument("--failed", type=Path, help="where a failed notebook goes; by default beside --ipynb")
    arguments.add_argument(
        "--home", type=Path, help="the overview that the page links to, e.g. results/demo/index.html"
    )
    arguments.add_argument(
        "--reports", nargs="*", default=[], help="the studies that have a report, for links between them"
    )
    given = arguments.parse_args()
    study = read_study_of(given.tables)
    parameters = {"tables": given.tables, "figures": str(given.figures)}
    parameters |= {name: value for name in ("reported", "measurements") if (value := getattr(given, name))}
    failed = given.failed or given.ipynb.with_suffix(".failed.ipynb")
    folder = given.html.parent
    tables = {
        path.name: os.path.relpath(path, folder)
        for path in sorted(Path(given.tables).glob("*.*"))
        if path.suffix in SHOWN
    }
    runs = load.read_table(given.tables, "runs")
    commits = runs["git_commit"].dropna()
    around = {
        "home": os.path.relpath(given.home or folder.parent / "index.html", folder),
        "reports": {name: None if name == study.name else f"{name}.html" for name in given.reports},
        "lacking": repeat.lacking(study, runs),
        "commands": repeat.lines(study, commits.unique(), str(given.notebook)),
        "tables": tables,
        "ideas": study.labels,
    }
    render(given.notebook, parameters, given.ipynb, given.html, given.figures, failed, study.title, around)


if __name__ == "__main__":
    exit_with_one_line(main)
