"""Prepare one data set: read it, check it, split off validation, transform, and write the cache.

python scripts/prepare.py --out results/demo/data/digits/manifest.json --downloads downloads --dataset '
    {"name": "digits", "source": "digits", "shape": [1, 8, 8], "classes": 10, "validation": 180, "split_seed": 0,
     "options": {}, "dct": {"bits": 8}, "images": true}'
"""

import argparse
import csv
import io
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import fft

from frugal import registry
from frugal.atomic import write_text
from frugal.data import dct
from frugal.data.arrays import Arrays, check
from frugal.data.cache import write_cache
from frugal.data.rows import Made, Rows, pieces, select
from frugal.data.split import split_off
from frugal.errors import FrugalError, exit_with_one_line

KEYS = ("name", "source", "shape", "classes", "validation", "split_seed", "options", "dct")


def main() -> None:
    """Read the command line, prepare, and say in one line what was prepared."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--dataset", required=True, type=json.loads, help="one data set of config/datasets.yaml, as JSON"
    )
    parser.add_argument("--out", required=True, type=Path, help="the manifest.json to write; the arrays lie beside it")
    parser.add_argument("--downloads", required=True, type=Path, help="folder for what has to be downloaded")
    parser.add_argument("--data", help="folder that holds your data (default: FRUGAL_DATA)")
    parser.add_argument("--threads", type=int, default=1, help="CPU cores that may be used")
    arguments = parser.parse_args()
    folder = arguments.data or os.environ.get("FRUGAL_DATA")
    if arguments.out.name != "manifest.json":
        raise FrugalError(f"--out is {arguments.out}; a cache is written as <folder>/manifest.json")
    with fft.set_workers(max(1, arguments.threads)):
        prepare(
            arguments.dataset,
            arguments.out.parent,
            arguments.downloads,
            Path(folder) if folder else None,
            max(1, arguments.threads),
        )


def prepare(dataset: dict[str, Any], out: Path, downloads: Path, folder: Path | None, threads: int = 1) -> Path:
    """Write the cache of a data set into `out` and return its manifest.

    dataset: an entry of config/datasets.yaml with its name, as in the module's docstring; downloads: where data sets
    are downloaded to, each into a folder of its name; folder: the user's data; threads: cores that may be used.
    Raises FrugalError for what doesn't fit.
    """
    if missing := [key for key in KEYS if key not in dataset]:
        raise FrugalError(f"the data set's description has no {', '.join(missing)}; it needs {', '.join(KEYS)}")
    name, started = dataset["name"], time.perf_counter()
    options = registry.check("source", dataset["source"], dataset["options"], f"data set {name}")
    keeps_images = dataset.get("images", True)
    if not keeps_images and not dataset["dct"]:
        raise FrugalError(
            f"data set {name}: with `images: false` and `dct: null` nothing would be kept; set one of them"
        )
    given = (threads,) if registry.uses_threads(dataset["source"]) else ()
    arrays = registry.load("source", dataset["source"]).read(folder, downloads / name, *given, **options)
    check(arrays, name, dataset["shape"], dataset["classes"])
    splits = split(arrays, dataset)
    train_images = splits["train_images"]
    mean, std = statistics(train_images)
    if 0 in std:
        channel = std.index(0)
        raise FrugalError(
            f"data set {name}: channel {channel} of every training image is {mean[channel]:g}; check its files"
        )
    about = {
        "dataset": name,
        "source": dataset["source"],
        "shape": dataset["shape"],
        "classes": dataset["classes"],
        "generated": arrays.generated,
        "mean": mean,
        "std": std,
        "splits": {part: len(splits[f"{part}_labels"]) for part in ("train", "validation", "test")},
        "images": keeps_images,
        "dct": None,
        "notes": list(arrays.notes),
    }
    if dataset["dct"]:
        quantiser = dct.fit(train_images, **dataset["dct"])
        about["dct"] = dct.about(train_images, quantiser)
        for part in ("train", "validation", "test"):
            splits[f"{part}_coefficients"] = dct.encoded(splits[f"{part}_images"], quantiser)
            if not keeps_images:
                del splits[f"{part}_images"]
        splits |= quantiser.arrays()
    list_skipped(arrays, out / "skipped.csv")
    manifest = write_cache(out, splits, about)
    if arrays.leftovers:
        shutil.rmtree(arrays.leftovers)
    counts = ", ".join(f"{count:,} {part}" for part, count in about["splits"].items())
    megabytes = sum(array.nbytes for array in splits.values()) / 1e6
    for note in arrays.notes:
        print(f"{name}: {note}", file=sys.stderr)
    print(f"{name}: {counts}; {megabytes:.1f} MB in {time.perf_counter() - started:.1f} s: {manifest}", file=sys.stderr)
    return manifest


def split(arrays: Arrays, dataset: dict[str, Any]) -> dict[str, np.ndarray | Rows | Made]:
    """The cache's arrays of pixels and labels, with validation taken off the training set and test as it is."""
    where = f"data set {dataset['name']}: validation"
    train, validation = split_off(arrays.train_labels, dataset["validation"], dataset["split_seed"], where)
    return {
        "train_images": select(arrays.train_images, train),
        "train_labels": arrays.train_labels[train],
        "validation_images": select(arrays.train_images, validation),
        "validation_labels": arrays.train_labels[validation],
        "test_images": arrays.test_images,
        "test_labels": arrays.test_labels,
    }


def statistics(images: np.ndarray | Rows) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel of (n, C, H, W) uint8 images, in units of their pixels."""
    channels = images.shape[1]
    count = len(images) * images.shape[2] * images.shape[3]
    sums, squares = [0] * channels, [0] * channels
    for piece in pieces(images):
        for channel, values in enumerate(np.moveaxis(piece, 1, 0)):
            exact = values.astype(np.float64).ravel()  # whole numbers below 2^53: their sums are exact in any order
            sums[channel] += int(exact.sum())
            squares[channel] += int(exact @ exact)
    means = [total / count for total in sums]
    deviations = [
        (count * of_squares - total**2) ** 0.5 / count for total, of_squares in zip(sums, squares, strict=True)
    ]
    return means, deviations


def list_skipped(arrays: Arrays, path: Path) -> None:
    """Write which files could not be used and why; no file where there are none."""
    if not arrays.skipped:
        path.unlink(missing_ok=True)
        return
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([("file", "reason"), *arrays.skipped])
    write_text(path, out.getvalue())


if __name__ == "__main__":
    exit_with_one_line(main)
