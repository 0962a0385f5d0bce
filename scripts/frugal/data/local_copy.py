"""Local copy of a cache, on a disk nearer to its reader, such as that of a cluster's node, which all runs there share."""

import json
import os
import shutil
from pathlib import Path

from frugal.atomic import writing
from frugal.data.lock import exclusive
from frugal.errors import FrugalError


def local_copy(manifest: Path, scratch: str) -> Path:
    """The manifest of a cache's copy, made by the first who asks for it; the others wait until it is there.

    manifest: of a prepared cache; scratch: folder for copies, in which variables such as $TMPDIR are replaced.
    Raises FrugalError where a variable is not set or the folder can't be written. Whoever opens the copy verifies it.
    """
    place = os.path.expandvars(scratch)
    if "$" in place:
        raise FrugalError(f"scratch is {scratch!r}, but that variable is not set here; set it or name a folder")
    try:
        content = json.loads(Path(manifest).read_bytes())
        files, copy = [*content["files"], *content.get("documents", {})], Path(place) / content["checksum"][:16]
    except (OSError, ValueError, TypeError, KeyError):
        return manifest  # open_cache says what is wrong with it
    with exclusive(copy, "copy"):
        if not (copy / "manifest.json").exists():
            for name in (*files, "manifest.json"):  # the manifest last: where it is, the copy is whole
                with writing(copy / name) as temporary:
                    shutil.copyfile(Path(manifest).parent / name, temporary)
    return copy / "manifest.json"
