"""Benchmark of Adaptive Sparse Training: skipped samples save FLOPs and seconds, and the keep rate meets its target."""

from pathlib import Path

import torch

from frugal.bench import generated
from frugal.bench.engine import epoch
from frugal.bench.row import Row, ratio
from frugal.strategies.controllers import ProportionalIntegral, Quantile
from frugal.training.trainer import Trainer

CPU = torch.device("cpu")
SAMPLES, BATCH, TARGET = 480, 32, 0.4
SHAPE = (3, 32, 32)
COST = {"masked": 1.0, "fresh": (1 + 3 * TARGET) / 3, "half": (0.25 + 3 * TARGET) / 3, "remembered": TARGET}


def measure(folder: Path) -> list[Row]:
    """On one core, a residual net and images as large as CIFAR's. folder: for generated data."""
    cache = generated.cache(folder / "adaptive", SAMPLES, SHAPE)
    return [*_costs(cache), *_tracking()]


def _trainer(cache: object, use: str, **strategy: object) -> Trainer:
    net = {"depth": 8, "width": 32}
    return Trainer(generated.spec(use, SHAPE, "resnet", net, {"batch_size": BATCH}, **strategy), cache, CPU)


def _costs(cache: object) -> list[Row]:
    """An epoch of each way of scoring over a full one: FLOPs against the cost model, seconds against those FLOPs."""
    full, rows = _trainer(cache, "full"), []
    for scoring, model in COST.items():
        sparse = _trainer(cache, "ast", target=TARGET, warmup=0.0, scoring=scoring, controller="quantile")
        if scoring == "remembered":
            epoch(sparse)  # the first visit of every sample
        seconds = ratio(lambda: epoch(sparse), lambda: epoch(full), 3)  # noqa: B023  called at once
        before = sparse.ledger.flops_executed, full.ledger.flops_executed
        epoch(sparse), epoch(full)
        flops = (sparse.ledger.flops_executed - before[0]) / (full.ledger.flops_executed - before[1])
        rows += [
            Row("adaptive", f"FLOPs of {scoring}, keep rate {TARGET}, over full", flops, "x"),
            Row("adaptive", f"... away from the cost model's {model:.3f}", abs(flops / model - 1), "", 0.05, "at most"),
            Row(
                "adaptive",
                f"... seconds away from the FLOPs, {seconds:.3f} x",
                abs(seconds / flops - 1),
                "",
                0.15,
                "at most",
            ),
        ]
    return rows


def _tracking() -> list[Row]:
    """Selected share minus target over the batches after the first 50, for losses of three scales."""
    rows = []
    for scale in (0.01, 1, 100):
        errors = {}
        for name, control in (
            ("quantile", Quantile(TARGET, CPU)),
            ("PI", ProportionalIntegral(TARGET, 0.005, 1e-4, CPU)),
        ):
            draw = torch.Generator().manual_seed(0)
            rates = [control.select(scale * torch.rand(128, generator=draw)).double().mean() for _ in range(500)]
            errors[name] = 100 * (torch.stack(rates[50:]).mean().item() - TARGET)
        rows += [
            Row(
                "adaptive",
                f"quantile controller off its target, losses up to {scale:g}",
                abs(errors["quantile"]),
                "points",
                1,
                "at most",
            ),
            Row("adaptive", f"PI controller off its target, losses up to {scale:g}", errors["PI"], "points"),
        ]
    return rows
