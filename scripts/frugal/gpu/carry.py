"""One file to take from machine to machine: figures, records, logs, what is known of steps, and checkpoints of runs under way.

Prepared data isn't in it, since it is made again from FRUGAL_DATA with the same content, nor are checkpoints of finished runs.
"""

import tarfile
from pathlib import Path

from frugal.atomic import writing
from frugal.errors import FrugalError
from frugal.gpu.steps import Places
from frugal.record import METRICS

CARRIED = ("steps", "logs", "runs")  # of the work folder


def pack(file: Path, places: Places, megabytes: float | None = None) -> list[str]:
    """Write the file, whole or not at all; returns the checkpoints that were left out, since with them it had more megabytes."""
    small, checkpoints = [], []
    for name, folder in (("out", places.out), *((part, places.work / part) for part in CARRIED)):
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
            inside = (path, f"{name}/{path.relative_to(folder)}")
            run = next((parent.parent for parent in path.parents if parent.name == "checkpoints"), None)
            if run is None:
                small.append(inside)
            elif not (run / METRICS).exists():
                checkpoints.append(inside)
    left = float("inf") if megabytes is None else megabytes * 1e6 - sum(path.stat().st_size for path, _ in small)
    out = []
    with writing(file) as temporary, tarfile.open(temporary, "w") as tar:
        for path, inside in small:
            tar.add(path, inside)
        for path, inside in checkpoints:
            if (size := path.stat().st_size) <= left:
                tar.add(path, inside)
                left -= size
            else:
                out.append(inside)
    return out


def unpack(file: Path, places: Places) -> int:
    """Lay out what isn't there yet; returns how many files. Raises FrugalError for a file that is no such archive."""
    laid = 0
    try:
        with tarfile.open(file) as tar:
            for member in tar:
                top, _, rest = member.name.partition("/")
                if top not in ("out", *CARRIED) or not rest or not member.isfile():
                    raise FrugalError(
                        f"{file} holds {member.name}, which this command doesn't carry; name another file"
                    )
                folder = places.out if top == "out" else places.work / top
                if not (folder / rest).exists():
                    member.name = rest
                    tar.extract(member, folder, filter="data")
                    laid += 1
    except (tarfile.TarError, EOFError) as error:
        raise FrugalError(f"{file} can't be unpacked ({error}); name another file, or delete it") from error
    return laid
