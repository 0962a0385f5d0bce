"""Arrays that a source hands over, of the four kinds of data, checked against what the configuration says."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from frugal.data.listing import Listing
from frugal.data.rows import Rows, pieces
from frugal.errors import FrugalError

CONFIG = "its entry of datasets.yaml"
MANY = 20  # labels of a table: with more its target may be a quantity
QUANTITY = ", unless the target is a quantity: regression isn't supported, make it a few ranges or name another target"


@dataclass(frozen=True)
class Kind:
    """What the cache holds of one kind of data.

    array: of its arrays' names, as in "train_tokens"; dtypes: of the numbers in them; axes: of one sample, for messages

    image   uint8 (n, C, H, W) pixels
    text    int16, or int32 for more than 32,767 tokens, (n, L): tokens of a text, 0 where it has ended
    table   float32 (n, d): encoded columns
    sound   int16 (n, T): samples of a wave, 0 where it has ended
    """

    array: str
    dtypes: tuple[str, ...]
    axes: tuple[str, ...]

    def allows(self, dtype: np.dtype) -> bool:
        """Whether an array of this kind may hold such numbers."""
        return str(dtype) in self.dtypes


KINDS = {
    "image": Kind("images", ("uint8",), ("channels", "height", "width")),
    "text": Kind("tokens", ("int16", "int32"), ("tokens",)),
    "table": Kind("features", ("float32",), ("features",)),
    "sound": Kind("waves", ("int16",), ("samples",)),
}


class Encoder(Protocol):
    """Turns what a source read, texts or the cells of a table, into numbers, by what it learns from the training split.

    facts: what becomes part of the manifest, e.g. how large the vocabulary is; documents: files that are kept beside the
    arrays, content by name; notes: what a reader of the manifest should know
    """

    facts: dict[str, Any]
    documents: dict[str, bytes]
    notes: list[str]

    def fit(self, inputs: np.ndarray) -> None:
        """Learn from the training split (n, ...), from which validation has been taken off."""

    def encode(self, inputs: np.ndarray, split: str) -> np.ndarray:
        """(n, ...) as the source read them -> (n, ...) numbers. split: "train", "validation" or "test", for the notes."""


@dataclass(frozen=True)
class Arrays:
    """A data set as its publisher splits it.

    inputs: (n, ...) numbers as `kind` has them, see `Kind`, or what its encoder takes; labels: (n,) int64,
    counted from 0, or for the task "transcription" (n,) objects `Transcript`, see `frugal.data.transcripts`; generated: made by a
    program, not collected; notes: what a reader of the manifest should know, e.g. that a file's checksum is not known; skipped:
    (file, reason) of files that could not be used; leftovers: a folder that may go once the cache is written; facts: further
    keys of the manifest; inferred: what was found out because nobody said it, by name, for the manifest and the log;
    listing: the files that the training inputs are of, where each has one; task: what labels are for;
    whole_rows: of a table, hashes (n,) int64 of the training and test rows as in the file, see `frugal.data.overlap`.
    Images that don't fit into memory come as Rows.
    """

    train_inputs: np.ndarray | Rows
    train_labels: np.ndarray
    test_inputs: np.ndarray | Rows
    test_labels: np.ndarray
    generated: bool = False
    notes: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    leftovers: Path | None = None
    kind: str = "image"
    encoder: Encoder | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    inferred: dict[str, Any] = field(default_factory=dict)
    listing: Listing | None = None
    task: str = "classification"
    whole_rows: tuple[np.ndarray, np.ndarray] | None = None


def check(arrays: Arrays, dataset: str, shape: list[int] | None, classes: int | None) -> int | None:
    """Hold what was read against the configured shape and number of classes; returns the number. Raises FrugalError.

    shape, classes: None for those that the files have. What still has to be encoded has no shape yet; `check_inputs` follows
    when it has. Of transcripts the classes are symbols, which are known later: None stays None.
    """
    says = f"{CONFIG} says" if classes is not None else "the data set has"
    if classes is None and arrays.task == "classification" and len(arrays.train_labels):
        labels = np.concatenate([arrays.train_labels, arrays.test_labels])
        classes = int(labels.max()) + 1
        if classes < 2:
            raise FrugalError(f"data set {dataset}: every label is the same: there is nothing to learn")
    for split, inputs, labels in (
        ("training", arrays.train_inputs, arrays.train_labels),
        ("test", arrays.test_inputs, arrays.test_labels),
    ):
        where, name = f"data set {dataset}: the {split} set", KINDS[arrays.kind].array
        if len(inputs) != len(labels):
            raise FrugalError(
                f"{where} has {len(inputs)} {name} and {len(labels)} labels; its files don't belong together"
            )
        if not len(inputs):
            raise FrugalError(f"{where} is empty; check the files it is read from")
        if arrays.encoder is None:
            check_inputs(inputs, arrays.kind, dataset, split, shape)
        if arrays.task != "classification":
            continue  # transcripts become symbols when the training split is known
        found = np.unique(labels)
        if found[0] < 0 or found[-1] >= classes:
            wrong = found[-1] if found[-1] >= classes else found[0]
            raise FrugalError(
                f"{where} has label {wrong}, {CONFIG} says {classes} classes (0 to {classes - 1}); correct `classes`"
                + (QUANTITY if arrays.kind == "table" and wrong >= MANY else "")
            )
        if split == "training" and len(found) < classes:
            missing = ", ".join(str(label) for label in sorted(set(range(classes)) - set(found.tolist())))
            raise FrugalError(
                f"{where} has no sample of class {missing}, {says} {classes} classes; correct that or the data"
            )
    return classes


def check_inputs(inputs: np.ndarray | Rows, kind: str, dataset: str, split: str, shape: list[int] | None) -> None:
    """Hold numbers (n, ...) against the configured shape, if any, and against what their kind is stored as.

    Raises FrugalError.
    """
    where, name = f"data set {dataset}: the {split} set", KINDS[kind].array
    if shape is not None and list(inputs.shape[1:]) != list(shape):
        raise FrugalError(
            f"{where} has {name} of shape {list(inputs.shape[1:])}, {CONFIG} says {list(shape)}; correct `shape`"
        )
    if not KINDS[kind].allows(inputs.dtype):
        wanted = "uint8 pixels, 0 to 255" if kind == "image" else " or ".join(KINDS[kind].dtypes)
        raise FrugalError(f"{where} has {inputs.dtype} {name}; the source has to return {wanted}")
    if np.issubdtype(inputs.dtype, np.floating):
        _check_finite(inputs, where, name)


def _check_finite(inputs: np.ndarray | Rows, where: str, name: str) -> None:
    """Refuse a number that no net can take: a loss would be no number either, after the whole training."""
    start = 0
    for piece in pieces(inputs):
        finite = np.isfinite(piece)
        if not finite.all():
            row, *place = np.argwhere(~finite)[0].tolist()
            raise FrugalError(
                f"{where}: {name} row {start + row}, column {', '.join(map(str, place))} (from 0) is "
                f"{piece[row, *place]}; correct it in the data"
            )
        start += len(piece)
