"""Status of the runs, per study: done, running, failed, stopped or waiting, while a run goes on or after it."""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from snakemake.cli import parse_config
from snakemake.utils import update_config

from frugal.errors import FrugalError, exit_with_one_line, in_one_line
from frugal.plan import Plan
from frugal.plan_status import Look, PlanStatus
from frugal.status import STATES, RunStatus
from frugal.status_page import REFRESH, TITLE, epoch_of, write_page
from frugal.webpage import check_place
from frugal.yamlfile import read_yaml

SHOWN = 20  # of the runs of one state; the rest are counted
SHARE = 4  # looking may take a fifth of the time: a plan of 10,000 runs takes seconds to look at


def arguments() -> argparse.Namespace:
    """Command line of this step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watch", action="store_true", help="go on until nothing goes on any more, or Ctrl-C")
    parser.add_argument("--page", type=Path, help="write a web page too, and keep it up to date with --watch")
    parser.add_argument(
        "config", nargs="*", metavar="key=value", help="as after `snakemake --config`: scale=standard studies='[ast]'"
    )
    parser.add_argument(
        "--configfile", nargs="+", action="extend", default=[], type=Path, help="as after `snakemake --configfile`"
    )
    return parser.parse_args()


def main() -> int:
    """Print the state of every study; 1 where a run has failed, so that a script can ask too."""
    given = arguments()
    if given.page:
        check_place(given.page, TITLE)
    look, console = Look(planned(given)), Console(soft_wrap=not sys.stdout.isatty(), highlight=False)
    state = look()
    if given.watch and (console.is_terminal or given.page):
        state = watch(look, state, console, given.page)
    if given.page:
        write_page(state, given.page, watched=False)
    for part in parts(state):
        console.print(part)
    return int(bool(state.count("failed")))


def planned(given: argparse.Namespace) -> Plan:
    """The plan that a run with these arguments would have. Raises FrugalError."""
    config = read_yaml(Path("config/config.yaml"))
    for file in given.configfile:
        update_config(config, read_yaml(file))
    try:
        update_config(
            config, parse_config(given.config)
        )  # Snakemake's own, so that a value means what it means to a run
    except ValueError as error:
        raise FrugalError(f"{in_one_line(error, kind=False)} Give key=value, as in scale=standard") from error
    return Plan(config)


def watch(look: Look, state: PlanStatus, console: Console, page: Path | None) -> PlanStatus:
    """Look again and again until nothing goes on any more, or a signal ends it; returns the last state.

    The terminal is as it was before, afterwards.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    shown = Live(console=console, screen=True, auto_refresh=False) if console.is_terminal else nullcontext()
    try:
        with shown as live:
            while True:
                if live is not None:
                    live.update(Group(*parts(state)), refresh=True)
                if page:
                    write_page(state, page, watched=True)
                if state.over:
                    break
                started = time.monotonic()
                time.sleep(REFRESH)
                state = look()
                time.sleep(max(0.0, SHARE * (time.monotonic() - started - REFRESH) - REFRESH))
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
    return state


def parts(state: PlanStatus) -> Iterator[RenderableType]:
    """What is shown, from the top."""
    yield overview(state)
    yield Text(state.time_left(), style="bold")
    for text in state.due:
        yield Text(text, style="yellow")
    for kind in ("running", "failed", "stopped"):
        if runs := [run for run in state.runs if run.state == kind]:
            yield "\n".join([f"\n[bold]{kind}[/bold]", *(f"  {escape(line(run))}" for run in runs[:SHOWN])])
            if len(runs) > SHOWN:
                yield f"  and {len(runs) - SHOWN} more"


def overview(state: PlanStatus) -> Table:
    """Counts by study and state, and of all studies."""
    title = Text(f"runs under {state.results}")
    table = Table("study", *STATES, "", title=title, title_justify="left")
    rows = {**state.studies, "all": state.runs} if len(state.studies) > 1 else state.studies
    for study, runs in rows.items():
        counts = [sum(run.state == state for run in runs) for state in STATES]
        bar = ProgressBar(max(len(runs), 1), counts[0], width=20)
        table.add_row(Text(study), *(str(count or "-") for count in counts), bar, style="bold" * (study == "all"))
    return table


def line(run: RunStatus) -> str:
    """One run in one line."""
    return f"{run.path.removeprefix('runs/')}: {epoch_of(run) if run.state == 'running' else run.why}"


if __name__ == "__main__":
    exit_with_one_line(main)
