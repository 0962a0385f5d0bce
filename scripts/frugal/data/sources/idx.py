"""Data set in four idx files, the format of MNIST: Fashion-MNIST, KMNIST, your own.

Xiao et al., "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms", 2017,
https://arxiv.org/abs/1708.07747. Clanuwat et al., "Deep Learning for Classical Japanese Literature", 2018,
https://arxiv.org/abs/1812.01718.
"""

from pathlib import Path

import numpy as np

from frugal.data.arrays import Arrays
from frugal.data.download import download, verify
from frugal.data.idx import read_idx
from frugal.data.split import keep_apart
from frugal.errors import FrugalError

FILES = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
]


def read(
    folder: Path | None,
    downloads: Path,
    *,
    folders: list[str] | None = None,
    files: list[str] | None = None,
    sha256: dict[str, str] | None = None,
    mirrors: list[str] | None = None,
) -> Arrays:
    """Read the four files from the data folder; download those that aren't there.

    folders: where in the data folder to look, the first that has any of them counts (default: the folder itself);
    files: names of training images, training labels, test images, test labels (default: MNIST's), each found with or
    without .gz; sha256: of files by name, verified wherever they come from; mirrors: addresses, the names are appended.
    Raises FrugalError where a file can't be had, is damaged, or is not the one with that checksum.
    """
    folders, files, sha256, mirrors = folders or ["."], files or FILES, sha256 or {}, mirrors or []
    if len(files) != len(FILES):
        raise FrugalError(
            f"option `files` of the data set names {len(files)} files; name four: training images, training labels, "
            "test images, test labels"
        )
    if folder and not folder.is_dir():
        raise FrugalError(f"the data folder {folder} does not exist; make it or correct FRUGAL_DATA")
    at = home(files, folder, folders) if folder else None
    advice = f"{at.absolute()} or " if at else "a folder named by FRUGAL_DATA, or "
    paths = [
        (at and present(at, name)) or download(name, mirrors, sha256.get(name), downloads, advice=advice)
        for name in files
    ]
    images = [("the training images", paths[0]), ("the test images", paths[2])]
    keep_apart(images, "name two different files in option `files`")
    notes = []
    for path in paths:
        found = verify(path, sha256.get(path.name))
        if path.name not in sha256:
            notes.append(
                f"{path.name} was not verified, no sha256 of it is configured; that of the file used is {found}"
            )
    train_images, train_labels, test_images, test_labels = (
        read_idx(path, dimensions) for path, dimensions in zip(paths, ((3, 4), (1,), (3, 4), (1,)), strict=True)
    )
    first = first_label(train_labels, test_labels)
    if first:
        notes.append(f"labels count from 1 to {train_labels.max()} in the files and from 0 here")
    return Arrays(
        with_channels(train_images),
        train_labels.astype(np.int64) - first,
        with_channels(test_images),
        test_labels.astype(np.int64) - first,
        notes=tuple(notes),
    )


def first_label(train: np.ndarray, test: np.ndarray) -> int:
    """1 where the training labels (n,) are 1 to some number, without a gap, and the test labels among them; else 0."""
    found = np.unique(train)
    one_based = len(found) > 1 and np.array_equal(found, np.arange(1, len(found) + 1))
    return int(one_based and bool(np.isin(test, found).all()))


def home(files: list[str], folder: Path, folders: list[str]) -> Path:
    """The first of the folders that has any of the files: two data sets of the same file names are never mixed."""
    places = [folder / name for name in folders]
    return next((place for place in places if any(present(place, name) for name in files)), places[0])


def present(folder: Path, name: str) -> Path | None:
    """The file of that name in the folder, else the same one gzipped or gunzipped, else None."""
    other = name.removesuffix(".gz") if name.endswith(".gz") else name + ".gz"
    return next((folder / candidate for candidate in (name, other) if (folder / candidate).is_file()), None)


def with_channels(images: np.ndarray) -> np.ndarray:
    """(n, H, W) -> (n, 1, H, W); (n, C, H, W) stays."""
    return images[:, None] if images.ndim == 3 else images
