"""Listing of the files that training samples were read from: two arrays of the cache, in the order of its rows.

Names are stored as bytes of one length each, so that a million of them is a memory map like all else. Names and sizes are
content, and part of the cache's checksum; the folder they lie in differs from machine to machine and is not.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from frugal.data.cache import Cache
from frugal.errors import FrugalError


@dataclass(frozen=True)
class Listing:
    """Image files and how they are read. folder: absolute; names: (n, longest) uint8, relative to it, zeros behind;
    sizes: (n,) int64 bytes; resize, size: see `frugal.data.pictures`
    """

    folder: Path
    names: np.ndarray
    sizes: np.ndarray
    resize: int
    size: int

    @classmethod
    def of(cls, folder: Path, files: list[Path], resize: int, size: int) -> "Listing":
        """Files under a folder, as they are now. Raises FrugalError for one that is gone."""
        names = np.array([os.fsencode(file.relative_to(folder)) for file in files])
        try:
            sizes = np.array([file.stat().st_size for file in files], np.int64)
        except OSError as error:
            raise FrugalError(f"{error.filename} can't be read: {error.strerror}; mend that and run again") from error
        letters = names.view(np.uint8).reshape(len(files), names.itemsize)
        return cls(Path(os.path.abspath(folder)), letters, sizes, resize, size)

    @classmethod
    def read(cls, cache: Cache) -> "Listing":
        """The listing that a cache holds. Raises FrugalError for a cache that was not made from image files."""
        about, name = cache.manifest, cache.manifest["dataset"]
        if "decoding" not in about:
            if about["source"] == "imagefolder":
                raise FrugalError(
                    f"residency: files: the cache of {name} is of a version that did not list its training files; "
                    "remove it and run again"
                )
            raise FrugalError(
                f"residency: files decodes image files and data set {name} has none, its source is {about['source']}; "
                "set residency: auto, or choose a data set of source imagefolder"
            )
        return cls(
            Path(about["folder"]), cache.array("train_files"), cache.array("train_file_bytes"), **about["decoding"]
        )

    def select(self, positions: np.ndarray) -> "Listing":
        """Some of the files. positions: (m,) int"""
        return Listing(self.folder, self.names[positions], self.sizes[positions], self.resize, self.size)

    def arrays(self) -> dict[str, np.ndarray]:
        """What of it becomes arrays of the cache."""
        return {"train_files": self.names, "train_file_bytes": self.sizes}

    def facts(self) -> dict[str, Any]:
        """What of it becomes keys of the manifest."""
        return {"folder": str(self.folder), "decoding": {"resize": self.resize, "size": self.size}}

    def file(self, sample: int) -> tuple[str, int]:
        """Path and bytes of one sample's file."""
        name = self.names[sample].tobytes().rstrip(b"\0")
        return os.path.join(self.folder, os.fsdecode(name)), int(self.sizes[sample])
