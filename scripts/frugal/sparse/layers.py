"""Linear layers and convolutions whose parameters are the kept values only, so gradients and the optimizer's moments are too.

Two ways to compute: from the values alone (`frugal.sparse.kernels`), or `scatter`: the dense weight is laid out for a
product and forgotten again, once for the forward and once for the backward pass, so that never more than one layer's
dense weight is there. Both give the same numbers up to rounding, and gradients of the kept values only.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from frugal.errors import FrugalError
from frugal.sparse.choice import Choice, choose
from frugal.sparse.counting import counted
from frugal.sparse.kernels import KERNELS, Compressed
from frugal.sparse.pattern import Pattern
from frugal.sparse.products import Columns, Scattered
from frugal.sparse.room import left_by, room
from frugal.sparse.semi_structured import SemiStructured

COLUMNS = 1 << 22  # numbers of a convolution's input laid out as columns at once: 16 MB in float32


class SparseLayer(nn.Module):
    """What SparseLinear and SparseConv2d share.

    values: (kept,) or (kept, block, block), the parameter; index: (kept,) int32, which units they are, a buffer and so in
    every checkpoint; kernel: the one in force, None until the first training step; wanted: auto, sparse or scatter;
    grow: set by a dynamic strategy for one step, how many units outside the pattern it wants to know of; candidates: those
    of the largest gradient, as (units, magnitudes), once that step is back-propagated
    """

    def __init__(self, dense: nn.Module, name: str, pattern: Pattern, index: Tensor, sparsity: float, wanted: str):
        super().__init__()
        weight = dense.weight.detach()
        self.name, self.pattern, self.wanted, self.dynamic = name, pattern, wanted, False
        self.weight_shape = tuple(weight.shape)
        self.shape = (weight.shape[0], weight[0].numel())
        index = index.to(weight.device)
        rows = pattern.rows_of(index, self.shape)
        # Fewer inputs per output: scaled so that outputs keep the spread the dense initialisation gives them.
        values = pattern.values(self.as_matrix(weight), rows) / math.sqrt(1 - sparsity)
        self.values = nn.Parameter(values.clone())
        self.bias = dense.bias
        self.register_buffer("index", index)
        self.kernel: str | None = None
        self.chosen: Choice | None = None
        self.grow: int | None = None
        self.candidates: tuple[Tensor, Tensor] | None = None
        self.dense_gradient_flops = 0
        self.count_useful = False
        self._compressed: dict[str, Compressed] = {}
        self._rows: Tensor | None = None

    @property
    def dense_weights(self) -> int:
        """Weights of the dense layer this one stands for."""
        return self.shape[0] * self.shape[1]

    def weight(self) -> Tensor:
        """The dense weight as the dense layer has it, with zeros; a copy."""
        with torch.no_grad():
            return self.as_weight(self.scattered(self.values))

    def as_matrix(self, weight: Tensor) -> Tensor:
        """A weight as the dense layer has it, seen as (outputs, inputs)."""
        return weight

    def as_weight(self, matrix: Tensor) -> Tensor:
        """The counterpart of `as_matrix`."""
        return matrix

    def scattered(self, values: Tensor) -> Tensor:
        """Values laid out densely, (outputs, inputs)."""
        return self.pattern.dense(values, self.rows, self.shape)

    def laid_out(self, values: Tensor, step: object) -> Tensor:
        """The same in the room that all layers share, to be used at once.

        step: of one forward pass and its backward pass. The last layer to go forward is the first to go back, and finds its
        weight still there.
        """
        found = left_by(step, self.shape, values.dtype)
        return (
            self.pattern.dense(values, self.rows, self.shape, room(self.shape, values, step))
            if found is None
            else found
        )

    def gathered(self, dense: Tensor) -> Tensor:
        """What a dense matrix holds at the kept units."""
        return self.pattern.values(dense, self.rows)

    @property
    def rows(self) -> Tensor:
        """Where values lie densely, remade after a change of the kept units; for 4x4 blocks a byte per weight, else less."""
        if self._rows is None:
            with torch.inference_mode(False):  # made while evaluating, it must serve training too
                self._rows = self.pattern.rows_of(self.index, self.shape)
        return self._rows

    def compressed(self, kernel: str) -> Compressed:
        """The kernel made for the units now kept; remade after a change of them."""
        if kernel not in self._compressed:
            with torch.inference_mode(False):  # made while evaluating, it must serve training too
                self._compressed = {kernel: KERNELS[kernel](self.pattern, self.index.clone(), self.shape)}
        return self._compressed[kernel]

    def rewired(self) -> None:
        """To be called after `index` has changed in place."""
        self._compressed, self._rows = {}, None

    @torch.compiler.disable  # the choice of a kernel and the loops over blocks are Python's
    def forward(self, x: Tensor) -> Tensor:
        """As the dense layer's."""
        if x.is_meta:
            return counted(self, x)
        if self.kernel is None and self.training and torch.is_grad_enabled():
            self.chosen = choose(self, x)
            self.kernel = self.chosen.kernel
        return self.run(self.kernel or "scatter", x, self.values)

    def run(self, kernel: str, x: Tensor, values: Tensor) -> Tensor:
        """The layer's output through a given kernel, with those values."""
        device, dtype = x.device.type, x.dtype
        if torch.is_autocast_enabled(device):
            only = kernel in KERNELS and KERNELS[kernel].float32_only
            dtype = torch.float32 if only else torch.get_autocast_dtype(device)
        bias = None if self.bias is None else self.bias.to(dtype)
        x, values = x.to(dtype), values.to(dtype)
        with torch.autocast(device, enabled=False):
            if kernel in KERNELS:
                return Columns.apply(x, values, bias, self, self.compressed(kernel))
            if kernel == "semi-structured":
                return SemiStructured.apply(x, values, bias, self)
            return Scattered.apply(x, values, bias, self)

    def note_gradient(self, dense: Tensor) -> None:
        """Remember the units outside the pattern whose gradient is largest; dense: (outputs, inputs) of this batch."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(dense)  # each rank has seen its share of the batch
        sizes = self.pattern.sizes(dense.float())
        sizes[self.index.long()] = -1.0
        found = sizes.topk(min(self.grow, len(sizes) - len(self.index)))
        self.candidates = (found.indices.to(self.index.dtype), found.values)

    def _apply(self, fn: object, recurse: bool = True) -> nn.Module:
        self.rewired()
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, state: dict, prefix: str, *others: object) -> None:
        found, index = state.get(prefix + "values"), state.get(prefix + "index")
        if found is None or index is None:
            held = "a dense weight" if prefix + "weight" in state else "nothing"
        elif found.shape != self.values.shape or index.shape != self.index.shape:
            held = f"values of shape {tuple(found.shape)}"
        elif not self.dynamic and not torch.equal(index.to(self.index.device), self.index):
            held = f"{self.pattern.name} at other positions (another seed or another torch)"
        else:
            super()._load_from_state_dict(state, prefix, *others)
            self.rewired()
            return
        raise FrugalError(
            f"the checkpoint is of another pattern: for layer {prefix.rstrip('.') or self.name} it holds {held}, this net "
            f"keeps {self.pattern.name} with values of shape {tuple(self.values.shape)}; load it with the strategy and "
            "seed it was trained with, or train from the start"
        )

    def extra_repr(self) -> str:
        """Shape, pattern and how much is kept."""
        return f"{self.shape[0]} x {self.shape[1]}, {self.pattern.name}, {self.values.numel()} kept"


class SparseLinear(SparseLayer):
    """y = x W^T + b with a sparse W (outputs, inputs)."""

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """With the dense weight."""
        return functional.linear(x, weight, bias)

    def gradients(self, dy: Tensor, x: Tensor, values: Tensor, step: object) -> tuple[Tensor, Tensor]:
        """dx and the dense dW; dW takes the room of the dense weight."""
        dx = dy @ self.laid_out(values, step)
        return dx, self.weight_gradient(dy, x)

    def weight_gradient(self, dy: Tensor, x: Tensor) -> Tensor:
        """The dense dW, (outputs, inputs), in the room that all layers share."""
        return torch.mm(dy.flatten(0, -2).t(), x.flatten(0, -2), out=room(self.shape, x))

    def slices(self, x: Tensor) -> Iterator[slice]:
        """Parts of the batch that are computed one after the other."""
        yield slice(None)

    def columns(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (inputs, n)."""
        return x.flatten(0, -2).t().contiguous()

    def folded(self, columns: Tensor, x: Tensor) -> Tensor:
        """The counterpart of `columns` for a gradient."""
        return columns.t().reshape(x.shape)

    def output_shape(self, x: Tensor) -> tuple[int, ...]:
        """(..., outputs)."""
        return (*x.shape[:-1], self.shape[0])

    def output_columns(self, dy: Tensor) -> Tensor:
        """(..., outputs) -> (outputs, n)."""
        return self.columns(dy)

    def output(self, columns: Tensor, shape: tuple[int, ...]) -> Tensor:
        """(outputs, n) -> (..., outputs)."""
        return columns.t().reshape(shape)


class SparseConv2d(SparseLayer):
    """A convolution with a sparse weight, seen as (C_out, kh * kw * C_in), which is a channels-last weight without a copy."""

    def __init__(self, dense: nn.Conv2d, *others: object):
        super().__init__(dense, *others)
        self.where = {"stride": dense.stride, "padding": dense.padding, "dilation": dense.dilation}

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
        """Parts of the batch whose columns take a bounded room."""
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
