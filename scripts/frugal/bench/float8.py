"""Linear layer whose three products are in float8, a scale for each tensor: to be timed against bfloat16, no strategy uses it.

Micikevicius et al., "FP8 Formats for Deep Learning", 2022, https://arxiv.org/abs/2209.05433: e4m3 for weights and activations,
e5m2, of a wider range, for gradients. The scale of a tensor is that of its largest value, found anew in each step.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def quantised(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """x (a, b) as float8, and the scale () float32 that its values are to be multiplied by."""
    scale = x.abs().amax().float().clamp(min=1e-12) / torch.finfo(dtype).max
    return (x / scale).to(dtype), scale


def product(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> Tensor:
    """(m, k) and (n, k), each with its scale -> (m, n) bfloat16, one times the transpose of the other, as a linear layer has it.

    Both are laid out along k, as the tensor cores want them.
    """
    (x, x_scale), (w, w_scale) = one, other
    return torch._scaled_mm(
        x.contiguous(), w.contiguous().t(), scale_a=x_scale, scale_b=w_scale, out_dtype=torch.bfloat16
    )


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        """x (b, inputs), weight (outputs, inputs) -> (b, outputs)."""
        (x8, x_scale), (w8, w_scale) = (quantised(one, torch.float8_e4m3fn) for one in (x, weight))
        ctx.save_for_backward(x8, x_scale, w8, w_scale)
        return product((x8, x_scale), (w8, w_scale)).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor]:
        """Both sums go over another axis than the forward pass, so the operands are transposed."""
        x8, x_scale, w8, w_scale = ctx.saved_tensors
        d8, d_scale = quantised(dy, torch.float8_e5m2)
        dx = product((d8, d_scale), (w8.t(), w_scale))
        dw = product((d8.t(), d_scale), (x8.t(), x_scale))
        return dx.to(dy.dtype), dw.to(dy.dtype)


class Float8Linear(nn.Linear):
    """nn.Linear without bias in float8; its weight stays as precise as it was. All sizes are multiples of 16."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (b, inputs) -> (b, outputs)."""
        return _Linear.apply(x, self.weight)
