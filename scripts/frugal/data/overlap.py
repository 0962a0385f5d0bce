"""Overlap of splits: samples that are in two of them, equal in every stored byte, so that a net could have memorised them.

Each sample becomes 64 bits of SipHash, the function behind Python's `hash` of bytes, which is several times as fast as
hashlib's: eight bytes of memory for a sample of any size. Among a million samples against a million, one pair of
different ones is taken for the same with probability 5e-8.

Real data sets have a few such samples, so these are told in a note. A test set of which more than MOST is also trained on
would measure memory, and is refused. In tables it is common that different rows have the same features (passengers of one
age, class and fare): there a copy is a row equal in all columns of its file that say something, those left out of
training, such as names, among them. Rows of equal features are counted and told beside it.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from frugal.data.rows import ComputedRows, Rows, pieces
from frugal.errors import FrugalError

MOST = 0.05  # of the test set that may be in training or validation


class Hashed:
    """Samples of one split as they pass by. hashes: (n,) int64, once all have."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []

    def passing(self, samples: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The same pieces (m, ...), hashed: whoever reads them anyway spares a second reading of what is on disk."""
        for piece in samples:
            self.parts.append(hashes(piece))
            yield piece

    @property
    def hashes(self) -> np.ndarray:
        """(n,) int64"""
        return np.concatenate([np.empty(0, np.int64), *self.parts])


def hashes(rows: np.ndarray) -> np.ndarray:
    """(n,) int64, of the bytes of each of (n, ...) numbers; zeros at their end don't count, nor a dimension of length 1."""
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1)
    texts = flat.view(f"S{flat.shape[1] * flat.itemsize}").ravel()  # of which numpy cuts zeros at the end
    return np.fromiter(map(hash, texts.tolist()), np.int64, len(rows))


def hashes_of(rows: np.ndarray | Rows | ComputedRows) -> np.ndarray:
    """(n,) int64, of rows that may be on disk."""
    seen = Hashed()
    for _ in seen.passing(pieces(rows)):
        pass
    return seen.hashes


def among(few: np.ndarray, many: np.ndarray) -> np.ndarray:
    """(n,) bool: which of few (n,) are in many (m,). As np.isin, which would sort the many too: a training set, several times."""
    known, place = np.unique(few, return_inverse=True)
    at = np.minimum(np.searchsorted(known, many), len(known) - 1)
    found = np.zeros(len(known), bool)
    found[at[known[at] == many]] = True
    return found[place]


class Split(NamedTuple):
    """What is compared of a split: of each sample (n,) its hash, that of its label, and of a table's row the whole one's."""

    samples: np.ndarray
    labels: np.ndarray
    rows: np.ndarray | None = None

    @property
    def labelled(self) -> np.ndarray:
        """(n,) int64: samples with their labels."""
        return mixed(self.samples, self.labels)


def mixed(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n,) int64 of two hashes or numbers, in this order, by the steps of splitmix64, which spread each bit over all."""
    bits = one.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + other.view(np.uint64)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (bits ^ (bits >> np.uint64(31))).view(np.int64)


def overlaps(splits: dict[str, Split], kind: str, where: str, allowed: bool) -> list[str]:
    """Notes on the samples that two splits share, none where they share nothing.

    splits: train, validation and test; kind: see `frugal.data.arrays.Kind`; where: the data set, for the error; allowed: by its
    `allow_overlap`. Raises FrugalError where more than MOST of the test samples are in training or validation.
    """
    notes = [
        note
        for part, other in (("test", "train"), ("test", "validation"), ("validation", "train"))
        if (note := _note(splits, part, other, kind))
    ]
    test, known = splits["test"], [splits["train"], splits["validation"]]
    copies = np.any([among(_copies(test, kind), _copies(split, kind)) for split in known], axis=0)
    share = copies.mean()
    if share > MOST and not allowed:
        raise FrugalError(
            f"{where}: {int(copies.sum()):,} of {len(copies):,} test samples ({share:.1%}) are in training or validation "
            f"too, {'row for row' if kind == 'table' else 'byte for byte'}, the first is {_first(splits, kind)}; at most "
            f"{MOST:.0%} may be, or the test measures memory; take them out, or set `allow_overlap: true` for the data set"
        )
    if share > MOST:
        notes.append(f"{share:.1%} of the test samples are in training or validation too, as `allow_overlap` permits")
    return notes


def _copies(split: Split, kind: str) -> np.ndarray:
    """(n,) hashes that make two samples the same one: of a table's row with its label, of all else without."""
    if split.rows is not None:
        return split.rows
    return split.labelled if kind == "table" else split.samples


def _note(splits: dict[str, Split], part: str, other: str, kind: str) -> str:
    one, against = splits[part], splits[other]
    shared = among(one.samples, against.samples)
    if not shared.any():
        return ""
    same = among(one.labelled, against.labelled)
    told = f"{part}: {int(shared.sum()):,} of {len(shared):,} samples"
    if kind == "table":
        copies = int(among(_copies(one, kind), _copies(against, kind)).sum())
        whole = f", and {copies:,} are copies of whole rows" if one.rows is not None else ""
        return f"{told} have the features of one in {other}, {int(same.sum()):,} of them its label too{whole}"
    return f"{told} are in {other} too, byte for byte, {int((shared & ~same).sum()):,} of them with other labels only"


def _first(splits: dict[str, Split], kind: str) -> str:
    """Which test sample is where else, counted from 0."""
    test = _copies(splits["test"], kind)
    for other in ("train", "validation"):
        known = _copies(splits[other], kind)
        found = np.flatnonzero(among(test, known))
        if len(found):
            return f"test sample {found[0]}, {other} sample {np.flatnonzero(known == test[found[0]])[0]}, from 0"
    raise AssertionError("nothing is shared")
