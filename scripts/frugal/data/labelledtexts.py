"""Texts with a label each, read from the rows of a file: CSV, JSON lines, Parquet, Feather, or what `datasets` saves."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from os.path import getsize
from pathlib import Path
from typing import Any

import numpy as np

from frugal.data.arrays import Arrays
from frugal.data.arrowfile import SUFFIXES, ArrowFile
from frugal.data.csvfile import CsvFile, Piece
from frugal.data.detect import encoding_of
from frugal.data.folders import limited
from frugal.data.labels import numbered, shown_names
from frugal.data.rows import bar
from frugal.data.split import divided
from frugal.data.text import Tokens
from frugal.errors import FrugalError

JSON_LINES = (".jsonl", ".ndjson", ".json")
AT_ONCE = 1 << 12  # lines of JSON in one piece


@dataclass
class LabelledTexts:
    """Texts of one file. texts: n; labels: n texts, or numbers; skipped: (row, why) of those left out; rows: where each was"""

    where: str
    texts: list[str] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    unit: str = "row"
    detected: dict[str, Any] = field(default_factory=dict)

    def add(self, texts: list[str], labels: list[Any], rows: list[int]) -> None:
        """Some rows. Raises FrugalError for a text with a NUL byte, or a label that is missing."""
        for text, label, row in zip(texts, labels, rows, strict=True):
            if label is None or label != label or (isinstance(label, str) and not label.strip()):
                raise FrugalError(
                    f"{self.where}, {self.unit} {row}: the label is missing; give every text a class or remove it"
                )
            if "\0" in text:
                raise FrugalError(
                    f"{self.where}, {self.unit} {row}: the text holds a NUL byte: the file is damaged, replace it"
                )
            if text.strip():
                self.texts.append(text)
                self.labels.append(label)
                self.rows.append(row)
            else:
                self.skipped.append((f"{Path(self.where).name}, {self.unit} {row}", "empty"))


class JsonLines:
    """A file with a JSON object in each line. names: keys of the first one. Raises FrugalError for what is no such file."""

    unit = "line"

    def __init__(self, file: Path):
        self.file, self.detected = file, {}
        with open(file, "rb") as stream:
            self.codec, said = encoding_of(stream, str(file))
        if self.codec != "utf-8":
            raise FrugalError(f"{file} is {said}; JSON is UTF-8: save it so")
        first = next(iter(self._objects()), None)
        if first is None:
            raise FrugalError(f"{file} is empty; put the texts there")
        self.names = list(first[1])

    def pieces(self, names: list[str]) -> Iterator[Piece]:
        """Some rows at a time, values of these keys, None where a row has none."""
        columns: list[list[Any]] = [[] for _ in names]
        lines: list[int] = []
        for line, row in self._objects():
            lines.append(line)
            for name, column in zip(names, columns, strict=True):
                column.append(row.get(name))
            if len(lines) == AT_ONCE:
                yield Piece(np.array(lines), columns)
                columns, lines = [[] for _ in names], []
        if lines:
            yield Piece(np.array(lines), columns)

    def _objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        with (
            open(self.file, "rb") as stream,
            bar(getsize(self.file), f"reading {self.file.name}", "B") as progress,
        ):
            for line, content in enumerate(stream, 1):
                progress.update(len(content))
                if not content.strip():
                    continue
                try:
                    row = json.loads(content.decode("utf-8-sig"))
                except ValueError as error:
                    if line == 1 and content.strip() in (b"[", b"{"):
                        raise FrugalError(
                            f"{self.file} is one JSON document over many lines; save an object in each line (JSON lines)"
                        ) from error
                    raise FrugalError(f"{self.file}, line {line} is no JSON: {error}; correct it") from error
                if not isinstance(row, dict):
                    raise FrugalError(
                        f"{self.file}, line {line} is no JSON object but {type(row).__name__}; save an object in each line"
                    )
                yield line, row


def read_texts(file: Path, text: str, label: str, separator: str | None, encoding: str | None) -> LabelledTexts:
    """The texts and labels of a file, whose ending says what it is. text, label: columns. Raises FrugalError."""
    suffix = file.suffix.lower()
    if suffix in SUFFIXES:
        return from_arrow(ArrowFile([file]), text, label)
    table = JsonLines(file) if suffix in JSON_LINES else CsvFile(file, separator, encoding)
    _check(table.names, text, label, str(file))
    read = LabelledTexts(str(file), unit=table.unit, detected=dict(table.detected))
    if isinstance(table, JsonLines):
        for rows, (texts, labels) in table.pieces([text, label]):
            for row, cell in zip(rows.tolist(), texts, strict=True):
                if not isinstance(cell, str | None):
                    raise FrugalError(
                        f"{file}, line {row}: {text} is {cell!r:.40} and no text; name another key in `text`"
                    )
            read.add(["" if cell is None else cell for cell in texts], labels, rows.tolist())
        return read
    at, of = table.names.index(text), table.names.index(label)
    for rows, columns in table.pieces():
        read.add(columns[at], columns[of], rows.tolist())
    return read


def from_arrow(table: ArrowFile, text: str, label: str) -> LabelledTexts:
    """The same of a table in Parquet or Arrow files. Raises FrugalError for columns that aren't there or hold no texts."""
    where = str(table.file)
    _check(table.names, text, label, where)
    if table.kinds[text] != "text":
        raise FrugalError(
            f"{where}: column {text} holds {table.schema.field(text).type}, no texts; name another in `text`"
        )
    read = LabelledTexts(where)
    with bar(table.rows, f"reading {table.file.name}", "row") as progress:
        for rows, (texts, labels) in table.pieces([text, label]):
            read.add(texts, labels if isinstance(labels, list) else labels.tolist(), rows.tolist())
            progress.update(len(rows))
    return read


def labelled_arrays(
    parts: list[LabelledTexts],
    encoder: Tokens,
    test: float,
    seed: int,
    damaged: float,
    where: str,
    label: str,
    names: list[str] | None = None,
) -> Arrays:
    """Texts as a source hands them over.

    parts: the training and the test set, or one that is split here; test, seed: how; damaged: share that may be left out;
    names: of the classes, where labels are their numbers already. Raises FrugalError for what can't be a training set.
    """
    if empty := next((part for part in parts if not part.texts), None):
        raise FrugalError(f"{empty.where} has no text that isn't empty; put the samples there")
    labels, found, notes = numbered([value for part in parts for value in part.labels], where, label)
    names = [names[int(float(number))] for number in found] if names else found
    texts = np.array([text for part in parts for text in part.texts], object)
    train, tested, told = divided(labels, test, seed, len(parts[0].texts) if len(parts) > 1 else None)
    inferred = parts[0].detected | told
    missing = sorted(set(labels[tested].tolist()) - set(labels[train].tolist()))
    if missing:  # where nobody has split them here, every class is trained on
        raise FrugalError(
            f"{parts[1].where} has the class {names[missing[0]]!r}, of which {parts[0].where} has no sample; correct one"
        )
    skipped = tuple(one for part in parts for one in part.skipped)
    note = limited(skipped, len(texts) + len(skipped), damaged, "texts")
    return Arrays(
        texts[train],
        labels[train],
        texts[tested],
        labels[tested],
        notes=(*notes, *note),
        skipped=skipped,
        kind="text",
        encoder=encoder,
        inferred=inferred | {"class names": shown_names(names)},
    )


def _check(names: list[str], text: str, label: str, where: str) -> None:
    for option, name in (("text", text), ("label", label)):
        if name not in names:
            raise FrugalError(
                f"{where} has no column {name}, it has {', '.join(names[:20])}; correct option `{option}`"
            )
    if text == label:
        raise FrugalError(f"{where}: options text and label both name {text}; name two columns")
