"""Crossover of sparse layers: time and memory of a training step over those of dense ones, by pattern, sparsity and shape."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from frugal.bench.row import seconds_of
from frugal.measure.clock import synchronise
from frugal.sparse.choice import candidates
from frugal.sparse.convert import sparsify
from frugal.sparse.kernels import KERNELS
from frugal.sparse.layers import SparseLayer
from frugal.sparse.pattern import parse_pattern

HOPELESS = 4.0  # times longer than dense at the first try: taken once more instead of in all rounds


def cells(
    shapes: tuple[tuple[int, int], ...],
    patterns: tuple[str, ...],
    sparsities: tuple[float, ...],
    batch: int,
    rounds: int,
    device: torch.device,
) -> Iterator[dict[str, Any]]:
    """A row per shape, pattern, sparsity and kernel.

    time_over_dense: the least time of a forward and backward pass over the least of the dense layer of that shape, taken
    in turns, since other work can only lengthen a time; memory_over_dense: bytes of weights, gradients, Adam's moments
    and indices, over 16 per dense weight; temporary_over_dense: what a pass holds besides, the dense weight or gradient
    of `scatter`, over the same
    """
    for outputs, inputs in shapes:
        torch.manual_seed(0)
        x, dy = torch.randn(batch, inputs, device=device).requires_grad_(), torch.randn(batch, outputs, device=device)
        dense = _synchronised(linear_step(nn.Linear(inputs, outputs).to(device), x, dy), device)
        shape = {"outputs": outputs, "inputs": inputs, "batch": batch, "device": device.type}
        least, rows = float("inf"), []
        for pattern, sparsity in itertools.product(patterns, sparsities):
            net = nn.Sequential(nn.Linear(inputs, outputs).to(device))
            sparsify(net, parse_pattern(pattern), sparsity, torch.Generator().manual_seed(0), skip=[])
            for kernel in candidates(net[0]):
                net[0].kernel = kernel
                step = _synchronised(linear_step(net[0], x, dy), device)
                dense(), step()
                times = [(seconds_of(dense), seconds_of(step))]
                turns = rounds if times[0][1] < HOPELESS * times[0][0] else 2
                times += [(seconds_of(dense), seconds_of(step)) for _ in range(turns - 1)]
                least = min(least, *(of_dense for of_dense, _ in times))
                temporary = 0.25 if kernel == "scatter" else 0.0
                about = {"pattern": pattern, "sparsity": sparsity, "kernel": kernel}
                held = _held(net[0]) / (16 * outputs * inputs)
                rows.append((shape | about, min(seconds for _, seconds in times), held, temporary))
        for about, seconds, held, temporary in rows:
            figures = {"time": seconds / least, "memory": held, "temporary": temporary}
            yield about | {f"{name}_over_dense": round(value, 4) for name, value in figures.items()}


def linear_step(layer: nn.Module, x: Tensor, dy: Tensor) -> Callable[[], object]:
    """Forward and backward of a layer as a net has it, x (b, inputs), dy (b, outputs): the gradient of its input too."""

    def step() -> None:
        torch.autograd.grad(layer(x), [x, *layer.parameters()], dy)

    return step


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
