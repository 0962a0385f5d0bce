"""What the workflow costs beside the work: planning a thousand runs."""

import subprocess
import sys
from pathlib import Path

from frugal.bench.row import Row, seconds_of
from frugal.errors import FrugalError


def measure(folder: Path) -> list[Row]:
    """Dry run of 1,008 training jobs, in a process of its own as a user starts it. folder: for its (empty) results."""
    snakemake = Path(sys.executable).with_name("snakemake")
    command = [snakemake, "-n", "-q", "--cores", "2", "--config", "override={seeds: 72}", f"results={folder}/none"]

    def dry_run() -> None:
        done = subprocess.run([*command, "studies=[compression]"], capture_output=True, text=True)
        if done.returncode:
            raise FrugalError(f"the dry run failed: {done.stderr[-500:]}")

    return [
        Row("workflow", "dry run of 1,008 training jobs", min(seconds_of(dry_run) for _ in range(2)), "s", 5, "at most")
    ]
