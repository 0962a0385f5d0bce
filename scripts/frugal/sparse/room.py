"""One room in memory for whichever layer's dense weight or gradient is needed at the moment."""

import math

import torch
from torch import Tensor

_rooms: dict[torch.dtype, Tensor] = {}
_tenants: dict[torch.dtype, object] = {}  # whose numbers lie there


def room(shape: tuple[int, ...], like: Tensor, tenant: object = None) -> Tensor:
    """A tensor of that shape and of the dtype and device of `like`, to be written; what it held is whatever came before.

    On the CPU all callers share one memory, so it is to be read before the next call: taken and freed in each pass,
    blocks of this size leave holes in the process's memory, which comes to twice what tensors hold. On a GPU torch's own
    allocator sees to that. tenant: who may ask for what was written here with `left_by`
    """
    if not like.is_cpu:
        return like.new_empty(shape)
    size = math.prod(shape)
    held = _rooms.get(like.dtype)
    if held is None or held.numel() < size:
        _rooms.pop(like.dtype, None)
        with torch.inference_mode(False):  # made while evaluating, it must serve training too
            held = _rooms[like.dtype] = like.new_empty(size)
    _tenants[like.dtype] = tenant
    return held[:size].view(shape)


def left_by(tenant: object, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor | None:
    """What this tenant wrote, of that shape, if nobody has taken the room since."""
    if _tenants.get(dtype) is not tenant:
        return None
    return _rooms[dtype][: math.prod(shape)].view(shape)
