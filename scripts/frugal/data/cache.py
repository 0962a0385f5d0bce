"""Cache of a data set: plain .npy arrays, memory-mapped, and a manifest of what each one has to be.

The manifest is written last and removed first, so a cache with a manifest is a whole one, whenever its writing was cut
off. It may be copied to a disk nearer to its reader, such as that of a cluster's node, which all runs there share.
"""

import hashlib
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from frugal.atomic import writing
from frugal.data.lock import exclusive
from frugal.data.rows import ComputedRows, Rows, pieces
from frugal.errors import FrugalError

SCHEMA = 1
ASIDE = "manifest.json.damaged"
NOT_CONTENT = (
    "checksum",
    "notes",
    "folder",
    "request",
    "entry",
    "made_from",
    "inferred",
)  # what the checksum of a cache leaves out


@dataclass(frozen=True)
class Cache:
    """A verified cache. manifest: its manifest.json; arrays: by name, memory-mapped read-only.

    opened: how often the labels of each split were asked for, which whoever uses a split has to
    """

    manifest: dict[str, Any]
    arrays: dict[str, np.ndarray]
    opened: Counter[str] = field(default_factory=Counter, compare=False, repr=False)

    @property
    def kind(self) -> str:
        """image, text, table or sound: see `frugal.data.arrays.Kind`."""
        return self.manifest.get("kind", "image")

    @property
    def task(self) -> str:
        """classification or transcription: what labels are, see `frugal.data.arrays`."""
        return self.manifest.get("task", "classification")

    @property
    def checksum(self) -> str:
        """One sha256 for all of it: the same content has the same one on every machine."""
        return self.manifest["checksum"]

    def array(self, name: str) -> np.ndarray:
        """The array "train_images" (n, C, H, W), "validation_labels" (n,), ...; raises FrugalError where it isn't there."""
        if name not in self.arrays:
            kind = name.rpartition("_")[2]
            hint = {"coefficients": "dct", "images": "images: true"}.get(kind)
            hint = f"; set `{hint}` for it in its entry of datasets.yaml" if hint else ""
            raise FrugalError(
                f"the cache of {self.manifest['dataset']} has no {name}, it has {', '.join(self.arrays)}{hint}"
            )
        split, _, kind = name.rpartition("_")
        self.opened[split] += kind == "labels"
        return self.arrays[name]


def write_cache(
    folder: Path,
    arrays: dict[str, np.ndarray | Rows | ComputedRows],
    about: dict[str, Any],
    documents: dict[str, bytes] | None = None,
) -> Path:
    """Write the arrays and their manifest, and return its path; an older cache stays until the new one is on the disk.

    about: the rest of the manifest (dataset, source, kind, shape, classes, splits, dct, notes ...), as JSON has it;
    documents: other files that belong to the data, content by name, e.g. the tokenizer's.
    Raises FrugalError where the folder can't be written or the disk is full; an older cache is still there then.
    """
    folder = Path(folder)
    manifest = folder / "manifest.json"
    with exclusive(folder, "cache"):
        (folder / ASIDE).unlink(missing_ok=True)
        for left_over in folder.glob(".*.tmp"):  # of a preparation that was killed
            left_over.unlink()
        # Everything is written beside its place first, the old manifest removed, and then all moved, last in first out:
        # the arrays, and when they are on the disk, the manifest.
        with ExitStack() as moves:
            new_manifest = moves.enter_context(writing(manifest))
            moves.callback(_sync, folder)
            files = {}
            for name, array in arrays.items():
                new_array = moves.enter_context(writing(folder / f"{name}.npy"))
                files[f"{name}.npy"] = _save(new_array, array)
            content = {"schema": SCHEMA, **about, "files": files}
            if documents:
                content["documents"] = {}
            for name, text in (documents or {}).items():
                with _durably(moves.enter_context(writing(folder / name))) as stream:
                    stream.write(text)
                content["documents"][name] = {"sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text)}
            content["checksum"] = _checksum(content)
            with _durably(new_manifest) as stream:
                stream.write(json.dumps(content, indent=2, allow_nan=False).encode() + b"\n")
            manifest.unlink(missing_ok=True)
            _sync(folder)
        for old in (*folder.glob("*.npy"), *folder.glob("*.json")):  # of a cache that had more
            if old.name not in (*files, *(documents or {}), manifest.name):
                old.unlink()
    return manifest


class DamagedCache(FrugalError):
    """A file of a cache is missing, or not what was written."""


def set_aside(manifest: Path) -> None:
    """Take the manifest of a cache out of the way if it is damaged, so that the next `snakemake` prepares the data set anew."""
    try:
        open_cache(manifest)
    except DamagedCache:
        with suppress(OSError):  # somebody else's job has done it, or nothing can be written there
            manifest.rename(manifest.with_name(ASIDE))


def open_cache(manifest: Path) -> Cache:
    """Open a cache and verify all of it: the manifest against its checksum, each file's size, header and sha256.

    Raises FrugalError for a file that can't be read, DamagedCache for one that is missing or not what was written.
    """
    manifest = Path(manifest)
    again = f"remove {manifest.parent} and run again"
    try:
        content = json.loads(manifest.read_bytes())
        whole = content["checksum"] == _checksum(content) and content["schema"] == SCHEMA
    except FileNotFoundError:
        raise FrugalError(f"{manifest} is missing: the data set is not prepared; run snakemake {manifest}") from None
    except OSError as error:
        raise FrugalError(f"{manifest} can't be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError):
        whole = False
    if not whole:
        raise DamagedCache(f"{manifest} is damaged; {again}")
    arrays = {}
    for name, expected in content["files"].items():
        path = manifest.parent / name
        arrays[path.stem] = _open(path, expected, again)
    for name, expected in content.get("documents", {}).items():
        _verify(manifest.parent / name, expected, again)
    return Cache(content, arrays)


def _verify(path: Path, expected: dict[str, Any], again: str) -> None:
    try:
        if path.stat().st_size != expected["bytes"]:
            raise DamagedCache(
                f"{path} is damaged ({path.stat().st_size:,} bytes, the manifest says {expected['bytes']:,}); {again}"
            )
        if _sha256(path) != expected["sha256"]:
            raise DamagedCache(f"{path} is damaged (its sha256 is not the manifest's); {again}")
    except FileNotFoundError:
        raise DamagedCache(f"{path} is missing; {again}") from None
    except OSError as error:
        raise FrugalError(f"{path} can't be read ({error.strerror}); {again}") from error


def _open(path: Path, expected: dict[str, Any], again: str) -> np.ndarray:
    _verify(path, expected, again)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise FrugalError(f"{path} can't be read ({error.strerror}); {again}") from error
    except ValueError as error:
        raise DamagedCache(f"{path} is damaged (no .npy file of plain numbers); {again}") from error
    if [list(array.shape), str(array.dtype)] != [expected["shape"], expected["dtype"]]:
        found, said = f"{array.dtype} {list(array.shape)}", f"{expected['dtype']} {expected['shape']}"
        raise DamagedCache(f"{path} is damaged ({found}, the manifest says {said}); {again}")
    return array


def _save(path: Path, array: np.ndarray | Rows | ComputedRows) -> dict[str, Any]:
    """Write an array as np.save does, and return what the manifest says of it.

    On a full disk np.save itself would raise an error without the system's number, so without its reason.
    """
    if array.dtype.hasobject:
        raise TypeError(f"{path.name}: a cache holds plain numbers, not {array.dtype}")
    header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
    start = io.BytesIO()
    np.lib.format.write_array_header_1_0(start, header)
    digest = hashlib.sha256()
    with _durably(path) as stream:
        for content in chain([start.getbuffer()], _contents(array)):
            stream.write(content)
            digest.update(content)
    return {
        "sha256": digest.hexdigest(),
        "bytes": path.stat().st_size,
        "shape": list(array.shape),
        "dtype": str(array.dtype),
    }


def _contents(array: np.ndarray | Rows | ComputedRows) -> Iterator[memoryview]:
    for piece in pieces(array):
        yield np.ascontiguousarray(piece).reshape(-1).data.cast("B")


@contextmanager
def _durably(path: Path) -> Iterator[BinaryIO]:
    """Open for writing; what was written is on the disk at the end."""
    with open(path, "wb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def _checksum(content: dict[str, Any]) -> str:
    described = {key: value for key, value in content.items() if key not in NOT_CONTENT}
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """Put renames and removals in this folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def local_copy(manifest: Path, scratch: str) -> Path:
    """The manifest of a cache's copy, made by the first who asks for it; the others wait until it is there.

    manifest: of a prepared cache; scratch: folder for copies, in which variables such as $TMPDIR are replaced.
    Raises FrugalError where a variable is not set or the folder can't be written. Whoever opens the copy verifies it.
    """
    place = os.path.expandvars(scratch)
    if "$" in place:
        raise FrugalError(f"scratch is {scratch!r}, but that variable is not set here; set it or name a folder")
    try:
        content = json.loads(Path(manifest).read_bytes())
        files, copy = [*content["files"], *content.get("documents", {})], Path(place) / content["checksum"][:16]
    except (OSError, ValueError, TypeError, KeyError):
        return manifest  # open_cache says what is wrong with it
    with exclusive(copy, "copy"):
        if not (copy / "manifest.json").exists():
            for name in (*files, "manifest.json"):  # the manifest last: where it is, the copy is whole
                with writing(copy / name) as temporary:
                    shutil.copyfile(Path(manifest).parent / name, temporary)
    return copy / "manifest.json"
