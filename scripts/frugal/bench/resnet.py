"""Benchmark of ResNet-18 on CIFAR-10-sized images: seconds of an epoch, and its share of the device's measured peak.

On a GPU 50,000 images at batch 512 in bfloat16, compiled, as the 200-epoch recipe would run; on a CPU a few batches of 128,
for the shares alone.
"""

from pathlib import Path

import torch

from frugal.bench import generated
from frugal.bench.engine import epoch, peak
from frugal.bench.row import Row, seconds_of
from frugal.measure.flops import pass_flops
from frugal.models.resnet import build
from frugal.training.device import set_determinism
from frugal.training.trainer import Trainer

SHAPE = (3, 32, 32)
GOAL_SECONDS, GOAL_SHARE = 1.0, 30  # on an H200-class GPU: at most 1.0 s an epoch, at least 30 % of the bf16 peak


def measure(folder: Path) -> list[Row]:
    """Targets are set for a GPU only. folder: for generated images."""
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    samples, batch = (50_000, 512) if gpu else (512, 128)
    recipe = {"batch_size": batch, "augment": {"crop_padding": 4, "flip": True}, "precision": "bfloat16"}
    cache = generated.cache(folder / "resnet", samples, SHAPE)
    seconds = _seconds(recipe, cache, device)
    flops = pass_flops(build(SHAPE, 10, depth=18), SHAPE, 10)
    reached = samples * (flops.forward + flops.backward) / seconds
    most = peak(device, torch.bfloat16)
    target = {"target": GOAL_SHARE} if gpu else {}
    rows = [
        Row("resnet", "bfloat16 matmul of 2048: this device's peak", most / 1e9, "GFLOP/s"),
        Row("resnet", f"ResNet-18, 32x32, batch {batch}: samples/s", samples / seconds, "samples/s"),
        Row("resnet", "ResNet-18: share of that peak", 100 * reached / most, "%", **target),
    ]
    if gpu:
        rows.append(Row("resnet", "ResNet-18: an epoch of 50,000", seconds, "s", GOAL_SECONDS, "at most"))
        graphs = _seconds({**recipe, "compile": "graphs"}, cache, device)
        rows.append(Row("resnet", "ResNet-18: an epoch with CUDA graphs over one without", graphs / seconds, "x"))
    exact = _seconds({**recipe, "deterministic": True}, cache, device)
    set_determinism(False)
    rows.append(Row("resnet", "ResNet-18: an epoch under `deterministic` over one without", exact / seconds, "x"))
    return rows


def _seconds(recipe: dict, cache: object, device: torch.device) -> float:
    """Of an epoch, at its best of five on a GPU and of two elsewhere, after one that compiles and plans."""
    trainer = Trainer(generated.spec("full", SHAPE, "resnet", {"depth": 18}, recipe), cache, device)
    epoch(trainer)
    return min(seconds_of(lambda: epoch(trainer)) for _ in range(5 if device.type == "cuda" else 2))
