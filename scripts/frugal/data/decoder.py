"""Decoder of stored DCT coefficients to normalised images, on the training device: two matrix products for a whole batch."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from frugal.data import dct


def cosine_basis(size: int) -> np.ndarray:
    """The orthonormal DCT-II matrix A, (N, N): A[u, n] = sqrt(2/N) cos(pi (2n+1) u / 2N), A[0] /= sqrt 2."""
    n = np.arange(size)
    basis = np.sqrt(2 / size) * np.cos(np.pi * (2 * n[None] + 1) * n[:, None] / (2 * size))
    basis[0] /= np.sqrt(2)
    return basis


class Decoder:
    """Decodes rows of the store at any level, as whole images (`native`) or as k x k pixels (`spectral`).

    The integer steps and the division by the standard deviation are folded into one multiplier per coefficient, the DC
    offset and the mean into one number per channel. A coefficient left out is zero, so a row padded with zeros decodes to
    what its prefix holds.

    step (C, N, N), offset (C,): of the store; mean, std (C,): of the training pixels, in grey levels of 255
    """

    def __init__(self, step: np.ndarray, offset: np.ndarray, mean: np.ndarray, std: np.ndarray, device: torch.device):
        self.channels, self.size, _ = step.shape
        self.scale = (step / std[:, None, None]).astype(np.float32)
        self.constant = (offset / self.size - mean) / std
        self.device = device
        self._tables = lru_cache(maxsize=None)(self._make_tables)

    def _make_tables(self, level: int, pixels: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gather order and multiplier (C*k*k,), basis (k, pixels), constant (1, C, 1, 1)."""
        stored = dct.shell_order(self.channels, level)
        # Rows are gathered as (c, v, u): each of the two products transposes, so the image comes out upright.
        gather = np.argsort(stored).reshape(self.channels, level, level).transpose(0, 2, 1).ravel()
        multiplier = self.scale[:, :level, :level].transpose(0, 2, 1).ravel()
        # k x k coefficients of an N x N image show the same picture at k x k pixels once scaled by k/N.
        basis = cosine_basis(pixels)[:level] * np.sqrt(pixels / self.size)
        tables = (gather, multiplier.astype(np.float32), basis.astype(np.float32), self.constant.astype(np.float32))
        gather, multiplier, basis, constant = (torch.from_numpy(t).to(self.device) for t in tables)
        return gather, multiplier, basis, constant.view(1, -1, 1, 1)

    def __call__(self, rows: Tensor, level: int, spectral: bool = False) -> Tensor:
        """rows: (b, C*k*k) integers in shell order -> (b, C, N, N) float32, or (b, C, k, k) when spectral."""
        pixels = level if spectral else self.size
        gather, multiplier, basis, constant = self._tables(level, pixels)
        corners = rows.index_select(1, gather).to(torch.float32).mul_(multiplier)
        half = (corners.view(-1, level) @ basis).view(-1, level, pixels)
        whole = half.transpose(1, 2).reshape(-1, level) @ basis
        return whole.view(-1, self.channels, pixels, pixels).add_(constant)
