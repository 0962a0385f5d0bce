"""Front page of a scale's results: the overview notebook, run on the tables of all studies."""

import argparse
from pathlib import Path

from frugal.errors import exit_with_one_line
from frugal.report.load import comparisons, read_study_of
from frugal.report.page import render


def main() -> None:
    """Read the tables of all studies under --results and write --out."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--studies", required=True, nargs="+", help="names of the studies, in the order of the page")
    arguments.add_argument("--results", required=True, type=Path, help="results folder of the scale, e.g. results/demo")
    arguments.add_argument("--out", required=True, type=Path, help="the page, e.g. results/demo/index.html")
    arguments.add_argument("--notebook", default=Path("notebooks/overview.ipynb"), type=Path, help="what makes it")
    arguments.add_argument("--reported", default="config/reported", help="folder of the authors' figures")
    arguments.add_argument("--cases", default="config/known_outcomes.yaml", help="claims that are put to the test")
    arguments.add_argument("--reports", nargs="*", default=[], help="the studies that have a report of their own")
    given = arguments.parse_args()
    reports, scales = given.out.parent / "reports", set()
    for name in given.studies:  # a missing table is told in one line, before a notebook is started
        tables = given.results / "tables" / name
        comparisons(tables)
        scales.add(read_study_of(tables).scale)
    parameters = {
        "results": str(given.results),
        "page": str(given.out),
        "figures": str(reports / "overview"),
        "reported": given.reported,
        "cases": given.cases,
        "studies": given.studies,
        "reports": given.reports,
    }
    outputs = reports / "overview.ipynb", given.out, reports / "overview", reports / "overview.failed.ipynb"
    title = f"Results at the scale {', '.join(sorted(scales))}"
    around = {"reports": {name: f"reports/{name}.html" for name in given.reports}}
    render(given.notebook, parameters, *outputs, title=title, around=around)


if __name__ == "__main__":
    exit_with_one_line(main)
