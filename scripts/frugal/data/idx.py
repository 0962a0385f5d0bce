"""Idx format of the MNIST family: a big-endian header and raw bytes, gzipped or not.

Header: two zero bytes, one byte for the type (8 is unsigned byte), one for the number of dimensions, then each
dimension as a 32-bit number. What it claims is believed only if the file is exactly that long.
"""

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from frugal.data.made_from import read_file
from frugal.errors import FrugalError

UNSIGNED_BYTE = 8
CHUNK = 1 << 20  # read piece by piece: a header that claims a petabyte must not allocate one


def read_idx(path: Path, dimensions: tuple[int, ...]) -> np.ndarray:
    """The array in an idx file of unsigned bytes, gunzipped where the name ends in .gz: uint8, of the header's shape.

    dimensions: the numbers of dimensions it may have. Raises FrugalError where it is missing, damaged or another kind.
    """
    read_file(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as stream:
            return _read(stream, path, dimensions)
    except FileNotFoundError:
        raise FrugalError(f"{path} is missing; put it there") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _damaged(path, f"it can't be gunzipped ({error})") from error
    except OSError as error:
        raise FrugalError(f"{path} can't be read: {error.strerror}") from error


def _read(stream: BinaryIO, path: Path, dimensions: tuple[int, ...]) -> np.ndarray:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise _damaged(path, f"an idx file starts with two zero bytes, this one with {magic[:4].hex(' ') or 'nothing'}")
    kind, count = magic[2], magic[3]
    if kind != UNSIGNED_BYTE:
        raise _damaged(path, f"its values are of idx type 0x{kind:02x}, images and labels are unsigned bytes (0x08)")
    if count not in dimensions:
        raise _damaged(path, f"its header says {count} dimensions, expected {' or '.join(map(str, dimensions))}")
    header = stream.read(4 * count)
    if len(header) < 4 * count:
        raise _damaged(path, "it ends within its header")
    shape = struct.unpack(f">{count}I", header)
    size = math.prod(shape)
    if (
        size > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    ):  # a gzipped bomb may well be as long as it says
        raise _damaged(path, f"its header says {'x'.join(map(str, shape))}, more than half of this machine's memory")
    content = bytearray()
    while len(content) <= size and (piece := stream.read(min(CHUNK, size + 1 - len(content)))):
        content += piece
    if len(content) != size:
        found = "more" if len(content) > size else f"{len(content):,}"
        raise _damaged(path, f"its header says {'x'.join(map(str, shape))} = {size:,} bytes, it holds {found}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _damaged(path: Path, why: str) -> FrugalError:
    return FrugalError(f"{path} is damaged or no idx file: {why}; replace it with the published file")
