"""Text files, in one folder per class, in a folder or inside an archive from which nothing is extracted."""

import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from frugal.data.folders import BROKEN_LINK, Folders, encodable, is_broken_link, shown
from frugal.data.made_from import read_file
from frugal.errors import FrugalError

SUFFIX = ".txt"  # in small or capital letters
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
            self.skip(name, f"larger than {LARGEST >> 20} MiB")
            return
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self.skip(name, f"not UTF-8: byte {content[error.start]:#04x} at {error.start}")
            return
        if not text.strip():
            self.skip(name, "empty")
            return
        self.texts.append(text)
        self.labels.append(self.classes.index(label))

    def skip(self, name: str, reason: str) -> None:
        """One file that can't be used."""
        self.skipped.append((encodable(name), reason))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """(n,) texts as objects and (n,) int64 labels."""
        return np.array(self.texts, object), np.array(self.labels, np.int64)


def text_folders(home: Path) -> Folders:
    """The class folders of texts under a data set's home."""
    return Folders(home, (SUFFIX,), f"{SUFFIX} file", "texts")


def from_folder(folders: Folders, classes: dict[str, list[Path]]) -> TextFiles:
    """Read the text files under the folders of each class in the order of their names.

    Raises FrugalError for a class without a text file, or without one that can be used.
    """
    read = TextFiles(list(classes))
    for name, files in folders.files(classes).items():
        usable = len(read.texts)
        for file in sorted(files, key=natural):
            relative = str(file.relative_to(folders.home))
            try:
                with open(file, "rb") as stream:
                    content = stream.read(LARGEST + 1)
            except OSError as error:
                if not is_broken_link(error, file):
                    raise FrugalError(f"{shown(file)} can't be read: {error.strerror}") from error
                read.skip(relative, BROKEN_LINK)
                continue
            read.add(relative, name, content)
        if len(read.texts) == usable:
            raise FrugalError(
                f"{shown(classes[name][0])}: none of its {len(files):,} texts can be used, the last is "
                f"{read.skipped[-1][1]}; replace them or remove the class"
            )
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
    read_file(archive)
    try:
        with tarfile.open(archive, "r|gz") as members:
            for member in members:
                if member.isreg() and member.name.lower().endswith(SUFFIX):
                    yield PurePosixPath(member.name), members.extractfile(member).read(LARGEST + 1)
    except (tarfile.TarError, EOFError, zlib.error, TypeError) as error:  # TypeError: tarfile on a header cut short
        raise FrugalError(f"{archive} is damaged or no tar.gz ({error}); remove it and run again") from error
    except OSError as error:
        raise FrugalError(f"{archive} can't be read: {error.strerror or error}; replace it") from error


def natural(path: Path | PurePosixPath) -> tuple:
    """A sorting key by which 10_3.txt comes after 9_3.txt."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path)) if part)
