"""Patterns of sparsity: which weights of a matrix are kept, as single entries, square blocks, or two of every four.

A weight is seen as a matrix (outputs, inputs), of a convolution (C_out, kh * kw * C_in), as it lies in channels-last memory:
so a block is of output by input channels. A pattern cuts it into units, single entries or blocks, and keeps some of them.
Kept units are named by their place in row-major order of units, sorted, as int32 where that is enough; their values lie
beside each other in the same order.
"""

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from frugal.errors import FrugalError

PATTERNS = "random, block-BxB (such as block-16x16), semi-structured-2-4"
BLOCKS = (4, 8, 16, 32, 64)  # those an error message proposes
DRAWN = 1 << 18  # units that are drawn at once


@dataclass(frozen=True)
class Pattern:
    """block: side of a unit, 1 for single entries; of_four: two entries of every four, which sparse tensor cores need."""

    block: int = 1
    of_four: bool = False

    @property
    def name(self) -> str:
        """As in the config."""
        if self.of_four:
            return "semi-structured-2-4"
        return f"block-{self.block}x{self.block}" if self.block > 1 else "random"

    def units(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of units in a matrix of that shape."""
        return shape[0] // self.block, shape[1] // self.block

    def kept(self, shape: tuple[int, int], sparsity: float) -> int:
        """How many units are kept: the nearest to that share."""
        rows, columns = self.units(shape)
        return round((1 - sparsity) * rows * columns)

    def check(self, shape: tuple[int, int], layer: str) -> None:
        """Raises FrugalError where the pattern does not tile the matrix, naming the layer and the blocks that do."""
        if self.of_four and shape[1] % 4:
            raise FrugalError(
                f"layer {layer} has {shape[1]} inputs, which is no multiple of 4; add it to the strategy's skip"
            )
        if shape[0] % self.block or shape[1] % self.block:
            fitting = [f"{b}x{b}" for b in BLOCKS if shape[0] % b == 0 and shape[1] % b == 0]
            choose = f"choose a block of {', '.join(fitting)}, or add" if fitting else "no usual block does: add"
            raise FrugalError(
                f"layer {layer} is {shape[0]} x {shape[1]}, which blocks of {self.block}x{self.block} don't tile; "
                f"{choose} it to the strategy's skip"
            )

    def draw(self, shape: tuple[int, int], sparsity: float, generator: torch.Generator) -> Tensor:
        """Units drawn at random, (kept,) on the CPU. Rows of units keep equally many, but for one where that leaves a rest.

        So no output is cut off by chance, and all have the fan-in that the initialisation is scaled for.
        """
        if self.of_four:
            groups = shape[0] * shape[1] // 4
            two = torch.rand(groups, 4, generator=generator).argsort(1)[:, :2].sort(1).values
            return _stored((two + 4 * torch.arange(groups)[:, None]).flatten(), shape[0] * shape[1])
        rows, columns = self.units(shape)
        kept = self.kept(shape, sparsity)
        quota = torch.full((rows,), kept // rows)
        quota[torch.randperm(rows, generator=generator)[: kept % rows]] += 1
        keeps = torch.empty(rows, columns, dtype=torch.bool)
        for some in torch.arange(rows).split(max(1, DRAWN // columns)):  # ranks of all would take 40 bytes per unit
            rank = torch.rand(len(some), columns, generator=generator).argsort(1).argsort(1)
            keeps[some] = rank < quota[some, None]
        return _stored(keeps.flatten().nonzero().squeeze(1), rows * columns)

    def rows_of(self, index: Tensor, shape: tuple[int, int]) -> Tensor:
        """Where each row of each kept unit, index (kept,), lies in the matrix seen as (outputs * columns of units, block)."""
        if self.block == 1:
            return index
        columns, index = self.units(shape)[1], index.long()
        row, column = index // columns, index % columns
        inside = torch.arange(self.block, device=index.device)
        return _stored(
            ((row[:, None] * self.block + inside) * columns + column[:, None]).flatten(), shape[0] * shape[1]
        )

    def dense(self, values: Tensor, rows: Tensor, shape: tuple[int, int], out: Tensor | None = None) -> Tensor:
        """The matrix with zeros where nothing is kept, written to `out` if that is given.

        values: (kept,) or (kept, block, block); rows: see `rows_of`; out: contiguous, of that shape
        """
        matrix = values.new_zeros(shape) if out is None else out.zero_()
        whole, parts = self._in_rows(matrix), self._in_rows(values)
        if whole.dim() == 1:
            # On the CPU as it is: a copy in int64 would take as much memory as the dense matrix does.
            whole.scatter_(0, rows if rows.is_cpu else rows.long(), parts)
        else:
            whole.index_copy_(0, rows.long(), parts)
        return matrix

    def values(self, matrix: Tensor, rows: Tensor) -> Tensor:
        """What the matrix (outputs, inputs) holds in the kept units, the counterpart of `dense`."""
        found = self._in_rows(matrix.contiguous()).index_select(0, rows)
        return found if self.block == 1 else found.view(matrix.dtype).view(-1, self.block, self.block)

    def _in_rows(self, tensor: Tensor) -> Tensor:
        """Contiguous memory as rows of a block, (rows, block); those of 8 or 16 bytes as one number each, which moves faster."""
        wide = {8: torch.float64, 16: torch.complex128}.get(self.block * tensor.element_size())
        if self.block == 1:
            return tensor.view(-1)
        return tensor.view(-1).view(wide) if wide else tensor.view(-1, self.block)

    def sizes(self, matrix: Tensor) -> Tensor:
        """Magnitude of every unit of a matrix, (units,): of an entry its absolute value, of a block its Frobenius norm."""
        if self.block == 1:
            return matrix.abs().flatten()
        rows, columns = self.units(matrix.shape)
        return matrix.view(rows, self.block, columns, self.block).square().sum((1, 3)).sqrt_().flatten()

    def sizes_of(self, values: Tensor) -> Tensor:
        """Magnitude of each kept unit, (kept,)."""
        return values.abs() if self.block == 1 else values.square().sum((1, 2)).sqrt_()


def parse_pattern(name: str) -> Pattern:
    """The pattern of a name in the config; raises FrugalError for one that isn't there."""
    if name == "random":
        return Pattern()
    if name == "semi-structured-2-4":
        return Pattern(of_four=True)
    sides = re.fullmatch(r"block-(\d+)x(\d+)", name)
    if sides is None or sides[1] != sides[2] or int(sides[1]) < 2:
        raise FrugalError(f"unknown sparsity pattern {name!r}; there are: {PATTERNS}, with square blocks of 2 and more")
    return Pattern(int(sides[1]))


def _stored(index: Tensor, units: int) -> Tensor:
    return index.int() if units < 2**31 else index
