"""Comparison of two sets of results: what differs beyond the noise of the seeds; exit status 1 where anything got worse."""

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from frugal.atomic import write_text
from frugal.errors import exit_with_one_line
from frugal.report.compare import BETTER, WORSE, differences, only_in, read_runs, told
from frugal.report.compare_page import TITLE, page_of
from frugal.report.compare_settings import apart
from frugal.webpage import check_place


def main() -> int:
    """Print what differs; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", metavar="A", help="the folder of a scale, e.g. results/demo, or a runs.csv")
    parser.add_argument("after", metavar="B", help="what is held against it")
    parser.add_argument("--all", action="store_true", help="show every figure, not only those that differ beyond noise")
    parser.add_argument("--out", type=Path, help="the page that is written; by default compare.html beside B")
    parser.add_argument(
        "--relevant", type=_share, default=0.0, help="smallest difference of accuracy that matters, e.g. 0.002"
    )
    parser.add_argument("--relevant-cost", type=_share, default=0.0, help="of a cost, as a share of it, e.g. 0.01")
    given = parser.parse_args()
    places, there = (given.before, given.after), Path(given.after)
    page = given.out or (there if there.is_dir() else there.parent) / "compare.html"
    check_place(page, TITLE)
    before, after = map(read_runs, places)
    found = differences(before, after, given.relevant, given.relevant_cost)
    console = Console(highlight=False)
    console.width = max(console.width, 140)  # so that a log has the same table as a terminal
    shown = found if given.all else found[found["verdict"].isin([BETTER, WORSE])]
    if len(shown):
        table = Table(title="B against A, with 95 % intervals; verdicts corrected for the number of cells (Holm)")
        for name in ("study", "data, model", "strategy", "figure"):
            table.add_column(name)
        for name in ("A", "B", "B - A", "95 % interval", "p"):
            table.add_column(name, justify="right")
        table.add_column("verdict")
        for row in shown.itertuples():
            table.add_row(*_cells(row))
        console.print(table)
    cells = len(found.drop_duplicates(["study", "dataset", "model", "strategy"]))
    counts = found["verdict"].value_counts()
    console.print(f"{cells} cells in both, {len(found)} figures: " + ", ".join(f"{n} {v}" for v, n in counts.items()))
    only = {"A": only_in(before, after), "B": only_in(after, before)}
    for name, missing in only.items():
        if missing:
            console.print(f"only in {name}, not compared: {', '.join(missing)}")
    settings = apart(places, (before, after))
    write_text(page, page_of(places, page, found, settings, only, given.relevant, given.relevant_cost))
    console.print(f"as a page, with the settings that differ: {page}", soft_wrap=True)
    return int((found["verdict"] == WORSE).any())


def _cells(row: tuple) -> list[str]:
    known = row.low == row.low
    interval = f"{told(row.figure, row.low)} to {told(row.figure, row.high)}" if known else "-"
    colour = {BETTER: "[green]", WORSE: "[red]"}.get(row.verdict, "")
    p = f"{row.p:.2g}" if row.p == row.p else "-"
    numbers = [*(told(row.figure, value) for value in (row.before, row.after, row.difference)), interval, p]
    where = f"{row.dataset}, {row.model}"
    return [row.study, where, row.strategy, row.figure, *numbers, colour + row.verdict]


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f"{text} is no fraction from 0 up to 1; 0.002 is 0.2 points")
    return share


if __name__ == "__main__":
    exit_with_one_line(main)
