"""Small idx files as a publisher would offer them."""

import gzip
import struct

import numpy as np
import pytest

NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def idx_bytes(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture
def to_idx():
    return idx_bytes


@pytest.fixture
def published():
    """Forty training and twenty test images of 6x6 in four classes: {file name: gzipped content}."""
    generator = np.random.default_rng(0)
    arrays = []
    for samples in (40, 20):
        arrays += [generator.integers(0, 256, (samples, 6, 6)), np.arange(samples) % 4]
    return {name: gzip.compress(idx_bytes(array), mtime=0) for name, array in zip(NAMES, arrays, strict=True)}
