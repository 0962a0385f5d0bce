"""Tables that come with scikit-learn, so without a download: breast_cancer, wine, iris.

Wolberg, Mangasarian and Street, "Breast Cancer Wisconsin (Diagnostic)", UCI, 1993, https://doi.org/10.24432/C5DW2B.
Aeberhard and Forina, "Wine", UCI, 1992, https://doi.org/10.24432/C5PC7J.
Fisher, "Iris", UCI, 1936, https://doi.org/10.24432/C56C76.

There is no published split of these, so a test set is split off by a fixed seed that no study changes.
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from frugal.data.arrays import Arrays
from frugal.data.sources.table import table_arrays
from frugal.data.table import Columns
from frugal.errors import needs_extra

with needs_extra("data", "the data sets of scikit-learn"):
    from sklearn import datasets

KIND = "table"


def read(
    folder: Path | None,
    downloads: Path,
    *,
    name: Literal["breast_cancer", "wine", "iris"] = "breast_cancer",
    test_samples: Annotated[int, Ge(2)] = 114,
    test_seed: int = 0,
) -> Arrays:
    """Read a table; needs neither a folder nor a network.

    name: of the table; test_samples: size of the test set, in equal shares of every class; test_seed: chooses which
    """
    bunch = getattr(datasets, f"load_{name}")()
    cells = bunch.data.astype(float), Columns(list(map(str, bunch.feature_names)), {})
    labels = bunch.target.astype(np.int64), tuple(map(str, bunch.target_names))
    return table_arrays(cells, labels, test_samples, test_seed)
