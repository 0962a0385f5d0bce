"""Table in a Parquet or Feather file, or in the Arrow files that Hugging Face's `datasets` saves: columns, some rows at a time.

Numbers come as numbers, everything else as the text that a CSV file would hold, "" for none.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from frugal.data.csvfile import Piece
from frugal.errors import FrugalError, in_one_line, needs_extra

with needs_extra("data", "Parquet and Arrow files"):
    import pyarrow as pa
    from pyarrow import compute, ipc, parquet

ROWS = 1 << 13  # of one piece
PARQUET, FEATHER, OLD_FEATHER = b"PAR1", b"ARROW1", b"FEA1"
NUMBER, TEXT, DATE, OTHER = "number", "text", "date", "other"
SUFFIXES = (".parquet", ".pq", ".feather", ".arrow", ".ipc")


class ArrowFile:
    """A table in one or several files of the same columns. names: of the columns; kinds: number, text, date or other of each;
    rows: how many there are, None in a stream, which doesn't say; features: what `datasets` says of its columns.

    Raises FrugalError for files that can't be read, or with two columns of a name.
    """

    unit = "row"

    def __init__(self, files: list[Path]):
        self.files, self.file = files, files[0]
        schemas = [self._guarded(file, lambda file=file: _schema(file)) for file in files]
        for file, schema in zip(files, schemas, strict=True):
            if schema.names != schemas[0].names:
                odd = sorted(set(schema.names) ^ set(schemas[0].names)) or schema.names
                raise FrugalError(
                    f"{file} has not the columns of {self.file}: {', '.join(odd[:5])}; correct one of them"
                )
        self.schema: pa.Schema = schemas[0]
        self.names = list(self.schema.names)
        if twice := next((name for name, count in Counter(self.names).items() if count > 1), None):
            raise FrugalError(f"{self.file} has two columns {twice}; rename one")
        self.kinds = {field.name: _kind(field.type) for field in self.schema}
        described = json.loads((self.schema.metadata or {}).get(b"huggingface", b"{}"))
        self.features: dict[str, Any] = described.get("info", {}).get("features", {})
        self.detected: dict[str, Any] = {}

    def batches(self, names: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Some rows at a time, of these columns (default: all)."""
        for file in self.files:
            batches = self._guarded(file, lambda file=file: _batches(file, names or self.names))
            while (batch := self._guarded(file, lambda batches=batches: next(batches, None))) is not None:
                yield batch

    def pieces(self, names: list[str] | None = None) -> Iterator[Piece]:
        """Some rows at a time, (n,) float64 of a column of numbers, NaN for none, and n texts of any other."""
        names, row = names or self.names, 1
        for batch in self.batches(names):
            columns = [_cells(batch.column(name), self.kinds[name]) for name in names]
            yield Piece(np.arange(row, row + len(batch)), columns)
            row += len(batch)

    @property
    def rows(self) -> int | None:
        """How many there are, as far as the files say it."""
        counts = [_rows(file) for file in self.files]
        return None if None in counts else sum(counts)

    @staticmethod
    def _guarded(file: Path, work: Any) -> Any:
        try:
            return work()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise FrugalError(
                f"{file} is damaged or no Parquet, Feather or Arrow file ({in_one_line(error, kind=False)}); replace it"
            ) from error


def _start(file: Path) -> bytes:
    with open(file, "rb") as stream:
        start = stream.read(16)
    if start.startswith(b"version https://"):
        raise FrugalError(f"{file} is a pointer of Git LFS, not the file it stands for; fetch that")
    if start.startswith(OLD_FEATHER):
        raise FrugalError(f"{file} is a Feather file of version 1; save it anew")
    return start


def _schema(file: Path) -> pa.Schema:
    start = _start(file)
    if start.startswith(PARQUET):
        return parquet.read_schema(file)
    with pa.memory_map(str(file)) as stream:
        return (ipc.open_file if start.startswith(FEATHER) else ipc.open_stream)(stream).schema


def _rows(file: Path) -> int | None:
    start = _start(file)
    if start.startswith(PARQUET):
        return parquet.read_metadata(file).num_rows
    if start.startswith(FEATHER):
        with pa.memory_map(str(file)) as stream:
            reader = ipc.open_file(stream)
            return sum(reader.get_batch(n).num_rows for n in range(reader.num_record_batches))
    return None


def _batches(file: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
    start = _start(file)
    if start.startswith(PARQUET):
        with parquet.ParquetFile(file) as opened:
            yield from opened.iter_batches(batch_size=ROWS, columns=names)
        return
    with pa.memory_map(str(file)) as stream:
        if start.startswith(FEATHER):
            reader = ipc.open_file(stream)
            whole = (reader.get_batch(n) for n in range(reader.num_record_batches))
        else:
            whole = iter(ipc.open_stream(stream))
        for batch in whole:
            batch = batch.select(names)
            for first in range(0, len(batch), ROWS):
                yield batch.slice(first, ROWS)


def _kind(of: pa.DataType) -> str:
    if pa.types.is_dictionary(of):
        of = of.value_type
    if pa.types.is_integer(of) or pa.types.is_floating(of) or pa.types.is_decimal(of):
        return NUMBER
    if pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_string_view(of) or pa.types.is_boolean(of):
        return TEXT
    return DATE if pa.types.is_temporal(of) else OTHER


def _cells(column: pa.Array, kind: str) -> np.ndarray | list[str]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if kind == NUMBER:
        return compute.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return ["" if cell is None else cell if isinstance(cell, str) else str(cell) for cell in column.to_pylist()]
