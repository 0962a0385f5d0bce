"""Peak memory of a run: of the GPU as torch allocated it, else of this process as the kernel saw it."""

from pathlib import Path

import torch


def peak_memory(device: torch.device) -> tuple[int | None, str]:
    """Bytes at the peak so far and what was measured; None with a reason where the system doesn't tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device), "torch allocations on the GPU"
    # Not getrusage: its peak is inherited from the process that started this one.
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None, "this system has no /proc/self/status"
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024, "resident memory of the whole process"
    return None, "/proc/self/status has no VmHWM"
