"""EXIF orientation of a JPEG, which says how the camera was held, and pictures turned by it.

Viewers turn pictures as it says; decoders don't. It is read from the bytes, since opening a file with Pillow for it takes
longer than decoding a small one.
"""

import struct

import torch
from torch import Tensor

ORIENTATION, SHORT, LONG = 0x0112, 3, 4
START_OF_SCAN = 0xDA
WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))


def orientation_of_jpeg(content: bytes) -> int:
    """1 to 8, 1 for the right way up; also where a JPEG file does not say, or its EXIF can't be read."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF or marker in WITHOUT_LENGTH:  # a filling byte, or a segment of two bytes
            at += 1 if marker == 0xFF else 2
            continue
        if marker == START_OF_SCAN:
            break
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        if marker == 0xE1 and content[at + 4 : at + 10] == b"Exif\0\0":
            return _orientation(content[at + 10 : at + 2 + length])
        at += 2 + length
    return 1


def _orientation(tiff: bytes) -> int:
    """The entry of the first directory of what is a TIFF file without a picture."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
        for at in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, _ = struct.unpack_from(f"{order}HHI", tiff, at)
            if tag == ORIENTATION and kind in (SHORT, LONG):
                (value,) = struct.unpack_from(f"{order}{'H' if kind == SHORT else 'I'}", tiff, at + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:  # cut off, or of no known order
        pass
    return 1


def turned(pixels: Tensor, orientation: int) -> Tensor:
    """A picture (h, w, 3) the right way up: (h, w, 3), or (w, h, 3) for orientations 5 to 8."""
    if orientation >= 5:
        pixels = pixels.transpose(0, 1)
    # Rows, columns or both run backwards, after rows and columns were exchanged.
    axes = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}.get(orientation)
    return torch.flip(pixels, axes) if axes else pixels
