"""Scores of training samples: how they are computed, and scores.npy of a scoring run, whose user is charged with them."""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from frugal.errors import FrugalError
from frugal.measure.ledger import Charge
from frugal.record import METRICS, SCORES
from frugal.training.batches import Epoch, cut
from frugal.training.forward import laid_out
from frugal.training.state import RunState


@dataclass(frozen=True)
class Scoring:
    """What a run that uses another's scores is given.

    scores: (n, columns) float32, NaN where a sample has none; charge: all that the run spent which made them; checksum: sha256
    of their file
    """

    scores: Tensor
    charge: Charge
    checksum: str

    def of(self, samples: int, name: str) -> Tensor:
        """The scores, (n, columns), of a training set of so many samples; raises FrugalError where they are of other data.

        name: of the strategy that made them
        """
        if len(self.scores) != samples:
            raise FrugalError(
                f"{name} scored {len(self.scores)} samples, and the training set has {samples}; delete the record of {name} "
                "and run again"
            )
        return self.scores

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


def score_training_set(
    state: RunState, score: Callable[[Tensor, Tensor], Tensor], samples: Tensor | None = None, backward: bool = False
) -> Tensor:
    """Scores (n,) of the training set, or of these samples (m,) of it: see `frugal.strategies.base.TrainingState`.

    Raises FrugalError for a score that isn't a finite number.
    """
    data, team, ledger = state.train_data, state.team, state.ledger
    wanted = torch.arange(len(data)) if samples is None else samples.cpu()
    size = min(state.recipe.batch_size if backward else data.evaluated_at_once, len(wanted))
    share = team.share(Epoch(wanted, None, cut(len(wanted), size), None).to(state.device))
    data.follow(share.order, share.bounds, share.segments, 0)
    state.model.eval()
    parts = []
    for start, stop in share.bounds:
        indices = share.order[start:stop]
        with state.forward.autocast:
            parts.append(score(laid_out(data.read(indices)), data.labels.index_select(0, indices)).float())
    state.model.train()
    found = torch.full((len(data),), float("nan"))
    for order, scores in team.gather((share.order.cpu(), torch.cat(parts).cpu())):
        found[order] = scores
    flops, count = state.flops_at(data.shape[-1]), len(wanted)
    ledger.add_flops("scoring", count, flops.forward)
    if backward:
        ledger.add_flops("scoring", count, flops.backward)
        ledger.charged_samples_backpropagated += count
    ledger.samples_forwarded += count
    ledger.bytes_raw += count * data.raw_bytes_per_sample
    if state.batches is not None:  # before the first batch they are counted with it
        ledger.bytes_read += team.total(data.take_bytes())[0]
    if bad := int((~found[wanted].isfinite()).sum()):
        raise FrugalError(f"the scores of {bad} of {count} samples are no finite numbers; lower recipe.learning_rate")
    return found
