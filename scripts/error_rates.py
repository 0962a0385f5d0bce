"""How often comparisons are wrong, measured: studies drawn from a reference, printed as a table, written under benchmarks/."""

import argparse
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from frugal.atomic import write_json
from frugal.errors import FrugalError, did_you_mean, exit_with_one_line
from frugal.report.error_rates import FOUND, Rate, advised_seeds, measure, seen
from frugal.report.reference import FOLDER, Reference, read_all


def main() -> int:
    """Measure each reference that is named, all by default; the exit status is 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("references", nargs="*", help=f"names under {FOLDER}; none means all")
    parser.add_argument(
        "--studies", type=int, default=1000, help="of each kind; intervals are covered over twice as many"
    )
    parser.add_argument(
        "--processes", type=int, default=len(os.sched_getaffinity(0)), help="figures don't depend on it"
    )
    parser.add_argument("--out", type=Path, help="JSON file; default benchmarks/<date>-<machine>-error-rates.json")
    given = parser.parse_args()
    if given.studies < 1 or given.processes < 1:
        raise FrugalError("--studies and --processes must be at least 1")
    known = {one.name: one for one in read_all()}
    for name in given.references:
        if name not in known:
            raise FrugalError(f"unknown reference {name!r}; {did_you_mean(name, list(known))}")
    if not known:
        raise FrugalError(f"{FOLDER} has no reference; make one with the rule `reference`, see config/README.md")
    began, found = time.monotonic(), {}
    for name in given.references or known:
        found[name] = measure(known[name], given.studies, given.processes)
        tell(known[name], found[name])
    write(given, {name: known[name] for name in found}, found, time.monotonic() - began)
    return int(any(rate.met is False for rates in found.values() for rate in rates))


def tell(reference: Reference, rates: list[Rate]) -> None:
    """Print a row per rate, a column per number of seeds."""
    seeds = sorted({rate.seeds for rate in rates})
    table = Table("", "of studies of", title=f"error rates, studies drawn from {reference.name}")
    for count in seeds:
        table.add_column(f"{count} seeds", justify="right")
    table.add_column("target", justify="right")
    for kind, what in dict.fromkeys((rate.kind, rate.what) for rate in rates):
        own = {rate.seeds: rate for rate in rates if (rate.kind, rate.what) == (kind, what)}
        target = next(iter(own.values())).target
        marks = {True: "", False: "[red]", None: ""}
        shown = [f"{marks[own[n].met]}{100 * own[n].value:.1f} %" if n in own else "-" for n in seeds]
        wanted = (
            "" if target is None else f">= {target[0]:.0%}" if kind == FOUND else "{:.0%} to {:.0%}".format(*target)
        )
        table.add_row(kind, what, *shown, wanted)
    console = Console(highlight=False)
    console.width = max(console.width, 140)
    console.print(table)
    told = ", ".join(f"{100 * least:.2f} points with {count} seeds" for count, least in seen(reference).items())
    advised = advised_seeds(reference, 0.005)
    console.print(
        f"found in 80 of 100 studies: differences of {told}; 0.5 points ask for {advised or 'more than 1,000'} seeds"
    )


def write(
    given: argparse.Namespace, references: dict[str, Reference], found: dict[str, list[Rate]], seconds: float
) -> None:
    """Write what was measured, with machine, date, commit and command."""
    import torch

    from frugal.training.device import describe_hardware
    from frugal.versions import git_state, versions

    hardware, now = describe_hardware(torch.device("cpu")), datetime.now(UTC)
    machine = "".join(c if c.isalnum() else "-" for c in hardware["cpu"]).strip("-").lower()
    out = given.out or Path("benchmarks") / f"{now:%Y-%m-%d}-{machine}-error-rates.json"
    rows = [
        {"reference": name, **vars(rate), "value": rate.value, "interval": rate.interval, "met": rate.met}
        for name, rates in found.items()
        for rate in rates
    ]
    write_json(
        out,
        {
            "measured": now.isoformat(timespec="seconds"),
            "command": " ".join(["python scripts/error_rates.py", *sys.argv[1:]])
            if sys.argv[1:]
            else "make error-rates",
            "seconds": round(seconds, 1),
            "hardware": hardware,
            "versions": versions(),
            "git": git_state(),
            "found_with_80_percent_power": {
                name: {
                    "difference_by_seeds": seen(one),
                    "seeds_for_half_a_point": advised_seeds(one, 0.005),
                }
                for name, one in references.items()
            },
            "rows": rows,
        },
    )
    print(f"written to {out}", file=sys.stderr)


if __name__ == "__main__":
    exit_with_one_line(main)
