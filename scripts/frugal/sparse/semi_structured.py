"""Semi-structured sparsity, two of every four weights, on a GPU's sparse tensor cores: forward sparse, gradients dense.

Mishra et al., "Accelerating Sparse Deep Neural Networks", 2021, https://arxiv.org/abs/2104.08378.

`torch.sparse.to_sparse_semi_structured` packs the weight anew in each pass, since it changes with each step. The transposed
weight has no two-of-four pattern of its own, so the gradient of the input can't use them.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from frugal.sparse.products import Scattered


class SemiStructured(torch.autograd.Function):
    """For linear layers; raises NotImplementedError for convolutions, which have no such kernel in torch."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor, bias: Tensor | None, layer: Any) -> Tensor:
        """layer: a SparseLayer of pattern semi-structured-2-4 on a CUDA device."""
        if len(layer.weight_shape) != 2:
            raise NotImplementedError("torch has no 2:4 kernel for convolutions")
        ctx.save_for_backward(x, values)
        ctx.layer, ctx.step = layer, object()
        packed = torch.sparse.to_sparse_semi_structured(layer.scattered(values))
        return functional.linear(x.flatten(0, -2), packed, bias).view(layer.output_shape(x))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """As with the dense weight."""
        return Scattered.backward(ctx, dy)
