"""Benchmark of what only a GPU's tensor cores have: 2:4 sparsity and float8, each against dense bfloat16.

A figure that this device can't give is null, with the reason. Sizes are those of a large transformer on a GPU, tiny elsewhere.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from frugal.bench.crossover import linear_step
from frugal.bench.float8 import Float8Linear, product, quantised
from frugal.bench.row import Row, ratio
from frugal.errors import FrugalError, in_one_line
from frugal.measure.clock import synchronise
from frugal.sparse.convert import sparsify
from frugal.sparse.pattern import parse_pattern

GROUP = "tensorcores"
REPEATS = 20  # products in a timed span, so that starting a kernel is a small part of it
NATIVE_FLOAT8 = (8, 9)  # compute capability from which a card multiplies float8; elsewhere it is emulated, or refused


def measure(_: Path) -> list[Row]:
    """Times over bfloat16, and how far the products are off."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = 8192 if device.type == "cuda" else 256
    torch.manual_seed(0)
    x, weight = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    sizes = f"{size}x{size}, batch {size}"
    dense, step = lambda: functional.linear(x, weight), _dense_step(x)
    return [
        _over(f"2:4 product, {sizes}, forward", lambda: _packed_product(x, weight), dense, device),
        _over(f"2:4 layer, {sizes}, forward and backward", lambda: _sparse_step(x), step, device),
        _over(f"float8 product, {sizes}, of float8 inputs", lambda: _float8_product(x, weight), dense, device),
        _error(x, weight, size),
        _over(f"float8 layer, {sizes}, forward and backward, with casts", lambda: _float8_step(x), step, device),
    ]


Work = Callable[[], object]


def _over(what: str, make: Callable[[], Work], other: Work, device: torch.device) -> Row:
    """A row: the time of the work that `make` makes over that of `other`, or why this device can't do it."""
    name = f"{what}: time over bfloat16"
    try:
        times = ratio(_repeated(make(), device), _repeated(other, device))
    except (
        Exception
    ) as error:  # whatever torch or the card stumbles over is the reason, and the other rows are measured
        return Row(GROUP, name, None, "x", why=in_one_line(error))
    return Row(GROUP, name, times, "x")


def _repeated(work: Work, device: torch.device) -> Work:
    def run() -> None:
        for _ in range(REPEATS if device.type == "cuda" else 1):
            work()
        synchronise(device)

    return run


def _packed_product(x: Tensor, weight: Tensor) -> Work:
    """The product alone, with a weight that was packed before."""
    kept = torch.zeros_like(weight).view(-1, 4)
    kept[:, :2] = weight.view(-1, 4)[:, :2]
    packed = torch.sparse.to_sparse_semi_structured(kept.view_as(weight))
    return lambda: functional.linear(x, packed)


def _sparse_step(x: Tensor) -> Work:
    """Our layer as studies train it: packed anew in each step, gradients dense."""
    net = nn.Sequential(nn.Linear(len(x), len(x), bias=False, device=x.device, dtype=x.dtype))
    sparsify(net, parse_pattern("semi-structured-2-4"), 0.5, torch.Generator().manual_seed(0), skip=[], kernel="sparse")
    return linear_step(net[0], x.detach().requires_grad_(), torch.randn_like(x))


def _dense_step(x: Tensor) -> Work:
    layer = nn.Linear(len(x), len(x), bias=False, device=x.device, dtype=x.dtype)
    return linear_step(layer, x.detach().requires_grad_(), torch.randn_like(x))


def _float8_product(x: Tensor, weight: Tensor) -> Work:
    check_float8(x.device)
    one, other = quantised(x, torch.float8_e4m3fn), quantised(weight, torch.float8_e4m3fn)
    return lambda: product(one, other)


def _float8_step(x: Tensor) -> Work:
    check_float8(x.device)
    layer = Float8Linear(len(x), len(x), bias=False, device=x.device, dtype=x.dtype)
    return linear_step(layer, x.detach().requires_grad_(), torch.randn_like(x))


def _error(x: Tensor, weight: Tensor, size: int) -> Row:
    """How far a float8 product is off; torch computes it on CPUs too."""
    name = f"float8 product of {size}, normal values: relative error, over the root of the sum of squares"
    try:
        found = product(quantised(x, torch.float8_e4m3fn), quantised(weight, torch.float8_e4m3fn)).float()
    except Exception as error:
        return Row(GROUP, name, None, "%", why=in_one_line(error))
    exact = functional.linear(x.float(), weight.float())
    return Row(GROUP, name, 100 * ((found - exact).norm() / exact.norm()).item(), "%")


def check_float8(device: torch.device) -> None:
    """Raise FrugalError where a device has no instructions for float8, so that its time would say nothing."""
    if device.type != "cuda":
        raise FrugalError("a CPU emulates float8")
    if (found := torch.cuda.get_device_capability(device)) < NATIVE_FLOAT8:
        raise FrugalError("float8 needs compute capability {}.{}, this card has {}.{}".format(*NATIVE_FLOAT8, *found))
