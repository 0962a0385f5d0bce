"""Whether training data lies on the device, is streamed from its file, or decoded from image files anew."""

from pathlib import Path

import torch

from frugal.data.cache import Cache
from frugal.data.device import source_of
from frugal.errors import FrugalError

SHARE = 0.5  # of the free memory that data may take: the rest is for the model and its activations


def choose_residency(wanted: str, cache: Cache, reads: str, device: torch.device, workers: int = 8) -> tuple[bool, str]:
    """Whether to stream what is read from the cache, and a sentence for the record.

    wanted: "auto", "device", "streamed" or "files"; reads: of the strategy; workers: processes that decode files.
    Raises FrugalError for "files" where the strategy doesn't read pixels or the cache doesn't hold them.
    """
    if wanted in ("device", "streamed"):
        return wanted == "streamed", f"residency {wanted}: as asked"
    kind = source_of(cache, reads).kind
    if wanted == "files":
        if cache.kind == "image" and kind != "images":
            what = "the strategy reads them" if reads != "pixels" else "the cache holds nothing else (`images: false`)"
            raise FrugalError(
                f"residency: files decodes image files to pixels, not to DCT coefficients, and {what}; set residency: auto, "
                "or choose strategies that read pixels"
            )
        size = sum(cache.array(f"{split}_{kind}").nbytes for split in ("validation", "test"))
        streamed, where = _fits(size, device, "validation and test data")
        return streamed, f"residency files: training images decoded from files by {workers} workers, the others {where}"
    streamed, where = _fits(cache.array(f"train_{kind}").nbytes, device, "training data")
    return streamed, f"residency auto: {where}"


def _fits(size: int, device: torch.device, what: str) -> tuple[bool, str]:
    """Whether so many bytes are too many to lie on the device, and where they lie and why."""
    free = free_memory(device)
    if free is None:
        return False, "on the device, whose free memory this system does not tell"
    streamed = size >= SHARE * free
    where = "streamed from its file" if streamed else "on the device"
    return streamed, f"{where}, {size:,} bytes of {what} for {free:,} bytes of free memory"


def free_memory(device: torch.device) -> int | None:
    """Bytes that can be allocated there; None where the system doesn't tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
