"""The last loss of every sample, as far as it is known: inf where a sample was never seen.

Nothing here copies all of them at once: at 100 million samples each copy in float64 would be 800 MB.
"""

import torch
from torch import Tensor

from frugal.errors import FrugalError

CHUNK = 2**18  # stays in the cache of a CPU


def check_losses(losses: Tensor, samples: int) -> None:
    """Raises FrugalError unless there is one loss for each sample, (n,): a mean over the batch says nothing about any of them."""
    if losses.dim() != 1 or len(losses) != samples:
        shape = "a single number" if losses.dim() == 0 else f"of shape {tuple(losses.shape)}"
        raise FrugalError(
            f"the losses to select samples by are {shape}, but one for each of {samples} samples is needed; "
            "compute the loss with reduction='none'"
        )


def mean_of_seen(losses: Tensor) -> float | None:
    """Mean in float64 of the finite ones of `losses` (n,); None where no sample was seen."""
    total = torch.zeros((), dtype=torch.float64, device=losses.device)
    count = torch.zeros((), dtype=torch.int64, device=losses.device)
    for part in losses.split(CHUNK):
        seen = part.isfinite()
        total += torch.where(seen, part, 0).sum(dtype=torch.float64)
        count += seen.sum()
    return total.item() / count.item() if count else None


def below(losses: Tensor, bound: float) -> Tensor:
    """The mask (n,) of `losses` (n,) less than `bound`, compared as if in float64."""
    nearest = torch.tensor(bound, dtype=losses.dtype)
    if nearest.item() < bound:  # the next one up separates the same losses
        nearest = nearest.nextafter(torch.tensor(torch.inf, dtype=losses.dtype))
    return losses < nearest.item()
