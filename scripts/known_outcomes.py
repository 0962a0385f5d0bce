"""What a right harness finds, and what papers claim, held against the tables of a scale: found or not, confirmed or refuted.

python scripts/known_outcomes.py --results results/mnist
"""

import argparse
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from frugal.errors import exit_with_one_line
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

COLOURS = {FOUND: "green", WITHIN: "green", NOT_FOUND: "red", UNDECIDED: "yellow", NOT_RUN: "dim"}


def main() -> None:
    """Print a row per case and ground, then how many came out how."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", required=True, type=Path, help="results of a scale, e.g. results/mnist")
    parser.add_argument("--cases", default=FILE, type=Path, help=f"default: {FILE}")
    given = parser.parse_args()
    found = outcomes(read_cases(given.cases), given.results / "tables")
    console = Console(highlight=False)
    console.width = max(console.width, 140)  # so that a log has the same table as a terminal
    console.print(table(found))
    claims = [one for one in found if one.case.kind == "claimed"]
    for what, some in (
        ("known", [one for one in found if one.case.kind == "known"]),
        ("claims about accuracy", [one for one in claims if one.case.against is not None]),
        ("claims about cost", [one for one in claims if one.case.against is None]),
    ):
        console.print(f"{what}: {counted(some)}")


def counted(found: list[Outcome]) -> str:
    """How many trials came out how, e.g. "2 found, 1 undecided"."""
    counts = Counter(one.verdict for one in sorted(found, key=lambda one: list(COLOURS).index(one.outcome)))
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) or "none"


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
