"""Common Voice: a release folder of sentences that volunteers read aloud, in one language.

Ardila et al., "Common Voice: A Massively-Multilingual Speech Corpus", LREC 2020, https://arxiv.org/abs/1912.06670.

    <folder>/<language>/train.tsv  dev.tsv  test.tsv ...  with columns path and sentence
    <folder>/<language>/clips/*.mp3

Clips become waves at 16 kHz, sentences plain text (`frugal.data.transcripts`). Nothing is cut to fit, since a part of a
recording no longer says its sentence: what is too long is left out and listed, as is what can't be read. In a whole
release no speaker is in two of train, dev and test; validation is split off `train` here, and shares its speakers.
"""

import csv
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from frugal.data.arrays import Arrays
from frugal.data.folders import encodable, home_of, limited
from frugal.data.made_from import read_file
from frugal.data.sound import Unusable, as_stored, decoded, notes_on
from frugal.data.split import keep_apart
from frugal.data.transcripts import Transcript, plain
from frugal.errors import FrugalError, in_one_line, needs_extra

with needs_extra("data", "lists of recordings"):
    import pandas as pd

KIND = "sound"
TASK = "transcription"
RATE = 16_000
Clip = tuple[np.ndarray, tuple[str, ...]]


def read(
    folder: Path | None,
    downloads: Path,
    threads: int = 1,
    *,
    language: str,
    folders: list[str] = ["cv-corpus"],  # noqa: B006
    train: list[str] = ["train.tsv"],  # noqa: B006
    test: list[str] = ["test.tsv"],  # noqa: B006
    length: Annotated[int, Ge(400)] = 160_000,
    fastest: Annotated[float, Gt(0)] = 25.0,
    at_most: Annotated[int, Ge(2)] | None = None,
    damaged: Annotated[float, Ge(0), Le(1)] = 0.01,
) -> Arrays:
    """Read the release in the data folder; nothing is downloaded, since its publisher asks for a consent.

    language: its code, a folder of the release; folders: the release, the first that is there counts; train, test: tables
    of the clips of either side; length: samples of a row, 16,000 a second, longer clips are left out; fastest: characters
    per second, with more the sentence is hardly this clip's; at_most: clips read per table, the first ones; damaged: share
    of the clips that may be missing, unreadable, or without a sentence
    threads: that decode. Raises FrugalError for tables without the columns, and where too much is unusable.
    """
    home = home_of(folder, folders, language, "these recordings are") / language
    tables = [*(("option train", home / name) for name in train), *(("option test", home / name) for name in test)]
    keep_apart(tables, "name different tables of the release")
    clips, seen = Clips(home / "clips", length, fastest), set()
    sides = {}
    for side, tables in (("test", test), ("train", train)):  # a clip on both lists is for testing
        listed = [row for table in tables for row in _listed(home / table)[:at_most]]
        sides[side] = clips.read([row for row in listed if row[0] not in seen], threads)
        seen |= {path for path, _ in listed}
        if not sides[side][1].size:
            raise FrugalError(f"{home}: no clip of {', '.join(tables)} can be used; see options length and fastest")
    notes = [f"{reason}: {count:,} clips are left out" for reason, count in sorted(clips.unfit.items())]
    return Arrays(
        *sides["train"],
        *sides["test"],
        notes=(*notes, *notes_on(clips.remarks), *limited(clips.bad, clips.count, damaged)),
        skipped=(*clips.bad, *clips.left_out),
        kind=KIND,
        facts={"rate": RATE, "language": language},
        task=TASK,
    )


class Clips:
    """Reads clips and keeps account of those that could not be used (bad) or don't fit the options (left_out)."""

    def __init__(self, place: Path, length: int, fastest: float):
        self.place, self.length, self.fastest = place, length, fastest
        self.bad: list[tuple[str, str]] = []
        self.left_out: list[tuple[str, str]] = []
        self.unfit: dict[str, int] = {}
        self.remarks: Counter = Counter()
        self.count = 0

    def read(self, listed: list[tuple[str, str]], threads: int) -> tuple[np.ndarray, np.ndarray]:
        """(n, length) int16 waves and (n,) objects Transcript of the clips (path, sentence) that can be used."""
        rows, transcripts = [], []
        for path, _ in listed:
            read_file(self.place / path)
        self.count += len(listed)
        for (path, sentence), read in zip(listed, self._waves([path for path, _ in listed], threads), strict=True):
            text = plain(sentence)
            if isinstance(read, Unusable) or not text:
                self.bad.append((encodable(path), str(read) if isinstance(read, Unusable) else "its sentence is empty"))
                continue
            wave, remarks = read
            why = None
            if len(wave) > self.length:
                why = f"longer than {self.length / RATE:g} s"
            elif len(text) > self.fastest * len(wave) / RATE:
                why = f"more than {self.fastest:g} characters per second"
            if why:
                self.left_out.append((encodable(path), why))
                self.unfit[why] = self.unfit.get(why, 0) + 1
                continue
            rows.append(np.pad(wave, (0, self.length - len(wave))))
            transcripts.append(Transcript(text, len(wave)))
            self.remarks.update(remarks)
        labels = np.empty(len(transcripts), object)
        labels[:] = transcripts
        return np.stack(rows) if rows else np.empty((0, self.length), np.int16), labels

    def _waves(self, paths: list[str], threads: int) -> Iterable[Clip | Unusable]:
        """(samples,) int16 at 16 kHz of each clip and what was done to it, or why not."""
        with ThreadPoolExecutor(threads) as pool:
            yield from pool.map(_wave, repeat(self.place), paths, repeat(self.length))


def _wave(place: Path, path: str, length: int) -> Clip | Unusable:
    if Path(path).name != path or not (place / path).is_file():
        return Unusable("no such clip")
    try:
        wave, _, remarks = decoded(place / path, RATE)
        return as_stored(wave)[: length + 1], remarks  # one more tells that it is too long
    except Unusable as error:
        return error


def _listed(table: Path) -> list[tuple[str, str]]:
    """(path, sentence) of each row of a table. Raises FrugalError where it can't be read or lacks one of the two."""
    read_file(table)
    try:
        frame = pd.read_csv(table, sep="\t", dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE, encoding="utf-8")
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise FrugalError(
            f"{table} can't be read as a table of tabs: {in_one_line(error, kind=False)}; correct options train and test"
        ) from error
    if missing := [name for name in ("path", "sentence") if name not in frame]:
        raise FrugalError(
            f"{table} has no column {missing[0]}, it has {', '.join(frame)}; is it a release's table of clips?"
        )
    return list(zip(frame["path"], frame["sentence"], strict=True))
