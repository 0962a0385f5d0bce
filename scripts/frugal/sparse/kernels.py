"""Kernels of sparse layers: products with a sparse matrix W (outputs, inputs), from its kept values alone.

Activations come as columns: x is (inputs, n), y is (outputs, n). A kernel is made for one set of kept units and computes
    product      y = W x
    transposed   dx = W^T dy
    sampled      dW = dy x^T, at the kept units only
`csr` and `bsr` are torch.sparse's, that is MKL's on the CPU and cuSPARSE's on a GPU. `gather` collects, per row of blocks,
the inputs they touch and multiplies densely. On a CPU it is the fastest one for blocks of 16 and more: 512 x 2048 with 90 %
left out, 256 columns, 16x16 blocks: 1.3 + 2.2 + 1.4 ms where `bsr` takes 2.4 + 2.7 + 1.3 and dense products 5.5 + 5.9 + 5.9
(one core of an AMD EPYC with AVX-512).
"""

import warnings

import torch
from torch import Tensor

from frugal.sparse.pattern import Pattern

warnings.filterwarnings("ignore", "Sparse (CSR|BSR|CSC|BSC) tensor support is in beta", UserWarning)
warnings.filterwarnings("ignore", "Sparse invariant checks are implicitly disabled", UserWarning)

GATHERED = 1 << 18  # numbers that one batch of block products collects: a megabyte, so that it stays in the cache


class Compressed:
    """Rows of units and what lies in them, and the same by columns: what the kernels below share."""

    def __init__(self, pattern: Pattern, index: Tensor, shape: tuple[int, int]):
        self.shape, self.block = shape, pattern.block
        rows, columns = pattern.units(shape)
        long = index.long()
        row, column = long // columns, long % columns
        by_column = column.argsort(stable=True)
        narrow = torch.int32  # half the size of torch's usual index, and what MKL takes as it is
        self.starts, self.column = _starts(row, rows).to(narrow), column.to(narrow)
        self.starts_t, self.row_t = _starts(column, columns).to(narrow), row[by_column].to(narrow)
        self.by_column = by_column.to(narrow)

    def transposed_values(self, values: Tensor) -> Tensor:
        """The values (kept, ...) of W^T in its own order."""
        values = values.index_select(0, self.by_column)
        return values if self.block == 1 else values.transpose(1, 2).contiguous()


class Csr(Compressed):
    """Single entries through torch.sparse."""

    float32_only = True

    def product(self, values: Tensor, x: Tensor) -> Tensor:
        """W x, (outputs, n)."""
        return torch.sparse_csr_tensor(self.starts, self.column, values, self.shape) @ x

    def transposed(self, values: Tensor, dy: Tensor) -> Tensor:
        """W^T dy, (inputs, n)."""
        values = self.transposed_values(values)
        return torch.sparse_csr_tensor(self.starts_t, self.row_t, values, self.shape[::-1]) @ dy

    def sampled(self, dy: Tensor, x: Tensor) -> Tensor:
        """dy x^T at the kept entries, (kept,)."""
        zeros = torch.sparse_csr_tensor(self.starts, self.column, dy.new_zeros(len(self.column)), self.shape)
        return torch.sparse.sampled_addmm(zeros, dy, x.t(), beta=0.0).values()


class Bsr(Compressed):
    """Blocks through torch.sparse; it has no product sampled in blocks, so that one is a batch of small dense products."""

    float32_only = True

    def product(self, values: Tensor, x: Tensor) -> Tensor:
        """W x, (outputs, n)."""
        return torch.sparse_bsr_tensor(self.starts, self.column, values, self.shape) @ x

    def transposed(self, values: Tensor, dy: Tensor) -> Tensor:
        """W^T dy, (inputs, n)."""
        values = self.transposed_values(values)
        return torch.sparse_bsr_tensor(self.starts_t, self.row_t, values, self.shape[::-1]) @ dy

    def sampled(self, dy: Tensor, x: Tensor) -> Tensor:
        """dy x^T in the kept blocks, (kept, block, block)."""
        side, columns = self.block, x.shape[1]
        dy, x = dy.view(-1, side, columns), x.view(-1, side, columns)
        row = torch.repeat_interleave(self.starts.diff(), output_size=len(self.column))
        kept = dy.new_empty(len(self.column), side, side)
        step = max(1, GATHERED // (side * columns))
        for first in range(0, len(kept), step):
            last = first + step
            one, other = dy.index_select(0, row[first:last]), x.index_select(0, self.column[first:last])
            torch.bmm(one, other.transpose(1, 2), out=kept[first:last])
        return kept


class Gather(Compressed):
    """Blocks through dense products of what each row, or column, of blocks touches."""

    float32_only = False

    def __init__(self, pattern: Pattern, index: Tensor, shape: tuple[int, int]):
        super().__init__(pattern, index, shape)
        self.rows, self.columns = _spans(self.starts), _spans(self.starts_t)

    def product(self, values: Tensor, x: Tensor) -> Tensor:
        """W x, (outputs, n)."""
        side = self.block
        x, y = x.view(-1, side, x.shape[1]), x.new_zeros(self.shape[0] // side, side, x.shape[1])
        for row, first, last in self.rows:
            touched = x.index_select(0, self.column[first:last]).flatten(0, 1)
            torch.mm(values[first:last].transpose(0, 1).reshape(side, -1), touched, out=y[row])
        return y.flatten(0, 1)

    def transposed(self, values: Tensor, dy: Tensor) -> Tensor:
        """W^T dy, (inputs, n)."""
        side, values = self.block, values.index_select(0, self.by_column)
        dy, dx = dy.view(-1, side, dy.shape[1]), dy.new_zeros(self.shape[1] // side, side, dy.shape[1])
        for column, first, last in self.columns:
            touched = dy.index_select(0, self.row_t[first:last]).flatten(0, 1)
            torch.mm(values[first:last].reshape(-1, side).t(), touched, out=dx[column])
        return dx.flatten(0, 1)

    def sampled(self, dy: Tensor, x: Tensor) -> Tensor:
        """dy x^T in the kept blocks, (kept, block, block)."""
        side, columns = self.block, x.shape[1]
        dy, x = dy.view(-1, side, columns), x.view(-1, side, columns)
        kept = dy.new_empty(len(self.column), side, side)
        for row, first, last in self.rows:
            touched = x.index_select(0, self.column[first:last]).flatten(0, 1)
            kept[first:last] = torch.mm(touched, dy[row].t()).view(-1, side, side).transpose(1, 2)
        return kept


KERNELS = {"csr": Csr, "bsr": Bsr, "gather": Gather}


def _starts(sorted_or_not: Tensor, count: int) -> Tensor:
    """Where each of `count` rows begins, once entries are sorted by row: (count + 1,)."""
    return torch.cat([sorted_or_not.new_zeros(1), sorted_or_not.bincount(minlength=count).cumsum(0)])


def _spans(starts: Tensor) -> list[tuple[int, int, int]]:
    """(row, first, last) of every row that holds something."""
    starts = starts.tolist()
    return [(row, *span) for row, span in enumerate(zip(starts, starts[1:], strict=False)) if span[1] > span[0]]
