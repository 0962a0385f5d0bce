"""Benchmarks of this machine: ratios within one run, printed as a table and written as JSON under benchmarks/."""

import argparse
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

GROUPS = (
    "compression",
    "selection",
    "adaptive",
    "sparsity",
    "pruning",
    "images",
    "feeding",
    "workflow",
    "engine",
    "hooks",
    "resnet",
    "loops",
    "meter",
    "tensorcores",
    "parallel",
)


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", default=[], help=f"of {', '.join(GROUPS)}; none means all")
    parser.add_argument("--out", type=Path, help="JSON file; default benchmarks/<date>-<machine>[-<groups>].json")
    return parser


def main() -> int:
    """Run the groups asked for; the exit status is 1 where a target is missed."""
    options = parser().parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    import importlib

    import torch
    from rich.console import Console
    from rich.table import Table

    from frugal.atomic import write_json
    from frugal.bench.figure import provenance
    from frugal.errors import FrugalError, did_you_mean
    from frugal.measure.memory import keep_freed_memory

    torch.set_num_threads(1)
    keep_freed_memory()  # as runs do
    console, rows = Console(), []
    console.width = max(console.width, 120)  # so that a log has the same table as a terminal
    for group in options.groups or GROUPS:
        if group not in GROUPS:
            raise FrugalError(f"unknown benchmark group {group!r}; {did_you_mean(group, list(GROUPS))}")
        with tempfile.TemporaryDirectory() as folder, console.status(f"measuring {group} ..."):
            rows += importlib.import_module(f"frugal.bench.{group}").measure(Path(folder))
    table = Table("", "figure", "measured", "", "target", title="make bench: ratios within this run")
    for row in rows:
        target = "" if row.target is None else f"{row.sense} {row.target:,g}"
        mark = {True: "[green]met", False: "[red]missed", None: ""}[row.met]
        span = "" if row.interval is None else " [{:,.4g}, {:,.4g}]".format(*row.interval)
        shown = f"none: {row.why}" if row.value is None else f"{row.value:,.4g}{span}"
        table.add_row(row.group, row.what, shown, row.unit, f"{target} {mark}")
    console.print(table)
    now = datetime.now(UTC)
    command = " ".join(["python scripts/bench.py", *options.groups]) if options.groups else "make bench"
    about = provenance(command, now, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    hardware = about["hardware"]
    machine = "".join(c if c.isalnum() else "-" for c in (hardware["gpu"] or hardware["cpu"])).strip("-").lower()
    out = options.out or Path("benchmarks") / ("-".join([f"{now:%Y-%m-%d}", machine, *options.groups]) + ".json")
    write_json(out, about | {"rows": [{**vars(row), "met": row.met} for row in rows]})
    print(f"written to {out}", file=sys.stderr)
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    from frugal.errors import exit_with_one_line

    exit_with_one_line(main)
