"""The state of a run on disk: written atomically, checked when read, the last two kept.

A file is what `torch.save` writes followed by its sha256. The folder carries the run's fingerprint, so a checkpoint of
other code, data or parameters is never found, let alone resumed.
"""

import hashlib
import io
import pickle
import sys
from pathlib import Path
from typing import Any

import torch

from frugal.atomic import write_bytes
from frugal.errors import FrugalError

DIGEST = hashlib.sha256().digest_size


class Checkpoints:
    """The checkpoints of one fingerprint in `folder`/<first 16 digits of it>."""

    KEPT = 2

    def __init__(self, folder: Path, fingerprint: str):
        self.folder = Path(folder) / fingerprint[:16]
        self.fingerprint = fingerprint

    def save(self, steps: int, state: dict[str, Any]) -> None:
        """Write the state after `steps` optimizer steps and let go of all but the last two files."""
        buffer = io.BytesIO()
        torch.save({"fingerprint": self.fingerprint, **state}, buffer)
        content = buffer.getvalue()
        write_bytes(self.folder / f"step-{steps:09d}.pt", content + hashlib.sha256(content).digest())
        for old in self._files()[: -self.KEPT]:
            old.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """The newest sound state, or None where there is none yet.

        A damaged newest file falls back to the older one with a warning. Raises FrugalError where every file is damaged.
        """
        files = self._files()
        for file in reversed(files):
            try:
                return self._read(file)
            except (ValueError, OSError, RuntimeError, pickle.UnpicklingError) as error:
                print(
                    f"frugal: warning: checkpoint {file} is damaged ({error}); trying the one before", file=sys.stderr
                )
        if files:
            raise FrugalError(f"no checkpoint in {self.folder} is sound; remove that folder to train from the start")
        return None

    def _read(self, file: Path) -> dict[str, Any]:
        content = file.read_bytes()
        if hashlib.sha256(content[:-DIGEST]).digest() != content[-DIGEST:]:
            raise ValueError("its checksum does not match")
        state = torch.load(io.BytesIO(content[:-DIGEST]), map_location="cpu", weights_only=True)
        if state["fingerprint"] != self.fingerprint:
            raise FrugalError(
                f"{file} belongs to another run (fingerprint {state['fingerprint'][:16]}, this one is {self.fingerprint[:16]}); "
                "remove that folder to train from the start"
            )
        return state

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"))
