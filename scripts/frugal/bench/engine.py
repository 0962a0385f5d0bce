"""Benchmark of the training engine, against the loop a user would write, and where its time goes."""

import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from frugal import registry
from frugal.bench import generated, plain
from frugal.bench.row import Row, rate, ratio, seconds_of
from frugal.data.cache import Cache
from frugal.measure.clock import synchronise
from frugal.spec import RunSpec
from frugal.strategies.base import EpochPlan
from frugal.strategies.full import Full
from frugal.training.batches import cut
from frugal.training.checkpoint import Checkpoints
from frugal.training.device import cpu_flags
from frugal.training.trainer import Trainer


@dataclass(frozen=True)
class Ground:
    """A net and its data.

    rounds: how often epochs are timed; autocast: whether the plain loop computes in bfloat16 too where the engine chooses to, so
    that there is one comparison and not two; targets: samples/s over the plain loop's in float32, and in the precision that
    the engine chooses, there without and with bfloat16; amx: in place of the last one, on a CPU that has instructions of
    its own for matrix products of bfloat16; views: how many images are tested at the end, and how many trained on in all
    epochs together, as scale `strong` of `config/studies/cross.yaml` has them
    """

    shape: tuple[int, int, int]
    samples: int
    use: str
    recipe: dict[str, Any]
    rounds: int = 5
    autocast: bool = False
    targets: tuple[float, float, float] = (1.0, 1.5, 1.5)
    amx: float | None = None
    views: tuple[int, int] | None = None

    def target(self, precision: str, narrow: bool, flags: set[str]) -> float:
        """Of the engine in a precision, "float32" or its own choice, which is bfloat16 where `narrow`; flags: of the CPU."""
        exact, chosen, halved = self.targets
        if precision == "float32":
            return exact
        if narrow and self.amx is not None and "amx_bf16" in flags:
            return self.amx
        return halved if narrow else chosen


GROUNDS = {
    "MNIST net": Ground((1, 28, 28), 2560, "cnn", {"augment": {}}, targets=(1.25, 1.5, 1.5)),
    "CIFAR CNN": Ground((3, 32, 32), 1280, "cnn_fc", {"augment": {"crop_padding": 4, "flip": True}}),
    # A quarter of its recipe's batch: on a CPU without bfloat16 a whole one takes more than ten seconds.
    "airbench": Ground(
        (3, 32, 32),
        512,
        "airbench",
        {"augment": {"crop_padding": 2, "padding": "reflect", "flip": True}, "batch_size": 256},
        rounds=3,
        autocast=True,
        targets=(1.0, 1.0, 1.0),
        amx=1.4,
        views=(10_000, 10 * 49_000),
    ),
}
CHECKPOINT_SECONDS = 60  # the default interval


def measure(folder: Path) -> list[Row]:
    """Same net, data, precision and batch size, one thread each. folder: for generated data and checkpoints."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = [Row("engine", "float32 matmul of 2048: this device's peak", peak(device) / 1e9, "GFLOP/s")]
    for name, ground in GROUNDS.items():
        cache = generated.cache(folder / ground.use, ground.samples, ground.shape)
        spec = generated.spec("full", ground.shape, ground.use, {}, ground.recipe)
        rows += _against_plain(name, ground, cache, spec, device)
        rows += _shares(name, cache, spec, device, folder / ground.use, min(3, ground.rounds))
    return rows


def peak(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """FLOP/s of a large matrix product, the most this device is seen to do."""
    one, other = (torch.randn(2048, 2048, device=device, dtype=dtype) for _ in range(2))

    def multiply() -> int:
        (one @ other).sum().item()
        return 2 * 2048**3

    return rate(multiply, 0.5)


def _against_plain(name: str, ground: Ground, cache: Cache, spec: RunSpec, device: torch.device) -> list[Row]:
    """Epoch times in turns: the plain loop, in float32 unless the ground asks for more, and the engine, in float32 and in the
    precision that it chooses itself.
    """
    model = registry.load("model", spec.model.use).build(spec.dataset.shape, 10, **spec.model.parameters).to(device)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.01, momentum=0.9, nesterov=True)
    wanted, size = spec.recipe.augment, spec.recipe.batch_size
    change = plain.transform(spec.dataset.shape[-1], wanted.crop_padding, wanted.flip)
    data = plain.Images(np.array(cache.array("train_images")), np.array(cache.array("train_labels")), change)
    rows, flags = [], cpu_flags() if device.type == "cpu" else set()
    for precision in ("auto",) if ground.autocast else ("float32", "auto"):
        recipe = spec.recipe.model_copy(update={"precision": precision})
        trainer = Trainer(spec.model_copy(update={"recipe": recipe}), cache, device)
        trainer.get_ready()
        narrow = trainer.chosen["precision"] == "bfloat16"
        target = ground.target(precision, narrow, flags)
        cast = ground.autocast and narrow
        faster = ratio(
            lambda c=cast: plain.epoch(model, optimizer, data, size, device, c),
            lambda t=trainer: epoch(t),
            ground.rounds,
        )
        used = precision if precision == "float32" else f"{trainer.chosen['precision']}, its own choice"
        beside = "plain loop with autocast" if cast else "plain loop"
        rows.append(Row("engine", f"{name}: samples/s over the {beside}'s, {used}", faster, "x", target))
        if ground.autocast and device.type == "cpu":
            rows.append(_side_by_side(name, trainer, ground.rounds))
        if ground.views is not None:
            rows += _evaluations(name, *ground.views, trainer, ground.rounds)
    return rows


def _side_by_side(name: str, trainer: Trainer, rounds: int) -> Row:
    """What gradients of convolutions' weights from images side by side bring a whole epoch; null where none is faster here."""
    what, forward = f"{name}: samples/s over those with torch's own gradients of weights", trainer.forward
    if not trainer.chosen["side_by_side"]:
        return Row("engine", what, None, "x", why="no layer is faster here with images side by side")
    chosen = forward.gradients

    def own() -> None:
        forward.gradients = nullcontext()
        epoch(trainer)
        forward.gradients = chosen

    return Row("engine", what, ratio(own, lambda: epoch(trainer), rounds), "x", 1.0)


def _evaluations(name: str, tested: int, trained: int, trainer: Trainer, rounds: int) -> list[Row]:
    """What the test at the end takes beside the training: `tested` images, and six views of each, beside `trained` passes.

    The six have no target: a forward pass is a third of a step's FLOPs, so they are 4 % of them on any machine.
    """
    data, rows = trainer.train_data, []
    for views, what, target in ((None, "the test", 3), ("flips_and_shifts", "six views of the test images", None)):
        dearer = ratio(lambda v=views: trainer.evaluate(data, views=v), lambda: epoch(trainer), rounds)
        about = f"{name}: {what} at the end, {tested:,} images beside {trained:,} trained"
        rows.append(Row("engine", about, 100 * dearer * tested / trained, "% of the training", target, "at most"))
    return rows


def epoch(trainer: Trainer) -> None:
    """One training epoch, planning included, without evaluation."""
    trainer.batches = None
    trainer.train_epoch()


def _shares(name: str, cache: Cache, spec: RunSpec, device: torch.device, folder: Path, rounds: int) -> list[Row]:
    """Samples/s, the FLOP/s reached, and the share of an epoch that each stage takes when run for itself."""
    trainer = Trainer(spec, cache, device)
    samples = len(trainer.train_data)
    seconds = min(seconds_of(lambda: epoch(trainer)) for _ in range(rounds))
    flops = trainer.flops_at(spec.dataset.shape[-1])
    reached = (flops.forward + flops.backward) * samples / seconds
    saver = Trainer(spec, cache, device, Checkpoints(folder / "checkpoints", "bench"))
    epoch(saver)
    saved = min(seconds_of(saver.save) for _ in range(3))
    return [
        Row("engine", f"{name}: samples/s", samples / seconds, "samples/s"),
        Row("engine", f"{name}: FLOP/s reached", reached / 1e9, "GFLOP/s"),
        Row("engine", f"{name}: floor of an epoch at peak FLOP/s over its time", 100 * reached / peak(device), "%"),
        *_stages(name, trainer, seconds),
        Row(
            "engine",
            f"{name}: hooks of an idle strategy",
            100 * _hooks(trainer) / seconds,
            "% of an epoch",
            1,
            "at most",
        ),
        Row(
            "engine",
            f"{name}: a checkpoint every {CHECKPOINT_SECONDS} s",
            100 * saved / CHECKPOINT_SECONDS,
            "%",
            2,
            "at most",
        ),
    ]


def _stages(name: str, trainer: Trainer, epoch_seconds: float) -> list[Row]:
    """Reading with augmentation, forward, backward, optimizer, each at its best of three epochs; the rest is bookkeeping."""
    epochs = [_staged_epoch(trainer) for _ in range(3)]
    shares = {stage: 100 * min(spent[stage] for spent in epochs) / epoch_seconds for stage in epochs[0]}
    shares["bookkeeping (or, below zero, noise)"] = 100 - sum(shares.values())
    return [Row("engine", f"{name}: {stage}", share, "% of an epoch") for stage, share in shares.items()]


def _staged_epoch(trainer: Trainer) -> dict[str, float]:
    """Seconds of each stage, summed over an epoch's steps."""
    size, spent = trainer.recipe.batch_size, dict.fromkeys(("reading", "forward", "backward", "optimizer"), 0.0)
    order = torch.randperm(len(trainer.train_data), device=trainer.device)
    for start, stop in cut(len(order), size):
        indices = order[start:stop]
        laps = [_now(trainer)]
        images = trainer.augmented(trainer.train_data.read(indices), indices)
        labels = trainer.train_data.labels.index_select(0, indices)
        laps.append(_now(trainer))
        loss = functional.cross_entropy(trainer.forward(images).float(), labels)
        laps.append(_now(trainer))
        trainer.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        laps.append(_now(trainer))
        trainer.optimizer.step()
        laps.append(_now(trainer))
        for stage, begin, end in zip(spent, laps, laps[1:], strict=False):
            spent[stage] += end - begin
    return spent


def _now(trainer: Trainer) -> float:
    synchronise(trainer.device)
    return time.perf_counter()


def _hooks(trainer: Trainer) -> float:
    """Seconds that an epoch spends in the hooks of a strategy that does nothing."""
    strategy, steps = Full(), len(trainer.batches)

    def call() -> None:
        assert strategy.plan_epoch(1, trainer.losses) == EpochPlan()
        for _ in range(steps):
            strategy.after_step(trainer)
        strategy.after_epoch(trainer)
        strategy.evidence()

    return min(seconds_of(call) for _ in range(5))
