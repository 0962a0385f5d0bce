"""Memory that a step has freed stays with the process for the next step."""

import ctypes
import os

KEPT, LEFT = "glibc, freed memory kept", "as the system sets it"
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST = 32 * 2**20  # bytes; glibc takes no larger M_MMAP_THRESHOLD
_state = LEFT


def keep_freed_memory() -> None:
    """Tell glibc to keep freed blocks of up to 32 MiB; `allocator` says whether it does.

    By default it gives the large ones back in each step and asks for them again in the next, and the system fills each
    page with zeros first: a fifth of the time of a CNN's step on the CPU. Another C library, and an allocator that the
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
