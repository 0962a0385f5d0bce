"""Comparison of metered runs of anyone's loop with a study's plain net, trained for less: what each method really saves."""

import argparse

from rich.console import Console
from rich.table import Table

from frugal.errors import exit_with_one_line
from frugal.report.compare_record import amount, compare_records, told
from frugal.report.costs import COSTS


def main() -> int:
    """Print an exchange rate for each method and currency; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", help="folder of a study's tables, e.g. results/demo/tables/infobatch")
    parser.add_argument("records", nargs="+", help="files that frugal.meter wrote; those of one name are its seeds")
    parser.add_argument("--dataset", help="which of the study's data sets, where it has several")
    parser.add_argument("--model", help="which of its models, likewise")
    given = parser.parse_args()
    found, remarks = compare_records(given.tables, given.records, given.dataset or None, given.model or None)
    console = Console(highlight=False)
    console.width = max(console.width, 140)  # so that a log has the same table as a terminal
    table = Table(
        title="against the plain net, trained for less; 95 % intervals; above 1 a method saves, below 1 it wastes"
    )
    for name in ("method", "seeds", "test accuracy", "currency", "spent", "the plain net, all epochs", "exchange rate"):
        table.add_column(name, justify="left" if name in ("method", "currency", "exchange rate") else "right")
    for row in found.itertuples():
        accuracy = f"{100 * row.test_accuracy:.2f} %"
        amounts = [amount(row.currency, value) for value in (row.spent, row.whole)]
        table.add_row(row.name, str(row.seeds), accuracy, COSTS[row.currency].noun, *amounts, told(row.rate))
    console.print(table)
    for remark in remarks:
        console.print(remark)
    return 0


if __name__ == "__main__":
    exit_with_one_line(main)
