"""Table of your own, in a CSV file with a header, one row per sample.

Every column has to be named, as numeric, categorical, the target, or to be dropped, so that none is used or lost unnoticed.
The test set is split off by a fixed seed that no study changes.
"""

from functools import reduce
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from frugal.data.arrays import Arrays
from frugal.data.cells import Numbers, Unused, Words
from frugal.data.csvfile import CsvFile
from frugal.data.folders import home_of
from frugal.data.made_from import read_file
from frugal.data.overlap import mixed
from frugal.data.split import split_off
from frugal.data.table import Columns
from frugal.errors import FrugalError

KIND = "table"
FEWEST = 3  # rows per distinct value of a target, on average: with fewer it is a quantity or an id rather than a class
CLASSES = 20  # distinct values of a target that nobody doubts


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
    separator: str = ",",
    encoding: str = "utf-8",
    decimal: Literal[".", ","] = ".",
    thousands: str = "",
    missing: list[str] = [],  # noqa: B006
) -> Arrays:
    """Read the table in the data folder; nothing is downloaded.

    path: of the file in the data folder; target: column of the class, numbered by sorted values; numeric, categorical:
    columns that are used; drop: columns that are not; test_samples: size of the test set, in equal shares of every class;
    test_seed: chooses which; separator, encoding: of the file; decimal, thousands: marks in its numbers; missing: what
    stands for no value, besides an empty cell. Raises FrugalError for columns or cells that are not as described.
    """
    home = home_of(folder, [str(Path(path).parent)], Path(path).name, "this table is")
    read_file(home / Path(path).name)
    table = CsvFile(home / Path(path).name, separator, encoding)
    _check_columns(table, numeric, categorical, drop, target)
    if len(thousands) > 1 or thousands == decimal or thousands.isdigit():
        raise FrugalError(
            f"option thousands is {thousands!r} and decimal {decimal!r}; give one mark that differs from it"
        )
    where, listed = str(table.file), [text.strip() for text in missing]
    numbers = {name: Numbers(where, name, listed, decimal, thousands) for name in numeric}
    words = {name: Words(where, name, listed) for name in categorical}
    classes, unused = Words(where, target, listed, target=True), {name: Unused() for name in drop}
    readers, rows = {**numbers, **words, **unused, target: classes}, 0
    for lines, columns in table.pieces():
        rows += len(lines)
        for name, cells in zip(table.names, columns, strict=True):
            readers[name].add(cells, lines)
    if not rows:
        raise FrugalError(f"{where} has a header and no row; put the samples there")
    cells, categories, hashed, notes = _cells(numbers, words, where)
    labels, names, more = classes.named()
    _refuse_quantities(names, rows, target, where)
    hashed += [labels.astype(np.int64), *(column.hashes() for column in unused.values())]
    whole = reduce(mixed, (column for column in hashed if column is not None))
    return table_arrays(
        (cells, Columns(list(numeric), categories)),
        (labels.astype(np.int64), tuple(names)),
        test_samples,
        test_seed,
        (*notes, *more),
        whole,
    )


def _check_columns(table: CsvFile, numeric: list[str], categorical: list[str], drop: list[str], target: str) -> None:
    """Raise FrugalError unless each column is named once."""
    named, file = [*numeric, *categorical, *drop, target], table.file
    if twice := {name for name in named if named.count(name) > 1}:
        raise FrugalError(f"option columns of {file} name {min(twice)} twice; give each column one part to play")
    if not numeric and not categorical:
        raise FrugalError(f"no column of {file} is used; name some in options `numeric` and `categorical`")
    for odd, said in (
        (set(named) - set(table.names), "has no column"),
        (set(table.names) - set(named), "has a column nobody named,"),
    ):
        if odd:
            names = ", ".join(name for name in [*named, *table.names] if name in odd)
            has = f"; its header has {', '.join(table.names[:20])}" if "no column" in said else ""
            raise FrugalError(
                f"{file} {said} {names}; correct the file or options numeric, categorical, drop and target{has}"
            )


def _cells(
    numbers: dict[str, Numbers], words: dict[str, Words], where: str
) -> tuple[np.ndarray, dict[str, list[str]], list[np.ndarray], list[str]]:
    """Cells (n, columns) and names of categories, as `Columns` has them; (n,) hashes of each column's cells; and notes.

    Raises FrugalError for a column without any.
    """
    columns, categories, hashed, notes = [], {}, [], []
    for name, column in numbers.items():
        values, told = column.values, column.notes()
        _refuse_empty(np.isnan(values), name, where)
        columns.append(values)
        hashed.append(column.hashes())
        notes += told
    for name, column in words.items():
        codes, categories[name], told = column.named()
        _refuse_empty(codes < 0, name, where)
        columns.append(np.where(codes < 0, np.nan, codes))
        hashed.append(codes.astype(np.int64))
        notes += told
    return np.stack(columns, axis=1), categories, hashed, notes


def _refuse_empty(none: np.ndarray, name: str, where: str) -> None:
    if none.all():
        raise FrugalError(f"{where}: every cell of {name} is empty; name it in `drop`")


def _refuse_quantities(names: list[str], rows: int, target: str, where: str) -> None:
    """Raise FrugalError for a target that is hardly a class: many values, most of them rare, or numbers with a fraction."""
    if len(names) <= CLASSES:
        return
    fractions = sum(_is_fraction(name) for name in names)
    if rows < FEWEST * len(names) or 2 * fractions > len(names):
        raise FrugalError(
            f"{where}: {target} has {len(names):,} distinct values in {rows:,} rows, such as {names[len(names) // 2]!r}: a "
            "quantity or an id, no class; nets are trained to classify here, not for regression: name another target, or "
            "make it a few ranges (low, middle, high) in the file"
        )


def _is_fraction(name: str) -> bool:
    try:
        return not float(name).is_integer()
    except (ValueError, OverflowError):
        return False


def table_arrays(
    cells: tuple[np.ndarray, Columns],
    labelled: tuple[np.ndarray, tuple[str, ...]],
    test_samples: int,
    test_seed: int,
    notes: tuple[str, ...] = (),
    whole_rows: np.ndarray | None = None,
) -> Arrays:
    """Cells with their encoder, labels with their names, split into training and test; whole_rows: hashes (n,) of the rows."""
    (inputs, encoder), (labels, names) = cells, labelled
    train, test = split_off(labels, test_samples, test_seed, "option test_samples")
    told = (f"classes: {', '.join(names)}",) if len(names) <= CLASSES else ()
    return Arrays(
        inputs[train],
        labels[train],
        inputs[test],
        labels[test],
        notes=(*told, *notes),
        kind=KIND,
        encoder=encoder,
        whole_rows=None if whole_rows is None else (whole_rows[train], whole_rows[test]),
    )
