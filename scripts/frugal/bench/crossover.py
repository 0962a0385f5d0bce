"""Where sparse layers begin to pay: time of a step and bytes while training, over dense, per pattern, sparsity and shape."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from frugal.bench.row import ratio
from frugal.bench.sparsity import linear_step
from frugal.measure.clock import synchronise
from frugal.sparse.choice import candidates
from frugal.sparse.convert import sparsify
from frugal.sparse.kernels import KERNELS
from frugal.sparse.layers import SparseLayer
from frugal.sparse.pattern import parse_pattern


def cells(
    shapes: tuple[tuple[int, int], ...],
    patterns: tuple[str, ...],
    sparsities: tuple[float, ...],
    batch: int,
    rounds: int,
    device: torch.device,
) -> Iterator[dict[str, Any]]:
    """A row per shape, pattern, sparsity and kernel.

    time_over_dense: median over rounds of forward and backward, taken in turns with the dense layer; memory_over_dense: bytes
    of weights, gradients, Adam's moments and indices, over 16 per dense weight; temporary_over_dense: what a pass holds
    besides, the dense weight or gradient of `scatter`, over the same
    """
    for outputs, inputs in shapes:
        torch.manual_seed(0)
        x, dy = torch.randn(batch, inputs, device=device).requires_grad_(), torch.randn(batch, outputs, device=device)
        dense = _synchronised(linear_step(nn.Linear(inputs, outputs).to(device), x, dy), device)
        for pattern in patterns:
            for sparsity in sparsities:
                net = nn.Sequential(nn.Linear(inputs, outputs).to(device))
                sparsify(net, parse_pattern(pattern), sparsity, torch.Generator().manual_seed(0), skip=[])
                for kernel in candidates(net[0]):
                    net[0].kernel = kernel
                    step = _synchronised(linear_step(net[0], x, dy), device)
                    yield {
                        "outputs": outputs,
                        "inputs": inputs,
                        "batch": batch,
                        "pattern": pattern,
                        "sparsity": sparsity,
                        "kernel": kernel,
                        "time_over_dense": round(ratio(step, dense, rounds), 4),
                        "memory_over_dense": round(_held(net[0]) / (16 * outputs * inputs), 4),
                        "temporary_over_dense": 0.25 if kernel == "scatter" else 0.0,
                    }


def _held(layer: SparseLayer) -> int:
    """Bytes held between steps: values, gradient and two moments, the pattern, and what the kernel keeps of its own."""
    kept = [layer.index]
    if layer.kernel in KERNELS:
        kept += [t for t in vars(layer.compressed(layer.kernel)).values() if isinstance(t, torch.Tensor)]
    elif layer.pattern.block > 1:
        kept.append(layer.rows)
    return 4 * layer.values.numel() * layer.values.element_size() + sum(t.numel() * t.element_size() for t in kept)


def _synchronised(step: Any, device: torch.device) -> Any:
    def run() -> None:
        step()
        synchronise(device)

    return run
