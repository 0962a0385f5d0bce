"""Make a reference: mean and spread of a study's baseline at each budget, for one data set and model, as CSV."""

import argparse
from pathlib import Path

import pandas as pd

from frugal.errors import FrugalError, exit_with_one_line
from frugal.report.reference import reference_from, write
from frugal.study import read_study


def main() -> None:
    """Read runs.csv and study.json of a study's tables, and write --out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", required=True, type=Path, help="of the study, e.g. results/demo/tables/infobatch")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument(
        "--out", required=True, type=Path, help="config/reference/<dataset>-<model>-<study>-<scale>.csv"
    )
    given = parser.parse_args()
    study = read_study(str(given.tables / "study.json"))
    try:
        runs = pd.read_csv(given.tables / "runs.csv")
    except (OSError, ValueError) as error:
        raise FrugalError(f"{given.tables / 'runs.csv'} can't be read ({error}); make the tables first") from error
    reference = reference_from(study, runs, given.dataset, given.model)
    write(reference, given.out)
    print(reference.table[["budget", "seeds", "mean", "sd", "low", "high"]].to_string(index=False))


if __name__ == "__main__":
    exit_with_one_line(main)
