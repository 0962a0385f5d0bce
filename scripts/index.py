"""Write the front page of a scale's results: the overview notebook, run on the tables of all studies."""

import argparse
import json
from pathlib import Path

from frugal.errors import exit_with_one_line
from frugal.report.load import comparisons
from frugal.report.page import render
from frugal.study import read_studies


def main() -> None:
    """Read the tables of all studies under --results and write --out."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--studies", required=True, help="the resolved studies, as a JSON list or the path of one")
    arguments.add_argument("--results", required=True, type=Path, help="results folder of the scale, e.g. results/demo")
    arguments.add_argument("--out", required=True, type=Path, help="the page, e.g. results/demo/index.html")
    arguments.add_argument("--notebook", default=Path("notebooks/overview.ipynb"), type=Path, help="what makes it")
    arguments.add_argument("--reported", default="config/reported", help="folder of the authors' figures")
    arguments.add_argument("--reports", nargs="*", default=[], help="the studies that have a report of their own")
    given = arguments.parse_args()
    studies, reports = read_studies(given.studies), given.out.parent / "reports"
    for study in studies:  # a missing table is told in one line, before a notebook is started
        comparisons(study, given.results / "tables" / study.name)
    parameters = {
        "studies": json.dumps([study.model_dump() for study in studies]),
        "results": str(given.results),
        "page": str(given.out),
        "figures": str(reports / "overview"),
        "reported": given.reported,
        "reports": given.reports,
    }
    scales = ", ".join(sorted({study.scale for study in studies}))
    outputs = reports / "overview.ipynb", given.out, reports / "overview", reports / "overview.failed.ipynb"
    render(given.notebook, parameters, *outputs, title=f"Results at the scale {scales}")


if __name__ == "__main__":
    exit_with_one_line(main)
