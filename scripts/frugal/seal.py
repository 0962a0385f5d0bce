"""Seal of a record: its manifest.json names the checksum of each of its files, and ends with one over itself.

What a record is of stands at the end of the manifest, so that it can be read without the rest: `run` (its path), `plan`
(`frugal.spec.RunSpec.plan`), `data_checksum`, `followed` (the sha256 of the history.csv that a control repeats, else null),
`fingerprint`, `files` (sha256 and bytes by name) and `seal`, the sha256 of everything above it. It shows what was changed
afterwards, by hand or by a disk; whoever wants to forge a record can compute it as well.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

FILES = ("metrics.json", "history.csv", "iterations.csv", "trace.csv")  # that a manifest seals
SMALL = FILES[:2]  # read whenever a workflow is planned; of the others, which grow with the steps, the size
IDENTITY = ("run", "plan", "data_checksum", "followed", "fingerprint")
_START, _SEAL, _END = b'\n  "run": ', b',\n  "seal": "', b'"\n}\n'


class Unsealed(Exception):
    """The record is not sealed, not what was sealed, or can't be read; why, in one line. file: its name in the record."""

    def __init__(self, file: str, why: str):
        super().__init__(why)
        self.file = file


def seal(about: dict[str, Any], contents: dict[str, bytes]) -> bytes:
    """manifest.json. about: what it says, the keys IDENTITY among it; contents: bytes of FILES by name."""
    files = {name: {"sha256": _sha256(contents[name]), "bytes": len(contents[name])} for name in FILES}
    before = {key: value for key, value in about.items() if key not in IDENTITY}
    whole = {**before, **{key: about[key] for key in IDENTITY}, "files": files}
    body = json.dumps(whole, indent=2, allow_nan=False).encode().removesuffix(b"\n}")
    return body + _SEAL + _sha256(body).encode() + _END


def read_identity(folder: str | Path) -> dict[str, Any]:
    """`run` to `files` of the sealed manifest in a record's folder. Raises Unsealed."""
    name = "manifest.json"
    body, mark, end = _read(folder, name).rpartition(_SEAL)
    if not mark:
        raise Unsealed(name, "no seal: it is cut off, was changed, or was made by a version that sealed no records")
    start = body.rfind(_START)
    if end != _sha256(body).encode() + _END or start < 0:
        raise Unsealed(name, "its seal is broken: it was changed after the run, or is damaged")
    try:
        found = json.loads(b"{" + body[start:] + b"}")
        return {key: found[key] for key in (*IDENTITY, "files")}
    except (ValueError, KeyError) as error:
        raise Unsealed(name, f"it says not what it is of ({error})") from error


def check_files(folder: str | Path, files: dict[str, dict[str, Any]], thoroughly: bool) -> None:
    """Raise Unsealed for the first file that is not what was sealed. thoroughly: else of larger ones the size alone."""
    if tuple(files) != FILES:
        raise Unsealed("manifest.json", f"it seals {', '.join(files)}, a record has {', '.join(FILES)}")
    for name, sealed in files.items():
        if thoroughly or name in SMALL:
            content = _read(folder, name)
            same = len(content) == sealed["bytes"] and _sha256(content) == sealed["sha256"]
        else:
            same = _size(folder, name) == sealed["bytes"]
        if not same:
            raise Unsealed(name, "its seal is broken: it was changed after the run, or is damaged")


def _read(folder: str | Path, name: str) -> bytes:
    try:
        with open(f"{folder}/{name}", "rb", buffering=0) as file:
            return file.read()
    except OSError as error:
        raise Unsealed(name, f"it can't be read ({error.strerror})") from error


def _size(folder: str | Path, name: str) -> int:
    try:
        return os.stat(f"{folder}/{name}").st_size
    except OSError as error:
        raise Unsealed(name, f"it can't be read ({error.strerror})") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
