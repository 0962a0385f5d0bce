"""Cells of a table's columns: texts from the file, made into numbers or names; what is odd is noted or refused.

Only an empty cell is missing, unless the user lists more: "NA" is a country and "None" a class.
"""

import re
import unicodedata
from collections import Counter
from itertools import islice

import numpy as np

from frugal.errors import FrugalError, needs_extra

with needs_extra("data", "tables"):
    import pandas as pd

FLOAT32 = float(np.finfo(np.float32).max)
WHOLE = re.compile(r"([+-]?\d+)\.0*")  # "1.0", which is how a column of whole numbers with gaps is often saved
MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
DATE = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?|\d{1,2}:\d{2}(:\d{2}.*)?"
    rf"|\d{{1,2}}[-. ]{{1,2}}{MONTH}[-., ]{{1,2}}\d{{2,4}}( .*)?|{MONTH} \d{{1,2}}(st|nd|rd|th)?,? \d{{4}}( .*)?",
    re.IGNORECASE,
)
MARKED = re.compile(r"[+-]?(?=.*\d[.,' ]\d)[\d.,' ]*\d")  # a number with a decimal comma or marks of thousands
LOOKS_MISSING = {"na", "n/a", "nan", "none", "null", "nil", "?", "-", ".", "<na>", "#n/a", "missing"}


class Numbers:
    """A numeric column. where: the file; missing: what stands for no value; decimal, thousands: how numbers are written;
    unit: in which the file counts its rows, for messages.
    """

    def __init__(
        self, where: str, name: str, missing: list[str], decimal: str = ".", thousands: str = "", unit: str = "line"
    ):
        self.where, self.name, self.missing, self.decimal, self.thousands = where, name, missing, decimal, thousands
        self.unit = unit
        self.plain = decimal == "." and not thousands
        self.parts: list[np.ndarray] = []
        self.taken: Counter[str] = Counter()  # what was taken for missing, besides empty cells
        spelled = pd.to_numeric(pd.Series(missing, dtype=object), errors="coerce").to_numpy(float)
        self.missing_numbers = spelled[np.isfinite(spelled)]  # so that -999 in the list is also "-999.0" in the file
        mark, point = re.escape(thousands), re.escape(decimal)
        self.grouped = re.compile(rf"[+-]?\d{{1,3}}({mark}\d{{3}})+({point}\d*)?") if thousands else None

    def add(self, cells: list[str] | np.ndarray, lines: np.ndarray) -> None:
        """Some rows, texts or numbers. lines: (n,) where they begin. Raises FrugalError for a cell that is no finite number."""
        if isinstance(cells, np.ndarray):
            self._add_numbers(cells, lines)
            return
        written = cells if self.plain else [self.rewritten(cell) for cell in cells]
        values = np.array(pd.to_numeric(np.array(written, object), errors="coerce"), float)
        for row in np.flatnonzero(~(np.abs(values) <= FLOAT32)).tolist():  # NaN among them
            cell = cells[row].strip()
            if cell in self.missing:
                self.taken[cell] += 1
            elif cell:
                values[row] = self._again(cell, int(lines[row]))
                continue
            values[row] = np.nan
        if len(self.missing_numbers):
            found = np.isin(values, self.missing_numbers)
            self.taken.update(cells[row].strip() for row in np.flatnonzero(found).tolist())
            values[found] = np.nan
        self.parts.append(values)

    def _add_numbers(self, cells: np.ndarray, lines: np.ndarray) -> None:
        """(n,) float64, NaN for none, as a Parquet file has them."""
        if (wrong := np.flatnonzero(np.abs(cells) > FLOAT32)).size:
            raise FrugalError(
                f"{self.where}, {self.unit} {int(lines[wrong[0]])}: {self.name} is {cells[wrong[0]]} and no number that fits "
                "into 32 bits; correct it, or list it in `missing` if it stands for no value"
            )
        found = np.isin(cells, self.missing_numbers)
        self.taken.update(f"{value:g}" for value in cells[found].tolist())
        self.parts.append(np.where(found, np.nan, cells))

    @property
    def values(self) -> np.ndarray:
        """(n,) float64, NaN for none."""
        return np.concatenate([np.empty(0), *self.parts])

    def hashes(self) -> np.ndarray:
        """(n,) int64, one for each number."""
        return (self.values + 0.0).view(np.int64)  # -0.0 is 0.0

    def notes(self) -> list[str]:
        """What was taken for missing besides empty cells."""
        return _missing_note(self.name, self.taken)

    def rewritten(self, cell: str) -> str:
        """As Python writes numbers; what isn't written as the options say becomes no number."""
        text = cell.strip()
        if self.thousands and self.thousands in text:
            if not self.grouped.fullmatch(text):
                return "no number"
            text = text.replace(self.thousands, "")
        if self.decimal != ".":
            text = "no number" if "." in text else text.replace(self.decimal, ".")
        return text

    def _again(self, cell: str, line: int) -> float:
        """A cell that is no number with its spaces, such as those that don't break; raises FrugalError if it is none without."""
        value = float(pd.to_numeric(pd.Series([self.rewritten(cell)], dtype=object), errors="coerce").iloc[0])
        if abs(value) <= FLOAT32:
            return value
        at = f"{self.where}, {self.unit} {line}: {self.name} is {_shown(cell)}"
        if abs(value) > FLOAT32:  # 1e200, or inf
            raise FrugalError(
                f"{at} and no number that fits into 32 bits; correct it, or list it in `missing` if it stands for no value"
            )
        raise FrugalError(f"{at} and no number; {self._advice(cell)}")

    def _advice(self, cell: str) -> str:
        if "\0" in cell:
            return "it holds a NUL byte: the file is damaged, replace it"
        if DATE.fullmatch(cell):
            return (
                "it looks like a date or time: make it a number in the file, days since a day say, or name it in `drop`"
            )
        if self.decimal == "," and "." in cell:
            return "`decimal` is ',' and this has a point: correct it, or set `thousands: '.'` if points part thousands"
        if MARKED.fullmatch(cell):
            return (
                "is it a decimal comma, or a mark of thousands? set `decimal: ','` or `thousands: ','` (or another mark) in "
                "its options"
            )
        if cell.lower() in LOOKS_MISSING:
            return f"if it stands for no value, list it in options: `missing: [{cell!r}]`"
        return f"correct it, list it in `missing` if it stands for no value, or name {self.name} in `categorical` or `drop`"


class Words:
    """A column of names: categories, or the classes of a target, which are never missing.

    Spaces around a name are no part of it, nor are ways to write the same letter, and "1.0" is "1" where both occur.
    """

    def __init__(self, where: str, name: str, missing: list[str], target: bool = False, unit: str = "line"):
        self.where, self.name, self.missing, self.target, self.unit = where, name, missing, target, unit
        self.raw = _Numbered()
        self.parts: list[np.ndarray] = []

    def add(self, cells: list[str] | np.ndarray, lines: np.ndarray) -> None:
        """Some rows, texts or numbers. lines: (n,) where they begin.

        Raises FrugalError for a target without a class, or a damaged name.
        """
        cells, before = _spelled(cells), len(self.raw)
        self.parts.append(np.fromiter(map(self.raw.__getitem__, cells), np.int32, len(cells)))
        for cell in reversed(list(islice(reversed(self.raw), len(self.raw) - before))):  # those that are new
            at = f"{self.where}, {self.unit} {int(lines[cells.index(cell)])}: {self.name}"
            if "\0" in cell:
                raise FrugalError(f"{at} holds a NUL byte: the file is damaged, replace it")
            if self.target and (not (name := plain(cell)) or name in self.missing):
                what = f"{_shown(name)}, which `missing` lists" if name else "empty"
                raise FrugalError(f"{at} is {what}; give every row a class or remove it")

    def named(self) -> tuple[np.ndarray, list[str], list[str]]:
        """(n,) int32 places in the sorted names, -1 for none; those names; and notes on what was taken for what."""
        spelled = list(self.raw)
        codes = np.concatenate([np.empty(0, np.int32), *self.parts])
        counts = np.bincount(codes, minlength=len(spelled)).tolist()
        stripped = [plain(cell) for cell in spelled]
        there = set(stripped)
        meant = [m[1] if (m := WHOLE.fullmatch(name)) and m[1] in there else name for name in stripped]
        taken, rows, merged = Counter(), Counter(), []
        for cell, name, count in zip(spelled, meant, counts, strict=True):
            if name in self.missing:
                taken[name] += count
            elif name:
                rows[name] += count
                if cell != name:
                    merged.append((f"{cell!r} as {name!r} ({count:,})", cell))
        names = sorted(rows)
        place = {name: number for number, name in enumerate(names)}
        final = np.array([place.get(name, -1) for name in meant] or [-1], np.int32)[codes]
        return final, names, [*_missing_note(self.name, taken), *self._notes(names, rows, [text for text, _ in merged])]

    def _notes(self, names: list[str], rows: Counter, merged: list[str]) -> list[str]:
        notes = []
        if merged:
            notes.append(f"{self.name}: spellings that are taken for one name (rows): {_few(merged)}")
        if kept := [f"{name!r} ({rows[name]:,})" for name in names if name.lower() in LOOKS_MISSING]:
            notes.append(f"{self.name}: taken for values (rows), list in `missing` what is none: {_few(kept)}")
        folded: dict[str, list[str]] = {}
        for name in names:
            folded.setdefault(name.casefold(), []).append(name)
        if alike := [" and ".join(map(repr, same)) for same in folded.values() if len(same) > 1]:
            notes.append(f"{self.name}: names that differ by capitals alone stay apart: {_few(alike)}")
        return notes


class Unused:
    """A column that is dropped. Its cells tell rows apart that are otherwise equal, unless they only number the rows."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []
        self.numbers = True

    def add(self, cells: list[str] | np.ndarray, lines: np.ndarray) -> None:
        """Some rows, texts or numbers. lines: (n,) where they begin"""
        cells = _spelled(cells)
        self.parts.append(np.fromiter(map(hash, cells), np.int64, len(cells)))
        self.numbers = self.numbers and all(map(str.isdigit, cells))

    def hashes(self) -> np.ndarray | None:
        """(n,) int64, one for each text; None where every row has another whole number."""
        joined = np.concatenate([np.empty(0, np.int64), *self.parts])
        return None if self.numbers and np.diff(np.sort(joined)).all() else joined  # sorting is the faster way here


class _Numbered(dict):
    """Gives each new key the next number."""

    def __missing__(self, key: str) -> int:
        self[key] = len(self)
        return self[key]


def _spelled(cells: list[str] | np.ndarray) -> list[str]:
    """Numbers as a CSV file would have them, "" for none; texts as they are."""
    if isinstance(cells, list):
        return cells
    return ["" if cell != cell else f"{cell:.0f}" if cell.is_integer() else repr(cell) for cell in cells.tolist()]


def plain(cell: str) -> str:
    """A name without spaces around it, each letter in its composed form."""
    return unicodedata.normalize("NFC", cell.strip())


def _missing_note(name: str, taken: Counter) -> list[str]:
    told = ", ".join(f"{cell!r} {count:,}" for cell, count in sorted(taken.items()))
    return [f"{name}: taken for missing, as option `missing` says, besides empty cells: {told}"] if taken else []


def _few(told: list[str]) -> str:
    return ", ".join(told[:5]) + (f" and {len(told) - 5:,} more" if len(told) > 5 else "")


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= 60 else cell[:57] + "...")
