"""Files that a study needs and a clone of the repository lacks, since git ignores what is a user's own."""

from pathlib import Path

import pandas as pd

from frugal.entries import own_files
from frugal.study import Study


def lacking(study: Study, runs: pd.DataFrame, config: Path = Path("config")) -> list[str]:
    """Their paths from the top of the repository. runs: a row per run; config: the folder of the config."""
    told = runs["own_code"].dropna().unique() if "own_code" in runs else ()  # tables of before it was written lack it
    code = {file for files in told for file in files.split(", ")}
    return [*own_files(config, study.name, study.datasets, study.models), *sorted(code)]
