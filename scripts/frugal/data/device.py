"""A split of the cache on the training device: what a batch reads is a gather of rows, and its bytes are counted there."""

import numpy as np
import torch
from torch import Tensor

from frugal.data.cache import Cache
from frugal.data.decoder import Decoder
from frugal.errors import FrugalError

Segment = tuple[int, int, int]  # level, first and last+1 position within a batch


class Counted:
    """Counts the bytes of stored rows where they are gathered."""

    bytes_read = 0

    def gather(self, stored: Tensor, indices: Tensor) -> Tensor:
        """Rows of `stored`, counted."""
        rows = stored.index_select(0, indices)
        self.bytes_read += rows.numel() * rows.element_size()
        return rows

    def take_bytes(self) -> int:
        """Bytes read since the last call."""
        taken, self.bytes_read = self.bytes_read, 0
        return taken


class Pixels(Counted):
    """Uncompressed images: uint8 (n, C, H, W) on the device, normalised when read."""

    def __init__(self, cache: Cache, split: str, device: torch.device):
        self.images = _resident(cache.array(f"{split}_images"), device)
        self.labels = _resident(cache.array(f"{split}_labels"), device)
        self.shape = tuple(self.images.shape[1:])
        mean, std = (torch.tensor(cache.manifest[key], device=device).view(1, -1, 1, 1) for key in ("mean", "std"))
        self.inverse, self.shift = 1 / std, -mean / std
        self.raw_bytes_per_sample = self.images[0].numel()

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Tensor, segments: list[Segment] | None = None, spectral: bool = False) -> Tensor:
        """indices: (b,) -> normalised images (b, C, H, W) float32."""
        rows = self.gather(self.images, indices)
        return torch.addcmul(self.shift, rows.to(torch.float32), self.inverse)


class Coefficients(Counted):
    """The DCT store: int8 or int16 (n, C*N*N) on the device in shell order, so a level is a prefix of a row."""

    def __init__(self, cache: Cache, split: str, device: torch.device):
        if cache.manifest["dct"] is None:
            raise FrugalError(
                f"data set {cache.manifest['dataset']} has no DCT store; set `dct: {{bits: 8}}` in config/datasets.yaml"
            )
        self.rows = _resident(cache.array(f"{split}_coefficients"), device)
        self.labels = _resident(cache.array(f"{split}_labels"), device)
        self.shape = tuple(cache.manifest["shape"])
        mean, std = (np.array(cache.manifest[key]) for key in ("mean", "std"))
        self.decoder = Decoder(cache.array("dct_step"), cache.array("dct_offset"), mean, std, device)
        self.raw_bytes_per_sample = int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, indices: Tensor, segments: list[Segment] | None = None, spectral: bool = False) -> Tensor:
        """indices: (b,) -> normalised images (b, C, H, W) float32, or (b, C, k, k) when spectral.

        segments: which consecutive part of the batch is read at which level; only those prefixes are touched. Without
        segments every sample is read in full.
        """
        segments = segments or [(self.shape[-1], 0, len(indices))]
        top = max(level for level, _, _ in segments)
        if top > self.shape[-1]:
            raise FrugalError(f"level {top} asks for more coefficients per axis than the image has, {self.shape[-1]}")
        if len(segments) == 1:
            rows = self._prefix(indices, top)
        else:
            # Coefficients that aren't read are zeros, so one decoding at the highest level serves the whole batch.
            rows = torch.zeros(len(indices), self._length(top), dtype=self.rows.dtype, device=self.rows.device)
            for level, start, stop in segments:
                rows[start:stop, : self._length(level)] = self._prefix(indices[start:stop], level)
        return self.decoder(rows, top, spectral)

    def _length(self, level: int) -> int:
        return self.shape[0] * level * level

    def _prefix(self, indices: Tensor, level: int) -> Tensor:
        return self.gather(self.rows[:, : self._length(level)], indices)


SOURCES = {"pixels": Pixels, "coefficients": Coefficients}


def _resident(array: np.ndarray, device: torch.device) -> Tensor:
    """A copy of a memory-mapped array on the device."""
    return torch.from_numpy(np.array(array)).to(device)
