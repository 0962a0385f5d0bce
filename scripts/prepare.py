"""Prepare one data set: read it, check it, split off validation, transform, and write the cache.

python scripts/prepare.py --out results/demo/data/digits/manifest.json --downloads downloads --dataset '
    {"name": "digits", "source": "digits", "shape": [1, 8, 8], "classes": 10, "validation": 180, "split_seed": 0,
     "options": {}, "dct": {"bits": 8}}'
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from frugal import registry
from frugal.data import dct
from frugal.data.arrays import Arrays, check
from frugal.data.cache import write_cache
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
    arguments = parser.parse_args()
    folder = arguments.data or os.environ.get("FRUGAL_DATA")
    if arguments.out.name != "manifest.json":
        raise FrugalError(f"--out is {arguments.out}; a cache is written as <folder>/manifest.json")
    prepare(arguments.dataset, arguments.out.parent, arguments.downloads, Path(folder) if folder else None)


def prepare(dataset: dict[str, Any], out: Path, downloads: Path, folder: Path | None) -> Path:
    """Write the cache of a data set into `out` and return its manifest.

    dataset: an entry of config/datasets.yaml with its name, as in the module's docstring; downloads: where data sets
    are downloaded to, each into a folder of its name; folder: the user's data. Raises FrugalError for what doesn't fit.
    """
    if missing := [key for key in KEYS if key not in dataset]:
        raise FrugalError(f"the data set's description has no {', '.join(missing)}; it needs {', '.join(KEYS)}")
    name, started = dataset["name"], time.perf_counter()
    options = registry.check("source", dataset["source"], dataset["options"], f"data set {name}")
    arrays = registry.load("source", dataset["source"]).read(folder, downloads / name, **options)
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
        "dct": None,
        "notes": list(arrays.notes),
    }
    if dataset["dct"]:
        quantiser = dct.fit(train_images, **dataset["dct"])
        about["dct"] = dct.about(train_images, quantiser)
        for part in ("train", "validation", "test"):
            splits[f"{part}_coefficients"] = dct.encode(splits[f"{part}_images"], quantiser)
        splits |= quantiser.arrays()
    manifest = write_cache(out, splits, about)
    counts = ", ".join(f"{count:,} {part}" for part, count in about["splits"].items())
    megabytes = sum(array.nbytes for array in splits.values()) / 1e6
    for note in arrays.notes:
        print(f"{name}: {note}", file=sys.stderr)
    print(f"{name}: {counts}; {megabytes:.1f} MB in {time.perf_counter() - started:.1f} s: {manifest}", file=sys.stderr)
    return manifest


def split(arrays: Arrays, dataset: dict[str, Any]) -> dict[str, np.ndarray]:
    """The cache's arrays of pixels and labels, with validation taken off the training set and test as it is."""
    where = f"data set {dataset['name']}: validation"
    train, validation = split_off(arrays.train_labels, dataset["validation"], dataset["split_seed"], where)
    return {
        "train_images": arrays.train_images[train],
        "train_labels": arrays.train_labels[train],
        "validation_images": arrays.train_images[validation],
        "validation_labels": arrays.train_labels[validation],
        "test_images": arrays.test_images,
        "test_labels": arrays.test_labels,
    }


def statistics(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel of (n, C, H, W) uint8 images, in units of their pixels."""
    values = np.arange(256)
    # Counting the 256 values is exact and makes no float copy of the images.
    counts = [np.bincount(channel.ravel(), minlength=256) for channel in np.moveaxis(images, 1, 0)]
    means = [float(np.average(values, weights=count)) for count in counts]
    deviations = [
        float(np.sqrt(np.average((values - mean) ** 2, weights=count)))
        for mean, count in zip(means, counts, strict=True)
    ]
    return means, deviations


if __name__ == "__main__":
    exit_with_one_line(main)
