"""Sparse convolution over images, and which paddings it can have."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from frugal.sparse.layers import SparseLayer

COLUMNS = 1 << 22  # numbers of a convolution's input laid out as columns at once: 16 MB in float32


def padding_of(layer: nn.Conv2d) -> tuple[int, int] | None:
    """Zeros on either side of each axis, also where the layer says "same" or "valid"; None where the sides differ."""
    if not isinstance(layer.padding, str):
        return layer.padding
    if layer.padding == "valid":
        return (0, 0)
    both = [gap * (side - 1) for gap, side in zip(layer.dilation, layer.kernel_size, strict=True)]
    return None if any(zeros % 2 for zeros in both) else tuple(zeros // 2 for zeros in both)


class SparseConv2d(SparseLayer):
    """A convolution with a sparse weight, seen as (C_out, kh * kw * C_in), which is a channels-last weight without a copy."""

    def __init__(self, dense: nn.Conv2d, *others: object):
        super().__init__(dense, *others)
        self.where = {"stride": dense.stride, "padding": padding_of(dense), "dilation": dense.dilation}

    def as_matrix(self, weight: Tensor) -> Tensor:
        """(C_out, C_in, kh, kw) -> (C_out, kh * kw * C_in)."""
        return weight.permute(0, 2, 3, 1).reshape(self.shape)

    def as_weight(self, matrix: Tensor) -> Tensor:
        """(C_out, kh * kw * C_in) -> (C_out, C_in, kh, kw), channels last."""
        outputs, channels, *kernel = self.weight_shape
        return matrix.view(outputs, *kernel, channels).permute(0, 3, 1, 2)

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """With the dense weight."""
        return functional.conv2d(x, self.as_weight(weight), bias, **self.where)

    def gradients(self, dy: Tensor, x: Tensor, values: Tensor, step: object) -> tuple[Tensor, Tensor]:
        """dx and the dense dW in one call: apart they lay activations out twice, which takes more than a weight does."""
        weight = self.as_weight(self.laid_out(values, step))
        dx, dense, _ = self._backward(dy, x, weight, (True, True, False))
        return dx, self.as_matrix(dense)

    def weight_gradient(self, dy: Tensor, x: Tensor) -> Tensor:
        """The dense dW, (outputs, inputs). The weight only tells its shape here, so that it takes no memory."""
        weight = x.new_empty(()).expand(self.weight_shape)
        return self.as_matrix(self._backward(dy, x, weight, (False, True, False))[1])

    def _backward(self, dy: Tensor, x: Tensor, weight: Tensor, which: tuple[bool, ...]) -> tuple[Tensor, ...]:
        return torch.ops.aten.convolution_backward(
            dy, x, weight, None, *self.where.values(), False, (0, 0), 1, output_mask=which
        )

    def slices(self, x: Tensor) -> Iterator[slice]:
        """Parts of the batch whose columns take a bounded share of memory."""
        step = max(1, COLUMNS // (self.shape[1] * math.prod(self.output_shape(x)[2:])))
        for start in range(0, len(x), step):
            yield slice(start, start + step)

    def columns(self, x: Tensor) -> Tensor:
        """(b, C, H, W) -> (kh * kw * C, b * positions)."""
        columns = functional.unfold(x, self.weight_shape[2:], **self.where).unflatten(1, (x.shape[1], -1))
        return columns.permute(2, 1, 0, 3).reshape(self.shape[1], -1)

    def folded(self, columns: Tensor, x: Tensor) -> Tensor:
        """The counterpart of `columns` for a gradient."""
        columns = columns.view(-1, x.shape[1], len(x), columns.shape[1] // len(x)).permute(2, 1, 0, 3).flatten(1, 2)
        return functional.fold(columns, x.shape[2:], self.weight_shape[2:], **self.where)

    def output_shape(self, x: Tensor) -> tuple[int, ...]:
        """(b, C_out, H', W')."""
        sizes = zip(x.shape[2:], self.weight_shape[2:], *self.where.values(), strict=True)
        return (
            len(x),
            self.shape[0],
            *((n + 2 * pad - gap * (k - 1) - 1) // step + 1 for n, k, step, pad, gap in sizes),
        )

    def output_columns(self, dy: Tensor) -> Tensor:
        """(b, C_out, H', W') -> (C_out, b * positions)."""
        return dy.transpose(0, 1).reshape(self.shape[0], -1)

    def output(self, columns: Tensor, shape: tuple[int, ...]) -> Tensor:
        """(C_out, b * positions) -> (b, C_out, H', W')."""
        return columns.view(shape[1], shape[0], *shape[2:]).transpose(0, 1)
