"""Masked layers, the reference for tests and timings of sparse ones: a dense weight times a mask, with a dense gradient."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from frugal.sparse.convolution import SparseConv2d
from frugal.sparse.layers import SparseConv1D, SparseLayer


class Masked(nn.Module):
    """The dense layer that a sparse one stands for, masked to the same units and with the same values."""

    def __init__(self, layer: SparseLayer):
        super().__init__()
        self.weight = nn.Parameter(layer.weight.detach())
        ones = torch.ones_like(layer.values, requires_grad=False)
        self.register_buffer("mask", layer.as_weight(layer.scattered(ones)))
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone())
        self.transposed = isinstance(layer, SparseConv1D)
        self.where = layer.where if isinstance(layer, SparseConv2d) else None

    def forward(self, x: Tensor) -> Tensor:
        """As the dense layer's."""
        weight = self.weight * self.mask
        if self.where is None:
            weight = weight.t() if self.transposed else weight
            return functional.linear(x, weight, self.bias)
        return functional.conv2d(x, weight, self.bias, **self.where)


def masked_twin(model: nn.Module) -> nn.Module:
    """A copy of a model in which every sparse layer is masked instead."""
    twin = copy.deepcopy(model)
    masked = {layer: Masked(layer) for layer in twin.modules() if isinstance(layer, SparseLayer)}
    for name, module in list(twin.named_modules(remove_duplicate=False)):
        if module in masked:
            twin.set_submodule(name, masked[module])
    return twin
