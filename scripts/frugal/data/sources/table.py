"""Table of your own: a CSV or TSV file with a header, a Parquet or a Feather file, one row per sample.

Every column is a feature unless it is the target or dropped; which are numbers and which are names is said in the options, or
found out, told, and written into the manifest. The test set is split off by a fixed seed that no study changes.
"""

from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt

from frugal.data.arrays import Arrays
from frugal.data.arrowfile import SUFFIXES, ArrowFile
from frugal.data.cells import Numbers, Unused, Words
from frugal.data.columnkinds import NUMERIC, kinds_of, no_feature, refuse
from frugal.data.csvfile import CsvFile
from frugal.data.folders import home_of
from frugal.data.labels import CLASSES, refuse_what_is_no_class, shown_names
from frugal.data.made_from import read_file
from frugal.data.overlap import mixed
from frugal.data.split import divided
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
    test: Annotated[float, Gt(0)] = 0.2,
    test_seed: int = 0,
    separator: str | None = None,
    encoding: str | None = None,
    decimal: Literal[".", ","] = ".",
    thousands: str = "",
    missing: list[str] = [],  # noqa: B006
) -> Arrays:
    """Read the table in the data folder; nothing is downloaded.

    path: of the file in the data folder; target: column of the class, numbered by sorted values; numeric, categorical:
    columns that are so, of the others it is found out; drop: columns that are not used; test: share of the rows that is the
    test set, or how many, in equal shares of every class; test_seed: chooses which; separator, encoding: of a CSV file (default:
    found out); decimal, thousands: marks in its numbers; missing: what stands for no value, besides an empty cell.
    Raises FrugalError for columns or cells that are not as described, or could be taken wrongly.
    """
    home = home_of(folder, [str(Path(path).parent)], Path(path).name, "this table is")
    file = home / Path(path).name
    read_file(file)
    table = open_table(file, separator, encoding)
    _check_columns(table, numeric, categorical, drop, target)
    if len(thousands) > 1 or thousands == decimal or thousands.isdigit():
        raise FrugalError(
            f"option thousands is {thousands!r} and decimal {decimal!r}; give one mark that differs from it"
        )
    where, listed = str(table.file), [text.strip() for text in missing]
    unnamed = [name for name in table.names if name not in {*numeric, *categorical, *drop, target}]
    found = kinds_of(table, unnamed, listed, decimal, thousands)
    numeric = numeric + [name for name in unnamed if found[name] == NUMERIC]
    categorical = categorical + [name for name in unnamed if found[name] != NUMERIC]
    if not numeric and not categorical:
        raise FrugalError(f"no column of {where} is used besides the target {target}; drop fewer")
    numbers = {name: Numbers(where, name, listed, decimal, thousands, table.unit) for name in numeric}
    words = {name: Words(where, name, listed, unit=table.unit) for name in categorical}
    classes = Words(where, target, listed, target=True, unit=table.unit)
    unused = {name: Unused() for name in drop}
    readers, rows = {**numbers, **words, **unused, target: classes}, 0
    for lines, columns in table.pieces():
        rows += len(lines)
        for name, cells in zip(table.names, columns, strict=True):
            readers[name].add(cells, lines)
    if not rows:
        raise FrugalError(f"{where} has a header and no row; put the samples there")
    refuse(where, {name: why for name in unnamed if (why := no_feature(readers[name]))})
    cells, categories, hashed, notes = _cells(numbers, words, where)
    labels, names, more = classes.named()
    refuse_what_is_no_class(names, rows, target, where)
    hashed += [labels.astype(np.int64), *(column.hashes() for column in unused.values())]
    whole = reduce(mixed, (column for column in hashed if column is not None))
    inferred: dict[str, Any] = dict(table.detected)
    if found:
        kinds = {
            name: f"{kind}, {len(categories[name])} names" if kind != NUMERIC else kind for name, kind in found.items()
        }
        inferred["columns"] = kinds
    return table_arrays(
        (cells, Columns(numeric, categories)),
        (labels.astype(np.int64), tuple(names)),
        test,
        test_seed,
        (*notes, *more),
        whole,
        inferred,
    )


def open_table(file: Path, separator: str | None = None, encoding: str | None = None) -> CsvFile | ArrowFile:
    """A Parquet or Feather file by its ending, any other as CSV. Raises FrugalError for one that is something else."""
    if file.suffix.lower() not in SUFFIXES:
        return CsvFile(file, separator, encoding)
    if separator is not None or encoding is not None:
        raise FrugalError(f"options separator and encoding are of CSV files, {file} is none; leave them out")
    return ArrowFile([file])


def _check_columns(
    table: CsvFile | ArrowFile, numeric: list[str], categorical: list[str], drop: list[str], target: str
) -> None:
    """Raise FrugalError for a column that isn't there, or is named twice."""
    named, file = [*numeric, *categorical, *drop, target], table.file
    if twice := {name for name in named if named.count(name) > 1}:
        raise FrugalError(f"option columns of {file} name {min(twice)} twice; give each column one part to play")
    if odd := [name for name in named if name not in table.names]:
        raise FrugalError(
            f"{file} has no column {', '.join(odd)}; correct the file or options numeric, categorical, drop and target; its "
            f"header has {', '.join(table.names[:20])}"
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


def table_arrays(
    cells: tuple[np.ndarray, Columns],
    labelled: tuple[np.ndarray, tuple[str, ...]],
    test: float,
    test_seed: int,
    notes: tuple[str, ...] = (),
    whole_rows: np.ndarray | None = None,
    inferred: dict[str, Any] | None = None,
) -> Arrays:
    """Cells with their encoder, labels with their names, split into training and test; whole_rows: hashes (n,) of the rows."""
    (inputs, encoder), (labels, names) = cells, labelled
    train, tested, split = divided(labels, test, test_seed)
    told = (f"classes: {', '.join(names)}",) if len(names) <= CLASSES else ()
    return Arrays(
        inputs[train],
        labels[train],
        inputs[tested],
        labels[tested],
        notes=(*told, *notes),
        kind=KIND,
        encoder=encoder,
        inferred={
            **(inferred or {}),
            "class names": shown_names(list(names)),
            **split,
        },
        whole_rows=None if whole_rows is None else (whole_rows[train], whole_rows[tested]),
    )
