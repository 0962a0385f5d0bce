"""Device of a run: which one it computes on, whether bit for bit the same each time, and what that machine is."""

import os
import platform
from pathlib import Path
from typing import Any

import psutil
import torch

from frugal.errors import FrugalError
from frugal.measure.memory import allocator


def choose_device(wanted: str) -> tuple[torch.device, str]:
    """The device and a sentence for the record. wanted: "auto" (a GPU where there is one), "cpu" or "cuda".

    Raises FrugalError where a GPU is asked for and there is none: no run moves to the CPU in silence.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise FrugalError(
            "device is cuda, but torch finds no CUDA GPU here; use --config device=cpu or a machine with one"
        )
    if wanted != "cpu" and available:
        return torch.device("cuda"), f"device {wanted}: runs on {torch.cuda.get_device_name()}"
    reason = "as asked" if wanted == "cpu" else "torch finds no CUDA GPU here"
    return torch.device("cpu"), f"device {wanted}: runs on the CPU, {reason}"


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device, GPU or CPU, has no memory left; on a CPU torch raises a plain RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def describe_hardware(device: torch.device) -> dict[str, Any]:
    """Processor, cores, threads of this job, memory in bytes, the CPU's allocator, and the GPU's name or None."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_bytes": psutil.virtual_memory().total,
        "allocator": allocator(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
    }


def cpu_flags() -> set[str]:
    """The instructions of this CPU, as Linux names them; empty where it doesn't tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.split(":", 1)[1].split()) for line in lines if line.startswith(("flags", "Features"))), set())


def _cpu_name() -> str:
    """The processor as Linux names it, with family and model: virtual machines give one name, "AMD EPYC", to all generations."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n", 1)[0]
    except OSError:
        first = ""
    told = dict(map(str.strip, line.split(":", 1)) for line in first.splitlines() if ":" in line)
    if "model name" not in told:
        return platform.processor() or platform.machine()
    numbers = " ".join(f"{key.removeprefix('cpu ')} {told[key]}" for key in ("cpu family", "model") if key in told)
    return f"{told['model name']} ({numbers})" if numbers else told["model name"]


def set_determinism(wanted: bool) -> None:
    """Allow only operations that give the same bits each time, or any again. Comes before the first product on a GPU.

    An operation that has no such form raises an error that names it.
    """
    if wanted:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # else cuBLAS may sum in any order; read when it starts
    torch.use_deterministic_algorithms(wanted)
    torch.backends.cudnn.deterministic = wanted
    torch.backends.cudnn.benchmark = not wanted  # tries the algorithms for each shape; shapes here are static
