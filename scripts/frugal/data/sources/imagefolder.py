"""Folder of image files, one folder per class, as torchvision's ImageFolder has it: ImageNet-100, yours.

    train/<class>/*.jpg   val/<class>/*.jpg        classes are numbered by the sorted names of their folders
    <class>/*.jpg                                  where nobody has split them: a share of each class is the test set

Every image becomes a square of `size` pixels in RGB (see `frugal.data.pictures`), read once with all cores. Images that are
damaged are left out and listed, files of other kinds counted in a note (see `frugal.data.folders`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from frugal.data import shards
from frugal.data.arrays import Arrays
from frugal.data.folders import INTO, Folders, TooManyDamaged, shown
from frugal.data.labels import shown_names
from frugal.data.listing import Listing
from frugal.data.pictures import SUFFIXES
from frugal.data.shards import Image
from frugal.data.split import divided, keep_apart
from frugal.errors import FrugalError

SPLITS = frozenset(("train", "training", "test", "testing", "val", "valid", "validation", "dev"))
SHARE = 0.2  # of the images is the test set, where the folders say nothing
APART = "move the test images of each class to a folder of their own, such as val/<class>/, beside train/<class>/"


def read(
    folder: Path | None,
    downloads: Path,
    threads: int = 1,
    *,
    folders: list[str] | None = None,
    train: list[str] | None = None,
    test: list[str] | Annotated[float, Gt(0)] | None = None,
    test_seed: int = 0,
    size: Annotated[int, Ge(1)] = 224,
    train_resize: Annotated[int, Ge(1)] | None = None,
    test_resize: Annotated[int, Ge(1)] | None = None,
    damaged: Annotated[float, Ge(0), Le(1)] = 0.01,
) -> Arrays:
    """Read the images of the data folder; nothing is downloaded.

    folders: where in the data folder to look, the first that is there counts (default: the folder itself); train: folders
    of training images, all that are there are read together (default: train); test: likewise, the first that is there
    counts (default: val, test), or a share or number of the images, which is taken off the training folders, or off the class
    folders themselves where there are no others (there the default is 0.2); test_seed: chooses which; size: pixels per side;
    train_resize, test_resize: pixels of the shorter side, of which the middle `size` are kept (default: size); damaged: share
    of the images that may be left out
    threads: processes that read. Raises FrugalError for folders or classes that are not as described.
    """
    home = _home(folder, folders or ["."])
    resizes = {"train": train_resize or size, "test": test_resize or size}
    for name, resize in resizes.items():
        if resize < size:
            raise FrugalError(
                f"{name}_resize is {resize} and size {size}; a {size} x {size} square doesn't fit into it"
            )
    parts = [place for name in train or ["train"] if (place := home / name).is_dir()]
    named = test if isinstance(test, list) else ["val", "test"]
    tests = [place for name in named if (place := home / name).is_dir()][:1]
    how = _Decoding(downloads, threads, size, resizes, damaged)
    unsplit = not train and not isinstance(test, list) and not parts and not tests and folders
    if isinstance(test, float | int) and tests:
        raise FrugalError(
            f"{tests[0]} is a test set, and option test is {test:g}; leave that out to use it, or move the folder away"
        )
    if unsplit or isinstance(test, float | int):
        return _read_unsplit(home, parts or [home], test or SHARE, test_seed, how)
    for wanted, found in ((train or ["train"], parts), (named, tests)):
        if not found:
            raise FrugalError(
                f"{home} has no folder {' or '.join(wanted)}; name yours in options `train` and `test` of the data set, two "
                f"different ones: {APART}"
            )
    keep_apart([*(("option train", place) for place in parts), *(("option test", place) for place in tests)], APART)
    folders = Folders(home, SUFFIXES, f"image ({', '.join(SUFFIXES)})", "images")
    classes, test_classes = folders.classes(parts), folders.classes(tests)
    if different := set(classes) ^ set(test_classes):
        name = min(different)
        where = "training" if name in classes else "test"
        raise FrugalError(f"{home}: only the {where} images have a class {shown(name)}; both sets need every class")
    images, labels = [], []
    for found, resize in ((classes, resizes["train"]), (test_classes, resizes["test"])):
        files, start = folders.files(found), len(str(home / "_")) - 1
        for label, name in enumerate(sorted(found)):
            images += [Image(file, str(file)[start:], resize) for file in files[name]]
            labels += [label] * len(files[name])
        if found is classes:
            trained = len(images)
    return _decoded(_Listed(folders, images, labels, trained, sorted(classes)), how, {})


@dataclass(frozen=True)
class _Decoding:
    """How files become pixels. resizes: pixels of the shorter side of training and test images; the others as `read` has them"""

    downloads: Path
    threads: int
    size: int
    resizes: dict[str, int]
    damaged: float


@dataclass(frozen=True)
class _Listed:
    """What was found. images, labels: of all files, of which the first `trained` are the training set; names: of the classes"""

    folders: Folders
    images: list[Image]
    labels: list[int]
    trained: int
    names: list[str]


def _read_unsplit(home: Path, places: list[Path], test: float, seed: int, how: _Decoding) -> Arrays:
    """Images of class folders that nobody has split. places: that hold them; test, seed: see `read`.

    Raises FrugalError where a folder is called as a split and no class.
    """
    folders = Folders(home, SUFFIXES, f"image ({', '.join(SUFFIXES)})", "images")
    classes = folders.classes(places)
    if odd := sorted(name for name in classes if name.lower() in SPLITS):
        raise FrugalError(
            f"{home} has a folder {odd[0]} where classes are looked for; name the folders in options `train` and `test` of the "
            f"data set, two different ones: {APART}"
        )
    files = folders.files(classes)
    every = [(file, label) for label, name in enumerate(sorted(classes)) for file in files[name]]
    train, tested, inferred = divided(np.array([label for _, label in every], np.int64), test, seed)
    start = len(str(home / "_")) - 1
    images = [
        Image(every[n][0], str(every[n][0])[start:], how.resizes[part])
        for part, positions in (("train", train), ("test", tested))
        for n in positions
    ]
    labels = [every[n][1] for n in (*train, *tested)]
    return _decoded(_Listed(folders, images, labels, len(train), sorted(classes)), how, inferred)


def _decoded(listed: _Listed, how: _Decoding, inferred: dict[str, str]) -> Arrays:
    """The images, decoded."""
    folders, images, labels, trained = listed.folders, listed.images, listed.labels, listed.trained
    pictures = shards.read(images, how.size, how.downloads, how.threads, how.damaged)
    for part in (slice(trained), slice(trained, None)):
        _check_classes(images[part], labels[part], pictures.good[part], pictures.skipped)
    labels = np.array(labels, np.int64)[pictures.good]
    kept = [image.path for image, good in zip(images[:trained], pictures.good, strict=False) if good]
    first, last = int(pictures.good[:trained].sum()), len(labels)
    notes = [f"{count:,} images {remark}" for remark, count in sorted(pictures.remarks.items())]
    notes += folders.notes()
    if pictures.skipped:
        notes.append(f"{len(pictures.skipped):,} of {len(images):,} images are damaged and left out: see skipped.csv")
    return Arrays(
        pictures.rows.select(np.arange(first)),
        labels[:first],
        pictures.rows.select(np.arange(first, last)),
        labels[first:],
        notes=tuple(notes),
        skipped=tuple(pictures.skipped),
        leftovers=pictures.folder,
        inferred={"class names": shown_names(listed.names), **inferred},
        listing=Listing.of(folders.home, kept, how.resizes["train"], how.size),
    )


def _home(folder: Path | None, folders: list[str]) -> Path:
    """The folder that holds the data set."""
    if folder is None:
        put = "train/<class>/*.jpg and val/<class>/*.jpg" if folders == ["."] else f"the folder {' or '.join(folders)}"
        raise FrugalError(f"these images are not downloaded: put {put} {INTO}")
    found = next((place for name in folders if (place := folder / name).is_dir()), None)
    if found is None:
        raise FrugalError(
            f"the data folder {folder} has no folder {' or '.join(folders)}; put the images there, correct FRUGAL_DATA, "
            "or name theirs in option `folders` of the data set"
        )
    return found


def _check_classes(images: list[Image], labels: list[int], good: np.ndarray, skipped: list[tuple[str, str]]) -> None:
    """Raise TooManyDamaged for a class of a split of which no image could be read. labels (n,); good (n,) bool"""
    labels = np.array(labels)
    for label in np.flatnonzero(np.bincount(labels[good], minlength=labels.max() + 1) == 0):
        of_class = np.flatnonzero(labels == label)
        raise TooManyDamaged(
            f"every one of the {len(of_class):,} images of a class is damaged, the first is {shown(images[of_class[0]].path)}; "
            "replace them, or remove the class",
            skipped,
        )
