"""Titanic: 891 passengers, of whom 342 survived, which is to be predicted.

The training table of Cukierski, "Titanic: Machine Learning from Disaster", Kaggle, 2012,
https://www.kaggle.com/competitions/titanic.
"""

from pathlib import Path
from typing import Annotated

from annotated_types import Ge

from frugal.data.arrays import Arrays
from frugal.data.sources import table

KIND = "table"


def read(
    folder: Path | None,
    downloads: Path,
    *,
    path: str = "titanic/titanic.csv",
    test_samples: Annotated[int, Ge(2)] = 179,
    test_seed: int = 0,
) -> Arrays:
    """Read the passengers from the data folder; nothing is downloaded, since nobody publishes them under a fixed address.

    path: of the file in the data folder; test_samples: size of the test set, a fifth; test_seed: chooses which
    """
    return table.read(
        folder,
        downloads,
        path=path,
        target="Survived",
        numeric=["Age", "SibSp", "Parch", "Fare"],
        categorical=["Pclass", "Sex", "Embarked"],
        drop=["PassengerId", "Name", "Ticket", "Cabin"],  # names of single passengers; three in four have no cabin
        test=test_samples,
        test_seed=test_seed,
    )
