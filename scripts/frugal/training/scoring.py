"""Scores of a scoring run: scores.npy of its record, and what whoever uses them is charged."""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from frugal.errors import FrugalError
from frugal.measure.ledger import Charge
from frugal.record import METRICS, SCORES


@dataclass(frozen=True)
class Scoring:
    """What a run that uses another's scores is given.

    scores: (n, columns) float32, NaN where a sample has none; charge: all that the run spent which made them; checksum: sha256
    of their file
    """

    scores: Tensor
    charge: Charge
    checksum: str

    @property
    def identity(self) -> dict[str, Any]:
        """What a follower's own result depends on; seconds and joules are charged to its record alone."""
        return {"scores": self.checksum, "charged": self.charge.counts}


def as_file(scores: Tensor | None) -> bytes:
    """scores.npy of any run: (n,) or (n, columns) float32 -> (n, columns), None -> (0, 0)."""
    array = np.zeros((0, 0), np.float32) if scores is None else scores.float().cpu().numpy()
    content = io.BytesIO()
    np.save(content, array.reshape(len(array), -1) if array.ndim == 1 else array, allow_pickle=False)
    return content.getvalue()


def read_scoring(folder: Path, name: str) -> Scoring:
    """The scores in a record's folder, and what the run spent. name: of its strategy.

    Raises FrugalError where there is no such record, it can't be read, or it holds no scores.
    """
    try:
        content = (folder / SCORES).read_bytes()
        scores = np.load(io.BytesIO(content), allow_pickle=False)
        charge = Charge.of(json.loads((folder / METRICS).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise FrugalError(
            f"it uses the scores of {name}, whose record {folder} can't be read ({error}); delete that folder and run again"
        ) from error
    if scores.dtype != np.float32 or scores.ndim != 2 or not len(scores):
        raise FrugalError(
            f"it uses the scores of {name}, which scores no samples ({folder / SCORES} is empty); follow a run that does"
        )
    return Scoring(torch.from_numpy(scores), charge, hashlib.sha256(content).hexdigest())
