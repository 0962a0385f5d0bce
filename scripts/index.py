"""Write the front page of a scale's results: what was asked, what came out, and the way to everything behind it."""

import argparse
from pathlib import Path

from frugal.analysis.site import front_page
from frugal.atomic import write_text
from frugal.errors import exit_with_one_line
from frugal.study import read_studies


def main() -> None:
    """Read the tables of all studies under --results and write --out."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--studies", required=True, help="the resolved studies, as a JSON list or the path of one")
    arguments.add_argument("--results", required=True, type=Path, help="results folder of the scale, e.g. results/demo")
    arguments.add_argument("--out", required=True, type=Path, help="the page, e.g. results/demo/index.html")
    given = arguments.parse_args()
    write_text(given.out, front_page(read_studies(given.studies), given.results, given.out))


if __name__ == "__main__":
    exit_with_one_line(main)
