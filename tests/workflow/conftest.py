"""The workflow as a user has it: a copy of the repository with one small study finished."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from forks import Forks
from frugal.faults.checkout import snapshot

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent
SNAKEMAKE = Forks("snakemake.cli", "snakemake_executor_plugin_slurm", "pydantic", path=TOOLS)
STUDY = "studies=[compression]"
SMALL = (
    STUDY,
    "override={strategies: [full, fixed-16, ema-4-16, random-4-16], seeds: 1, budgets: [], recipe: {epochs: 2}, grouped: false}",
)


class Workflow:
    """A checkout in a folder of its own."""

    def __init__(self, folder: Path):
        self.folder = snapshot(folder)

    def snakemake(self, *arguments: str, config: tuple[str, ...] = SMALL) -> subprocess.CompletedProcess:
        """Run snakemake there, with the small study unless told otherwise."""
        # Without the virtual environment on the path, as a user who starts .venv/bin/snakemake has it.
        others = [folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder) != TOOLS]
        environment = {**os.environ, "PATH": os.pathsep.join(others)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # the next job needn't compile the checkout's modules again
        command = [TOOLS / "snakemake", "--cores", "2", *arguments, *(["--config", *config] if config else [])]
        if "PYTHONPATH" in environment:  # which Python reads as it starts
            return subprocess.run(
                command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
            )
        return SNAKEMAKE.run(command, cwd=self.folder, env=environment)

    def planned(self, *arguments: str, config: tuple[str, ...] = SMALL) -> Counter:
        """How many jobs of each rule a dry run lists."""
        done = self.snakemake("-n", *arguments, config=config)
        assert done.returncode == 0, done.stderr
        self.said = text = done.stdout + done.stderr
        self.trained = set(re.findall(r"compression: (\S+) on digits/cnn-tiny, seed", text))
        stats = re.search(r"Job stats:\n(.*?)\n(?:\n|Reasons)", text, re.DOTALL)
        rows = re.findall(r"^(\w+)\s+(\d+)", stats[1], re.MULTILINE) if stats else []
        return Counter({rule: int(count) for rule, count in rows if rule not in ("job", "total", "all")})


@pytest.fixture(scope="session")
def fresh(tmp_path_factory):
    """A checkout in which nothing has run."""
    return Workflow(tmp_path_factory.mktemp("fresh"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A checkout in which the small study is done."""
    workflow = Workflow(tmp_path_factory.mktemp("finished"))
    done = workflow.snakemake()
    assert done.returncode == 0, done.stderr[-3000:]
    workflow.told = done.stdout
    return workflow
