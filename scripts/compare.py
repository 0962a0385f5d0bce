"""Comparison of two sets of results: what differs beyond the noise of the seeds; exit status 1 where anything got worse."""

import argparse

from rich.console import Console
from rich.table import Table

from frugal.errors import exit_with_one_line
from frugal.report.compare import BETTER, WORSE, differences, only_in, read_runs
from frugal.report.costs import COSTS


def main() -> int:
    """Print what differs; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", metavar="A", help="the folder of a scale, e.g. results/demo, or a runs.csv")
    parser.add_argument("after", metavar="B", help="what is held against it")
    parser.add_argument("--all", action="store_true", help="show every figure, not only those that differ beyond noise")
    given = parser.parse_args()
    before, after = read_runs(given.before), read_runs(given.after)
    found = differences(before, after)
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
    for name, missing in (("A", only_in(before, after)), ("B", only_in(after, before))):
        if missing:
            console.print(f"only in {name}, not compared: {', '.join(missing)}")
    return int((found["verdict"] == WORSE).any())


def _cells(row: tuple) -> list[str]:
    told = _percent if row.figure == "test_accuracy" else COSTS[row.figure].told if row.figure in COSTS else _seconds
    known = row.low == row.low
    interval = f"{told(row.low)} to {told(row.high)}" if known else "-"
    colour = {BETTER: "[green]", WORSE: "[red]"}.get(row.verdict, "")
    p = f"{row.p:.2g}" if row.p == row.p else "-"
    numbers = [told(row.before), told(row.after), told(row.difference), interval, p]
    where = f"{row.dataset}, {row.model}"
    return [row.study, where, row.strategy, row.figure, *numbers, colour + row.verdict]


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _seconds(amount: float) -> str:
    return f"{amount:.3g} s"


if __name__ == "__main__":
    exit_with_one_line(main)
