"""Joules by zeus where a meter exists; otherwise nothing, and why. Never 0 for want of a meter."""

import io
import logging
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

import torch


class Energy:
    """Joules used between `start` and `stop`, summed over several such windows.

    joules: None without a meter; source: the meters, or why there are none; host: whether CPU meters count here, or in
    another process of the same run
    """

    def __init__(self, device: torch.device, host: bool = True):
        self.joules: float | None = None
        self.open = False
        self.monitor, self.source = _monitor(device, host)

    def start(self) -> None:
        """Open a window."""
        if self.monitor:
            self.monitor.begin_window("training")
            self.open = True

    def pause(self) -> bool:
        """Close the window if one is open, for what is measured so far to be saved; returns whether to start again."""
        was_open = self.open
        self.stop()
        return was_open

    def stop(self) -> None:
        """Close the window, where one is open, and add its joules."""
        if self.open:
            self.open = False
            window = self.monitor.end_window("training")
            parts = [*(window.gpu_energy or {}).values(), *(window.cpu_energy or {}).values()]
            self.joules = (self.joules or 0.0) + float(sum(parts))


def finders() -> tuple[Callable, Callable]:
    """zeus's functions that find the meters of CPUs and of GPUs; raises ImportError where there is no zeus.

    Importing them takes a fifth of a second, which whoever forks runs does once before.
    """
    logging.getLogger("zeus").setLevel(logging.CRITICAL)  # before its loggers are made, which keep the level of then
    with redirect_stdout(io.StringIO()):  # a vendor library prints where it isn't installed
        from zeus.device.cpu import get_cpus
        from zeus.device.gpu import get_gpus

    return get_cpus, get_gpus


def _monitor(device: torch.device, host: bool) -> tuple[Any, str]:
    """A zeus monitor over the meters of this device, or None and the reason."""
    try:
        get_cpus, get_gpus = finders()
    except ImportError as error:
        return None, f"no meter: zeus can't be imported ({error})"
    with redirect_stdout(io.StringIO()):
        gpus = [device.index or 0] if device.type == "cuda" and _count(get_gpus) else []
        cpus = list(range(_count(get_cpus))) if host else []
        if not gpus and not cpus:
            return None, "no meter: this machine offers neither NVML for a GPU nor RAPL for the CPU"
        from zeus.monitor import ZeusMonitor  # slow to import, so only where it will be used

        try:
            monitor = ZeusMonitor(gpu_indices=gpus, cpu_indices=cpus)
        except Exception as error:
            return None, f"no meter: zeus failed to open it ({type(error).__name__}: {error})"
    return monitor, "zeus: " + ", ".join([*(f"NVML GPU {i}" for i in gpus), *(f"RAPL CPU {i}" for i in cpus)])


def _count(devices: Any) -> int:
    """How many meters zeus finds; where a library is missing, release 0.11 raises anything from its own errors to KeyError."""
    try:
        return len(devices())
    except Exception:
        return 0
