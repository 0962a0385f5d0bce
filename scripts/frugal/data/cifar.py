"""Binary files of CIFAR-10 and CIFAR-100: fixed-length records, no pickle.

A record is one byte per label (CIFAR-100: coarse, then fine) and 3,072 bytes of pixels: the red, green and blue planes of
a 32x32 image, row by row. A file is as long as its records and has no header, so its length and sha256 say what it is.
"""

import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from frugal.data.arrays import CONFIG, Arrays
from frugal.data.download import download
from frugal.data.made_from import read_file
from frugal.errors import FrugalError

# The address everyone knows, and the one it leads to today.
MIRRORS = ["https://www.cs.toronto.edu/~kriz", "https://cave.cs.toronto.edu/kriz"]
SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class File:
    """One file of records. inexact: copies known not to be the published file, {sha256: what is different}."""

    name: str
    records: int
    sha256: str
    inexact: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Release:
    """A data set as published.

    archive: the tar.gz's name and sha256; folder: of the files, inside it and when unpacked; pickled: the names of the
    version that is not read; labels: what each label byte of a record is called, and of how many classes
    """

    archive: str
    sha256: str
    folder: str
    pickled: tuple[str, str]
    labels: tuple[tuple[str, int], ...]
    train: tuple[File, ...]
    test: tuple[File, ...]

    @property
    def record(self) -> int:
        """Bytes of one record."""
        return len(self.labels) + PIXELS


def read(
    release: Release, folder: Path | None, downloads: Path, label: str, mirrors: list[str] | None, verify: bool
) -> Arrays:
    """Read the unpacked files or the archive in the data folder, else download the archive.

    label: which of the release's labels; mirrors: addresses that the archive's name is appended to (default: the
    publisher's); verify: refuse a file that is neither the published one nor a known copy of it, rather than note it.
    Every file's sha256 is compared wherever it comes from. Raises FrugalError for one that is missing, damaged or another.
    """
    files = {file.name: file for file in (*release.train, *release.test)}
    contents = _contents(release, files, folder, downloads, MIRRORS if mirrors is None else mirrors)
    found, notes = {}, []
    for name, where, content in contents:
        notes += _identify(where, content, files[name], verify)
        found[name] = _decode(release, where, content, label)
    (train_images, train_labels), (test_images, test_labels) = (
        tuple(np.concatenate(parts) for parts in zip(*(found.pop(file.name) for file in split), strict=True))
        for split in (release.train, release.test)
    )
    return Arrays(train_images, train_labels, test_images, test_labels, notes=tuple(notes))


def _contents(
    release: Release, files: dict[str, File], folder: Path | None, downloads: Path, mirrors: list[str]
) -> Iterator[tuple[str, str, bytes]]:
    """Name, place and bytes of every file, each once and of the right length."""
    advice = "a folder named by FRUGAL_DATA, or "
    if folder:
        if not folder.is_dir():
            raise FrugalError(f"the data folder {folder} does not exist; make it or correct FRUGAL_DATA")
        unpacked, archive = folder / release.folder, folder / release.archive
        if any((unpacked / name).exists() for name in files):
            return _from_folder(release, files, unpacked)
        if archive.exists():
            return _from_archive(release, files, archive)
        pickled = next((name for name in release.pickled if (folder / name).exists()), None)
        hint = f" ({pickled}, which is there, is the pickled version; Frugal loads no pickles)" if pickled else ""
        advice = f"{folder.absolute()}{hint} or "
    return _from_archive(release, files, download(release.archive, mirrors, release.sha256, downloads, advice=advice))


def _from_folder(release: Release, files: dict[str, File], folder: Path) -> Iterator[tuple[str, str, bytes]]:
    if missing := [name for name in files if not (folder / name).is_file()]:
        raise FrugalError(
            f"{folder} has no {', '.join(missing)}; unpack {release.archive} there again, a part of a data set is not used"
        )
    for name, file in files.items():
        path = folder / name
        read_file(path)
        try:
            _check_length(release, str(path), path.stat().st_size, file)
            yield name, str(path), path.read_bytes()
        except OSError as error:
            raise FrugalError(f"{path} can't be read: {error.strerror}") from error


def _from_archive(release: Release, files: dict[str, File], path: Path) -> Iterator[tuple[str, str, bytes]]:
    """Read the expected members as bytes. Nothing is extracted, so no name in an archive can lead anywhere."""
    wanted = {f"{release.folder}/{name}": file for name, file in files.items()}
    read_file(path)
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                file = wanted.pop(str(PurePosixPath(member.name)), None)
                if file is None:
                    continue
                where = f"{path}: {member.name}"
                if not member.isreg():
                    raise FrugalError(f"{where} is a link or no plain file; replace the archive with the published one")
                _check_length(release, where, member.size, file)
                yield file.name, where, archive.extractfile(member).read()
                if not wanted:
                    return
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise FrugalError(f"{path} is damaged or no tar.gz ({error}); remove it and run again") from error
    except OSError as error:
        raise FrugalError(f"{path} can't be read: {error.strerror or error}; replace it") from error
    raise FrugalError(f"{path} has no {', '.join(wanted)}; replace it with the published archive")


def _check_length(release: Release, where: str, size: int, file: File) -> None:
    expected = file.records * release.record
    if size != expected:
        raise FrugalError(
            f"{where} is damaged or another file: it has {size:,} bytes, {file.records:,} records of {release.record:,} "
            f"bytes are {expected:,}; replace it with the published one"
        )


def _identify(where: str, content: bytes, file: File, verify: bool) -> list[str]:
    """What the manifest should say about a file: nothing about the published one. Raises FrugalError for an unknown one."""
    found = hashlib.sha256(content).hexdigest()
    if found == file.sha256:
        return []
    if known := dict(file.inexact).get(found):
        return [f"{file.name} is not the published file: {known}"]
    if verify:
        raise FrugalError(
            f"{where} is not the published file: sha256 expected {file.sha256}, found {found}; replace it, or accept it "
            f"by `options: {{verify: false}}` in {CONFIG}"
        )
    return [f"{file.name} was used unverified: its sha256 is {found}, that of the published file {file.sha256}"]


def _decode(release: Release, where: str, content: bytes, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Records to images (n, 3, 32, 32) uint8 and labels (n,) int64; all labels of a record are checked, used or not."""
    records = np.frombuffer(content, np.uint8).reshape(-1, release.record)
    for place, (name, classes) in enumerate(release.labels):
        wrong = np.flatnonzero(records[:, place] >= classes)
        if len(wrong):
            raise FrugalError(
                f"{where} is damaged: record {wrong[0]:,} has the {name} {records[wrong[0], place]}, there are {classes} "
                f"(0 to {classes - 1}); replace it with the published file"
            )
    place = [name for name, _ in release.labels].index(label)
    images = records[:, len(release.labels) :].reshape(-1, *SHAPE)
    return images, records[:, place].astype(np.int64)
