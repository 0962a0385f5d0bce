"""Benchmark of dynamic pruning: what a net of half the FLOPs saves in time, and what measuring the importance of neurons costs.

The targets are for ResNet-18, the network of the pruning study at scale `published`. ResNet-8 stands beside it as a limit:
where layers are 16 wide, time goes into elementwise work and memory, and fewer channels reach fewer FLOP/s, so half the
FLOPs save less.
"""

import time
from pathlib import Path

import torch

from frugal.bench import generated
from frugal.bench.engine import epoch
from frugal.bench.row import Row, ratio, seconds_of
from frugal.training.trainer import Trainer

SHAPE = (3, 32, 32)
RECIPE = {"batch_size": 64, "augment": {"crop_padding": 4, "flip": True}}
NETS = {  # name: model parameters, samples on a CPU and on a GPU
    "ResNet-8": ({"depth": 8, "width": 16}, 1280, 50_000),
    "ResNet-18": ({"depth": 18}, 128, 50_000),
}


def measure(folder: Path) -> list[Row]:
    """ResNet-8 of 16-32-64 and ResNet-18 of 64-128-256-512 channels, 32x32 images. folder: for generated data."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = []
    for name, (parameters, *samples) in NETS.items():
        count = samples[device.type == "cuda"]
        cache = generated.cache(folder / name, count, SHAPE)
        rows += _halved(name, parameters, cache, device) + _bookkeeping(name, parameters, cache, device)
    return rows


def _trainer(parameters: dict, cache: object, device: torch.device, **strategy: object) -> Trainer:
    wanted = {"target_flops": 0.5, "step": 0.9, "every": 10, "warmup": 0.0, **strategy}
    return Trainer(generated.spec("dynamic_pruning", SHAPE, "resnet", parameters, RECIPE, **wanted), cache, device)


def _halved(name: str, parameters: dict, cache: object, device: torch.device) -> list[Row]:
    """Epochs of a net cut to half by its own importance, and of the full one, in turns."""
    full, half = (_trainer(parameters, cache, device) for _ in range(2))
    epoch(half)
    half.strategy.prune_to(half, 0.5)
    times = ratio(lambda: epoch(half), lambda: epoch(full), 5 if len(full.train_data) > 1000 else 3)
    size = SHAPE[-1]
    flops = half.flops_at(size).forward / full.flops_at(size).forward
    goal = {"target": 0.65, "sense": "at most"} if name == "ResNet-18" else {}
    return [
        Row("pruning", f"{name}: FLOPs of a net cut to half", flops, "x", 0.5, "at most"),
        Row("pruning", f"{name}: seconds of its epoch over the full net's", times, "x", **goal),
    ]


def _bookkeeping(name: str, parameters: dict, cache: object, device: torch.device) -> list[Row]:
    """Observing every step and checking every 50th with the default threshold, timed for themselves."""
    trainer = _trainer(parameters, cache, device, target_flops=None, every=50, threshold=0.0)
    epoch(trainer)
    steps = len(trainer.batches)
    seconds = min(seconds_of(lambda: epoch(trainer)) for _ in range(3))

    def watch() -> None:
        for step in range(1, 101):  # two checks, at a ledger that says so
            trainer.strategy.before_step(trainer)
            trainer.ledger.steps = step
            trainer.strategy.after_step(trainer)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    share = min(seconds_of(watch) for _ in range(3)) / 100 * steps / seconds
    start = time.perf_counter()
    trainer.strategy.prune_to(trainer, 0.9)
    event = time.perf_counter() - start
    return [
        Row("pruning", f"{name}: bookkeeping", 100 * share, "% of an epoch", 3, "at most"),
        Row("pruning", f"{name}: one removal, FLOPs counted anew", event, "s"),
    ]
