"""Split of the cache as training reads it: rows are gathered into a batch, and their stored bytes are counted.

The rows lie on the device (`Resident`), or where they don't fit, in a file (`Streamed`), or they are decoded from image
files anew (`frugal.data.files`); the samples are the same bits.
"""

from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from frugal.data.cache import Cache
from frugal.data.decoder import Decoder
from frugal.data.shrinking import shrunk
from frugal.data.streaming import Part, Streamed
from frugal.errors import FrugalError
from frugal.measure.flops import decoding_flops

Segment = tuple[int, int, int]  # level, first and last+1 position within a batch


class Store(Protocol):
    """Where a split's rows come from: `Resident`, `Streamed`, or `frugal.data.files.Files`.

    bytes_read: counted where rows are taken; who reads it sets it back
    """

    bytes_read: int

    def follow(
        self, order: Tensor, bounds: list[tuple[int, int]], parts: list[list[Part]] | None, first: int = 0
    ) -> None:
        """From now on `take` is asked for these batches of `order` (n,), from number `first` on."""

    def take(self, indices: Tensor, parts: list[Part] | None) -> Tensor:
        """Rows (b, ...) on the device; parts: which prefix of which rows is read, None for whole rows."""

    def close(self) -> None:
        """End what reads ahead."""


class Resident:
    """Rows of an array, all of it on the device. array: (n, ...); bytes_read: counted where they are gathered."""

    def __init__(self, array: np.ndarray, device: torch.device):
        self.rows = _resident(array, device)
        self.bytes_read = 0

    def follow(self, *_: object) -> None:
        """Every row is here already."""

    def take(self, indices: Tensor, parts: list[Part] | None) -> Tensor:
        """Rows on the device; parts: which prefix of which rows is read, the others' rest is zeros. None for whole rows."""
        if parts is None:
            return self._gather(self.rows, indices)
        top = max(length for length, _, _ in parts)
        if len(parts) == 1:
            return self._gather(self.rows[:, :top], indices)
        rows = torch.zeros(len(indices), top, dtype=self.rows.dtype, device=self.rows.device)
        for length, start, stop in parts:
            rows[start:stop, :length] = self._gather(self.rows[:, :length], indices[start:stop])
        return rows

    def close(self) -> None:
        """Nothing to end."""

    def _gather(self, stored: Tensor, indices: Tensor) -> Tensor:
        rows = stored.index_select(0, indices)
        self.bytes_read += rows.numel() * rows.element_size()
        return rows


class Split:
    """What all data shares: labels on the device, a store of rows, and the count of bytes.

    kind: of the arrays in the cache; dtype: of what `read` gives the model; evaluated_at_once: samples, so that evaluation
    takes less memory than training; on a CPU at most 250, whose activations are mostly small enough to be kept by
    `measure.memory.keep_freed_memory`: at 1,000 an evaluation took a fifth longer
    """

    kind: ClassVar[str]
    dtype: ClassVar[torch.dtype] = torch.float32
    evaluated_at_once: int = 1000

    def __init__(
        self, cache: Cache, split: str, device: torch.device, streamed: bool = False, files: Store | None = None
    ):
        array = cache.array(f"{split}_{self.kind}")
        self.store: Store = files or (Streamed(array, device) if streamed else Resident(array, device))
        self.labels = _resident(cache.array(f"{split}_labels"), device)
        self.shape = tuple(cache.manifest["shape"])
        if device.type == "cpu":
            self.evaluated_at_once = min(self.evaluated_at_once, 250)
        self.raw_bytes_per_sample = int(np.prod(self.shape)) * array.itemsize

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def holds_images(self) -> bool:
        """Whether samples are (C, H, W), which can be augmented, scaled and compressed."""
        return len(self.shape) == 3

    def shape_at(self, size: int) -> tuple[int, ...]:
        """Of one sample `size` long on its last axis: images are square, of all else the shape is fixed."""
        return (self.shape[0], size, size) if self.holds_images else self.shape

    def read(self, indices: Tensor, segments: list[Segment] | None = None, spectral: bool = False) -> Tensor:
        """indices: (b,) -> what the model takes, (b, ...)."""
        raise NotImplementedError

    def reading_flops(self, pixels: int, segments: list[Segment] | None) -> int:
        """FLOPs of making one sample, `pixels` per side, of what is stored of it; 0 where it is taken as it is."""
        return 0

    def follow(
        self, order: Tensor, bounds: list[tuple[int, int]], segments: list[list[Segment]] | None, first: int
    ) -> None:
        """Announce an epoch's batches of `order` (n,), of which number `first` is read next."""
        parts = None if segments is None else [self._parts(s) for s in segments]
        self.store.follow(order, bounds, parts, first)

    def _parts(self, segments: list[Segment]) -> list[Part] | None:
        """What of each row a batch with these segments reads; None for whole rows."""
        return None

    def take_bytes(self) -> int:
        """Bytes read since the last call."""
        taken, self.store.bytes_read = self.store.bytes_read, 0
        return taken

    def close(self) -> None:
        """End what reads ahead."""
        self.store.close()


class Pixels(Split):
    """Uncompressed images: uint8 (n, C, H, W), normalised when read, and then made smaller where that is asked for."""

    kind = "images"

    def __init__(
        self, cache: Cache, split: str, device: torch.device, streamed: bool = False, files: Store | None = None
    ):
        super().__init__(cache, split, device, streamed, files)
        mean, std = (torch.tensor(cache.manifest[key], device=device).view(1, -1, 1, 1) for key in ("mean", "std"))
        self.inverse, self.shift = 1 / std, -mean / std

    def follow(
        self, order: Tensor, bounds: list[tuple[int, int]], segments: list[list[Segment]] | None, first: int
    ) -> None:
        """Announce an epoch's batches; images are read whole, at whatever level they are used."""
        super().follow(order, bounds, None, first)

    def read(self, indices: Tensor, segments: list[Segment] | None = None, spectral: bool = False) -> Tensor:
        """indices: (b,) -> normalised images (b, C, H, W) float32, or (b, C, k, k) when spectral, by interpolation."""
        rows = self.store.take(indices, None)
        images = torch.addcmul(self.shift, rows.to(torch.float32), self.inverse)
        return shrunk(images, _top(segments)) if spectral and segments else images

    def reading_flops(self, pixels: int, segments: list[Segment] | None) -> int:
        """The two products of `shrunk`, which are those of a decoder of all pixels; 0 for whole images."""
        size = self.shape[-1]
        return decoding_flops(self.shape[0], size, pixels) if pixels < size else 0


class Coefficients(Split):
    """The DCT store: int8 or int16 (n, C*N*N) in shell order, so a level is a prefix of a row."""

    kind = "coefficients"

    def __init__(self, cache: Cache, split: str, device: torch.device, streamed: bool = False):
        if cache.manifest["dct"] is None:
            raise FrugalError(
                f"data set {cache.manifest['dataset']} has no DCT store; set `dct: {{bits: 8}}` in its entry of datasets.yaml"
            )
        super().__init__(cache, split, device, streamed)
        self.raw_bytes_per_sample = int(np.prod(self.shape))  # of the pixels they stand for
        mean, std = (np.array(cache.manifest[key]) for key in ("mean", "std"))
        self.level = cache.manifest["dct"]["keep"]
        self.decoder = Decoder(cache.array("dct_step"), cache.array("dct_offset"), mean, std, device)

    @property
    def rows(self) -> Tensor:
        """The stored rows, where they are resident."""
        return self.store.rows

    def read(self, indices: Tensor, segments: list[Segment] | None = None, spectral: bool = False) -> Tensor:
        """indices: (b,) -> normalised images (b, C, H, W) float32, or (b, C, k, k) when spectral.

        segments: which consecutive part of the batch is read at which level; only those prefixes are touched, and
        coefficients that aren't read are zeros, so one decoding at the highest level serves the whole batch. Without
        segments every sample is read with all that is stored of it.
        """
        segments = segments or [(self.level, 0, len(indices))]
        rows = self.store.take(indices, self._parts(segments))
        return self.decoder(rows, _top(segments), spectral)

    def reading_flops(self, pixels: int, segments: list[Segment] | None) -> int:
        """Those of decoding at the highest level of the batch."""
        return decoding_flops(self.shape[0], _top(segments) if segments else self.level, pixels)

    def follow(
        self, order: Tensor, bounds: list[tuple[int, int]], segments: list[list[Segment]] | None, first: int
    ) -> None:
        """Announce an epoch's batches, read at their segments' levels or with all that is stored."""
        super().follow(order, bounds, segments or [[(self.level, 0, stop - start)] for start, stop in bounds], first)

    def _parts(self, segments: list[Segment]) -> list[Part]:
        top = _top(segments)
        if top > self.level:
            raise FrugalError(f"level {top} asks for more coefficients per axis than the store has, {self.level}")
        return [(self.shape[0] * level * level, start, stop) for level, start, stop in segments]


class Decoded(Coefficients):
    """Whole images of a cache that has no pixels: decoded from all that is stored of each, and then used as `Pixels` are."""

    def read(self, indices: Tensor, segments: list[Segment] | None = None, spectral: bool = False) -> Tensor:
        """indices: (b,) -> normalised images (b, C, N, N) float32, or (b, C, k, k) when spectral, by interpolation."""
        images = super().read(indices)
        return shrunk(images, _top(segments)) if spectral and segments else images

    def reading_flops(self, pixels: int, segments: list[Segment] | None) -> int:
        """Of decoding whole images, and of making them smaller."""
        channels, _, size = self.shape
        return decoding_flops(channels, self.level, size) + (
            decoding_flops(channels, size, pixels) if pixels < size else 0
        )

    def follow(
        self, order: Tensor, bounds: list[tuple[int, int]], segments: list[list[Segment]] | None, first: int
    ) -> None:
        """Announce an epoch's batches of `order` (n,), whose rows are all read whole."""
        super().follow(order, bounds, None, first)


class Tokens(Split):
    """Texts: int16 or int32 (n, L), 0 where a text has ended."""

    kind, dtype, evaluated_at_once = "tokens", torch.int64, 100

    def read(self, indices: Tensor, segments: list[Segment] | None = None, spectral: bool = False) -> Tensor:
        """indices: (b,) -> tokens (b, L) int64."""
        return self.store.take(indices, None).to(torch.int64)


class Features(Split):
    """Rows of a table, encoded and normalised: float32 (n, d)."""

    kind = "features"

    def read(self, indices: Tensor, segments: list[Segment] | None = None, spectral: bool = False) -> Tensor:
        """indices: (b,) -> features (b, d) float32."""
        return self.store.take(indices, None)


class Waves(Split):
    """Recordings: int16 (n, T), normalised when read by the mean and deviation of all training samples."""

    kind, evaluated_at_once = "waves", 100

    def __init__(self, cache: Cache, split: str, device: torch.device, streamed: bool = False):
        super().__init__(cache, split, device, streamed)
        self.mean, self.std = cache.manifest["mean"][0], cache.manifest["std"][0]

    def read(self, indices: Tensor, segments: list[Segment] | None = None, spectral: bool = False) -> Tensor:
        """indices: (b,) -> normalised waves (b, T) float32."""
        return self.store.take(indices, None).to(torch.float32).sub_(self.mean).div_(self.std)


SOURCES = {"pixels": Pixels, "coefficients": Coefficients}
OTHERS = {"text": Tokens, "table": Features, "sound": Waves}


def split_class(cache: Cache, reads: str) -> type[Split]:
    """What a strategy that reads "pixels", which is to say whole samples, or "coefficients" is given.

    A cache with `images: false` has no pixels: they are decoded from all of the coefficients that it stores. Raises
    FrugalError for coefficients of data that isn't images.
    """
    if cache.kind != "image":
        if reads != "pixels":
            raise FrugalError(
                f"data set {cache.manifest['dataset']} is {cache.kind}, which has no DCT coefficients to read; choose images "
                "or a strategy that leaves samples whole"
            )
        return OTHERS[cache.kind]
    if not cache.manifest.get("images", True):
        return Decoded if reads == "pixels" else Coefficients
    return SOURCES[reads]


def _top(segments: list[Segment]) -> int:
    """The highest level in a batch."""
    return max(level for level, _, _ in segments)


def _resident(array: np.ndarray, device: torch.device) -> Tensor:
    """A copy of a memory-mapped array on the device."""
    return torch.from_numpy(np.array(array)).to(device)
