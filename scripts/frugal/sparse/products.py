"""Products of a sparse layer, forward and backward, for torch.autograd: through the dense weight, or from the values alone.

For torch's FLOP counter, in a copy that is only counted, products of the same size stand for a layer's kernel. `scatter`
executes what a dense layer does. The other kernels execute 2 FLOPs per kept value and position, in the forward pass and for
each of the two gradients; that much is useful whatever the kernel.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def in_given_precision(backward: Callable[..., Any]) -> Callable[..., Any]:
    """A backward pass in the precision of its tensors, also where it is called under autocast."""

    @wraps(backward)
    def run(ctx: Any, dy: Tensor) -> Any:
        with torch.autocast(dy.device.type, enabled=False):
            return backward(ctx, dy)

    return run


class Scattered(torch.autograd.Function):
    """The dense weight is laid out anew in each pass, in a buffer that all layers share. So is a linear layer's dense dW."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor, bias: Tensor | None, layer: Any) -> Tensor:
        """layer: a SparseLayer."""
        ctx.save_for_backward(x, values)
        ctx.layer, ctx.step = layer, object()
        return layer.product(x, layer.laid_out(values, ctx.step), bias)

    @staticmethod
    @once_differentiable
    @in_given_precision
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """dW is gathered at the kept units."""
        (x, values), layer, dx = ctx.saved_tensors, ctx.layer, None
        if ctx.needs_input_grad[0]:
            dx, dense = layer.gradients(dy, x, values, ctx.step)
        else:
            dense = layer.weight_gradient(dy, x)
        dvalues = layer.gathered(dense)
        if layer.grow is not None and ctx.needs_input_grad[1]:
            layer.note_gradient(dense)
        return dx, dvalues, bias_gradient(dy, layer) if ctx.needs_input_grad[2] else None, None


class Spread(torch.autograd.Function):
    """The dense weight itself, for a module that computes with it without calling the layer."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, layer: Any) -> Tensor:
        """layer: a SparseLayer."""
        ctx.layer = layer
        return layer.as_weight(layer.scattered(values))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """dW is gathered at the kept units."""
        layer = ctx.layer
        dense = layer.as_matrix(gradient).contiguous()
        dvalues = layer.gathered(dense)
        layer.was_read()
        if layer.grow is not None:
            layer.note_gradient(dense.clone())  # ranks add up theirs in place, and this one is the caller's
        return dvalues, None


class Columns(torch.autograd.Function):
    """Only kept values are multiplied; activations are laid out as columns, slice by slice, anew in each pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor, bias: Tensor | None, layer: Any, kernel: Any) -> Tensor:
        """layer: a SparseLayer; kernel: one of `frugal.sparse.kernels`."""
        ctx.save_for_backward(x, values)
        ctx.layer, ctx.kernel = layer, kernel
        parts = []
        for part in layer.slices(x):
            y = kernel.product(values, layer.columns(x[part]))
            if bias is not None:
                y += bias[:, None]
            parts.append(layer.output(y, layer.output_shape(x[part])))
        y = parts[0] if len(parts) == 1 else torch.cat(parts)
        return like(x, y)

    @staticmethod
    @once_differentiable
    @in_given_precision
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """A dense gradient is computed only at the steps for which a dynamic strategy asked for one."""
        (x, values), layer, kernel = ctx.saved_tensors, ctx.layer, ctx.kernel
        dvalues, dense, parts = torch.zeros_like(values), None, []
        for part in layer.slices(x):
            dcolumns, columns = layer.output_columns(dy[part]), layer.columns(x[part])
            if layer.grow is None or not ctx.needs_input_grad[1]:
                dvalues += kernel.sampled(dcolumns, columns)
            else:
                product = dcolumns @ columns.t()
                dense = product if dense is None else dense.add_(product)
                layer.dense_gradient_flops += 2 * (layer.dense_weights - values.numel()) * columns.shape[1]
            if ctx.needs_input_grad[0]:
                parts.append(layer.folded(kernel.transposed(values, dcolumns), x[part]))
        if dense is not None:
            dvalues = layer.gathered(dense)
            layer.note_gradient(dense)
        dx = None if not parts else like(x, parts[0] if len(parts) == 1 else torch.cat(parts))
        return dx, dvalues, bias_gradient(dy, layer) if ctx.needs_input_grad[2] else None, None, None


class SemiStructured(torch.autograd.Function):
    """Two of every four weights are kept, on a GPU's sparse tensor cores.

    Mishra et al., "Accelerating Sparse Deep Neural Networks", 2021, https://arxiv.org/abs/2104.08378. The forward pass is
    sparse, gradients are dense. `torch.sparse.to_sparse_semi_structured` packs the weight anew in each pass, since it changes
    with each step. The transposed weight has no two-of-four pattern of its own, so the gradient of the input can't use them.

    For linear layers; raises NotImplementedError for convolutions, which have no such kernel in torch.
    """

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


def bias_gradient(dy: Tensor, layer: Any) -> Tensor:
    """(outputs,): the sum over all else; outputs are the second axis of images, the last of anything else."""
    if len(layer.weight_shape) == 4:
        return dy.sum((0, 2, 3))
    return dy.flatten(0, -2).sum(0)  # half as long as the sum over several axes


def like(x: Tensor, y: Tensor) -> Tensor:
    """y (b, ...), channels last where x is, so that the layers around it go on in the layout they had."""
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return y.contiguous(memory_format=torch.channels_last)
    return y.contiguous()


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
