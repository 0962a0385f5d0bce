"""CSV file read as columns of texts, a few thousand rows at a time; an error in it is reported with its line."""

import bz2
import codecs
import csv
import gzip
import io
import lzma
import os
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from frugal.data.detect import encoding_of, separator_of
from frugal.data.rows import bar
from frugal.errors import FrugalError

ROWS = 1 << 12  # of one piece
AT_ONCE = 1 << 8  # rows that are turned into columns together: few, so that they are still in the processor's cache
BREAK = re.compile("\r\n|\r|\n")
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
OTHER_FORMATS = {
    b"PAR1": "a Parquet file",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"SQLite format 3": "an SQLite database",
    b"\x89HDF": "an HDF5 file",
    b"version https://git-lfs": "a pointer of Git LFS, not the file it stands for",
}
HEAD = 1 << 16  # letters by which a separator is found
SEPARATORS = {";": "';'", "\t": '"\\t"', "|": "'|'", ",": "','", " ": "' '"}  # as YAML has them
PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
DAMAGED = (
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    gzip.BadGzipFile,
)


class Piece(NamedTuple):
    """Some rows. lines: (n,) int64, where each begins, from 1; columns: n texts of each, as they are in the file"""

    lines: np.ndarray
    columns: list[list[str]]


class CsvFile:
    """A table with a header; plain, or compressed as .gz, .bz2, .xz, or as the one file of a .zip.

    separator: between fields; encoding: as Python calls it; None for either finds it out, see `frugal.data.detect`, and
    `detected` says it. A byte-order mark of UTF-8 is passed over. names: of the columns,
    stripped, and "Unnamed: 0" (counted from 0, as pandas has it) for one without. Raises FrugalError for what is no such table.
    """

    unit = "line"

    def __init__(self, file: Path, separator: str | None = ",", encoding: str | None = "utf-8"):
        self.file, self.codec = file, ""
        self.detected: dict[str, str] = {}
        if encoding is None:
            with self._guarded(), self._opened() as binary:
                encoding, self.detected["encoding"] = encoding_of(binary, str(file))
        self.encoding = encoding
        if separator is None:
            separator = ","
            self.codec = _codec(encoding)
            with self._guarded(), self._text() as text:
                head = text.read(HEAD)
            lines = head.splitlines(keepends=True)
            if "\0" not in head:
                separator = separator_of(lines[:-1] if len(head) == HEAD else lines, str(file))
                self.detected["separator"] = separator
        self.separator = separator
        if len(separator) != 1 or separator in '"\r\n':
            raise FrugalError(f"option separator is {separator!r}; give one character, such as ',' or ';' or \"\\t\"")
        self.codec = _codec(encoding)
        with self._read() as reader:
            header = next((row for row in reader if _filled(row)), None)
        if header is None:
            raise FrugalError(f"{file} is empty; put the table there")
        if any("\0" in name for name in header):
            raise FrugalError(
                f"{file} holds NUL bytes: it is damaged, or UTF-16 without a byte-order mark (set `encoding: utf-16-le`)"
            )
        if header[0].lstrip().lower().startswith(("<!doctype", "<html", "<?xml")):
            raise FrugalError(f"{file} is a web page or XML, no CSV; download the table itself")
        self.names = [name.strip() or f"Unnamed: {place}" for place, name in enumerate(header)]
        if len(header) == 1:
            self._refuse_another_separator(header[0])
        if twice := next((name for name, count in Counter(self.names).items() if count > 1), None):
            places = " and ".join(str(place) for place, name in enumerate(self.names, 1) if name == twice)
            raise FrugalError(f"{file} has two columns {twice} ({places}); rename one in the header")

    def pieces(self) -> Iterator[Piece]:
        """All rows below the header. Raises FrugalError for one that has not as many fields as that, with its line."""
        columns, lines = [[] for _ in self.names], []
        with self._read() as reader, bar(os.path.getsize(self.file), f"reading {self.file.name}", "B") as progress:
            next(row for row in reader if _filled(row))  # the header
            began = reader.line_num + 1
            while rows := list(islice(reader, AT_ONCE)):
                at = range(began, began + len(rows))
                if reader.line_num + 1 != at.stop or set(map(len, rows)) != {len(self.names)}:
                    rows, at = self._whole_rows(rows, began)  # not a line each
                began = reader.line_num + 1
                lines.extend(at)
                for column, cells in zip(columns, zip(*rows, strict=True), strict=bool(rows)):
                    column.extend(cells)
                if len(lines) >= ROWS:
                    progress.update(self.stream.tell() - progress.n)
                    yield Piece(np.array(lines), columns)
                    columns, lines = [[] for _ in self.names], []
        if lines:
            yield Piece(np.array(lines), columns)

    def _whole_rows(self, rows: list[list[str]], line: int) -> tuple[list[list[str]], list[int]]:
        """Those that are no empty lines, with the lines where they begin. Raises FrugalError for one of another length."""
        whole, lines = [], []
        for row in rows:
            if _filled(row):
                if len(row) != len(self.names):
                    self._refuse_length(row, line)
                whole.append(row)
                lines.append(line)
            line += 1 + sum(len(BREAK.findall(cell)) for cell in row)  # a cell may hold line breaks
        return whole, lines

    @contextmanager
    def _read(self) -> Iterator[Iterator[list[str]]]:
        """A reader of the csv module; what goes wrong while it is used becomes one line."""
        with self._guarded(), self._text() as text:
            # strict: a quote that is never closed would swallow the rest of the file
            reader = csv.reader(text, delimiter=self.separator, skipinitialspace=True, strict=True)
            try:
                yield reader
            except csv.Error as error:
                raise FrugalError(
                    f"{self.file}, the row that ends in line {reader.line_num}, can't be read as CSV: {error}; look for a quote "
                    "that is not closed, or not doubled inside a quoted field"
                ) from error

    @contextmanager
    def _text(self) -> Iterator[io.TextIOWrapper]:
        with self._opened() as binary:
            yield io.TextIOWrapper(binary, "utf-8-sig" if self.codec == "utf-8" else self.codec, newline="")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """What goes wrong while the file is read becomes one line."""
        try:
            yield
        except UnicodeError as error:
            raise FrugalError(self._not_encoded(error)) from error
        except OSError as error:
            if error.errno is None:  # of the bz2 and gzip modules
                raise FrugalError(f"{self.file} is damaged: {error}; replace it") from error
            raise FrugalError(f"{self.file} can't be read: {error.strerror}; mend that") from error
        except DAMAGED as error:
            raise FrugalError(f"{self.file} is damaged or can't be unpacked: {error}; replace or unpack it") from error

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        with open(self.file, "rb") as stream:
            self.stream = stream
            start = stream.read(32)
            stream.seek(0)
            for first, what in OTHER_FORMATS.items():
                if start.startswith(first):
                    rename = ", or give it the ending .parquet" if first == b"PAR1" else ""
                    raise FrugalError(f"{self.file} is {what}; save the table as CSV{rename}")
            if self.codec and start.startswith(UTF_16) and not self.codec.startswith(("utf-16", "utf-32")):
                raise FrugalError(
                    f"{self.file} is UTF-16, as its byte-order mark says; save it as UTF-8 or set `encoding: utf-16`"
                )
            if self.codec and start.startswith(codecs.BOM_UTF8) and self.codec != "utf-8":
                raise FrugalError(
                    f"{self.file} is UTF-8, as its byte-order mark says, and not {self.encoding}; leave out `encoding`"
                )
            unpack = next((opened for magic, opened in PACKED.items() if start.startswith(magic)), None)
            if unpack:
                with unpack(stream) as content:
                    yield content
            elif start.startswith(b"PK\x03\x04"):
                with zipfile.ZipFile(stream) as archive, archive.open(self._member(archive)) as member:
                    yield member
            else:
                yield stream

    def _member(self, archive: zipfile.ZipFile) -> str:
        names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
        if "[Content_Types].xml" in names:
            raise FrugalError(f"{self.file} is an Excel workbook; save the table as CSV")
        if len(names) != 1:
            told = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            raise FrugalError(
                f"{self.file} holds {len(names)} files ({told}), a table is one; unpack it and name the one in option `path`"
            )
        return names[0]

    def _not_encoded(self, error: UnicodeError) -> str:
        where, what = str(self.file), str(error)
        if self.codec in ("utf-8", "ascii"):
            with self._opened() as binary:  # the error counts from somewhere in the middle: look for the line
                for line, content in enumerate(binary, 1):
                    try:
                        content.decode(self.codec)
                    except UnicodeDecodeError as here:
                        where, what = f"{self.file}, line {line}", f"byte {content[here.start]:#04x}"
                        break
        advice = (
            "set `encoding: cp1252` if it is Latin-1 or of Windows" if self.codec == "utf-8" else "correct `encoding`"
        )
        return f"{where}: {what} is not {self.encoding.upper()}; save the file as UTF-8, or {advice}"

    def _refuse_another_separator(self, header: str) -> None:
        found = max(SEPARATORS, key=lambda separator: (header.count(separator), separator != " "))
        if header.count(found):
            raise FrugalError(
                f"{self.file} has one column only, {_shortened(header)!r}: is the separator {SEPARATORS[found]}? then set "
                f"`separator: {SEPARATORS[found]}` in its options"
            )

    def _refuse_length(self, row: list[str], line: int) -> None:
        if len(row) > len(self.names):
            why = "a separator at its end, names of rows without a column of their own, or a separator in a cell without quotes"
        else:
            why = "a row cut off, another separator, or a line that is no row"
        raise FrugalError(
            f"{self.file}, line {line} has {len(row)} fields and the header {len(self.names)}: {why}; correct the file"
        )


def _codec(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name.replace("utf-8-sig", "utf-8")
    except LookupError:
        raise FrugalError(
            f"option encoding is {encoding!r}, which Python doesn't know; such are utf-8, cp1252, utf-16"
        ) from None


def _filled(row: list[str]) -> bool:
    """Whether it is more than an empty line."""
    return len(row) > 1 or bool(row and row[0].strip())


def _shortened(text: str) -> str:
    text = re.sub(r"\s+", " ", text)
    return text if len(text) <= 60 else text[:57] + "..."
