"""Training images decoded from their files in every epoch, by worker processes that read ahead; the cache is not read.

This is what most training does, and so what the cache is to be compared with. A sample is what the cache holds, bit for bit:
it is decoded by the same function, from a file that must be as it was when the cache was prepared.

The processes are those of torch's DataLoader. They come from a fork server, which has torch in memory once for all of them
and no CUDA in it, and end when the trainer does, however that ends.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from frugal.data.cache import Cache
from frugal.data.listing import Listing
from frugal.data.pictures import Damaged, picture
from frugal.data.streaming import Part, is_slice
from frugal.data.workers import end_with_parent
from frugal.errors import FrugalError

T = TypeVar("T")
File = tuple[str, int]  # path, and bytes when the cache was prepared
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)  # what a run is stopped by
PREFETCH = 2  # batches per worker that are decoded ahead
COMPARED = 8  # files that are held against the cache before the first step
AGAIN = "or prepare the data set again: `snakemake --forcerun prepare`"


@dataclass(frozen=True)
class Decoding:
    """Decodes a batch of files; what the workers are given. resize, size: see `frugal.data.pictures`"""

    resize: int
    size: int

    def __getitems__(self, files: list[File]) -> tuple[Tensor | None, int, str | None]:
        """-> pixels (b, 3, size, size) uint8 and bytes read; or, for the trainer to raise, what is wrong with a file."""
        pixels, read = torch.empty((len(files), 3, self.size, self.size), dtype=torch.uint8), 0
        try:
            for row, file in zip(pixels.numpy(), files, strict=True):
                row[:] = self.decode(file)
                read += file[1]
        except FrugalError as error:  # as a text: DataLoader would raise it with the worker's traceback in it
            return None, 0, str(error)
        return pixels, read, None

    def decode(self, file: File) -> np.ndarray:
        """One file -> (3, size, size) uint8. Raises FrugalError where it is not the file that was prepared."""
        path, expected = file
        try:
            with open(path, "rb") as stream:
                content = stream.read()
            if len(content) != expected:
                raise FrugalError(
                    f"{path} has {len(content):,} bytes and had {expected:,} when it was prepared; put the old one back, {AGAIN}"
                )
            return picture(content, self.resize, self.size)[0]
        except OSError as error:
            raise FrugalError(
                f"{path} can't be read any more: {error.strerror}; put it back, {AGAIN}, or set residency: auto"
            ) from error
        except Damaged as why:
            raise FrugalError(
                f"{path} is damaged since it was prepared ({why}); put the old one back, {AGAIN}"
            ) from why


@dataclass
class FileBatches:
    """The batches that come next, as DataLoader asks for them: lists of files. It is iterated over once per epoch."""

    listing: Listing
    samples: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    bounds: list[tuple[int, int]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.bounds)

    def __iter__(self) -> Iterator[list[File]]:
        for start, stop in self.bounds:
            yield [self.listing.file(sample) for sample in self.samples[start:stop]]


class Files:
    """Images decoded from files when they are needed. bytes_read: of the files; workers: processes, of each rank.

    Raises FrugalError for a cache that knows no image files, or whose files do not decode to what it holds.
    """

    def __init__(self, cache: Cache, device: torch.device, workers: int):
        self.listing, self.device, self.workers = Listing.read(cache), device, workers
        self.decoding = Decoding(self.listing.resize, self.listing.size)
        self.bytes_read = 0
        self.sampler = FileBatches(self.listing)
        self._loader: DataLoader | None = None
        self._batches: Iterator | None = None
        self._order: Tensor | None = None
        self._bounds: list[tuple[int, int]] = []
        self._next = 0
        self._compare(cache.array("train_images"))

    def follow(
        self, order: Tensor, bounds: list[tuple[int, int]], parts: list[list[Part]] | None, first: int = 0
    ) -> None:
        """From now on `take` is asked for these batches of `order` (n,), from number `first` on: start decoding ahead."""
        if self._next < len(self._bounds):
            self.close()  # the workers are at batches that nobody will take
        self._order, self._bounds, self._next = order, bounds, first
        self.sampler.samples, self.sampler.bounds = order.cpu().numpy(), bounds[first:]
        if first < len(bounds):
            self._loader = self._loader or self._start()
            with _signals_blocked():
                self._batches = self._watched(lambda: iter(self._loader))

    def take(self, indices: Tensor, parts: list[Part] | None) -> Tensor:
        """Images (b, 3, size, size) uint8 on the device: decoded ahead if this batch was announced, else now."""
        if is_slice(indices, self._order, self._bounds, self._next):
            pixels, read, wrong = self._watched(lambda: next(self._batches))
            self._next += 1
        else:
            pixels, read, wrong = self.decoding.__getitems__([self.listing.file(sample) for sample in indices.tolist()])
        if wrong:
            raise FrugalError(wrong)
        self.bytes_read += read
        return pixels.to(self.device, non_blocking=True)

    def close(self) -> None:
        """End the workers, which nothing else refers to; the next `follow` starts new ones."""
        self._loader = self._batches = self._order = None
        self._bounds, self._next = [], 0

    def _start(self) -> DataLoader:
        way = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        context = multiprocessing.get_context(way)
        if way == "forkserver":
            context.set_forkserver_preload(["torch", "PIL.Image"])
        return DataLoader(
            self.decoding,
            batch_sampler=self.sampler,
            num_workers=self.workers,
            collate_fn=_as_it_is,
            pin_memory=self.device.type == "cuda",
            prefetch_factor=PREFETCH,
            persistent_workers=True,
            worker_init_fn=_start_worker,
            multiprocessing_context=context,
            generator=torch.Generator(),  # else it would draw from the generator that dropout draws from
        )

    def _watched(self, ask: Callable[[], T]) -> T:
        """What the workers answer; raises FrugalError where one of them has died, which is noticed within seconds."""
        try:
            return ask()
        except (ConnectionError, EOFError, FileNotFoundError):  # the tensor of a process that has just died
            pass
        except RuntimeError as error:
            if "exited unexpectedly" not in str(error) and "is killed by signal" not in str(error):
                raise
        # Outside of `except`, so that nothing refers to the loader's frames and the other workers end with `close`.
        self.close()
        raise FrugalError(
            "a process that decodes images was killed, by the system if memory or /dev/shm ran out; lower `workers` in "
            "config.yaml, or set residency: auto, and run again"
        )

    def _compare(self, rows: np.ndarray) -> None:
        """Hold some files against the cache: another version of Pillow or of torch may decode to other bits."""
        for sample in np.unique(np.linspace(0, len(rows) - 1, COMPARED).astype(int)).tolist():
            path, expected = self.listing.file(sample)
            if not np.array_equal(self.decoding.decode((path, expected)), rows[sample]):
                raise FrugalError(
                    f"{path} does not decode to what the cache holds: it was changed, or Pillow or torch are of another "
                    f"version; put the old one back, {AGAIN}"
                )


def _as_it_is(batch: tuple) -> tuple:
    """The batch comes whole from the decoder."""
    return batch


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Processes that start here have the signals of a stop blocked, so that none ends one before it has learnt to ignore them."""
    resource_tracker.ensure_running()  # it would unblock them when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(_: int) -> None:
    """A signal to the whole group is the trainer's, who saves before it stops; when the trainer ends, so does this."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    end_with_parent()
