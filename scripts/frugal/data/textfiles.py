"""Text files in one folder per class, in a folder or inside an archive from which nothing is extracted."""

import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from frugal.errors import FrugalError

LARGEST = 1 << 24  # bytes of one text; whatever is larger is no text but an accident, or made to fill the memory


class TextFiles:
    """Texts and labels of one split as they are read, and the files that could not be used."""

    def __init__(self, classes: list[str]):
        self.classes = classes
        self.texts: list[str] = []
        self.labels: list[int] = []
        self.skipped: list[tuple[str, str]] = []

    def add(self, name: str, label: str, content: bytes) -> None:
        """One file: a text, unless it is too large, no UTF-8 or empty. name: for the list of files left out."""
        if len(content) > LARGEST:
            self.skipped.append((name, f"larger than {LARGEST >> 20} MiB"))
            return
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self.skipped.append((name, f"not UTF-8: byte {content[error.start]:#04x} at {error.start}"))
            return
        if not text.strip():
            self.skipped.append((name, "empty"))
            return
        self.texts.append(text)
        self.labels.append(self.classes.index(label))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """(n,) texts as objects and (n,) int64 labels."""
        return np.array(self.texts, object), np.array(self.labels, np.int64)


def class_folders(place: Path) -> list[str]:
    """Sorted names of the folders in a split's folder. Raises FrugalError where there are none."""
    found = sorted(entry.name for entry in place.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not found:
        raise FrugalError(
            f"{place} has no class folders; texts belong into one folder per class, {place}/<class>/*.txt"
        )
    return found


def from_folder(place: Path, classes: list[str]) -> TextFiles:
    """Read place/<class>/**/*.txt in the order of their names. Raises FrugalError for a class without a text file."""
    read = TextFiles(classes)
    for name in classes:
        files = sorted((place / name).rglob("*.txt"), key=natural)
        if not files:
            raise FrugalError(f"{place / name} has no .txt file; add some or remove the empty class folder")
        for file in files:
            try:
                with open(file, "rb") as stream:
                    read.add(str(file.relative_to(place.parent)), name, stream.read(LARGEST + 1))
            except OSError as error:
                raise FrugalError(f"{file} can't be read: {error.strerror}") from error
    return read


def from_archive(archive: Path, places: dict[str, str], classes: list[str]) -> dict[str, TextFiles]:
    """Read <place>/<class>/*.txt of a tar.gz for each split, {split: place}, in the order of their names.

    Nothing is extracted, so no name in an archive can lead anywhere. Raises FrugalError for a damaged archive.
    """
    wanted = {(place, name): split for split, place in places.items() for name in classes}
    found: dict[str, list[tuple[tuple, str, str, bytes]]] = {split: [] for split in places}
    for path, content in _text_members(archive):
        at = (str(path.parent.parent), path.parent.name)
        if at in wanted:
            found[wanted[at]].append(((at[1], natural(path)), str(path), at[1], content))
    read = {}
    for split, files in found.items():
        read[split] = TextFiles(classes)
        for _, name, label, content in sorted(files, key=lambda file: file[0]):
            read[split].add(name, label, content)
        if empty := set(classes) - {label for _, _, label, _ in files}:
            raise FrugalError(
                f"{archive} has no {places[split]}/{min(empty)}/*.txt; replace it with the published archive"
            )
    return read


def _text_members(archive: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    try:
        with tarfile.open(archive, "r|gz") as members:
            for member in members:
                if member.isreg() and member.name.endswith(".txt"):
                    yield PurePosixPath(member.name), members.extractfile(member).read(LARGEST + 1)
    except (tarfile.TarError, EOFError, zlib.error, TypeError) as error:  # TypeError: tarfile on a header cut short
        raise FrugalError(f"{archive} is damaged or no tar.gz ({error}); remove it and run again") from error
    except OSError as error:
        raise FrugalError(f"{archive} can't be read: {error.strerror or error}; replace it") from error


def natural(path: Path | PurePosixPath) -> tuple:
    """A sorting key by which 10_3.txt comes after 9_3.txt."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path)) if part)
