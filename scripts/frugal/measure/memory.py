"""Memory of a process: its peak, what is free, and what it does with memory that a step has freed."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

_before: dict[torch.device, int] = {}  # peaks of GPUs from before something that isn't the run's was allocated


def peak_memory(device: torch.device) -> tuple[int | None, str]:
    """Bytes at the peak so far and what was measured; None with a reason where the system doesn't tell."""
    if device.type == "cuda":
        return max(torch.cuda.max_memory_allocated(device), _before.get(device, 0)), "torch allocations on the GPU"
    # Not getrusage: its peak is inherited from the process that started this one.
    try:
        status = Path("/proc/self/status").read_text()
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024, "resident memory of the whole process"
    except (OSError, ValueError, IndexError) as error:
        return None, f"/proc/self/status can't be read ({error})"
    return None, "/proc/self/status has no VmHWM"


@contextmanager
def not_at_its_peak(device: torch.device) -> Iterator[None]:
    """What a block allocates on a GPU, and frees again, counts for no peak: it is the measurement's, not the run's."""
    if device.type != "cuda":
        yield
        return
    before = peak_memory(device)[0]
    try:
        yield
    finally:
        torch.cuda.reset_peak_memory_stats(device)
        _before[device] = before


def free_memory(device: torch.device) -> int:
    """Bytes that can be allocated on a device without swapping."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available


KEPT, LEFT = "glibc, freed memory kept", "as the system sets it"
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST = 32 * 2**20  # bytes; glibc takes no larger M_MMAP_THRESHOLD
_state = LEFT


def keep_freed_memory() -> None:
    """Tell glibc to keep freed blocks of up to 32 MiB; `allocator` says whether it does.

    By default it gives the large ones back in each step and asks for them again in the next, and the system fills each
    page with zeros first: a fifth of the time of a CNN's step on the CPU. Larger blocks are given back all the same: kept too
    (M_MMAP_MAX 0), they save a fifteenth of a step with 1,024 images, but where their sizes vary the heap grew to ten
    times what was in use. Another C library, and an allocator that the
    user has tuned (MALLOC_* or GLIBC_TUNABLES in the environment), is left as it is. Source: mallopt(3).
    """
    global _state
    tuned = "GLIBC_TUNABLES" in os.environ or any(name.startswith("MALLOC_") for name in os.environ)
    if not tuned and hasattr(libc := ctypes.CDLL(None), "gnu_get_libc_version"):
        kept = libc.mallopt(M_TRIM_THRESHOLD, -1) and libc.mallopt(M_MMAP_THRESHOLD, LARGEST)
        _state = KEPT if kept else LEFT


def give_back() -> None:
    """Return the memory of what was made and freed while setting up, which later steps would only grow around."""
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def allocator() -> str:
    """What this process does with freed memory, for its record."""
    return _state
