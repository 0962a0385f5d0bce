"""One process at a time: a lock file that the system frees on any death, kill -9 included."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from frugal.atomic import ADVICE
from frugal.errors import FrugalError


@contextmanager
def alone(folder: Path, name: str) -> Iterator[None]:
    """Make `folder` and hold the lock `.<name>.lock` in it; waits for whoever has it.

    Raises FrugalError where the folder can't be written.
    """
    lock = FileLock(folder / f".{name}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except FileExistsError as error:
        raise FrugalError(f"cannot write {folder}: a file of that name is in the way; move it away") from error
    except OSError as error:
        advice = ADVICE.get(error.errno, f"{error.strerror}; choose another folder")
        raise FrugalError(f"cannot write {folder}: {advice}") from error
    try:
        yield
    finally:
        lock.release()
