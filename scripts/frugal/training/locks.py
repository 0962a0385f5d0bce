"""GPUs shared by the jobs of a machine: a run holds a lock file for the one it uses, which the system frees on any death.

The lock files lie in the machine's temporary folder under the GPUs' own names, so that two checkouts, two users and jobs
that see the GPUs under other numbers (CUDA_VISIBLE_DEVICES) keep out of each other's way.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import torch
from filelock import FileLock, Timeout

PAUSE = 1.0  # seconds between two looks for a free slot


def folder() -> Path:
    """Where the machine's lock files lie; every user may add to it and none remove another's."""
    path = Path(tempfile.gettempdir()) / "frugal-gpus"
    if not path.exists():
        path.mkdir(mode=0o1777, exist_ok=True)
        path.chmod(0o1777)  # whatever the umask
    return path


def visible_gpus() -> list[str]:
    """The names of the GPUs that torch sees, which no renumbering changes."""
    return [str(torch.cuda.get_device_properties(i).uuid) for i in range(torch.cuda.device_count())]


def take_slot(gpus: list[str], jobs_per_gpu: int, place: Path) -> tuple[int, FileLock]:
    """A slot on the GPU where the fewest are taken: its place among `gpus`, and the lock, held as long as it lives.

    gpus: names, as `visible_gpus` gives them; jobs_per_gpu: slots of each; place: where the lock files lie. Where all are
    taken it waits for one, and says so.
    """
    said = False
    while True:
        for number in range(jobs_per_gpu):
            for gpu, name in enumerate(gpus):
                lock = _try(place / f"{name}.{number}.lock")
                if lock is not None:
                    return gpu, lock
        if not said:
            print(f"waits for a free GPU: {len(gpus)} x {jobs_per_gpu} slots in {place} are taken", file=sys.stderr)
            said = True
        time.sleep(PAUSE)


def take_whole(gpus: list[str], jobs_per_gpu: int, place: Path) -> list[FileLock]:
    """Every slot of all these GPUs, for a run that several of them share; waits for each in turn.

    In ascending order of their names, so that two such runs never wait for each other.
    """
    locks = [
        FileLock(place / f"{name}.{number}.lock", mode=0o666) for name in sorted(gpus) for number in range(jobs_per_gpu)
    ]
    for lock in locks:
        lock.acquire(poll_interval=PAUSE)
    return locks


def claim(device: torch.device, devices: int, jobs_per_gpu: int) -> tuple[torch.device, list[FileLock]]:
    """The GPU this process is to use, and locks to keep as long as it does. device: as chosen; on the CPU nothing is locked.

    devices: that share the run; their leader locks them all, and which is whose follows from their ranks.
    """
    if device.type != "cuda":
        return device, []
    if devices == 1:
        gpu, lock = take_slot(visible_gpus(), jobs_per_gpu, folder())
        torch.cuda.set_device(gpu)
        return torch.device("cuda", gpu), [lock]
    leads = os.environ.get("RANK", "0") == "0"
    return device, take_whole(visible_gpus()[:devices], jobs_per_gpu, folder()) if leads else []


def _try(file: Path) -> FileLock | None:
    lock = FileLock(file, mode=0o666)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock
