"""Folders of a data set: where they are, and which files in them are data; other files are left out, counted and noted.

Hidden files and what operating systems, file managers and notebooks leave behind (LITTER) are no data. Links are followed,
but each folder is read once: a link to one that is read anyway, or to one above it, would bring the same samples again,
or into another class. Endings are those of a name whatever its case. The order is that of the names, on every machine.
"""

import errno
import math
import os
import stat
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from frugal.data.made_from import LITTER, read_tree
from frugal.errors import FrugalError

INTO = "into a folder of yours, and name that folder: export FRUGAL_DATA=<folder>, or --config data=<folder>"
BROKEN_LINK = "a link that leads nowhere"
MOST_ENDINGS = 12  # named in a note
Key = tuple[int, int]  # device and inode: what a file or folder is, by whatever path it is reached


@dataclass
class Folders:
    """Class folders of a data set and their files, all its splits. endings: of the files that are data, in small letters;
    one, many: what these are called, ".txt file" and "texts"
    """

    home: Path
    endings: tuple[str, ...]
    one: str
    many: str
    litter: Counter = field(default_factory=Counter)
    beside: Counter = field(default_factory=Counter)  # next to the class folders, by ending
    other: Counter = field(default_factory=Counter)  # in the class folders, by ending
    repeated: list[str] = field(default_factory=list)
    not_followed: list[str] = field(default_factory=list)
    roots: set[Key] = field(default_factory=set)

    def classes(self, places: list[Path]) -> dict[str, list[Path]]:
        """Class folders by name, sorted within each place. Raises FrugalError where there are none, or one is two classes."""
        found: dict[str, list[Path]] = {}
        keys: dict[Key, str] = {}
        for place in places:
            read_tree(place, self.endings)
            self.roots.add(_key(os.stat(place)))
            for entry in self._entries(place):
                if not _is_folder(entry):
                    if not os.path.exists(entry.path):
                        raise FrugalError(f"{shown(entry.path)} is {BROKEN_LINK}; mend it or remove it")
                    self.beside[_ending(entry.name)] += 1
                    continue
                other = keys.setdefault(_key(entry.stat()), entry.name)
                if other != entry.name:
                    raise FrugalError(
                        f"{shown(place)}: classes {shown(other)} and {shown(entry.name)} are the same folder; remove the link"
                    )
                found.setdefault(entry.name, []).append(Path(entry.path))
        if not found:
            raise FrugalError(f"{places[0]} has no class folders; {self.many} belong into one folder per class")
        self.roots |= keys.keys()
        return found

    def files(self, classes: dict[str, list[Path]]) -> dict[str, list[Path]]:
        """The files under the folders of each class, sorted by name. Raises FrugalError for a class without any.

        Called when `classes` was for every split. A link that leads nowhere is among the files, and fails when it is read.
        """
        taken, links, found = set(self.roots), deque(), {}
        for name, places in classes.items():
            seen: set[Key] = set()  # of a class in all its places
            found[name] = [_Found(seen) for _ in places]
            for place, read in zip(places, found[name], strict=True):
                links += ((link, read) for link in self._walk(place, read, taken))
        if links:  # after all that lies there itself, so that no link takes a folder away from its class
            taken |= self._above(classes)
        while links:
            link, read = links.popleft()
            key = _key(os.stat(link))
            if key in taken:
                self.not_followed.append(os.path.relpath(link, self.home))
                continue
            taken.add(key)
            links += ((further, read) for further in self._walk(Path(link), read, taken))
        for name, parts in found.items():
            others = sum((read.other for read in parts), Counter())
            if not any(read.paths for read in parts):
                here = f", only {_counted(others)}" if others else ""
                raise FrugalError(
                    f"{shown(classes[name][0])} has no {self.one}{here}; add some or remove the empty class folder"
                )
            self.other += others
        return {name: [path for read in parts for path in read.sorted()] for name, parts in found.items()}

    def listed(self, place: Path) -> list[Path]:
        """The files in one folder, without those in folders under it, sorted by name; none is no error."""
        read_tree(place, self.endings)
        read = _Found()
        folders = self._walk(place, read, None)
        self.other += read.other + Counter({"that are folders": len(folders)})
        return read.sorted()

    def notes(self) -> tuple[str, ...]:
        """What was met and is not among the samples, one sentence each."""
        said = []
        if self.other:
            said.append(f"not read: {_counted(self.other)}")
        if self.beside:
            said.append(f"beside the class folders and not read: {_counted(self.beside)}")
        if self.litter:
            kinds = ", ".join(f"{count:,} {name}" for name, count in sorted(self.litter.items()))
            said.append(f"not data, and not looked at: {kinds}")
        if self.repeated:
            said.append(
                f"{len(self.repeated):,} files are other {self.many} of their class by another name and count once, "
                f"e.g. {shown(min(self.repeated))}"
            )
        if self.not_followed:
            said.append(
                f"{len(self.not_followed):,} links lead to folders that are read anyway, or above them, and are not followed, "
                f"e.g. {shown(min(self.not_followed))}"
            )
        return tuple(said)

    def _entries(self, place: Path | str) -> list[os.DirEntry]:
        """What is in a folder, sorted by name, without litter. Raises FrugalError where it can't be read."""
        try:
            with os.scandir(place) as entries:
                there = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise FrugalError(f"{shown(place)} can't be read: {error.strerror}; mend that and run again") from error
        kept = []
        for entry in there:
            if entry.name.startswith("."):
                self.litter["hidden"] += 1
            elif entry.name.lower() in LITTER:
                self.litter[entry.name.strip()] += 1
            else:
                kept.append(entry)
        return kept

    def _walk(self, place: Path, read: "_Found", taken: set[Key] | None) -> list[str]:
        """Add the files under a folder to a class; returns the links to folders met on the way.

        taken: folders that are read, to which those under this one are added; None: enter none, and return all of them
        """
        links, waiting = [], [str(place)]
        while waiting:
            for entry in self._entries(waiting.pop()):
                if not _is_folder(entry):
                    self._add(entry, read)
                elif taken is None or entry.is_symlink():
                    links.append(entry.path)
                elif (key := _key(entry.stat())) in taken:
                    self.not_followed.append(os.path.relpath(entry.path, self.home))
                else:
                    taken.add(key)
                    waiting.append(entry.path)
        return links

    def _add(self, entry: os.DirEntry, read: "_Found") -> None:
        """Take a file among those of its class, or count it."""
        ending = _ending(entry.name)
        if ending not in self.endings:
            read.other[ending] += 1
            return
        try:
            status = entry.stat()
        except OSError:
            read.paths.append(entry.path)  # whoever reads it says why it can't be
            return
        if not stat.S_ISREG(status.st_mode):
            read.other["that are no regular files"] += 1  # reading a pipe would wait for ever
        elif status.st_ino and (key := _key(status)) in read.seen:
            self.repeated.append(os.path.relpath(entry.path, self.home))
        else:
            if status.st_ino:  # some network file systems have none
                read.seen.add(key)
            read.paths.append(entry.path)

    def _above(self, classes: dict[str, list[Path]]) -> set[Key]:
        """Every folder above a class's, by the way of its name and by that of its links."""
        starts = {way for places in classes.values() for place in places for way in (place.absolute(), place.resolve())}
        return {_key(above.stat()) for above in {above for start in starts for above in start.parents}}


@dataclass
class _Found:
    """What was found under one folder of a class. seen: files of the class, shared by its folders"""

    seen: set[Key] = field(default_factory=set)
    paths: list[str] = field(default_factory=list)
    other: Counter = field(default_factory=Counter)

    def sorted(self) -> list[Path]:
        """By the names of folders and files, from the outermost."""
        return [Path(path) for path in sorted(self.paths, key=lambda path: path.split(os.sep))]


def is_broken_link(error: OSError, path: Path) -> bool:
    """Whether a file could not be read because it is a link to what is not there: damage, not a disk or a permission."""
    return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP) and path.is_symlink()


def encodable(name: str | Path) -> str:
    """A file's name as text that can be written as UTF-8: bytes that are none, and carriage returns, as \\x.."""
    return os.fsencode(name).decode("utf-8", "backslashreplace").replace("\r", "\\r")


def shown(name: str | Path) -> str:
    """A file's name within a message, which is one line."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in encodable(name))


def _is_folder(entry: os.DirEntry) -> bool:
    """Of links, what they lead to; those in a circle are no folders."""
    return entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and os.path.isdir(entry.path))


def _key(status: os.stat_result) -> Key:
    return status.st_dev, status.st_ino


def _ending(name: str) -> str:
    """The ending in small letters; where a dot only belongs to a sentence, there is none."""
    ending = os.path.splitext(name)[1].lower()
    return ending if ending[1:].isalnum() and len(ending) <= 9 else ""


def _counted(endings: Counter) -> str:
    """The most frequent first: "12 .txt, 3 without an ending"."""
    kinds = sorted(endings.items(), key=lambda kind: (-kind[1], kind[0] or "~"))
    named = [f"{count:,} {ending or 'without an ending'}" for ending, count in kinds]
    rest = sum(count for _, count in kinds[MOST_ENDINGS:])
    return ", ".join(named[:MOST_ENDINGS] + ([f"{rest:,} of other endings"] if rest else []))


def home_of(folder: Path | None, folders: list[str], holds: str, what: str) -> Path:
    """The first of `folders` in the data folder that has an entry `holds`.

    what: "these texts are", for the error. Raises FrugalError where there is none.
    """
    looked = " or ".join(str(Path(name, holds)) for name in folders)
    if folder is None:
        raise FrugalError(f"{what} not downloaded: put {looked} {INTO}")
    if not folder.is_dir():
        raise FrugalError(f"the data folder {folder} does not exist; make it or correct FRUGAL_DATA")
    found = next((place for name in folders if (place := folder / name / holds).exists()), None)
    if found is None:
        raise FrugalError(
            f"the data folder {folder} has no {looked}; put the data there, correct FRUGAL_DATA, or set the option of the "
            "data set that says where it lies"
        )
    return found.parent


class TooManyDamaged(FrugalError):
    """More files than may be left out can't be used. skipped: (name, reason) of each, to be listed where the cache would be."""

    def __init__(self, said: str, skipped: Sequence[tuple[str, str]]):
        super().__init__(said)
        self.skipped = skipped


def limited(skipped: Sequence[tuple[str, str]], of: int, damaged: float, what: str = "files") -> tuple[str, ...]:
    """A note on what was left out, none for none. Raises TooManyDamaged where it is more than a share `damaged` of all."""
    if not skipped:
        return ()
    name, reason = skipped[0]
    said = f"{len(skipped):,} of {of:,} {what} can't be used"
    if len(skipped) / of > damaged:
        raise TooManyDamaged(
            f"{said}, more than the share {damaged:g} that may be left out; the first is {shown(name)} ({reason}); "
            f"mend them{allowing(len(skipped), of)}",
            skipped,
        )
    return (f"{said} and are left out: see skipped.csv",)


def allowing(skipped: int, of: int) -> str:
    """What else to do than mend them, for the end of a message: the option by which as many may be left out; "" where all are."""
    if skipped == of:
        return ""
    share = math.ceil(100 * skipped / of) / 100
    return f", or leave them out with `damaged: {share:g}` among the options of the data set"
