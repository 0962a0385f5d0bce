"""Shards: image files decoded to arrays on disk, with all cores; when killed, each process loses at most its current shard.

A process decodes a shard's files and writes its pixels; the parent puts them on the disk and then writes a line of JSON
that says the shard is done. What is done is found again by the files' names, sizes and dates and by how they are read.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from frugal.atomic import write_json, writing
from frugal.data.folders import BROKEN_LINK, TooManyDamaged, allowing, encodable, is_broken_link, shown
from frugal.data.lock import exclusive
from frugal.data.pictures import Damaged, picture
from frugal.data.rows import Rows, bar
from frugal.data.workers import end_with_parent
from frugal.errors import FrugalError, needs_extra

with needs_extra("vision", "image folders"):
    import PIL
    import simplejpeg

FORMAT = 2
SHARD_BYTES = 32 << 20  # of pixels


@dataclass(frozen=True)
class Image:
    """One file to read. name: as it is listed; resize: pixels of its shorter side before the centre is cut out."""

    path: Path
    name: str
    resize: int


@dataclass(frozen=True)
class Pictures:
    """What was read. rows: the images (n, 3, size, size); good: (files,) bool, those that became rows, in order;
    skipped: (name, reason) of the others; remarks: how many were not taken as they are, by what was done;
    folder: holds the shards
    """

    rows: Rows
    good: np.ndarray
    skipped: list[tuple[str, str]]
    remarks: Counter
    folder: Path


def read(images: list[Image], size: int, folder: Path, threads: int, most_damaged: float) -> Pictures:
    """Read every image into a shard under `folder`, unless that was done before.

    size: pixels per side; threads: processes; most_damaged: share of the files that may be skipped, else FrugalError
    """
    place = folder / f"shards-{_identity(images, size)}"
    count = max(1, SHARD_BYTES // (3 * size * size))
    with exclusive(folder, "shards"):
        for other in folder.glob("shards-*"):  # of other files or another size
            if other != place:
                shutil.rmtree(other)
        place.mkdir(exist_ok=True)
        for left_over in place.glob(".*.tmp"):  # of a process that was killed
            left_over.unlink()
        abouts = _make(images, count, size, place, threads, most_damaged)
        arrays = [np.load(_pixels(place, n), mmap_mode="r") for n, about in enumerate(abouts) if about["rows"]]
    skipped = {at: why for about in abouts for at, why in about["skipped"]}
    good = np.array([n not in skipped for n in range(len(images))])
    remarks = sum((Counter(about["remarks"]) for about in abouts), Counter())
    named = [(encodable(images[n].name), skipped[n]) for n in sorted(skipped)]
    return Pictures(Rows(arrays), good, named, remarks, place)


def _make(images: list[Image], count: int, size: int, place: Path, threads: int, most: float) -> list[dict]:
    """What is known of each shard of `count` images, when all are on the disk. most: share of the images that may be damaged"""
    firsts = range(0, len(images), count)
    abouts = {n: json.loads(_about(place, n).read_text()) for n in range(len(firsts)) if _about(place, n).exists()}
    waiting = {n: images[first : first + count] for n, first in enumerate(firsts) if n not in abouts}
    left = sum(map(len, waiting.values()))
    with _workers(min(threads, len(waiting))) as pool:
        jobs = {pool.submit(_work, part, size, _unsynced(place, n)): n for n, part in waiting.items()}
        with bar(len(images), "reading images", "image", len(images) - left) as progress:
            for job in as_completed(jobs):
                n = jobs[job]
                abouts[n] = _finish(job, place, n, firsts[n])
                progress.update(len(waiting[n]))
    _check([at for about in abouts.values() for at in about["skipped"]], most, images)
    return [abouts[n] for n in range(len(firsts))]


def _finish(job: Future, place: Path, n: int, first: int) -> dict:
    """Put a shard on the disk and say what is in it. first: number of its first image among all"""
    try:
        about = job.result()
    except BrokenProcessPool as error:
        raise FrugalError(
            "a process that read images was killed, by the system if memory ran out; give fewer cores and run again"
        ) from error
    about["skipped"] = [(first + at, why) for at, why in about["skipped"]]
    with writing(_pixels(place, n)) as temporary:  # syncs while the workers go on
        os.replace(_unsynced(place, n), temporary)
    write_json(_about(place, n), about)
    return about


def _work(images: list[Image], size: int, to: Path) -> dict:
    """Read a shard's images and write those that can be read; runs in a process of its own."""
    pixels = np.empty((len(images), 3, size, size), np.uint8)
    skipped, remarks, rows = [], Counter(), 0
    for number, image in enumerate(images):
        try:
            content = image.path.read_bytes()
        except OSError as error:
            if not is_broken_link(error, image.path):  # a disk or a permission: to be mended, not skipped
                raise _unreadable(image, error) from error
            skipped.append((number, BROKEN_LINK))
            continue
        try:
            pixels[rows], said = picture(content, image.resize, size)
        except Damaged as why:
            skipped.append((number, str(why)))
            continue
        rows += 1
        remarks.update(said)
    try:
        with open(to, "wb") as stream:
            header = np.lib.format.header_data_from_array_1_0(pixels[:rows])
            np.lib.format.write_array_header_1_0(stream, header)
            stream.write(pixels[:rows].data)
    except OSError as error:
        raise FrugalError(f"cannot write {to}: {error.strerror}; free some space and run again") from error
    return {"rows": rows, "skipped": skipped, "remarks": dict(remarks)}


def _check(damaged: list[tuple[int, str]], most: float, images: list[Image]) -> None:
    """Raise TooManyDamaged where more images are damaged than may be left out, or all of them: when all were read, so that the
    list of them is whole. most: share of them
    """
    count, of = len(damaged), len(images)
    if count / of <= most and count < of:
        return
    at, why = min(damaged)
    raise TooManyDamaged(
        f"{count:,} of {of:,} images are damaged, e.g. {shown(images[at].path)} ({why}); option `damaged` "
        f"allows {most:.2%}: replace them{allowing(count, of)}",
        [(encodable(images[at].name), why) for at, why in sorted(damaged)],
    )


def _identity(images: list[Image], size: int) -> str:
    """Equal for equal files read in the same way."""
    digest = hashlib.sha256(repr((FORMAT, size, PIL.__version__, simplejpeg.__version__, torch.__version__)).encode())
    for image in images:
        try:
            status = os.stat(image.path)
        except OSError as error:
            if not is_broken_link(error, image.path):
                raise _unreadable(image, error) from error
            status = os.lstat(image.path)
        digest.update(repr((str(image.path), image.resize, status.st_size, status.st_mtime_ns)).encode())
    return digest.hexdigest()[:16]


def _unreadable(image: Image, error: OSError) -> FrugalError:
    return FrugalError(f"{shown(image.path)} can't be read: {error.strerror}; mend that and run again")


def _unsynced(place: Path, n: int) -> Path:
    return place / f".{n:06d}.npy.tmp"


def _pixels(place: Path, n: int) -> Path:
    return place / f"{n:06d}.npy"


def _about(place: Path, n: int) -> Path:
    return place / f"{n:06d}.json"


@contextmanager
def _workers(count: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with this one, however it ends."""
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    pool = ProcessPoolExecutor(max(1, count), mp_context=context, initializer=_start_worker)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    torch.set_num_threads(1)
    end_with_parent()
