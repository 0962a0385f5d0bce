"""Exactly so many of many, on the device they lie on, in time that grows linearly: at random, or those of lowest value.

A permutation of 100 million jumps through memory, and on a CPU a sample then costs several times what it costs among a
million. A coin for each sample doesn't jump; the coins give a few too many, and so many are put back at random. Every subset
of the wanted size stays equally likely, since nothing in this tells one sample from another.
"""

from math import sqrt

import torch
from torch import Tensor

CHUNK = 2**18  # coins at a time: they stay in the cache of a CPU, and need no memory of the size of the data set
SMALL = 2**16  # so many are permuted


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
