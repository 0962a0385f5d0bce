"""Selection of an exact number of samples by their scores, which are their last losses.

The last loss is inf where a sample was never seen. Nothing here copies all of them at once: at 100 million samples each
copy in float64 would be 800 MB. Drawing takes time that grows linearly: a permutation of 100 million jumps through memory,
and on a CPU a sample then costs several times what it costs among a million. A coin for each sample doesn't jump; the coins
give a few too many, and so many are put back at random. Every subset of the wanted size stays equally likely, since nothing
in this tells one sample from another.
"""

from math import ceil, floor, sqrt

import torch
from torch import Tensor

from frugal.errors import FrugalError

CHUNK = 2**18  # samples at a time: they stay in the cache of a CPU, and need no memory of the size of the data set
SMALL = 2**16  # so many are permuted
SCALES = {"fresh": 1.0, "half": 0.5}  # of images that a pass of its own scores, per side, by the name of the scoring


def draw(pool: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """A uniformly random subset of exactly `count` of the true entries of `pool`, as a mask.

    pool: (n,) bool; generator: of the device that `pool` lies on; returns (n,) bool. Raises ValueError where the pool has less.
    """
    size = number(pool)
    if not 0 <= count <= size:
        raise ValueError(f"cannot draw {count} of {size}")
    drawn = pool.clone()
    if size > SMALL and count < size:
        size = _toss(drawn, count, size, generator)
    _put_back(drawn, size, size - count, generator)
    return drawn


def lowest(values: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """The mask (n,) of the `count` lowest of `values` (n,), at least one; those that tie for the last places are drawn."""
    last = values.kthvalue(count).values
    sure = values < last
    return sure.logical_or_(draw(values == last, count - number(sure), generator))


def count_of(share: float, samples: int) -> int:
    """A share of the samples as a number, rounded down, at least one. 0.29 of 100 is a little less than 29 in floating point."""
    return max(1, floor(round(share * samples, 9)))


def number(mask: Tensor) -> int:
    """How many entries of a mask (n,) are true; its sum would first make a copy of eight bytes an entry."""
    return int(mask.count_nonzero())


def _toss(drawn: Tensor, count: int, size: int, generator: torch.Generator) -> int:
    """Leave of the `size` true entries of `drawn` at least `count`, a few more, in place; returns how many.

    The coins are so biased that they give less about once in a billion times; then all are tossed again.
    """
    share = (count + 6 * (sqrt(count) + 1)) / size
    whole = drawn.clone()
    while True:
        for part in drawn.split(CHUNK):
            part &= torch.rand(len(part), generator=generator, device=part.device) < share
        left = number(drawn)
        if left >= count:
            return left
        drawn.copy_(whole)


def _put_back(drawn: Tensor, size: int, surplus: int, generator: torch.Generator) -> None:
    """Clear `surplus` of the `size` true entries of `drawn`, each set of them equally likely, in place."""
    if surplus and size <= SMALL:
        places = drawn.nonzero().squeeze(1)
        order = torch.randperm(size, generator=generator, device=drawn.device)
        drawn.index_fill_(0, places[order[:surplus]], False)
        return
    while surplus > 0:  # darts at all entries: a hit counts unless that entry was hit before
        darts = int(1.1 * surplus * len(drawn) / size) + 100
        places = torch.randint(len(drawn), (darts,), generator=generator, device=drawn.device)
        hits = places[drawn[places]][:surplus].unique()
        drawn.index_fill_(0, hits, False)
        surplus -= len(hits)


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


def selecting_epochs(delta: float, epochs: float) -> int:
    """The smallest whole number that is at least delta * epochs: epochs before it (from 0) select."""
    # Rounded first: 0.7 * 10 is a little more than 7 in floating point.
    return ceil(round(delta * epochs, 9))
