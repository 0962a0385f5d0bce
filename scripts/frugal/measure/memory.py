"""Peak memory of a run: of the GPU as torch allocated it, else of this process as the kernel saw it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
