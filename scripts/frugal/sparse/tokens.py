"""Random subsets of tokens: drawn for each sample, in the order they had, put back where they came from.

A module that leaves out some of its tokens while it trains has an attribute `kept_share`, the share of them that it works on.
Draws come from torch's own generator of the device, as those of dropout do: every rank
has its own, and a checkpoint holds its state.
"""

import torch
from torch import Tensor


def kept(tokens: int, share: float) -> int:
    """How many of so many tokens are kept, at least one."""
    return max(1, round(share * tokens))


def draw(tokens: Tensor, count: int, real: Tensor | None = None) -> Tensor:
    """Places (b, count) of tokens (b, L, hidden), drawn uniformly for each sample, ascending.

    real: (b, L) bool, False where a text has ended; a sample of which only padding would be drawn gets one of its own tokens
    in place of the last that was drawn, since attention to nothing is no number
    """
    ranks = torch.rand(tokens.shape[:2], device=tokens.device)
    if real is not None:  # the foremost of the real tokens goes first: no change, unless none was among those drawn
        foremost = ranks.masked_fill(~real, -1).argmax(1, keepdim=True)
        ranks = ranks.scatter(1, foremost, 2)
    return ranks.topk(count, dim=1, sorted=False).indices.sort(dim=1).values


def pick(tokens: Tensor, places: Tensor) -> Tensor:
    """Tokens (b, L, hidden) at places (b, n) -> (b, n, hidden)."""
    return tokens.flatten(0, 1).index_select(0, _rows(tokens, places)).unflatten(0, places.shape)


def put_back(tokens: Tensor, places: Tensor, changed: Tensor) -> Tensor:
    """Tokens (b, L, hidden) with those at places (b, n) replaced by `changed` (b, n, hidden), the others as they are."""
    rows = _rows(tokens, places)
    return tokens.flatten(0, 1).index_copy(0, rows, changed.flatten(0, 1).to(tokens.dtype)).view_as(tokens)


def _rows(tokens: Tensor, places: Tensor) -> Tensor:
    first = torch.arange(len(tokens), device=tokens.device) * tokens.shape[1]
    return (places + first[:, None]).flatten()
