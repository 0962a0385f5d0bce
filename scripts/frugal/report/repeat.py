"""The commands that repeat a study: with the whole `--config` of the workflow that planned it, as its tables tell it.

And the files that it needs and a clone of the repository lacks, since git ignores what is a user's own.
"""

import shlex
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from frugal.entries import own_files
from frugal.study import Study

SNAKEMAKE = ".venv/bin/snakemake --cores all"
UNKNOWN = (
    "not known: study.json beside these tables, made by an older version, does not say with which --config; "
    "make the tables anew with the --config of that time"
)


def command(study: Study, targets: str = "") -> str | None:
    """What makes a study anew, or some files of it; None where its tables don't say with which configuration it was planned.

    targets: options and files as a shell reads them, e.g. "--force 'my results'/demo/runs/.../metrics.json"
    """
    if study.config is None:
        return None
    chosen = {"scale": study.scale, "studies": f"[{study.name}]", **study.config}
    words = shlex.join(f"{key}={value}" for key, value in chosen.items())
    return " ".join(filter(None, [SNAKEMAKE, targets, "--config", words]))


def making(study: Study, targets: str) -> str:
    """The same for a message: where the configuration isn't known, with the one that is the default."""
    return command(study, targets) or f"{SNAKEMAKE} {targets}"


def own_code(files: Iterable[str]) -> str | None:
    """Of a run's code the files that git ignores, local_*.py; None where there are none. files: relative to scripts/."""
    return ", ".join(f"scripts/{file}" for file in files if Path(file).name.startswith("local_")) or None


def lacking(study: Study, runs: pd.DataFrame, config: Path = Path("config")) -> list[str]:
    """Paths from the top of the repository of what a clone lacks. runs: a row per run; config: the folder of the config."""
    told = runs["own_code"].dropna().unique() if "own_code" in runs else ()  # tables of before it was written lack it
    code = {file for files in told for file in files.split(", ")}
    return [*own_files(config, study.name, study.datasets, study.models), *sorted(code)]


def lines(study: Study, commits: Iterable[str], notebook: str) -> list[str]:
    """What repeats a report: the code, the runs and all that is made of them, and the notebook by hand.

    commits: those of the code that made the runs; what isn't known is a comment of the shell
    """
    commits = list(commits)
    several = "# the runs were made by several commits; see the column git_commit of runs.csv"
    return [
        f"git checkout {commits[0]}" if len(commits) == 1 else several,
        "make setup",
        command(study) or f"# {UNKNOWN}",
        f".venv/bin/jupyter lab {shlex.quote(notebook)}",
    ]
