"""Digits of scikit-learn: 1,797 handwritten images of 8x8 in 17 grey levels, which come with the dependencies.

The test part of Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998,
https://doi.org/10.24432/C50P49. There is no published split of these, so
a test set is split off by a fixed seed that no study changes.
"""

from pathlib import Path

import numpy as np

from frugal.data.arrays import Arrays
from frugal.data.split import split_off
from frugal.errors import needs_extra

with needs_extra("data", "the data sets of scikit-learn"):
    from sklearn.datasets import load_digits


def read(folder: Path | None, downloads: Path, *, test_samples: int = 360, test_seed: int = 0) -> Arrays:
    """Read the digits; needs neither a folder nor a network.

    test_samples: size of the test set, in equal shares of every class; test_seed: chooses which
    """
    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]  # values 0..16 -> 0..255
    labels = bunch.target.astype(np.int64)
    train, test = split_off(labels, test_samples, test_seed, "digits: test_samples")
    return Arrays(images[train], labels[train], images[test], labels[test])
