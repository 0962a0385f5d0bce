"""The validation split: taken off the training set by a fixed seed, in equal shares of every class."""

import numpy as np
from sklearn.model_selection import train_test_split

from frugal.errors import FrugalError


def split_off(labels: np.ndarray, samples: int, seed: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions (rest, part) with `samples` of them in part, both ascending: the data stays in its published order.

    labels: (n,) int64; where: what is split, for the error. Raises FrugalError where a stratified split isn't possible.
    """
    found, counts = np.unique(labels, return_counts=True)
    if not len(found) <= samples <= len(labels) - len(found):
        raise FrugalError(
            f"{where} is {samples} of {len(labels)} samples; choose from {len(found)} to {len(labels) - len(found)}, "
            "so that every class can be on both sides"
        )
    if counts.min() < 2:
        raise FrugalError(
            f"{where}: class {found[counts.argmin()]} has a single sample and can't be on both sides; add one"
        )
    rest, part = train_test_split(np.arange(len(labels)), test_size=samples, random_state=seed, stratify=labels)
    return np.sort(rest), np.sort(part)
