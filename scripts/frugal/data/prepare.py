"""Preparation of a data set: read it, check it, split off validation, encode or transform, and write the cache."""

import csv
import hashlib
import io
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import fft

from frugal import registry
from frugal.atomic import write_json, write_text
from frugal.data import dct, made_from
from frugal.data.arrays import CONFIG, KINDS, Arrays, check, check_inputs
from frugal.data.cache import open_cache, write_cache
from frugal.data.folders import TooManyDamaged
from frugal.data.lock import exclusive
from frugal.data.overlap import Hashed, Split, hashes, hashes_of, overlaps
from frugal.data.rows import ComputedRows, Rows, pieces, select
from frugal.data.split import absent, counted, split_off
from frugal.data.transcripts import Transcripts
from frugal.errors import FrugalError
from frugal.imports import PREPARATION, closure, digest

KEYS = ("name", "source", "validation", "split_seed", "options", "dct")  # shape and classes may be left to the files
PARTS = ("train", "validation", "test")


def prepare(dataset: dict[str, Any], out: Path, downloads: Path, folder: Path | None, threads: int = 1) -> Path:
    """Write the cache of a data set into `out` and return its manifest; whoever waits for another finds it written.

    dataset: an entry of config/datasets.yaml with its name, all of KEYS among it; downloads: where data sets
    are downloaded to, each into a folder of its name; folder: the user's data; threads: cores that may be used.
    Raises FrugalError for what doesn't fit.
    """
    if missing := [key for key in KEYS if key not in dataset]:
        raise FrugalError(f"the data set's description has no {', '.join(missing)}; it needs {', '.join(KEYS)}")
    with fft.set_workers(threads), exclusive(out, "prepare") as waited:
        request, manifest = _request(dataset), out / "manifest.json"
        if waited and _answers(manifest, request):
            print(f"{dataset['name']}: prepared meanwhile by another process: {manifest}", file=sys.stderr)
            return manifest
        return _kept(dataset["name"], request, out, folder) or _prepare(
            dataset, request, out, downloads, folder, threads
        )


def is_current(dataset: dict[str, Any], out: Path, folder: Path | None) -> bool:
    """Whether `prepare` has nothing to do: its cache is there, of this data set and code, and its files look as they did."""
    manifest = out / "manifest.json"
    return _answers(manifest, _request(dataset)) and made_from.changed(out, folder) is None


def _answers(manifest: Path, request: str) -> bool:
    """Whether an undamaged cache is there that was made for this request."""
    try:
        return manifest.exists() and open_cache(manifest).manifest.get("request") == request
    except FrugalError:  # damaged
        return False


def _kept(name: str, request: str, out: Path, folder: Path | None) -> Path | None:
    """The manifest of a cache whose files only look different, with their new times noted; None where it must be made."""
    manifest = out / "manifest.json"
    if not _answers(manifest, request) or not (looks := made_from.changed(out, folder)):
        return None
    if why := made_from.content_changed(out, folder):
        print(f"{name}: prepared anew: {why}", file=sys.stderr)
        return None
    mark = made_from.renew(out, folder)
    write_json(manifest, json.loads(manifest.read_bytes()) | {"made_from": mark})
    print(f"{name}: {looks}, but every file has the same content: the cache stays", file=sys.stderr)
    return manifest


def _request(dataset: dict[str, Any]) -> str:
    """A checksum of what a cache is made from besides the data: its description and our code."""
    code = digest(closure(PREPARATION, registry.module_name("source", dataset["source"])))
    return hashlib.sha256(json.dumps([dataset, code], sort_keys=True).encode()).hexdigest()


def _prepare(
    dataset: dict[str, Any], request: str, out: Path, downloads: Path, folder: Path | None, threads: int
) -> Path:
    name, entry, started = dataset["name"], dataset, time.perf_counter()
    options = registry.check("source", dataset["source"], dataset["options"], f"data set {name}")
    keeps_images = dataset.get("images", True)
    if not keeps_images and not dataset["dct"]:
        raise FrugalError(
            f"data set {name}: with `images: false` and `dct: null` nothing would be kept; set one of them"
        )
    cores = (threads,) if registry.uses_threads(dataset["source"]) else ()
    try:
        with made_from.noted(folder, downloads) as reading:
            arrays = registry.load("source", dataset["source"]).read(folder, downloads / name, *cores, **options)
    except TooManyDamaged as error:
        list_skipped(error.skipped, out / "skipped.csv")
        raise FrugalError(f"data set {name}: {error}; each of them is listed in {out / 'skipped.csv'}") from error
    inferred = dict(arrays.inferred)
    given = {"shape": dataset.get("shape"), "classes": dataset.get("classes")}
    classes = check(arrays, name, given["shape"], given["classes"])
    dataset = dataset | given | {"classes": classes}
    if 0 < dataset["validation"] < 1:
        labels = (
            arrays.train_labels if arrays.task == "classification" else np.zeros(len(arrays.train_labels), np.int64)
        )
        dataset["validation"] = counted(dataset["validation"], labels)
    splits, whole_rows = split(arrays, dataset)
    facts, documents, notes = dict(arrays.facts), {}, list(arrays.notes)
    if arrays.listing:
        facts |= arrays.listing.facts()
    if arrays.encoder:
        encode(splits, arrays, dataset)
        facts |= arrays.encoder.facts
        documents, notes = arrays.encoder.documents, notes + arrays.encoder.notes
    if arrays.task == "transcription":
        transcripts = Transcripts(dataset["classes"], f"data set {name}")
        transcripts.fit(splits["train_labels"])
        for part in PARTS:
            splits[f"{part}_labels"] = transcripts.encode(splits[f"{part}_labels"], part)
        facts, notes = facts | transcripts.facts, notes + transcripts.notes
        dataset["classes"] = transcripts.symbols
    else:
        notes += absent({part: splits[f"{part}_labels"] for part in PARTS[1:]}, dataset["classes"])
    dataset["shape"] = list(splits[f"train_{KINDS[arrays.kind].array}"].shape[1:])
    inferred |= {key: dataset[key] for key in given if given[key] is None}
    statistic, notes_on_overlaps = seen_once(splits, arrays.kind, whole_rows, dataset)
    notes += notes_on_overlaps
    about = {
        "dataset": name,
        "source": dataset["source"],
        "kind": arrays.kind,
        **({"task": arrays.task} if arrays.task != "classification" else {}),
        "shape": dataset["shape"],
        "classes": dataset["classes"],
        "generated": arrays.generated,
        **statistic,
        **facts,
        "splits": {part: len(splits[f"{part}_labels"]) for part in PARTS},
        "images": keeps_images,
        "dct": None,
        "notes": notes,
        **({"inferred": inferred} if inferred else {}),
        "request": request,
        "entry": entry,
    }
    if dataset["dct"]:
        if arrays.kind != "image":
            raise FrugalError(f"data set {name} is {arrays.kind} and has no DCT; set `dct: null` in {CONFIG}")
        train_images = splits["train_images"]
        quantiser = dct.fit(train_images, **dataset["dct"])
        about["dct"] = dct.about(train_images, quantiser)
        for part in PARTS:
            splits[f"{part}_coefficients"] = dct.encoded(splits[f"{part}_images"], quantiser)
            if not keeps_images:
                del splits[f"{part}_images"]
        splits |= quantiser.arrays()
    list_skipped(arrays.skipped, out / "skipped.csv")
    about["made_from"] = made_from.write(reading, out)
    manifest = write_cache(out, splits, about, documents)
    if arrays.leftovers:
        shutil.rmtree(arrays.leftovers)
    counts = ", ".join(f"{count:,} {part}" for part, count in about["splits"].items())
    megabytes = sum(array.nbytes for array in splits.values()) / 1e6
    for what, found in inferred.items():
        print(f"{name}: inferred {what}: {json.dumps(found, ensure_ascii=False)}", file=sys.stderr)
    for note in notes:
        print(f"{name}: {note}", file=sys.stderr)
    print(f"{name}: {counts}; {megabytes:.1f} MB in {time.perf_counter() - started:.1f} s: {manifest}", file=sys.stderr)
    return manifest


def split(
    arrays: Arrays, dataset: dict[str, Any]
) -> tuple[dict[str, np.ndarray | Rows | ComputedRows], dict[str, np.ndarray | None]]:
    """The cache's arrays, with validation taken off the training set and test as it is, and the hashes of a table's rows.

    Files are listed among the arrays if there are any.
    """
    where, kept = f"data set {dataset['name']}: validation", KINDS[arrays.kind].array
    classes = arrays.train_labels if arrays.task == "classification" else np.zeros(len(arrays.train_labels), np.int64)
    train, validation = split_off(classes, dataset["validation"], dataset["split_seed"], where)
    listing = arrays.listing.select(train).arrays() if arrays.listing else {}
    of_train, of_test = arrays.whole_rows or (None, None)
    whole_rows = dict.fromkeys(PARTS)
    if of_train is not None:
        whole_rows = {"train": of_train[train], "validation": of_train[validation], "test": of_test}
    return {
        f"train_{kept}": select(arrays.train_inputs, train),
        "train_labels": arrays.train_labels[train],
        f"validation_{kept}": select(arrays.train_inputs, validation),
        "validation_labels": arrays.train_labels[validation],
        f"test_{kept}": arrays.test_inputs,
        "test_labels": arrays.test_labels,
        **listing,
    }, whole_rows


def encode(splits: dict[str, np.ndarray | Rows | ComputedRows], arrays: Arrays, dataset: dict[str, Any]) -> None:
    """Replace texts or cells in `splits` by numbers, learnt from the training split alone, and check those."""
    kept = KINDS[arrays.kind].array
    arrays.encoder.fit(splits[f"train_{kept}"])
    for part in PARTS:
        splits[f"{part}_{kept}"] = arrays.encoder.encode(splits[f"{part}_{kept}"], part)
        check_inputs(splits[f"{part}_{kept}"], arrays.kind, dataset["name"], part, dataset["shape"])


def seen_once(
    splits: dict[str, np.ndarray | Rows | ComputedRows],
    kind: str,
    whole_rows: dict[str, np.ndarray | None],
    dataset: dict[str, Any],
) -> tuple[dict[str, list[float]], list[str]]:
    """What a pass over all samples finds: the normalisation, and notes on samples that are in two splits.

    Training images, which may be many gigabytes on disk, are read for both at once. Raises FrugalError, see `overlaps`.
    """
    array, seen, name = KINDS[kind].array, Hashed(), dataset["name"]
    found = normalisation(splits, kind, name, seen)
    compared = {}
    for part in PARTS:
        samples = seen.hashes if part == "train" and kind == "image" else hashes_of(splits[f"{part}_{array}"])
        compared[part] = Split(samples, hashes(splits[f"{part}_labels"]), whole_rows[part])
    return found, overlaps(compared, kind, f"data set {name}", dataset.get("allow_overlap", False))


def normalisation(
    splits: dict[str, np.ndarray | Rows | ComputedRows], kind: str, name: str, seen: Hashed
) -> dict[str, list[float]]:
    """Mean and standard deviation of the training split, of each channel of images and of all samples of waves.

    seen: takes the hashes of training images on the way. Tokens are names, and features come normalised: nothing for
    these. Raises FrugalError for what never varies.
    """
    if kind not in ("image", "sound"):
        return {}
    if kind == "sound":
        waves = splits["train_waves"]
        mean, std = [float(waves.mean(dtype=np.float64))], [float(waves.std(dtype=np.float64))]
        what = "every training recording"
    else:
        mean, std = statistics(splits["train_images"], seen)
        what = f"channel {std.index(0)} of every training image" if 0 in std else ""
    if 0 in std:
        raise FrugalError(f"data set {name}: {what} is {mean[std.index(0)]:g}; check its files")
    return {"mean": mean, "std": std}


def statistics(images: np.ndarray | Rows, seen: Hashed | None = None) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel of (n, C, H, W) uint8 images, in units of their pixels.

    seen: takes their hashes on the way, if anybody wants them
    """
    channels = images.shape[1]
    count = len(images) * images.shape[2] * images.shape[3]
    sums, squares = [0] * channels, [0] * channels
    for piece in seen.passing(pieces(images)) if seen else pieces(images):
        for channel, values in enumerate(np.moveaxis(piece, 1, 0)):
            exact = values.astype(np.float64).ravel()  # whole numbers below 2^53: their sums are exact in any order
            sums[channel] += int(exact.sum())
            squares[channel] += int(exact @ exact)
    means = [total / count for total in sums]
    deviations = [
        (count * of_squares - total**2) ** 0.5 / count for total, of_squares in zip(sums, squares, strict=True)
    ]
    return means, deviations


def list_skipped(skipped: Sequence[tuple[str, str]], path: Path) -> None:
    """Write which files could not be used and why; no file where there are none. skipped: (file, reason) of each"""
    if not skipped:
        path.unlink(missing_ok=True)
        return
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([("file", "reason"), *skipped])
    write_text(path, out.getvalue())
