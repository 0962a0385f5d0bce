"""Scores that the run which is followed left for each training sample, as the strategies that use them take them."""

import torch
from torch import Tensor

from frugal.errors import FrugalError
from frugal.strategies.base import Run


def scores_of(run: Run, use: str) -> Tensor:
    """(n, columns) float32. use: of the strategy. Raises FrugalError where no run is followed, or it left samples without one."""
    if run.scores is None:
        raise FrugalError(f"{use} uses the scores of another run; name a strategy that makes them with `follows:`")
    if lacking := int(run.scores.isnan().any(1).sum()):
        raise FrugalError(
            f"{use}: {lacking} of {run.samples} samples have no score in the run it follows; follow one that scores all"
        )
    return run.scores


def ascending(scores: Tensor, generator: torch.Generator) -> Tensor:
    """(n,) int64 on the host: the samples from the lowest to the highest of `scores` (n,), those that tie in random order."""
    mixed = torch.randperm(len(scores), generator=generator)
    return mixed[scores.cpu()[mixed].argsort(stable=True)]


def as_mask(chosen: Tensor, samples: int) -> Tensor:
    """(m,) int64 -> (samples,) bool."""
    mask = torch.zeros(samples, dtype=torch.bool)
    mask[chosen] = True
    return mask
