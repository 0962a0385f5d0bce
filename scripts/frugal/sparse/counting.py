"""FLOPs of a sparse layer, for torch's counter: in a copy that is only counted, products of the same size stand for its kernel.

`scatter` executes what a dense layer does. The other kernels execute 2 FLOPs per kept value and position, in the forward
pass and for each of the two gradients; that much is useful whatever the kernel.
"""

from typing import Any

import torch
from torch import Tensor


def counted(layer: Any, x: Tensor) -> Tensor:
    """The layer's output for x (b, ...), all zeros, having done as many FLOPs as its kernel, or as are useful.

    layer: a SparseLayer; one whose kernel is not chosen yet counts as `scatter`, which is what it would run as.
    """
    kernel = layer.kernel or "scatter"
    shape = layer.output_shape(x)
    if kernel == "scatter" and not layer.count_useful:
        weight = Stretched.apply(layer.values, layer.shape)
        return layer.product(x, weight, layer.bias)
    return Sized.apply(x, layer.values, shape, layer.values.numel(), x.new_empty(shape).numel() // layer.shape[0])


class Stretched(torch.autograd.Function):
    """Kept values -> a dense weight, for which torch counts nothing."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, shape: tuple[int, int]) -> Tensor:
        """(outputs, inputs), empty."""
        ctx.kept = values.shape
        return values.new_zeros(shape)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Of the values."""
        return gradient.new_zeros(ctx.kept), None


class Sized(torch.autograd.Function):
    """A product of `kept` weights with `positions` columns, forward and for both gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor, shape: tuple[int, ...], kept: int, positions: int) -> Tensor:
        """Of that shape, empty."""
        ctx.like, ctx.size = (x, values), (kept, positions)
        multiply(x, kept, positions)
        return x.new_zeros(shape)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Empty gradients of both, where they are needed."""
        found = []
        for needed, tensor in zip(ctx.needs_input_grad, ctx.like, strict=False):
            found.append(torch.zeros_like(tensor) if needed else None)
            if needed:
                multiply(gradient, *ctx.size)
        return *found, None, None, None


def multiply(like: Tensor, kept: int, positions: int) -> Tensor:
    """2 * kept * positions FLOPs, and something of the shape of `like`."""
    return like.new_empty(positions, kept) @ like.new_empty(kept, 1)
