"""Benchmark of sparse layers: where they are faster than dense ones, what they store, and that none is slower than a mask."""

import statistics
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from frugal.bench import generated
from frugal.bench.crossover import linear_step
from frugal.bench.engine import epoch
from frugal.bench.footprint import DENSE_BYTES
from frugal.bench.row import Row, interval_of_median, ratio, ratios
from frugal.errors import FrugalError
from frugal.measure.weights import weights_of
from frugal.sparse.convert import kernels_of, sparsify
from frugal.sparse.masked import Masked, masked_twin
from frugal.sparse.pattern import parse_pattern
from frugal.strategies.full import Full
from frugal.training.optimizer import make_optimizer
from frugal.training.trainer import Trainer

CPU = torch.device("cpu")
OUTPUTS, INPUTS, BATCH = 512, 2048, 256
ROUNDS = 41  # of steps whose ratio is close to one
STRATEGIES = {  # those of the study config/studies/sparsity.yaml
    "block-4x4": ("sparse", {"pattern": "block-4x4", "sparsity": 0.5}),
    "random-50": ("sparse", {"pattern": "random", "sparsity": 0.5}),
    "block-16x16-90": ("sparse", {"pattern": "block-16x16", "sparsity": 0.9}),
    "rigl-50": ("rigl", {"sparsity": 0.5}),
    "rigl-90": ("rigl", {"sparsity": 0.9}),
}


def measure(folder: Path) -> list[Row]:
    """On one core of the CPU. folder: for generated data."""
    return [*_layers(), *_stored(), *_peaks(), *_steps(folder)]


def _layers() -> list[Row]:
    """One linear layer against torch's dense one and, at 50 %, against a masked one."""
    torch.manual_seed(0)
    x, dy = torch.randn(BATCH, INPUTS, requires_grad=True), torch.randn(BATCH, OUTPUTS)
    dense = linear_step(nn.Linear(INPUTS, OUTPUTS), x, dy)
    size, rows = f"{OUTPUTS}x{INPUTS}, batch {BATCH}", []
    for pattern, sparsity, target in (
        ("block-16x16", 0.9, 1),
        ("block-32x32", 0.9, 1),
        ("block-64x64", 0.9, 1),
        ("random", 0.9, None),
        ("block-4x4", 0.5, None),
        ("block-32x32", 0.5, None),
        ("block-64x64", 0.5, None),
        ("random", 0.5, None),
    ):
        net = nn.Sequential(nn.Linear(INPUTS, OUTPUTS))
        sparsify(net, parse_pattern(pattern), sparsity, torch.Generator().manual_seed(0), skip=[])
        sparse, masked = linear_step(net[0], x, dy), linear_step(Masked(net[0]), x, dy)
        what = f"{pattern} at {sparsity:.0%}, {size}"
        over_dense = ratio(sparse, dense, 15)
        kernel = kernels_of(net)["0"][0]
        rows += [
            Row("sparsity", f"{what}: time over dense ({kernel})", over_dense, "x", target, "at most"),
            Row("sparsity", f"{what}: time over masked ({kernel})", ratio(sparse, masked, 15), "x"),
        ]
    return rows


def _stored() -> list[Row]:
    """Model and Adam's moments as stored, over the arithmetic: 12 bytes per kept weight and 4 per kept unit."""
    rows = []
    for pattern in ("random", "block-4x4", "block-16x16"):
        net = nn.Sequential(nn.Linear(INPUTS, OUTPUTS, bias=False))
        kind = parse_pattern(pattern)
        sparsify(net, kind, 0.5, torch.Generator().manual_seed(0), skip=[], kernel="scatter")
        optimizer = torch.optim.Adam(net.parameters(), fused=True)
        net(torch.randn(8, INPUTS)).sum().backward()
        optimizer.step()
        moments = sum(t.numel() * t.element_size() for s in optimizer.state.values() for t in s.values())
        found, kept = weights_of(net).bytes + moments, OUTPUTS * INPUTS // 2
        expected = 12 * kept + 4 * kept // kind.block**2
        rows += [
            Row("sparsity", f"{pattern} at 50%: bytes off the arithmetic", 100 * abs(found / expected - 1), "%", 5, "at most"),
            Row("sparsity", f"{pattern} at 50%: model and Adam, bytes over dense", found / (12 * OUTPUTS * INPUTS), "x"),
        ]  # fmt: skip
    return rows


def _peaks() -> list[Row]:
    """Peak memory of training a net of weights, each in a process of its own; raises FrugalError where that fails."""
    found = {pattern: footprint(pattern) for pattern in ("dense", "block-32x32", "block-16x16", "block-4x4", "random")}
    rows = [Row("sparsity", "peak memory of a dense net over 16 bytes per weight", found["dense"] / DENSE_BYTES, "x")]
    for pattern in list(found)[1:]:
        target = 0.65 if pattern in ("block-32x32", "block-16x16") else None
        share = found[pattern] / found["dense"]
        rows.append(
            Row("sparsity", f"peak memory of training, {pattern} at 50%, over dense", share, "x", target, "at most")
        )
    return rows


def footprint(pattern: str) -> int:
    """Bytes, from `frugal.bench.footprint` in a process of its own; raises FrugalError where that fails."""
    scripts = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "frugal.bench.footprint", pattern]
    done = subprocess.run(command, cwd=scripts, capture_output=True, text=True)
    if done.returncode:
        raise FrugalError(f"measuring memory failed: {done.stderr.strip().splitlines()[-1]}")
    return int(done.stdout)


def _steps(folder: Path) -> list[Row]:
    """Training the CNN of the sparsity study, against the same net and optimizer with masks, as an epoch of the engine."""
    shape, rows = (3, 32, 32), []
    cache = generated.cache(folder / "sparsity", 128, shape)
    recipe = {"batch_size": 64, "optimizer": "adam", "learning_rate": 0.001}
    for name, (use, parameters) in STRATEGIES.items():
        spec = generated.spec(use, shape, "cnn_fc", {}, recipe, **parameters)
        sparse, masked = Trainer(spec, cache, CPU), Trainer(spec, cache, CPU)
        masked.model = masked_twin(sparse.model)
        masked.optimizer, masked.strategy = make_optimizer(masked.model, masked.recipe), Full()
        prices = ratios(lambda t=sparse: epoch(t), lambda t=masked: epoch(t), ROUNDS)
        price, interval = statistics.median(prices), interval_of_median(prices)
        rows.append(Row("sparsity", f"CIFAR CNN, {name}: step over masked dense", price, "x", 1, "at most", interval))
    return rows
