"""Kinds of a table's columns, numeric or categorical, where nobody says them; what could be taken wrongly is refused by name.

A column is numeric where each cell that is not empty is a number, categorical where most are not. Dates, columns that only
number the rows, and texts that hardly ever occur twice are no features as they are.
"""

import numpy as np

from frugal.data.arrowfile import DATE as ARROW_DATE
from frugal.data.arrowfile import NUMBER, OTHER, ArrowFile
from frugal.data.cells import DATE, LOOKS_MISSING, MARKED, Numbers, Words
from frugal.data.csvfile import CsvFile
from frugal.errors import FrugalError, needs_extra

with needs_extra("data", "tables"):
    import pandas as pd

SAMPLE = 10_000  # rows of a CSV file by which a column is judged; a later cell that doesn't fit is refused by its line
MOST = 1000  # names of a category: each becomes a feature
NUMERIC, CATEGORICAL = "numeric", "categorical"


def kinds_of(
    table: CsvFile | ArrowFile, unnamed: list[str], missing: list[str], decimal: str, thousands: str
) -> dict[str, str]:
    """Numeric or categorical for each of these columns. Raises FrugalError for those that are neither, by name."""
    if not unnamed:
        return {}
    if isinstance(table, ArrowFile):
        kinds = {name: NUMERIC if table.kinds[name] == NUMBER else CATEGORICAL for name in unnamed}
        odd = {name: "dates or times" for name in unnamed if table.kinds[name] == ARROW_DATE}
        odd |= {name: str(table.schema.field(name).type) for name in unnamed if table.kinds[name] == OTHER}
    else:
        kinds, odd = {}, {}
        for name, (cells, lines) in _sampled(table, unnamed).items():
            found = _judged(cells, lines, Numbers(str(table.file), name, missing, decimal, thousands))
            (kinds if found in (NUMERIC, CATEGORICAL) else odd)[name] = found
    refuse(str(table.file), odd)
    return kinds


def refuse(where: str, odd: dict[str, str]) -> None:
    """Raise FrugalError for columns that can't be features as they are. odd: why, by name"""
    if odd:
        told = "; ".join(f"{name} ({why})" for name, why in odd.items())
        raise FrugalError(
            f"{where}: no kind is inferred for {told}: list {'it' if len(odd) == 1 else 'them'} in `drop`, i.e. "
            f"`drop: [{', '.join(odd)}]`, or say `numeric` or `categorical`"
        )


def no_feature(column: Numbers | Words) -> str | None:
    """Why a column whose kind was inferred is no feature after all, now that it was read; None where it is one."""
    if isinstance(column, Numbers):
        values = column.values
        numbers_rows = len(values) > 2 and bool((np.diff(values) == 1).all())
        return "only numbers the rows" if numbers_rows else None
    distinct, rows = len(column.raw), sum(map(len, column.parts))
    if distinct > MOST or 2 * distinct > rows > 4:
        return (
            f"{distinct:,} texts in {rows:,} rows, such as {next(iter(column.raw))[:40]!r}: names of rows, or free text"
        )
    return None


def _sampled(table: CsvFile, wanted: list[str]) -> dict[str, tuple[list[str], list[int]]]:
    """The first cells of each column that are not empty, with their lines; at least one where there is any."""
    found: dict[str, tuple[list[str], list[int]]] = {name: ([], []) for name in wanted}
    read = 0
    for lines, columns in table.pieces():
        for name, cells in zip(table.names, columns, strict=True):
            if name in found and (read < SAMPLE or not found[name][0]):
                there = [(cell, line) for cell, line in zip(cells, lines.tolist(), strict=True) if cell.strip()]
                found[name][0].extend(cell for cell, _ in there)
                found[name][1].extend(line for _, line in there)
        read += len(lines)
        if read >= SAMPLE and all(cells for cells, _ in found.values()):
            break
    return found


def _judged(cells: list[str], lines: list[int], numbers: Numbers) -> str:
    """Numeric, categorical, or why it is neither. Raises FrugalError for numbers with a cell that is none."""
    texts = [cell.strip() for cell in cells]
    present = [text for text in texts if text not in numbers.missing]
    if not present:
        return "every cell is empty"
    if 2 * sum(bool(DATE.fullmatch(text)) for text in present) > len(present):
        return f"dates or times, such as {present[0]!r}"
    is_number = (
        pd.to_numeric(pd.Series([numbers.rewritten(text) for text in present]), errors="coerce").notna().to_numpy()
    )
    words = [text for text, number in zip(present, is_number, strict=True) if not number]
    # Numbers with marks of thousands or gaps: the reader of numbers says what is wrong with them, by line.
    if words and (
        2 * len(words) <= len(present) or all(MARKED.fullmatch(text) or text.lower() in LOOKS_MISSING for text in words)
    ):
        if not is_number.any() and not any(MARKED.fullmatch(text) for text in words):
            return CATEGORICAL  # "none" and "-" alone: names for all we know
        numbers.add(cells, np.array(lines))
    return CATEGORICAL if words else NUMERIC
