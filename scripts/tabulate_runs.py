"""Tables of a study, from the records of its runs: runs, summary, history, iterations, trace, notes and audit, as CSV.

Not named tabulate.py: scripts lie first on the path, and torch imports a package of that name.
"""

import argparse
import sys
from pathlib import Path

from frugal.errors import exit_with_one_line
from frugal.report.records import read_records
from frugal.report.tables import tabulate
from frugal.study import read_study


def main() -> None:
    """Read exactly the runs that the study lists under --results, and write --out/*.csv."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--study", required=True, help="the resolved study, as JSON or as the path of a JSON file")
    arguments.add_argument("--results", required=True, type=Path, help="results folder of the scale, e.g. results/demo")
    arguments.add_argument(
        "--out", required=True, type=Path, help="folder of the tables, e.g. results/demo/tables/compression"
    )
    arguments.add_argument(
        "--caches", type=Path, help="folder of prepared data sets; a record of other content than theirs is left out"
    )
    given = arguments.parse_args()
    study = read_study(given.study)
    found = read_records(study, given.results, given.caches)
    for run in found.left_out:
        print(f"frugal: left out: {run.why}", file=sys.stderr)
    tables = tabulate(study, found)
    tables.write(given.out)
    print(
        f"{study.name}: {len(tables.runs)} runs in {len(tables.summary)} cells; {len(tables.audit)} findings of the audit"
    )


if __name__ == "__main__":
    exit_with_one_line(main)
