"""Sparse layers, whose parameters are the kept values only, so gradients and the optimizer's moments are too.

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
from frugal.sparse.buffer import shared_buffer, still_held_by
from frugal.sparse.choice import Choice, choose
from frugal.sparse.kernels import KERNELS, Compressed
from frugal.sparse.pattern import Pattern
from frugal.sparse.products import Columns, Scattered, SemiStructured, Spread, counted


class SparseLayer(nn.Module):
    """What sparse linear layers and convolutions share.

    values: (kept,) or (kept, block, block), the parameter; index: (kept,) int32, which units they are, a buffer and so in
    every checkpoint; kernel: the one in force, None until the first training step; wanted: auto, sparse or scatter;
    grow: set by a dynamic strategy for one step, how many units outside the pattern it wants to know of; candidates: those
    of the largest gradient, as (units, magnitudes), once that step is back-propagated; in_parts: whether a step may go back
    through the net several times, a part of its batch each
    """

    name: str
    pattern: Pattern
    wanted: str
    dynamic: bool
    shape: tuple[int, int]
    weight_shape: tuple[int, ...]
    kernel: str | None
    chosen: Choice | None
    grow: int | None
    candidates: tuple[Tensor, Tensor] | None
    in_parts: bool
    dense_gradient_flops: int
    count_useful: bool

    def __init__(self, dense: nn.Module, name: str, pattern: Pattern, index: Tensor, sparsity: float, wanted: str):
        super().__init__()
        weight = dense.weight.detach()
        self.name, self.pattern, self.wanted, self.dynamic = name, pattern, wanted, False
        self.weight_shape = tuple(weight.shape)
        self.shape = self.matrix_shape(weight)
        index = index.to(weight.device)
        rows = pattern.rows_of(index, self.shape)
        # Fewer inputs per output: scaled so that outputs keep the spread the dense initialisation gives them.
        values = pattern.values(self.as_matrix(weight), rows) / math.sqrt(1 - sparsity)
        self.values = nn.Parameter(values.clone(), dense.weight.requires_grad)
        self.bias = dense.bias
        self.register_buffer("index", index)
        self.kernel = None
        self.chosen = None
        self.grow = None
        self.candidates = None
        self.in_parts = False
        self.dense_gradient_flops = 0
        self.count_useful, self.only_counted = False, False  # set on copies whose FLOPs are counted
        self._compressed: dict[str, Compressed] = {}
        self._rows: Tensor | None = None
        self._calls = 0  # of this step, while `grow` is set
        self._summed: Tensor | None = None  # dense gradients of those calls, where there are several

    def take_the_place_of(self, dense: nn.Module) -> None:
        """The dense layer becomes this one where it stands, so whoever refers to it, by whatever name, goes on doing so.

        Its bias, its other attributes and whether it trains or evaluates stay its own.
        """
        internal = vars(nn.Module()).keys() - {"_parameters", "_buffers", "_non_persistent_buffers_set"}
        dense.__class__ = type(self)
        vars(dense).update({name: value for name, value in vars(self).items() if name not in internal})

    @staticmethod
    def matrix_shape(weight: Tensor) -> tuple[int, int]:
        """(outputs, inputs) of a weight as the dense layer has it."""
        return weight.shape[0], weight[0].numel()

    @property
    def dense_weights(self) -> int:
        """Weights of the dense layer this one stands for."""
        return self.shape[0] * self.shape[1]

    @property
    @torch.compiler.disable
    def weight(self) -> Tensor:
        """The dense weight as the dense layer has it, with zeros, for whoever computes with it without calling the layer.

        A copy, through which gradients reach the values; what is written to it is lost. The product with it is a dense one,
        and counts as such.
        """
        self._count_call()
        return Spread.apply(self.values, self)

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
        """The same in the buffer that all layers share, to be used at once.

        step: of one forward pass and its backward pass. The last layer to go forward is the first to go back, and finds its
        weight still there.
        """
        found = still_held_by(step, self.shape, values.dtype)
        return (
            self.pattern.dense(values, self.rows, self.shape, shared_buffer(self.shape, values, step))
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
        self._calls, self._summed = 0, None

    def was_read(self) -> None:
        """Its weight served another module's product in a training step: where no kernel is chosen, that is what is told."""
        if self.kernel is None:
            self.chosen = Choice("read", "another module computes with its weight, as with a dense one")

    def _count_call(self) -> None:
        if self.grow is not None and torch.is_grad_enabled():
            self._calls += 1

    @torch.compiler.disable  # the choice of a kernel and the loops over blocks are Python's
    def forward(self, x: Tensor) -> Tensor:
        """As the dense layer's."""
        if x.dim() < len(self.weight_shape):  # one sample, without the axis of the batch
            return self.forward(x.unsqueeze(0)).squeeze(0)
        if x.is_meta or self.only_counted:
            return counted(self, x)
        if x.numel() == 0:  # no sample came this way: kernels need one
            return self.run("scatter", x, self.values)
        if self.kernel is None and self.training and torch.is_grad_enabled():
            self.chosen = choose(self, x)
            self.kernel = self.chosen.kernel
        self._count_call()
        return self.run(self.kernel or "scatter", x, self.values)

    def run(self, kernel: str, x: Tensor, values: Tensor) -> Tensor:
        """The layer's output through a given kernel, with those values."""
        device, dtype, given = x.device.type, x.dtype, x.dtype
        only = kernel in KERNELS and KERNELS[kernel].float32_only
        if torch.is_autocast_enabled(device):
            given = dtype = torch.float32 if only else torch.get_autocast_dtype(device)
        elif only and dtype.itemsize < 4:  # a whole net in half precision
            dtype = torch.float32
        bias = None if self.bias is None else self.bias.to(dtype)
        x, values = x.to(dtype), values.to(dtype)
        with torch.autocast(device, enabled=False):
            if kernel in KERNELS:
                return Columns.apply(x, values, bias, self, self.compressed(kernel)).to(given)
            if kernel == "semi-structured":
                return SemiStructured.apply(x, values, bias, self)
            return Scattered.apply(x, values, bias, self)

    def note_gradient(self, dense: Tensor) -> None:
        """Remember the units outside the pattern whose gradient is largest; dense: (outputs, inputs) of this batch."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(dense)  # each rank has seen its share of the batch
        if self._calls > 1 or self.in_parts:  # several times in this step: the gradient is the sum over all of them
            dense = self._summed = dense.clone() if self._summed is None else self._summed.add_(dense)
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
        """dx and the dense dW; dW takes the buffer of the dense weight."""
        dx = dy @ self.laid_out(values, step)
        return dx, self.weight_gradient(dy, x)

    def weight_gradient(self, dy: Tensor, x: Tensor) -> Tensor:
        """The dense dW, (outputs, inputs), in the buffer that all layers share."""
        return torch.mm(dy.flatten(0, -2).t(), x.flatten(0, -2), out=shared_buffer(self.shape, x))

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


class SparseConv1D(SparseLinear):
    """The linear layer of `transformers`' GPT-2, which calls it Conv1D and keeps its weight as (inputs, outputs)."""

    @staticmethod
    def matrix_shape(weight: Tensor) -> tuple[int, int]:
        """(inputs, outputs) -> (outputs, inputs)."""
        return weight.shape[1], weight.shape[0]

    def as_matrix(self, weight: Tensor) -> Tensor:
        """(inputs, outputs) -> (outputs, inputs)."""
        return weight.t()

    def as_weight(self, matrix: Tensor) -> Tensor:
        """(outputs, inputs) -> (inputs, outputs)."""
        return matrix.t()
