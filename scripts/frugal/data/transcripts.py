"""Transcripts of recordings, as symbols for CTC: one for each character of the training split.

    0 the blank   1 any other character   2... the characters, sorted, the space among them

A row of labels is the number of samples the recording has before its padding, then its symbols, then zeros.
"""

import unicodedata
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from frugal.errors import FrugalError

BLANK, OTHER = 0, 1
KEPT = ("L", "M", "N")  # letters, marks, numbers: the first letter of a character's Unicode category


class Transcript(NamedTuple):
    """A transcript, plain as `plain` makes it, and how many samples its recording has."""

    text: str
    samples: int


def plain(text: str) -> str:
    """Small letters, marks, digits and apostrophes, one space between words; everything else only parts words."""
    folded = unicodedata.normalize("NFC", text).lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    kept = (c if c == "'" or unicodedata.category(c)[0] in KEPT else " " for c in folded)
    return " ".join("".join(kept).split())


class Transcripts:
    """From transcripts to rows of symbols. symbols: how many there are, `classes` of the data set, None for one for each
    character; where: for errors.
    """

    def __init__(self, symbols: int | None, where: str):
        self.symbols, self.where = symbols, where
        self.facts: dict[str, Any] = {}
        self.notes: list[str] = []

    def fit(self, transcripts: np.ndarray) -> None:
        """Choose the characters, the most frequent ones where there are too many. transcripts: (n,) of Transcript.

        Raises FrugalError where the training split has fewer characters than there should be symbols for.
        """
        counts = Counter(character for transcript in transcripts for character in transcript.text)
        if self.symbols is None:
            self.symbols = len(counts) + 2
        if len(counts) + 2 < self.symbols:
            raise FrugalError(
                f"{self.where}: the training split has {len(counts)} characters, which with the blank and the symbol for any "
                f"other makes {len(counts) + 2} classes; correct `classes`, it is {self.symbols}"
            )
        frequent = sorted(counts, key=lambda character: (-counts[character], character))
        kept, rare = sorted(frequent[: self.symbols - 2]), frequent[self.symbols - 2 :]
        self.number = {character: place for place, character in enumerate(kept, OTHER + 1)}
        self.facts = {"symbols": ["", "", *kept]}
        if rare:
            times = sum(counts[character] for character in rare)
            self.notes.append(
                f"{len(rare)} rare characters, {times:,} of {counts.total():,}, have no symbol: {' '.join(rare[:40])}"
            )

    def encode(self, transcripts: np.ndarray, split: str) -> np.ndarray:
        """(n,) of Transcript -> (n, 1 + longest) int32; says in a note which characters are new."""
        rows = np.zeros((len(transcripts), 1 + max(len(transcript.text) for transcript in transcripts)), np.int32)
        new = Counter(c for transcript in transcripts for c in transcript.text if c not in self.number)
        for row, transcript in zip(rows, transcripts, strict=True):
            row[0] = transcript.samples
            row[1 : 1 + len(transcript.text)] = [self.number.get(character, OTHER) for character in transcript.text]
        if new and split != "train":
            self.notes.append(f"{split}: {new.total():,} characters have no symbol: {' '.join(sorted(new)[:40])}")
        return rows


def text_of(symbols: list[int], characters: list[str], other: str) -> str:
    """The text that symbols (without blanks) stand for. other: what is written for those without a character."""
    return "".join(characters[symbol] if symbol > OTHER else other for symbol in symbols)
