"""Lock file that one process holds at a time; the system frees it on any death of the process, kill -9 included."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from frugal.atomic import ADVICE
from frugal.errors import FrugalError


@contextmanager
def exclusive(folder: Path, name: str) -> Iterator[bool]:
    """Make `folder` and hold the lock `.<name>.lock` in it; waits for whoever has it, and yields whether it had to.

    Raises FrugalError where the folder can't be written.
    """
    lock, waited = FileLock(folder / f".{name}.lock"), False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            waited = True
            print(f"waiting for another process that holds {lock.lock_file}", file=sys.stderr, flush=True)
            lock.acquire()
    except FileExistsError as error:
        raise FrugalError(f"cannot write {folder}: a file of that name is in the way; move it away") from error
    except OSError as error:
        advice = ADVICE.get(error.errno, f"{error.strerror}; choose another folder")
        raise FrugalError(f"cannot write {folder}: {advice}") from error
    try:
        yield waited
    finally:
        lock.release()
