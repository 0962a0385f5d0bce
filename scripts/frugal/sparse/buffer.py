"""Buffer that all sparse layers share: it holds the dense weight or gradient of the layer that is computed now."""

import math

import torch
from torch import Tensor

_buffers: dict[torch.dtype, Tensor] = {}
_owners: dict[torch.dtype, object] = {}  # whose numbers are in the buffer


def shared_buffer(shape: tuple[int, ...], like: Tensor, owner: object = None) -> Tensor:
    """A tensor of that shape and of the dtype and device of `like`, to be written; its content is undefined.

    On the CPU all callers share one buffer, so it must be read before the next call. Buffers of this size, allocated and freed
    in each pass, would fragment the process's memory, which then grows to twice what tensors hold. On a GPU torch's own
    allocator prevents that. owner: who may ask for what was written here with `still_held_by`
    """
    if not like.is_cpu:
        return like.new_empty(shape)
    size = math.prod(shape)
    held = _buffers.get(like.dtype)
    if held is None or held.numel() < size:
        _buffers.pop(like.dtype, None)
        with torch.inference_mode(False):  # made while evaluating, it must serve training too
            held = _buffers[like.dtype] = like.new_empty(size)
    _owners[like.dtype] = owner
    return held[:size].view(shape)


def still_held_by(owner: object, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor | None:
    """What this owner wrote, of that shape, if nobody has taken the buffer since; else None."""
    if _owners.get(dtype) is not owner:
        return None
    return _buffers[dtype][: math.prod(shape)].view(shape)
