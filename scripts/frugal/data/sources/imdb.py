"""IMDB: 25,000 training and 25,000 test reviews of films, half of them positive.

Maas et al., "Learning Word Vectors for Sentiment Analysis", ACL 2011, https://aclanthology.org/P11-1015.

The test reviews are of other films than the training ones. Reviews rated 5 or 6 of 10 are not in it.
"""

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le

from frugal.data.arrays import Arrays
from frugal.data.download import download, verify
from frugal.data.sources.textfolder import text_arrays
from frugal.data.text import Tokens
from frugal.data.textfiles import from_archive, from_folder, text_folders
from frugal.errors import FrugalError

KIND = "text"
FOLDER, ARCHIVE = "aclImdb", "aclImdb_v1.tar.gz"
MIRRORS = ["https://ai.stanford.edu/~amaas/data/sentiment"]
SHA256 = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"
CLASSES = ["neg", "pos"]  # `unsup`, the reviews without a label, is not read


def read(
    folder: Path | None,
    downloads: Path,
    threads: int = 1,
    *,
    vocabulary: Annotated[int, Ge(261)] = 8000,
    length: Annotated[int, Ge(3)] = 256,
    keep: Literal["start", "end"] = "start",
    tokenizer: str | None = None,
    damaged: Annotated[float, Ge(0), Le(1)] = 0.001,
    reviews: Annotated[int, Ge(1)] = 12_500,
    mirrors: list[str] | None = None,
    sha256: str | None = None,
) -> Arrays:
    """Read `aclImdb/` or `aclImdb_v1.tar.gz` in the data folder, else download the archive.

    vocabulary, length, keep, tokenizer: of the tokens, as for source textfolder; damaged: share of the files that may be left
    out; reviews: of each class in each split, so that a part of the data is never taken for all; mirrors: addresses that the
    archive's name is appended to (default: its authors'); sha256: of the
    archive, where it isn't theirs
    threads: that the tokenizer may use. Raises FrugalError where reviews are missing.
    """
    if folder and not folder.is_dir():
        raise FrugalError(f"the data folder {folder} does not exist; make it or correct FRUGAL_DATA")
    if folder and (folder / FOLDER).is_dir():
        home, notes = folder / FOLDER, ("read from files, which have no checksum as a whole",)
        for split in ("train", "test"):
            for name in CLASSES:
                if not (home / split / name).is_dir():
                    raise FrugalError(f"{home} has no {split}/{name}; unpack {ARCHIVE} there again")
        folders = text_folders(home)
        found = {split: folders.classes([home / split]) for split in ("train", "test")}
        splits = {
            split: from_folder(folders, {name: classes[name] for name in CLASSES}) for split, classes in found.items()
        }
        notes += folders.notes()
    else:
        archive = _archive(folder, downloads, MIRRORS if mirrors is None else mirrors, sha256 or SHA256)
        home, notes = archive, ()
        splits = from_archive(archive, {split: f"{FOLDER}/{split}" for split in ("train", "test")}, CLASSES)
    for split, files in splits.items():
        count = len(files.texts) + len(files.skipped)
        if count != len(CLASSES) * reviews:
            raise FrugalError(
                f"{home} has {count:,} {split} reviews instead of {len(CLASSES) * reviews:,}; unpack {ARCHIVE} there again"
            )
    return text_arrays(
        splits["train"], splits["test"], Tokens(vocabulary, length, keep, threads, tokenizer), damaged, notes
    )


def _archive(folder: Path | None, downloads: Path, mirrors: list[str], sha256: str) -> Path:
    """The verified archive, in the data folder or downloaded."""
    if folder and (folder / ARCHIVE).is_file():
        verify(folder / ARCHIVE, sha256)
        return folder / ARCHIVE
    advice = f"{folder.absolute()} or " if folder else "a folder named by FRUGAL_DATA, or "
    return download(ARCHIVE, mirrors, sha256, downloads, advice=advice)
