"""Status of the runs, per study: done, running, failed, stopped or waiting, while a run goes on or after it."""

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from snakemake.cli import parse_config
from snakemake.utils import update_config

from frugal.due import find, told
from frugal.errors import FrugalError, exit_with_one_line
from frugal.imports import digest_of_training
from frugal.plan import Plan
from frugal.status import STATES, RunStatus, status_of
from frugal.yamlfile import read_yaml

SHOWN = 20  # of the runs of one state; the rest are counted


def arguments() -> argparse.Namespace:
    """Command line of this step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "config", nargs="*", metavar="key=value", help="as after `snakemake --config`: scale=standard studies='[ast]'"
    )
    parser.add_argument(
        "--configfile", nargs="+", action="extend", default=[], type=Path, help="as after `snakemake --configfile`"
    )
    return parser.parse_args()


def main() -> int:
    """Print the state of every study; 1 where a run has failed, so that a script can ask too."""
    config = read_yaml(Path("config/config.yaml"))
    given = arguments()
    for file in given.configfile:
        update_config(config, read_yaml(file))
    try:
        update_config(
            config, parse_config(given.config)
        )  # Snakemake's own, so that a value means what it means to a run
    except ValueError as error:
        raise FrugalError(f"{' '.join(str(error).split())} Give key=value, as in scale=standard") from error
    plan = Plan(config)
    again = find(plan, digest_of_training)
    due = {os.path.relpath(one.folder, plan.results) for one in again}
    found = {name: status_of(study, Path(plan.results), due) for name, study in plan.studies.items()}
    console = Console(soft_wrap=not sys.stdout.isatty())
    console.print(overview(found, plan.results))
    for text in told(again):
        console.print(text, style="yellow")
    for state in ("running", "failed", "stopped"):
        runs = [run for study in found.values() for run in study if run.state == state]
        if runs:
            console.print(f"\n[bold]{state}[/bold]", *map(line, runs[:SHOWN]), sep="\n  ")
            if len(runs) > SHOWN:
                console.print(f"  and {len(runs) - SHOWN} more")
    return int(any(run.state == "failed" for runs in found.values() for run in runs))


def overview(found: dict[str, list[RunStatus]], results: str) -> Table:
    """Counts by study and state."""
    table = Table("study", *STATES, "", title=f"runs under {results}", title_justify="left")
    for study, runs in found.items():
        counts = [sum(run.state == state for run in runs) for state in STATES]
        table.add_row(study, *(str(count or "-") for count in counts), ProgressBar(len(runs), counts[0], width=20))
    return table


def line(run: RunStatus) -> str:
    """One run in one line."""
    path = run.path.removeprefix("runs/")
    if run.state != "running":
        return f"{path}: {run.why}"
    if run.epochs_done is None:
        return f"{path}: starting"
    left = "" if run.seconds_left is None else f", {run.seconds_left:,.0f} s left"
    return f"{path}: epoch {min(int(run.epochs_done) + 1, run.epochs)} of {run.epochs}{left}"


if __name__ == "__main__":
    exit_with_one_line(main)
