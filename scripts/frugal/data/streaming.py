"""Streamed data, for a split that does not fit the device: rows stay memory-mapped, and a thread reads batches ahead.

The thread is told an epoch's batches when the epoch starts or resumes. It gathers each into one of two host buffers (pinned
where there is CUDA) and copies it to the device without waiting, so that reading and copying overlap with computing. What
is handed over has the same bits as a gather from a resident array.
"""

import threading
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np
import torch
from torch import Tensor

Part = tuple[int, int, int]  # leading values of a row that are read, first and last+1 position within a batch


@dataclass
class ReadBatch:
    """One batch from the reader: its rows on the device, the bytes read for it, and when its copy is done."""

    rows: Tensor
    bytes_read: int
    copied: torch.cuda.Event | None


def gather(
    array: np.ndarray, indices: np.ndarray, parts: list[Part] | None, flat: np.ndarray
) -> tuple[np.ndarray, int]:
    """Rows `indices` of `array` written to the start of `flat`: what they look like there, and the bytes read.

    parts: which prefix of which rows is read; the rest of the longest prefix is zeros. None for whole rows of any shape.
    """
    if parts is None:
        rows = flat[: len(indices) * array[0].size].reshape(len(indices), *array.shape[1:])
        np.take(array, indices, axis=0, out=rows, mode="clip")  # any other mode would copy once more
        return rows, rows.nbytes
    top = max(length for length, _, _ in parts)
    rows = flat[: len(indices) * top].reshape(len(indices), top)
    if len(parts) > 1:
        rows[:] = 0
    read = 0
    for length, start, stop in parts:
        rows[start:stop, :length] = array[:, :length][indices[start:stop]]
        read += (stop - start) * length * array.itemsize
    return rows, read


def buffer_size(array: np.ndarray, count: int, parts: list[Part] | None) -> int:
    """Values a batch of `count` samples of an array (n, ...) takes in a buffer."""
    return count * (array[0].size if parts is None else max(length for length, _, _ in parts))


def is_slice(indices: Tensor, order: Tensor | None, bounds: list[tuple[int, int]], number: int) -> bool:
    """Whether `indices` (b,) is a batch's slice of the order (n,) itself; told by its address, which asks the device nothing."""
    if number >= len(bounds):
        return False
    start, stop = bounds[number]
    return len(indices) == stop - start and indices.data_ptr() == order[start:].data_ptr()


class Reader:
    """Reads the batches of an epoch, from number `first` on, in a thread that ends with the last one or with `close`."""

    def __init__(
        self,
        array: np.ndarray,
        device: torch.device,
        order: Tensor,
        bounds: list[tuple[int, int]],
        parts: list[list[Part]] | None,
        first: int,
    ):
        self.array, self.device, self.order, self.bounds, self.parts = array, device, order, bounds, parts
        self.host_order = order.cpu().numpy()
        self.next = first
        self.ready: SimpleQueue[ReadBatch | BaseException] = SimpleQueue()
        self.free = threading.Semaphore(2)  # host buffers that nobody uses
        self.closing = False
        self.thread = threading.Thread(target=self._read, args=(first,), name="frugal-reader", daemon=True)
        self.thread.start()

    def expects(self, indices: Tensor) -> bool:
        """Whether `indices` (b,) is the next batch."""
        return is_slice(indices, self.order, self.bounds, self.next)

    def take(self) -> ReadBatch:
        """The next batch; raises what the thread raised. `done_with` follows when its rows have been used."""
        handed = self.ready.get()
        if isinstance(handed, BaseException):
            self.ready.put(handed)
            raise handed
        self.next += 1
        if handed.copied is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_event(handed.copied)
            handed.rows.record_stream(current)
        return handed

    def done_with(self) -> None:
        """The buffer of the batch taken last may be written again."""
        self.free.release()

    def close(self) -> None:
        """End the thread, wherever it is, and wait for it."""
        self.closing = True
        self.free.release()
        self.thread.join()

    def _read(self, first: int) -> None:
        try:
            cuda = self.device.type == "cuda"
            if cuda:
                torch.cuda.set_device(self.device)  # each thread has its own
            numbers = range(first, len(self.bounds))
            values = max(
                (buffer_size(self.array, b - a, self._parts(i)) for i, (a, b) in enumerate(self.bounds)), default=0
            )
            kind = torch.from_numpy(np.empty(0, self.array.dtype)).dtype
            buffers = [torch.empty(values, dtype=kind, pin_memory=cuda) for _ in range(2)]
            copied: list[torch.cuda.Event | None] = [None, None]
            stream = torch.cuda.Stream(self.device) if cuda else None
            for number in numbers:
                self.free.acquire()
                if self.closing:
                    return
                slot = number % 2
                if copied[slot] is not None:
                    copied[slot].synchronize()  # the device may still be reading what would be overwritten
                start, stop = self.bounds[number]
                rows, read = gather(self.array, self.host_order[start:stop], self._parts(number), buffers[slot].numpy())
                host, event = buffers[slot][: rows.size].view(rows.shape), None
                if cuda:
                    with torch.cuda.stream(stream):
                        host = host.to(self.device, non_blocking=True)
                        event = copied[slot] = torch.cuda.Event()
                        event.record(stream)
                self.ready.put(ReadBatch(host, read, event))
        except BaseException as error:  # the trainer raises it where it takes the batch
            self.ready.put(error)

    def _parts(self, number: int) -> list[Part] | None:
        return None if self.parts is None else self.parts[number]


class Streamed:
    """Rows of a memory-mapped array, read when they are needed. array: (n, ...); bytes_read: counted where it is read."""

    def __init__(self, array: np.ndarray, device: torch.device):
        self.array, self.device = array, device
        self.bytes_read = 0
        self._reader: Reader | None = None
        self._taken: Reader | None = None

    def follow(
        self, order: Tensor, bounds: list[tuple[int, int]], parts: list[list[Part]] | None, first: int = 0
    ) -> None:
        """From now on `take` is asked for these batches in turn, from number `first` on: start reading them ahead."""
        self.close()
        self._reader = Reader(self.array, self.device, order, bounds, parts, first)

    def take(self, indices: Tensor, parts: list[Part] | None) -> Tensor:
        """Rows on the device, valid until the next call: read ahead if this batch was announced, else read now."""
        if self._taken is not None:
            self._taken.done_with()
            self._taken = None
        if self._reader is not None and self._reader.expects(indices):
            handed = self._reader.take()
            self._taken = self._reader
            self.bytes_read += handed.bytes_read
            return handed.rows
        flat = np.empty(buffer_size(self.array, len(indices), parts), self.array.dtype)
        rows, read = gather(self.array, indices.cpu().numpy(), parts, flat)
        self.bytes_read += read
        return torch.from_numpy(rows).to(self.device)

    def close(self) -> None:
        """Stop reading ahead; no thread is left."""
        if self._reader is not None:
            self._reader.close()
        self._reader = self._taken = None
