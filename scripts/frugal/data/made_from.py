"""Inputs of a cache: size, time and sha256 of each file that a source read, in made-from.tsv beside the arrays.

Whoever plans looks at sizes and times alone, and at names where a whole folder was read; a terabyte is not read to find that
nothing changed. Who prepares compares the content of those files that look different. Downloaded and bundled files are not
listed: the former are verified by checksum, the latter come with a package. Lines are read one by one: there may be millions.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frugal.atomic import write_text
from frugal.differences import of_entries, some

LITTER = frozenset(  # in small letters; what starts with a dot is hidden and needs no entry
    ["@eadir", "@recycle", "#recycle", "#snapshot", "lost+found", "$recycle.bin", "system volume information"]
    + ["__macosx", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"]
)
NAME = "made-from.tsv"
HASHED = 4 << 30  # bytes; above it files are told apart by size and time alone, since a second reading may take hours
_active: list["Reading"] = []


@dataclass
class Reading:
    """What a source reads while it is noted. folder: the user's data; downloads: where nothing is noted, or None"""

    folder: Path | None
    downloads: Path | None
    files: dict[str, os.stat_result] = field(default_factory=dict)
    trees: dict[str, tuple[str, ...]] = field(default_factory=dict)


@contextmanager
def noted(folder: Path | None, downloads: Path) -> Iterator[Reading]:
    """Inside, sources tell by `read_file` and `read_tree` what they read."""
    reading = Reading(folder and Path(os.path.abspath(folder)), Path(os.path.abspath(downloads)))
    _active.append(reading)
    try:
        yield reading
    finally:
        _active.remove(reading)


def read_file(path: str | Path) -> None:
    """A source is about to read this file."""
    path = os.path.abspath(path)
    for reading in _active:
        if not (reading.downloads and Path(path).is_relative_to(reading.downloads)) and os.path.isfile(path):
            reading.files[path] = os.stat(path)


def read_tree(folder: str | Path, suffixes: tuple[str, ...]) -> None:
    """A source is about to read every file of these suffixes, in lower case, below this folder."""
    folder = os.path.abspath(folder)
    for reading in _active:
        reading.trees[folder] = suffixes
        reading.files |= {path: os.stat(path) for path in _below(folder, suffixes) if os.path.exists(path)}


def write(reading: Reading, cache: Path) -> str | None:
    """Write what was read beside a cache, and return what its manifest keeps to know it by; None where nothing was noted."""
    files = sorted(reading.files.items())
    hashed = sum(stat.st_size for _, stat in files) <= HASHED
    rows = [
        f"{stat.st_size}\t{stat.st_mtime_ns}\t{_sha256(path) if hashed else '-'}\t{json.dumps(_relative(path, reading.folder))}\n"
        for path, stat in files
    ]
    if not rows:
        (cache / NAME).unlink(missing_ok=True)
        return None
    counts = {tree: sum(1 for _ in _below(tree, suffixes)) for tree, suffixes in reading.trees.items()}
    trees = [[_relative(tree, reading.folder), suffixes, counts[tree]] for tree, suffixes in reading.trees.items()]
    mark = hashlib.sha256("".join(rows).encode()).hexdigest()[:16]
    head = {"schema": 1, "mark": mark, "folder": reading.folder and str(reading.folder), "trees": trees}
    write_text(cache / NAME, "".join([json.dumps(head) + "\n", *rows]))
    return mark


def changed(cache: Path, folder: Path | None) -> str | None:
    """How what a cache was made from looks different now, in a few words, by sizes, times and names; None: it doesn't.

    cache: its folder; folder: where the user's data lies now, None where nobody says. Data that is gone as a whole isn't missed.
    """
    for path, _, why in _differing(cache, folder):
        return f"{path} {why}"
    return None


def entry_changed(cache: Path, entry: dict[str, Any]) -> str | None:
    """How a data set's entry differs from the one that its cache was made for, in a few words; None: it doesn't.

    entry: with the name, as JSON has it. A cache that can't be read, or of before this was written down, says nothing.
    """
    try:
        return some(of_entries(json.loads((cache / "manifest.json").read_bytes()), entry)) or None
    except (OSError, ValueError, AttributeError):  # whoever opens it says what is wrong
        return None


def content_changed(cache: Path, folder: Path | None) -> str | None:
    """The same by content: files that look different are read, and are the same if their sha256 is."""
    for path, sha256, why in _differing(cache, folder):
        if sha256 in (None, "-") or not os.path.isfile(path):
            return f"{path} {why}"
        if _sha256(path) != sha256:
            return f"{path} has other content"
    return None


def renew(cache: Path, folder: Path | None) -> str:
    """Note the sizes and times that these files have now, and the folder they lie in; returns the new mark."""
    with open(cache / NAME, encoding="utf-8") as lines:
        head = json.loads(next(lines))
        at = folder and Path(os.path.abspath(folder)) or (head["folder"] and Path(head["folder"]))
        reading = Reading(at, None)
        for line in lines:
            path = os.path.join(at or "", _row(line)[3])
            reading.files[path] = os.stat(path)
    reading.trees = {os.path.join(at or "", name): tuple(suffixes) for name, suffixes, _ in head["trees"]}
    return write(reading, cache) or ""


def _differing(cache: Path, folder: Path | None) -> Iterator[tuple[str, str | None, str]]:
    """Path, sha256 of before where it is known, and what is different."""
    try:
        mark = json.loads((cache / "manifest.json").read_bytes()).get("made_from")
        if mark is None:  # bundled, generated or downloaded; or of before this was written down
            return
        with open(cache / NAME, encoding="utf-8") as lines:
            head = json.loads(next(lines))
            if head["mark"] != mark:
                yield str(cache / NAME), None, "is not that of this cache"
                return
            made, now = head["folder"], folder and os.path.abspath(folder)
            at = now or made
            if at == made and not _any_left(cache / NAME, at):
                return
            for line in lines:
                size, time, sha256, name = _row(line)
                path = os.path.join(at or "", name)
                if why := _differs(path, int(size), int(time)):
                    yield path, sha256, why
        for name, suffixes, count in head["trees"]:
            tree = os.path.join(at or "", name)
            there = sum(1 for _ in _below(tree, tuple(suffixes)))
            if there != count:
                yield tree, None, f"has {there:,} files now and had {count:,} when the cache was made"
    except (OSError, ValueError, KeyError, StopIteration, AttributeError) as error:
        yield str(cache / NAME), None, f"can't be read ({error})"


def _row(line: str) -> tuple[str, str, str, str]:
    """Size, time, sha256 and path."""
    size, time, sha256, name = line.rstrip("\n").split("\t")
    return size, time, sha256, json.loads(name)


def _any_left(listed: Path, folder: str | None) -> bool:
    """Whether any of the files is where it was: the first one, mostly."""
    with open(listed, encoding="utf-8") as lines:
        next(lines)
        return any(os.path.exists(os.path.join(folder or "", _row(line)[3])) for line in lines)


def _differs(path: str, size: int, time: int) -> str | None:
    try:
        stat = os.stat(path)
    except OSError:
        return "is not there any more"
    if stat.st_size != size:
        return "has another size than when the cache was made"
    return "has another time than when the cache was made" if stat.st_mtime_ns != time else None


def _below(folder: str, suffixes: tuple[str, ...]) -> Iterator[str]:
    """Every file of these suffixes below a folder, litter left out; each folder once, however many links lead to it."""
    seen: set[tuple[int, int]] = set()
    for at, folders, names in os.walk(folder, followlinks=True):
        there = os.stat(at)
        if (there.st_dev, there.st_ino) in seen:
            folders.clear()
            continue
        seen.add((there.st_dev, there.st_ino))
        folders[:] = sorted(name for name in folders if not _is_litter(name))
        yield from (
            os.path.join(at, name) for name in names if name.lower().endswith(suffixes) and not _is_litter(name)
        )


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in LITTER


def _relative(path: str, folder: Path | None) -> str:
    return os.path.relpath(path, folder) if folder and Path(path).is_relative_to(folder) else path


def _sha256(path: str) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
