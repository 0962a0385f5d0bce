"""Surgery on a live net: smaller weights, statistics and gradients, and an optimizer that goes along.

Every tensor keeps the entries of the neurons that stay, in their order: weights, BatchNorm's buffers, gradients, and each
moment in the optimizer. The parameters are new objects, since autograd and compiled code hold on to the shape of old ones.
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from frugal.errors import FrugalError


def cut(model: nn.Module, module: str, tensor: str, dim: int, keep: Tensor, optimizer: Optimizer | None = None) -> None:
    """Keep the positions `keep` (ascending, int64) of one dimension of a parameter or buffer, wherever it is held."""
    layer = model.get_submodule(module)
    old = getattr(layer, tensor)
    keep = keep.to(old.device)
    new = select(old.detach(), dim, keep)
    if isinstance(old, nn.Parameter):
        new = nn.Parameter(new, requires_grad=old.requires_grad)
        new.grad = None if old.grad is None else select(old.grad, dim, keep)
        if optimizer is not None:
            _carry(optimizer, old, new, dim, keep)
    setattr(layer, tensor, new)
    _describe(layer)


def select(tensor: Tensor, dim: int, keep: Tensor) -> Tensor:
    """index_select of positions (m,) in the memory order of channels-last weights, with which convolutions are faster."""
    chosen = tensor.index_select(dim, keep)
    if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        return chosen.contiguous(memory_format=torch.channels_last)
    return chosen


def _carry(optimizer: Optimizer, old: nn.Parameter, new: nn.Parameter, dim: int, keep: Tensor) -> None:
    """Put `new` in the old parameter's place, with its moments cut the same way; counters such as Adam's step stay."""
    for group in optimizer.param_groups:
        group["params"] = [new if parameter is old else parameter for parameter in group["params"]]
    state = optimizer.state.pop(old, None)
    if state is None:
        return
    for name, value in state.items():
        if not isinstance(value, Tensor) or value.dim() == 0:
            continue
        if value.shape != old.shape:
            raise FrugalError(
                f"{type(optimizer).__name__} keeps {name} in another shape than its weight, which pruning can't cut; "
                "use optimizer sgd, adam, adamw or muon"
            )
        state[name] = select(value, dim, keep)
    optimizer.state[new] = state


def _describe(layer: nn.Module) -> None:
    """Bring a layer's own account of its widths up to date."""
    if isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = layer.weight.shape
    elif isinstance(layer, nn.Conv1d | nn.Conv2d):
        layer.out_channels, layer.in_channels = layer.weight.shape[:2]
        if layer.groups > 1:  # depthwise
            layer.groups = layer.in_channels = layer.out_channels
    elif isinstance(layer, _BatchNorm):
        layer.num_features = len(next(t for t in (layer.running_mean, layer.weight) if t is not None))


def describe_heads(attention: nn.Module, heads: int, size: int) -> None:
    """Bring an attention layer's account of its heads up to date, by the names that `transformers` gives them."""
    for name, value in (("num_heads", heads), ("num_attention_heads", heads), ("all_head_size", heads * size)):
        if hasattr(attention, name):
            setattr(attention, name, value)
