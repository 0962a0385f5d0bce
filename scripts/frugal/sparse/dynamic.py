"""Dynamic sparsity: the kept units of a layer are moved, with the optimizer's moments of those that stay."""

import torch
from torch import Tensor

from frugal.sparse.layers import SparseLayer


def rewire(layer: SparseLayer, optimizer: torch.optim.Optimizer) -> int:
    """Drop the smallest units and grow as many where the layer's last gradient is largest; returns how many weights moved.

    Candidates to grow are the units outside the pattern and those just dropped. A dropped unit that is grown again starts
    like a new one: value and moments zero.
    """
    values, index, pattern = layer.values, layer.index, layer.pattern
    outside, sizes = layer.candidates
    count = len(outside)
    layer.candidates = None
    order = pattern.sizes_of(values.detach()).argsort(stable=True)
    dropped, kept = order[:count], order[count:].sort().values
    gradient = pattern.sizes_of(values.grad[dropped].float())
    units, rank = torch.cat([outside, index[dropped]]), torch.cat([sizes, gradient])
    return move(layer, optimizer, kept, units[rank.topk(count).indices])


def move(layer: SparseLayer, optimizer: torch.optim.Optimizer, kept: Tensor, grown: Tensor) -> int:
    """Keep some units and begin others at zero, with moments of zero; returns how many weights moved.

    kept: (k,) positions among the kept units, ascending; grown: (len(index) - k,) units, none of which stays kept
    """
    values, index = layer.values, layer.index
    places = torch.cat([index[kept], grown])
    sequence = places.argsort()
    before = index.clone()
    index.copy_(places[sequence])
    with torch.no_grad():
        _carry(values, kept, sequence)
    for moment in optimizer.state.get(values, {}).values():
        if isinstance(moment, Tensor) and moment.shape == values.shape:
            _carry(moment, kept, sequence)
    layer.rewired()
    return int((~torch.isin(index, before)).sum()) * layer.pattern.block**2


def _carry(tensor: Tensor, kept: Tensor, sequence: Tensor) -> None:
    """In place: rows of kept units, then zeros for the grown ones, in the new order."""
    rows = tensor.index_select(0, kept)
    tensor.copy_(
        torch.cat([rows, rows.new_zeros(len(tensor) - len(kept), *tensor.shape[1:])]).index_select(0, sequence)
    )
