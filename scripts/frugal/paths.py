"""Paths of a config, with ~ replaced by the home folder."""

import os
from pathlib import Path


def meant(path: str) -> str:
    """A path with its ~ replaced by the home folder, and without slashes that change nothing; raises ValueError for none.

    A path that begins with a variable, as $TMPDIR, stays as it is: each node has its own.
    """
    if not path.strip():
        raise ValueError("give the name of a folder")
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise ValueError(
            f"there is no user {Path(expanded).parts[0].removeprefix('~')!r} whose home folder it could be"
        )
    return str(Path(expanded))
