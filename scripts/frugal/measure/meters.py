"""Meters of energy that count for a run, found by zeus: the GPU it trains on, the CPU, and memory (DRAM).

A meter of a GPU is NVML or AMD SMI; of CPU and DRAM it is RAPL, or on an Apple chip or a Jetson the meters of the chip. What is
summed is the CPU with its memory, and a GPU only where the run uses it, so that the same parts are meant on every machine;
which of them a machine can meter differs, so each is named, and only runs with the same names can be compared.
"""

import contextlib
import io
import logging
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Meter:
    """A part that is metered. name: the part and what meters it; read: zeus's measurement of a window -> joules, or None."""

    name: str
    read: Callable[[Any], float | None]


@dataclass(frozen=True)
class Meters:
    """What counts for a run. gpus, cpus: zeus's indices, which its monitor is opened with; why: of what isn't metered."""

    meters: list[Meter]
    gpus: list[int]
    cpus: list[int]
    why: list[str]


def finders() -> tuple[Callable, Callable, Callable]:
    """zeus's functions that find the meters of CPUs, of GPUs and of a chip that is both; raises ImportError without zeus.

    Importing them takes a fifth of a second, which whoever forks runs does once before.
    """
    logging.getLogger("zeus").setLevel(logging.CRITICAL)  # before its loggers are made, which keep the level of then
    with redirect_stdout(io.StringIO()):  # a vendor library prints where it isn't installed
        from zeus.device import get_cpus, get_gpus, get_soc

    return get_cpus, get_gpus, get_soc


def meters_of(device: torch.device, host: bool) -> Meters:
    """The meters of this machine that count for a run on a device. host: whether CPU and DRAM do, or for another process.

    Raises ImportError where there is no zeus.
    """
    get_cpus, get_gpus, get_soc = finders()
    found = Meters([], [], [], [])
    uses_gpu = device.type == "cuda"
    chip, _ = _opened(get_soc)
    metered = set(chip.get_available_metrics()) if chip is not None else set()
    on_chip = dict(_of_chip(chip, metered))
    if uses_gpu and "GPU" in on_chip:
        found.meters.append(on_chip["GPU"])
    elif uses_gpu:
        gpus, reason = _opened(get_gpus)
        if gpus is not None and len(gpus) > (device.index or 0):
            by, index = "AMD SMI" if "AMD" in type(gpus).__name__ else "NVML", device.index or 0
            found.meters.append(Meter(f"GPU by {by}", lambda window: (window.gpu_energy or {}).get(index)))
            found.gpus.append(index)
        else:
            found.why.append(f"GPU: {reason or 'neither NVML nor AMD SMI knows it'}")
    if host:
        parts = [on_chip[part] for part in ("CPU", "DRAM", "board") if part in on_chip]
        if parts:
            found.meters.extend(parts)
        else:
            cpus, reason = _opened(get_cpus)
            packages = list(_packages(cpus)) if cpus is not None else []
            found.cpus.extend(packages)
            found.meters.extend(_of_packages(cpus, packages))
            if not packages:
                found.why.append(f"CPU: {reason or 'there is no RAPL'}")
    return found


def _opened(find: Callable) -> tuple[Any, str]:
    """What one of zeus's functions finds, or None and the reason. Where a library is missing it raises anything."""
    try:
        with redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return find(), ""
    except Exception as error:
        told = " ".join(str(error).split()) or type(error).__name__
        return None, "" if told.endswith("management library.") else told  # it only says that it found nothing


def _packages(cpus: Any) -> Iterator[int]:
    """The CPU packages among RAPL's zones: "psys" is the whole platform, in which they are contained already."""
    for index, cpu in enumerate(cpus.cpus):
        if getattr(getattr(cpu, "rapl_file", None), "name", "package") != "psys":
            yield index


def _of_packages(cpus: Any, packages: list[int]) -> Iterator[Meter]:
    """CPU packages, and the memory of those that meter it; RAPL's package doesn't contain its DRAM."""
    if packages:
        yield Meter(f"CPU by RAPL{_times(packages)}", lambda window: _sum(window.cpu_energy, packages))
    if with_memory := [index for index in packages if cpus.supports_get_dram_energy_consumption(index)]:
        yield Meter(f"DRAM by RAPL{_times(with_memory)}", lambda window: _sum(window.dram_energy, with_memory))


def _times(packages: list[int]) -> str:
    return f" ({len(packages)} packages)" if len(packages) > 1 else ""


def _sum(joules: dict[int, float] | None, indices: list[int]) -> float | None:
    """The joules of all of these, None where one is missing."""
    parts = [(joules or {}).get(index) for index in indices]
    return None if None in parts else sum(parts)


def _of_chip(chip: Any, metered: set[str]) -> Iterator[tuple[str, Meter]]:
    """The parts of an Apple chip or a Jetson by name. A Jetson without a rail for the CPU has one for the whole board."""
    if chip is None:
        return
    name = "Apple's chip" if "Apple" in type(chip).__name__ else type(chip).__name__
    fields = {"CPU": ("cpu_total_mj", "cpu_energy_mj"), "GPU": ("gpu_mj", "gpu_energy_mj"), "DRAM": ("dram_mj",)}
    if not metered & set(fields["CPU"]):
        fields = {"board": ("total_energy_mj",)}  # contains the others
    for part, names in fields.items():
        for field in metered & set(names):
            yield part, Meter(f"{part} by {name}", lambda window, field=field: _joules(window.soc_energy, field))


def _joules(measured: Any, field: str) -> float | None:
    millijoules = getattr(measured, field, None)
    return None if millijoules is None else millijoules / 1000
