"""Layers that can be sparse: a layer stays dense where a sparse one in its place would not compute, or not learn, the same."""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized

from frugal.sparse.convolution import SparseConv2d, padding_of
from frugal.sparse.layers import SparseConv1D, SparseLayer, SparseLinear

AXES = {nn.Conv1d: "one axis", nn.Conv3d: "three axes"}
NOT_LAYERS = (nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, _NormBase)
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks",
         "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks")  # fmt: skip
INITIAL = {
    "__init__",
    "reset_parameters",
    "extra_repr",
}  # what a class of layers can have of its own and compute as usual


def is_linear(module: nn.Module) -> bool:
    """Whether it is a linear layer, GPT-2's among them."""
    return isinstance(module, nn.Linear) or _is_gpt2s(module)


def is_convolution(module: nn.Module) -> bool:
    """Of any kind."""
    return isinstance(module, _ConvNd)


def _is_gpt2s(module: nn.Module) -> bool:
    """Looked up by name: `transformers` takes seconds to import."""
    return any(map(_named_conv1d, type(module).__mro__))


def _named_conv1d(kind: type) -> bool:
    return (kind.__module__, kind.__name__) == ("transformers.pytorch_utils", "Conv1D")


def sparse_kind(layer: nn.Module) -> type[SparseLayer]:
    """What a layer becomes."""
    if isinstance(layer, nn.Conv2d):
        return SparseConv2d
    return SparseLinear if isinstance(layer, nn.Linear) else SparseConv1D


class Fitness:
    """What has to be known of a whole model: who holds which memory, and which layers are computed by those around them."""

    def __init__(self, model: nn.Module):
        self._holders: dict[Any, dict[str, None]] = defaultdict(dict)
        self._inside: dict[nn.Module, str] = {}
        for name, module in model.named_modules():
            if isinstance(module, nn.MultiheadAttention):
                self._inside.update(dict.fromkeys(module.children(), "nn.MultiheadAttention computes with its weight"))
            for kind, own in (*module._parameters.items(), *module._buffers.items()):
                for key in _identities(own):
                    self._holders[key][f"{name}.{kind}".lstrip(".")] = None

    def unfit(self, layer: nn.Module) -> str | None:
        """Why a linear layer or convolution stays dense, in words for the record; None where it can be sparse."""
        return _unusual_kind(layer) or self._inside.get(layer) or _unusual_object(layer) or self._unusual_weight(layer)

    def _unusual_weight(self, layer: nn.Module) -> str | None:
        weight = layer.weight
        holders = next((names for key in _identities(weight) if len(names := list(self._holders[key])) > 1), None)
        if holders:
            return f"tied: {' = '.join(holders)}"
        if weight.numel() == 0:
            return "without weights"
        if not weight.is_floating_point():
            return f"weights of {weight.dtype}"
        return None if weight.requires_grad else "frozen"


def _identities(tensor: Tensor | None) -> list[Any]:
    """What two holders of one tensor have in common: the object, or the memory, as in nn.Parameter(other.weight)."""
    if tensor is None or is_lazy(tensor):
        return []
    found: list[Any] = [id(tensor)]
    if tensor.layout == torch.strided and not tensor.is_meta and tensor.numel() and tensor.data_ptr():
        found.append((tensor.device, tensor.data_ptr()))
    return found


def _unusual_kind(layer: nn.Module) -> str | None:
    if isinstance(layer, _ConvTransposeNd):
        return "a transposed convolution"
    for kind, axes in AXES.items():
        if isinstance(layer, kind):
            return f"a convolution over {axes}"
    if isinstance(layer, nn.Conv2d):
        if layer.groups > 1:
            return "a grouped convolution"
        if layer.padding_mode != "zeros" or padding_of(layer) is None:
            return f"padding {layer.padding} of {layer.padding_mode}"
    return None


def _unusual_object(layer: nn.Module) -> str | None:
    """Whatever makes it another thing than a plain layer with a weight and a bias of its own."""
    if is_parametrized(layer) or not isinstance(layer._parameters.get("weight"), nn.Parameter):
        sources = [name for name, _ in layer.named_parameters() if name != "bias"]
        return f"its weight is computed from {', '.join(sources) or 'something else'}"
    if is_lazy(layer.weight):
        return "not initialised, so of unknown size"
    if more := {*layer._parameters, *layer._buffers, *layer._modules} - {"weight", "bias"}:
        return f"it also holds {', '.join(sorted(more))}"
    base = next(c for c in type(layer).__mro__ if c in (nn.Linear, nn.Conv2d) or _named_conv1d(c))
    derived = type(layer).__mro__[: type(layer).__mro__.index(base)]
    own = {name for c in derived for name, value in vars(c).items() if callable(value) or hasattr(value, "__get__")}
    if {name for name in own - INITIAL if not name.startswith("__annotate")}:
        return f"a {type(layer).__name__}, which is a {base.__name__} with code of its own"
    if taken := vars(layer).keys() & {"forward", *SparseLayer.__annotations__}:
        return f"it has an attribute {', '.join(sorted(taken))} of its own"
    hooked = [getattr(layer, name, None) for name in HOOKS]
    hooked += [getattr(p, "_backward_hooks", None) for p in (layer.weight, layer.bias) if p is not None]
    hooked += [getattr(layer.weight, "_post_accumulate_grad_hooks", None)]
    return "hooks are registered on it" if any(hooked) else None


def elsewhere(model: nn.Module) -> dict[str, str]:
    """Weights by name that are in neither a linear layer nor a convolution, embedding or norm, and why they stay dense."""
    found = {}
    for name, module in model.named_modules():
        if is_linear(module) or is_convolution(module) or isinstance(module, NOT_LAYERS):
            continue
        for kind, weight in module._parameters.items():
            if weight is not None and "weight" in kind and (is_lazy(weight) or weight.dim() > 1):
                found[f"{name}.{kind}".lstrip(".")] = f"a weight of {type(module).__name__}"
    return found
