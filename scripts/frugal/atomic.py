"""Atomic writing of files: under a temporary name, synced, then renamed, so that a file is there whole or not at all."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from frugal.errors import FrugalError

ADVICE = {
    errno.ENOSPC: "the disk is full; free some space and run again",
    errno.EDQUOT: "the disk quota is used up; free some space and run again",
    errno.EACCES: "no permission to write there; choose another folder with --config results=<folder>",
    errno.EPERM: "no permission to write there; choose another folder with --config results=<folder>",
    errno.EFBIG: "the file size limit is reached; raise it (ulimit -f) or choose another folder with --config results=<folder>",
    errno.EROFS: "the file system is read-only; choose another folder with --config results=<folder>",
    errno.ENOTDIR: "a part of that path is a file; move it away or choose another folder with --config results=<folder>",
}


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path` in one step, on any error it is removed.

    Raises FrugalError where the folder can't be written or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True) if os.path.isdir(path.parent) else None
        if error.errno not in ADVICE:
            raise
        raise FrugalError(f"cannot write {path}: {ADVICE[error.errno]}") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with writing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, content: str) -> None:
    """Write `content` to `path` as UTF-8, whole or not at all."""
    write_bytes(path, content.encode())


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as indented JSON; a NaN is an error, since JSON has none (say null and why)."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")
