"""Fault campaign: what is lost to kills, full disks, damaged files and jumping clocks; printed as a table.

python scripts/faults.py --kills 100 --seed 0 --out benchmarks/faults.json
"""

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from frugal.errors import FrugalError, did_you_mean, exit_with_one_line
from frugal.faults.accidents import NAMES, accidents


def main() -> int:
    """Run the campaign; the exit status is 1 where anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="how many processes are killed")
    parser.add_argument("--seed", type=int, default=0, help="of who is killed and when")
    parser.add_argument(
        "--accidents", nargs="*", help=f"which of {', '.join(NAMES)}; by default all, without names none"
    )
    parser.add_argument("--out", type=Path, help="JSON file for the table and what it was made with")
    options = parser.parse_args()
    chosen = NAMES if options.accidents is None else options.accidents
    if unknown := set(chosen) - set(NAMES):
        raise FrugalError(f"unknown accident {min(unknown)!r}; {did_you_mean(min(unknown), NAMES)}")
    from rich.console import Console
    from rich.table import Table

    from frugal.atomic import write_json
    from frugal.faults.checkout import snapshot
    from frugal.faults.kills import kill
    from frugal.versions import git_state, versions

    console, outcomes, git = Console(highlight=False), [], git_state()
    console.width = max(console.width, 120)  # so that a log has the same table as a terminal
    with tempfile.TemporaryDirectory(prefix="frugal-faults-") as folder, console.status("") as status:
        code = snapshot(Path(folder) / "code")
        if options.kills:
            outcomes += kill(options.kills, options.seed, code, Path(folder) / "kills", status.update)
        if chosen:
            outcomes += accidents(chosen, code, Path(folder) / "accidents", status.update)
    table = Table("fault", "tried", "survived", "lost", "how", title=f"fault campaign, seed {options.seed}")
    for outcome in outcomes:
        counts = (None if outcome.tried is None else outcome.tried - outcome.survived,)
        cells = ["–" if value is None else str(value) for value in (outcome.tried, outcome.survived, *counts)]
        table.add_row(outcome.fault, *cells, outcome.told)
    console.print(table)
    if options.out:
        command = " ".join(["python", *sys.argv])
        about = {"command": command, "seed": options.seed, "date": f"{datetime.now(UTC):%Y-%m-%d}"}
        about |= {"git": git, "versions": versions()}
        write_json(options.out, about | {"faults": [vars(outcome) for outcome in outcomes]})
    return int(any(outcome.tried != outcome.survived for outcome in outcomes))


if __name__ == "__main__":
    exit_with_one_line(main)
