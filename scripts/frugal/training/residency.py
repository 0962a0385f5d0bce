"""Whether training data lies on the device or is streamed from its file."""

from pathlib import Path

import torch

from frugal.data.cache import Cache
from frugal.data.device import source_of

SHARE = 0.5  # of the free memory that data may take: the rest is for the model and its activations


def choose_residency(wanted: str, cache: Cache, reads: str, device: torch.device) -> tuple[bool, str]:
    """Whether to stream, and a sentence for the record. wanted: "auto", "device" or "streamed"; reads: of the strategy."""
    if wanted != "auto":
        return wanted == "streamed", f"residency {wanted}: as asked"
    size, free = cache.array(f"train_{source_of(cache, reads).kind}").nbytes, free_memory(device)
    if free is None:
        return False, "residency auto: on the device, whose free memory this system does not tell"
    streamed = size >= SHARE * free
    where = "streamed from its file" if streamed else "on the device"
    return streamed, f"residency auto: {where}, {size:,} bytes of training data for {free:,} bytes of free memory"


def free_memory(device: torch.device) -> int | None:
    """Bytes that can be allocated there; None where the system doesn't tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
