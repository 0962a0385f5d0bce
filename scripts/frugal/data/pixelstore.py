"""Images of a data set that are no files of their own, decoded one by one into an array on disk, all of one shape."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

from frugal.data.arrays import Arrays
from frugal.data.pictures import Damaged, picture
from frugal.data.rows import Rows, select
from frugal.errors import FrugalError, needs_extra

with needs_extra("vision", "image files"):
    from PIL import Image

GREY = ("1", "L")  # modes of Pillow that stay one channel


class PixelStore:
    """Pixels (n, C, H, W) uint8 that are filled in order. folder: for the file, which may go once a cache is written.

    size: pixels per side of the squares that images become, None to take them as they are; channels: 1 or 3, None for those of
    the first image; where: for errors, which a FrugalError says in one line
    """

    def __init__(self, folder: Path, count: int, size: int | None, channels: int | None, where: str):
        self.folder, self.count, self.size, self.channels, self.where = folder, count, size, channels, where
        self.pixels: np.ndarray | None = None
        self.filled = 0

    def add(self, image: "Image.Image | bytes") -> None:
        """The next image, or the bytes of its file. Raises FrugalError for one that can't be read, or of another shape."""
        number = self.filled + 1
        try:
            pixels = self._decoded(image)
        except (Damaged, OSError, ValueError, SyntaxError) as error:
            raise FrugalError(f"{self.where}, image {number} can't be read ({error}); replace it") from error
        if self.pixels is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                self.pixels = open_memmap(self.folder / "pixels.npy", "w+", np.uint8, (self.count, *pixels.shape))
            except OSError as error:
                raise FrugalError(
                    f"cannot write {self.folder}: {error.strerror}; free some space and run again"
                ) from error
        if pixels.shape != self.pixels.shape[1:]:
            raise FrugalError(
                f"{self.where}: image {number} has {_told(pixels.shape)} and the first one {_told(self.pixels.shape[1:])}; set "
                "`size`, pixels per side that all of them become"
            )
        self.pixels[self.filled] = pixels
        self.filled += 1

    def arrays(
        self, labels: np.ndarray, parts: tuple[np.ndarray, np.ndarray], notes: list[str], inferred: dict[str, Any]
    ) -> Arrays:
        """All of them, on disk, as a source hands them over. labels: (n,) int64; parts: positions of training and test."""
        rows, (train, tested) = Rows([self.pixels[: self.filled]]), parts
        return Arrays(
            select(rows, train),
            labels[train],
            select(rows, tested),
            labels[tested],
            notes=tuple(notes),
            leftovers=self.folder,
            inferred=inferred,
        )

    def _decoded(self, image: "Image.Image | bytes") -> np.ndarray:
        if isinstance(image, bytes):
            with Image.open(io.BytesIO(image)) as opened:
                mode, width, height = opened.mode, opened.width, opened.height
                sides = min(width, height) if self.size is None else self.size
                if self.size is not None or width == height:
                    pixels = picture(image, sides, sides)[0]  # turned as its EXIF orientation says, deep colours halved
                else:
                    pixels = np.asarray(opened.convert("RGB")).transpose(2, 0, 1)
        else:
            mode = image.mode
            if self.size is None:
                pixels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
            else:
                content = io.BytesIO()
                image.save(content, "PNG" if mode in ("1", "L", "P", "RGB", "RGBA", "I;16") else "TIFF")
                pixels = picture(content.getvalue(), self.size, self.size)[0]
        if self.channels is None:
            self.channels = 1 if mode in GREY else 3
        if self.channels == 1 and mode not in GREY:
            raise FrugalError(
                f"{self.where}: image {self.filled + 1} has colours and the first one is grey; set `channels: 3` in its options"
            )
        return pixels[: self.channels]


def _told(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[2]} pixels"
