"""Download of a published file: from the first mirror that delivers the right bytes, whole or not at all."""

import hashlib
import sys
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from frugal.atomic import writing
from frugal.data.lock import exclusive
from frugal.errors import FrugalError

TIMEOUT = 30.0  # seconds a server may be silent before the next mirror is tried
PIECE = 1 << 16


class MirrorError(Exception):
    """What one mirror answered instead of the file."""


def verify(path: Path, sha256: str | None) -> str:
    """The file's sha256; raises FrugalError where it isn't the expected one (None: nothing is expected)."""
    try:
        with open(path, "rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise FrugalError(f"{path} can't be read: {error.strerror}") from error
    if sha256 and found != sha256:
        raise FrugalError(
            f"{path} is not the published file: sha256 expected {sha256}, found {found}; remove or replace it"
        )
    return found


def download(
    name: str, mirrors: list[str], sha256: str | None, folder: Path, timeout: float = TIMEOUT, advice: str = ""
) -> Path:
    """Bring `name` into `folder` and return its path; a verified file that is already there is not fetched again.

    mirrors: addresses that `name` is appended to, tried in turn; sha256: of the file, None where it isn't known;
    timeout: seconds a server may be silent; advice: another place where the file may be put, for the error.
    Raises FrugalError with every mirror's answer where none delivers the file.
    """
    path = folder / name
    with exclusive(folder, name):  # whoever waited finds the file
        if path.exists():
            verify(path, sha256)
            return path
        for left_over in folder.glob(f".{name}.*.tmp"):  # of a process that was killed: nothing half-written is resumed
            left_over.unlink()
        answers = []
        for mirror in mirrors:
            url = mirror.rstrip("/") + "/" + name
            print(f"downloading {url}", file=sys.stderr)
            try:
                with writing(path) as temporary:
                    _fetch(url, sha256, temporary, timeout)
                return path
            except MirrorError as error:
                answers.append(" ".join(f"{url}: {error}".split()))  # one line, whatever the server wrote
    tried = "no mirror delivered it (" + "; ".join(answers) + ")" if answers else "no mirror is configured"
    checksum = f" with sha256 {sha256}" if sha256 else ""
    raise FrugalError(f"{name} is missing and {tried}; put the file{checksum} into {advice}{folder.absolute()}")


def _fetch(url: str, sha256: str | None, to: Path, timeout: float) -> None:
    """Write what `url` delivers to `to`; raises MirrorError unless it is whole and has the checksum."""
    digest = hashlib.sha256()
    name = url.rsplit("/", 1)[-1]
    pieces = _pieces(url, timeout)
    total = next(pieces)
    with (
        open(to, "wb") as stream,
        tqdm(total=total, desc=name, unit="B", unit_scale=True, leave=False, disable=None) as bar,
    ):
        for piece in pieces:
            stream.write(piece)
            digest.update(piece)
            bar.update(len(piece))
        received = stream.tell()
    if total is not None and received != total:
        raise MirrorError(f"truncated, {received:,} of {total:,} bytes")
    if sha256 and digest.hexdigest() != sha256:
        raise MirrorError(f"not the published file, sha256 {digest.hexdigest()}")


def _pieces(url: str, timeout: float) -> Iterator:
    """First the announced length or None, then the bytes in pieces; whatever goes wrong on the way is a MirrorError."""
    if not url.startswith(("http://", "https://")):
        raise MirrorError("not an http:// or https:// address")
    try:
        with urlopen(Request(url, headers={"User-Agent": "frugal"}), timeout=timeout) as response:
            yield response.length
            while piece := response.read1(PIECE):  # read1: what has arrived, so that the bar moves
                yield piece
    except HTTPError as error:
        raise MirrorError(f"HTTP {error.code} {error.reason}") from error
    except TimeoutError as error:
        raise MirrorError(f"silent for {timeout:g} s") from error
    except URLError as error:
        silent = isinstance(error.reason, TimeoutError)
        raise MirrorError(f"silent for {timeout:g} s" if silent else str(error.reason)) from error
    except (OSError, HTTPException, ValueError) as error:
        raise MirrorError(f"{type(error).__name__}: {error}") from error
