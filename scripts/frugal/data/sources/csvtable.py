"""Any table in a CSV file with a header, one row per sample: yours.

Every column has to be named, as numeric, categorical, the target, or to be dropped, so that none is used or lost unnoticed.
The test set is split off by a fixed seed that no study changes.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from annotated_types import Ge

from frugal.data.arrays import Arrays
from frugal.data.places import home_of
from frugal.data.split import split_off
from frugal.data.table import Columns
from frugal.errors import FrugalError

KIND = "table"


def read(
    folder: Path | None,
    downloads: Path,
    *,
    path: str,
    target: str,
    numeric: list[str] = [],  # noqa: B006
    categorical: list[str] = [],  # noqa: B006
    drop: list[str] = [],  # noqa: B006
    test_samples: Annotated[int, Ge(2)],
    test_seed: int = 0,
) -> Arrays:
    """Read the table in the data folder; nothing is downloaded.

    path: of the file in the data folder; target: column of the class, numbered by sorted values; numeric, categorical:
    columns that are used; drop: columns that are not; test_samples: size of the test set, in equal shares of every class;
    test_seed: chooses which. Raises FrugalError for columns or cells that are not as described.
    """
    home = home_of(folder, [str(Path(path).parent)], Path(path).name, "this table is")
    file = home / Path(path).name
    try:
        frame = pd.read_csv(file, dtype=str, keep_default_na=True, skipinitialspace=True, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise FrugalError(f"{file} can't be read as CSV: {' '.join(str(error).split())}") from error
    named = [*numeric, *categorical, *drop, target]
    if twice := {name for name in named if named.count(name) > 1}:
        raise FrugalError(f"option columns of {file} name {min(twice)} twice; give each column one part to play")
    if not numeric and not categorical:
        raise FrugalError(f"no column of {file} is used; name some in options `numeric` and `categorical`")
    for odd, said in (
        (set(named) - set(frame), "has no column"),
        (set(frame) - set(named), "has a column nobody named,"),
    ):
        if odd:
            names = ", ".join(name for name in [*named, *frame] if name in odd)
            raise FrugalError(
                f"{file} {said} {names}; correct the file or options numeric, categorical, drop and target"
            )
    return table_arrays(
        cells_of(frame, file, numeric, categorical), labels_of(frame[target], file), test_samples, test_seed
    )


def cells_of(frame: pd.DataFrame, file: Path, numeric: list[str], categorical: list[str]) -> tuple[np.ndarray, Columns]:
    """(n, columns) cells as objects, and their encoder. Raises FrugalError for a text in a numeric column."""
    columns = {}
    for name in numeric:
        column = pd.to_numeric(frame[name], errors="coerce")
        bad = frame[name].notna() & ~np.isfinite(column.astype(float))
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise FrugalError(
                f"{file}, line {row + 2}: {name} is {frame[name].iloc[row]!r} and no number; correct it, or name {name} in "
                "`categorical`"
            )
        columns[name] = column.astype(float)
    for name in categorical:
        columns[name] = frame[name].astype(object).where(frame[name].notna(), np.nan)
    for name in columns:
        if pd.isna(columns[name]).all():
            raise FrugalError(f"{file}: every cell of {name} is empty; name it in `drop`")
    return pd.DataFrame(columns).astype(object).to_numpy(object), Columns(list(numeric), list(categorical))


def labels_of(target: pd.Series, file: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """(n,) int64 and the names of the classes. Raises FrugalError where a row has none."""
    if target.isna().any():
        row = int(np.flatnonzero(target.isna())[0])
        raise FrugalError(f"{file}, line {row + 2}: {target.name} is empty; give every row a class or remove it")
    names, labels = np.unique(target.to_numpy(str), return_inverse=True)
    return labels.astype(np.int64), tuple(names.tolist())


def table_arrays(
    cells: tuple[np.ndarray, Columns], labelled: tuple[np.ndarray, tuple[str, ...]], test_samples: int, test_seed: int
) -> Arrays:
    """Cells with their encoder, labels with their names, split into training and test."""
    (inputs, encoder), (labels, names) = cells, labelled
    train, test = split_off(labels, test_samples, test_seed, "option test_samples")
    notes = (f"classes: {', '.join(names)}",) if len(names) <= 20 else ()
    return Arrays(inputs[train], labels[train], inputs[test], labels[test], notes=notes, kind=KIND, encoder=encoder)
