"""DCT store: each image as the coefficients of its 2-D DCT-II, low frequencies first, so that fidelity level k is a prefix.

The whole image is transformed per channel, orthonormally: D = A X A^T with A[u, n] = sqrt(2/N) cos(pi (2n+1) u / 2N) and
A[0] /= sqrt 2. Coefficients are ordered by shell max(u, v), so the first C*k*k numbers of a row are
the low-frequency k x k corner of every channel, for any k: reading less means reading a shorter prefix, nothing else.

Stored as integers with one step per coefficient, max |c| over the training images / 127 (8 bits) or / 32767 (16 bits); the
DC coefficient is centred first. Of large images only the k x k corner may be kept, which drops what a photograph hardly
has: at 8 bits all of 224 x 224 takes as much room as the pixels. `about` measures what either costs in the image.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

from frugal.data.rows import ComputedRows, Rows, pieces
from frugal.errors import FrugalError

INTEGER = {8: np.int8, 16: np.int16}
MEASURED = 1 << 28  # pixels at most in which `about` measures the error: all of CIFAR, 1,783 images of 224 x 224


@dataclass(frozen=True)
class Quantiser:
    """What turns coefficients into integers and back.

    step: (C, N, N) float32, size of one integer step; offset: (C,) float32, subtracted from the DC coefficient; bits: 8 or 16;
    keep: coefficients per axis that are stored
    """

    step: np.ndarray
    offset: np.ndarray
    bits: int
    keep: int

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays a cache has to keep beside the coefficients."""
        return {"dct_step": self.step, "dct_offset": self.offset}


@lru_cache
def shell_order(channels: int, size: int) -> np.ndarray:
    """Positions in a flattened (C, N, N) block, in stored order: (C*N*N,) int64; its first C*k*k lie in the k x k corners."""
    channel, u, v = (axis.ravel() for axis in np.indices((channels, size, size)))
    return np.lexsort((v, u, channel, np.maximum(u, v)))


def prefix_length(channels: int, level: int) -> int:
    """How many stored numbers level k takes: C*k*k."""
    return channels * level * level


def transform(images: np.ndarray) -> np.ndarray:
    """Orthonormal 2-D DCT-II over the last two axes: (..., N, N) -> (..., N, N) float32."""
    return fft.dctn(images.astype(np.float32), axes=(-2, -1), norm="ortho")


def fit(images: np.ndarray | Rows, bits: int = 8, keep: int | None = None) -> Quantiser:
    """Choose the steps from the training images, (n, C, N, N) uint8.

    keep: coefficients per axis to store, None for all. Raises FrugalError for images that aren't square or are smaller.
    """
    if images.shape[-1] != images.shape[-2]:
        raise FrugalError(
            f"the DCT store takes square images, these are {images.shape[-2]}x{images.shape[-1]}; "
            "set `dct: null` for this data set or crop it first"
        )
    if bits not in INTEGER:
        raise FrugalError(f"dct bits is {bits}; choose 8 or 16")
    size = images.shape[-1]
    if keep is not None and not 1 <= keep <= size:
        raise FrugalError(f"dct keep is {keep} coefficients per axis, the images have {size}; choose 1 to {size}")
    low = np.full(images.shape[1:], np.inf, np.float32)
    high = -low
    for piece in pieces(images):
        coefficients = transform(piece)
        low, high = np.minimum(low, coefficients.min(0)), np.maximum(high, coefficients.max(0))
    offset = (low[:, 0, 0] + high[:, 0, 0]) / 2
    reach = np.maximum(-low, high)
    reach[:, 0, 0] = (high[:, 0, 0] - low[:, 0, 0]) / 2
    step = np.where(reach > 0, reach / np.iinfo(INTEGER[bits]).max, 1).astype(np.float32)
    return Quantiser(step, offset, bits, keep or size)


def encode(images: np.ndarray, quantiser: Quantiser) -> np.ndarray:
    """Images (n, C, N, N) uint8 -> coefficients (n, C*keep*keep) int8 or int16, in shell order."""
    integer = INTEGER[quantiser.bits]
    most = np.iinfo(integer).max
    channels, size = images.shape[1:3]
    order = shell_order(channels, size)[: prefix_length(channels, quantiser.keep)]
    stored = np.empty((len(images), order.size), integer)
    start = 0
    for piece in pieces(images):
        coefficients = transform(piece)
        coefficients[:, :, 0, 0] -= quantiser.offset
        rounded = np.rint(coefficients / quantiser.step).clip(-most, most).astype(integer)
        stored[start : start + len(piece)] = rounded.reshape(len(rounded), -1)[:, order]
        start += len(piece)
    return stored


def encoded(images: np.ndarray | Rows, quantiser: Quantiser) -> ComputedRows:
    """The same, made when it is read."""
    length = prefix_length(images.shape[1], quantiser.keep)
    return ComputedRows(images, lambda piece: encode(piece, quantiser), (length,), INTEGER[quantiser.bits])


def decode(stored: np.ndarray, quantiser: Quantiser, level: int) -> np.ndarray:
    """Rows (n, at least C*k*k) -> images (n, C, N, N) float32 from their k x k corners.

    The reference; training decodes on its device.
    """
    channels, size, _ = quantiser.step.shape
    length = prefix_length(channels, level)
    coefficients = np.zeros((len(stored), channels * size * size), np.float32)
    coefficients[:, shell_order(channels, size)[:length]] = stored[:, :length]
    coefficients = coefficients.reshape(-1, channels, size, size) * quantiser.step
    coefficients[:, :, 0, 0] += quantiser.offset
    return fft.idctn(coefficients, axes=(-2, -1), norm="ortho")


def about(images: np.ndarray | Rows, quantiser: Quantiser) -> dict[str, object]:
    """What the manifest says of the store: its form, and the error it leaves, measured on `images`, evenly spaced if many."""
    channels, size, _ = quantiser.step.shape
    squared, worst, count = 0.0, 0.0, 0
    every = -(-len(images) * channels * size * size // MEASURED)
    measured = images[::every]
    for part in pieces(measured):
        error = decode(encode(part, quantiser), quantiser, quantiser.keep) - part
        squared += float(np.square(error, dtype=np.float64).sum())
        worst = max(worst, float(np.abs(error).max()))
        count += error.size
    rms = (squared / count) ** 0.5
    which = "the training images" if every == 1 else f"{len(measured):,} training images, evenly spaced"
    return {
        "transform": "orthonormal 2-D DCT-II of the whole image per channel",
        "order": "shells of max(u, v): level k is the first channels*k*k numbers",
        "bits": quantiser.bits,
        "keep": quantiser.keep,
        "bytes_per_sample": prefix_length(channels, quantiser.keep) * quantiser.bits // 8,
        "rms_error": round(rms, 4),
        "max_error": round(worst, 3),
        "psnr_db": round(20 * float(np.log10(255 / rms)), 2) if rms else None,
        "error_unit": f"grey levels of 255, at level {quantiser.keep}, on {which}",
    }
