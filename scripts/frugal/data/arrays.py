"""What a source hands over, and whether it is what the configuration says."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frugal.data.rows import Rows
from frugal.errors import FrugalError

CONFIG = "config/datasets.yaml"


@dataclass(frozen=True)
class Arrays:
    """A data set as its publisher splits it.

    images: (n, C, H, W) uint8; labels: (n,) int64, counted from 0; generated: made by a program, not collected;
    notes: what a reader of the manifest should know, e.g. that a file's checksum is not known; skipped: (file, reason) of
    files that could not be used; leftovers: a folder that may go once the cache is written. Images that don't fit into
    memory come as Rows.
    """

    train_images: np.ndarray | Rows
    train_labels: np.ndarray
    test_images: np.ndarray | Rows
    test_labels: np.ndarray
    generated: bool = False
    notes: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    leftovers: Path | None = None


def check(arrays: Arrays, dataset: str, shape: list[int], classes: int) -> None:
    """Hold what was read against the configured shape [C, H, W] and number of classes. Raises FrugalError."""
    for split, images, labels in (
        ("training", arrays.train_images, arrays.train_labels),
        ("test", arrays.test_images, arrays.test_labels),
    ):
        where = f"data set {dataset}: the {split} set"
        if len(images) != len(labels):
            raise FrugalError(
                f"{where} has {len(images)} images and {len(labels)} labels; its files don't belong together"
            )
        if not len(images):
            raise FrugalError(f"{where} is empty; check the files it is read from")
        if list(images.shape[1:]) != list(shape):
            raise FrugalError(
                f"{where} has images of shape {list(images.shape[1:])}, {CONFIG} says {list(shape)}; correct `shape`"
            )
        if images.dtype != np.uint8:
            raise FrugalError(f"{where} has {images.dtype} images; the source has to return uint8 pixels, 0 to 255")
        found = np.unique(labels)
        if found[0] < 0 or found[-1] >= classes:
            wrong = found[-1] if found[-1] >= classes else found[0]
            raise FrugalError(
                f"{where} has label {wrong}, {CONFIG} says {classes} classes (0 to {classes - 1}); correct `classes`"
            )
        if split == "training" and len(found) < classes:
            missing = ", ".join(str(label) for label in sorted(set(range(classes)) - set(found.tolist())))
            raise FrugalError(
                f"{where} has no sample of class {missing}, {CONFIG} says {classes} classes; correct that or the data"
            )
