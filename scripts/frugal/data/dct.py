"""The DCT store: each image as its 2-D DCT-II in nested shells, so that fidelity level k is a prefix.

The whole image is transformed per channel, orthonormally: D = A X A^T with A[u, n] = sqrt(2/N) cos(pi (2n+1) u / 2N) and
A[0] /= sqrt 2 (source document 000). Coefficients are ordered by shell max(u, v), so the first C*k*k numbers of a row are
the low-frequency k x k corner of every channel, for any k: reading less means reading a shorter prefix, nothing else.

Stored as integers with one step per coefficient, max |c| over the training images / 127 (8 bits) or / 32767 (16 bits); the
DC coefficient is centred first. `about` measures what that costs in the image.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

from frugal.errors import FrugalError

INTEGER = {8: np.int8, 16: np.int16}
CHUNK = 4096  # images transformed at once: keeps the float copy of a large data set small


@dataclass(frozen=True)
class Quantiser:
    """What turns coefficients into integers and back.

    step: (C, N, N) float32, size of one integer step; offset: (C,) float32, subtracted from the DC coefficient; bits: 8 or 16
    """

    step: np.ndarray
    offset: np.ndarray
    bits: int

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


def fit(images: np.ndarray, bits: int = 8) -> Quantiser:
    """Choose the steps from the training images, (n, C, N, N) uint8. Raises FrugalError for images that aren't square."""
    if images.shape[-1] != images.shape[-2]:
        raise FrugalError(
            f"the DCT store takes square images, these are {images.shape[-2]}x{images.shape[-1]}; "
            "set `dct: null` for this data set or crop it first"
        )
    if bits not in INTEGER:
        raise FrugalError(f"dct bits is {bits}; choose 8 or 16")
    low = np.full(images.shape[1:], np.inf, np.float32)
    high = -low
    for start in range(0, len(images), CHUNK):
        coefficients = transform(images[start : start + CHUNK])
        low, high = np.minimum(low, coefficients.min(0)), np.maximum(high, coefficients.max(0))
    offset = (low[:, 0, 0] + high[:, 0, 0]) / 2
    reach = np.maximum(-low, high)
    reach[:, 0, 0] = (high[:, 0, 0] - low[:, 0, 0]) / 2
    step = np.where(reach > 0, reach / np.iinfo(INTEGER[bits]).max, 1).astype(np.float32)
    return Quantiser(step, offset, bits)


def encode(images: np.ndarray, quantiser: Quantiser) -> np.ndarray:
    """Images (n, C, N, N) uint8 -> coefficients (n, C*N*N) int8 or int16, in shell order."""
    integer = INTEGER[quantiser.bits]
    most = np.iinfo(integer).max
    order = shell_order(*images.shape[1:3])
    stored = np.empty((len(images), order.size), integer)
    for start in range(0, len(images), CHUNK):
        coefficients = transform(images[start : start + CHUNK])
        coefficients[:, :, 0, 0] -= quantiser.offset
        rounded = np.rint(coefficients / quantiser.step).clip(-most, most).astype(integer)
        stored[start : start + CHUNK] = rounded.reshape(len(rounded), -1)[:, order]
    return stored


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


def about(images: np.ndarray, quantiser: Quantiser) -> dict[str, object]:
    """What the manifest says of the store: its form, and the error that integer storage leaves, measured on `images`."""
    channels, size, _ = quantiser.step.shape
    squared, worst, count = 0.0, 0.0, 0
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK]
        error = decode(encode(part, quantiser), quantiser, size) - part
        squared += float(np.square(error, dtype=np.float64).sum())
        worst = max(worst, float(np.abs(error).max()))
        count += error.size
    rms = (squared / count) ** 0.5
    return {
        "transform": "orthonormal 2-D DCT-II of the whole image per channel",
        "order": "shells of max(u, v): level k is the first channels*k*k numbers",
        "bits": quantiser.bits,
        "bytes_per_sample": channels * size * size * quantiser.bits // 8,
        "rms_error": round(rms, 4),
        "max_error": round(worst, 3),
        "psnr_db": round(20 * float(np.log10(255 / rms)), 2) if rms else None,
        "error_unit": "grey levels of 255, at full level, on the training images",
    }
