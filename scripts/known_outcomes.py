"""What a right harness finds, and what papers claim, held against the tables of a scale: found or not, confirmed or refuted.

python scripts/known_outcomes.py --results results/mnist
python scripts/known_outcomes.py --results results/mnist results/strong --page verdicts.md
"""

import argparse
import shlex
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from frugal.errors import FrugalError, exit_with_one_line
from frugal.report.cost_figures import exchange_grid
from frugal.report.known_outcomes import (
    FILE,
    FOUND,
    NOT_FOUND,
    NOT_RUN,
    UNDECIDED,
    WITHIN,
    Outcome,
    outcomes,
    read_cases,
)
from frugal.report.theme import set_theme
from frugal.report.verdicts_page import counts, verdicts_page

COLOURS = {FOUND: "green", WITHIN: "green", NOT_FOUND: "red", UNDECIDED: "yellow", NOT_RUN: "dim"}


def main() -> None:
    """Print a row per case and ground, then how many came out how."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", required=True, type=Path, nargs="+", help="results of scales, e.g. results/mnist")
    parser.add_argument("--cases", default=FILE, type=Path, help=f"default: {FILE}")
    parser.add_argument(
        "--page", type=Path, help="also write what was tried to this file, as a page of Markdown with a picture"
    )
    given = parser.parse_args()
    for folder in given.results:
        if not folder.is_dir():
            raise FrugalError(f"{folder} is no folder; give the results of a scale, such as results/mnist")
    found = outcomes(read_cases(given.cases), *given.results)
    tried = [one for one in found if one.outcome != NOT_RUN]
    console = Console(highlight=False)
    console.width = max(console.width, 140)  # so that a log has the same table as a terminal
    console.print(table(tried))
    for what, told in counts(found).items():
        console.print(f"{what}: {told}")
    if given.page is not None:
        set_theme(given.page.parent)
        picture = given.page.with_suffix(".png")
        exchange_grid(dict.fromkeys(one.results / "tables" / one.case.study for one in tried if one.results)).savefig(
            picture
        )
        page = verdicts_page(found, f"python {shlex.join(sys.argv)}", given.page.parent, picture.name)
        given.page.write_text(page, encoding="utf-8")


def table(found: list[Outcome]) -> Table:
    """The outcomes as a table for a terminal; the sources stand in the file of cases."""
    shown = Table("case", "kind", "ground", "seeds", "expected", "measured (95 %)", "outcome")
    for one in found:
        outcome = f"[{COLOURS[one.outcome]}]{one.verdict}"
        shown.add_row(
            one.case.case, one.case.kind, one.ground, str(one.seeds or "–"), one.case.told, one.measured, outcome
        )
    return shown


if __name__ == "__main__":
    exit_with_one_line(main)
