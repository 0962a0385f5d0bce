"""Benchmark of sample selection: what it costs in an epoch, what share of the saved samples is saved time, and how it grows."""

import signal
import statistics
from collections.abc import Callable
from pathlib import Path

import torch

from frugal.bench import generated
from frugal.bench.row import Row, seconds_of
from frugal.errors import FrugalError
from frugal.measure.clock import synchronise
from frugal.strategies.base import Run, Strategy
from frugal.strategies.infobatch import InfoBatch
from frugal.strategies.infobatch_exact import InfoBatchExact
from frugal.strategies.orderdp import OrderDP
from frugal.strategies.seta import SeTa
from frugal.training.batches import arrange
from frugal.training.signals import Interrupted
from frugal.training.trainer import Trainer

SAMPLES, SHAPE, BATCH = 50_000, (3, 32, 32), 128
TURNS, STEPS = 40, 3  # the two runs alternate so often, so many steps each
LARGE, HUGE = 1_300_000, 100_000_000


def measure(folder: Path) -> list[Row]:
    """A ResNet-8 on CIFAR-sized images, and selection alone. folder: for generated images."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return [*_saving(folder, device), *_growth(device)]


class Pause:
    """Ends a call of train_epoch after so many steps, as a signal would; the next call goes on from there."""

    def __init__(self, steps: int):
        self.left = steps

    @property
    def number(self) -> int | None:
        """Asked for after each step."""
        self.left -= 1
        return None if self.left else signal.SIGUSR1


def few_steps(trainer: Trainer) -> None:
    """Take STEPS steps of the epoch under way, or of a new one; raises FrugalError where it ends before."""
    try:
        trainer.train_epoch(Pause(STEPS))
    except Interrupted:
        trainer.energy.stop()
        return
    raise FrugalError("the epoch ended before its steps were timed; raise SAMPLES in bench/selection.py")


def _saving(folder: Path, device: torch.device) -> list[Row]:
    """Seconds of an epoch are those of planning it, plus its steps at the median of many short turns."""
    cache = generated.cache(folder / "selection", SAMPLES, SHAPE)
    recipe = {"batch_size": BATCH, "label_smoothing": 0.1, "augment": {"crop_padding": 4, "flip": True}}
    full, pruned = (
        Trainer(generated.spec(use, SHAPE, "resnet", {"depth": 8, "width": 16}, recipe), cache, device)
        for use in ("full", "infobatch")
    )
    pruned.losses.copy_(skewed_losses(SAMPLES, device))
    for trainer in (full, pruned):
        few_steps(trainer)
    turns = [tuple(seconds_of(lambda t=t: few_steps(t)) / STEPS for t in (full, pruned)) for _ in range(TURNS)]
    kept = len(pruned.batches.order) / SAMPLES
    steps = statistics.median(one for one, _ in turns) * len(full.batches)
    steps_pruned = steps * kept * statistics.median(other / one for one, other in turns)
    planning, selecting = _planning(full), _planning(pruned)
    spent = selecting + len(pruned.batches) * _scoring_step(pruned)
    whole, whole_pruned = planning + steps, selecting + steps_pruned
    share, saved = 100 * spent / whole_pruned, (1 - whole_pruned / whole) / (1 - kept)
    return [
        Row("selection", "selection, scores, rescaling of 50,000", share, "% of an epoch", 2, "at most"),
        Row("selection", "InfoBatch at r = 0.5: samples saved in an epoch", 100 * (1 - kept), "%"),
        Row("selection", "seconds saved over samples saved", saved, "x", 0.95),
    ]


def _planning(trainer: Trainer) -> float:
    """Seconds from the losses to the batches of an epoch on the device."""
    losses, sampler = skewed_losses(SAMPLES, trainer.device), torch.Generator()

    def plan() -> None:
        arrange(trainer.strategy.plan_epoch(1, losses), SAMPLES, BATCH, False, sampler).to(trainer.device)

    return _best(plan, trainer.device)


def _scoring_step(trainer: Trainer) -> float:
    """Seconds that storing a batch's losses and weighing them takes in a step, backward pass included."""
    indices = trainer.batches.order[:BATCH]
    weight = trainer.batches.weight
    losses = torch.rand(BATCH, device=trainer.device, requires_grad=True)

    def steps() -> None:
        for start in range(100):
            (losses * weight[start : start + BATCH]).sum().backward()
            trainer.losses.index_copy_(0, indices, losses.detach())

    return _best(steps, trainer.device) / 100


def _growth(device: torch.device) -> list[Row]:
    """Seconds of one selection among many; memory is read and written once in a row, so time should grow as they do."""
    rows = []
    for kind in (InfoBatch, InfoBatchExact, OrderDP, SeTa):
        large, huge = _select(kind(), LARGE, device, 9), _select(kind(), HUGE, device, 2)
        target = {"target": 1.5, "sense": "at most"} if kind is InfoBatch else {}
        rows += [
            Row("selection", f"{kind.__name__}: among 1.3 million samples", large, "s"),
            Row("selection", f"{kind.__name__}: among 100 million samples", huge, "s"),
            Row(
                "selection",
                f"{kind.__name__}: per sample, over 1.3 million",
                huge / HUGE * LARGE / large,
                "x",
                **target,
            ),
        ]
    return rows


def _select(strategy: Strategy, count: int, device: torch.device, rounds: int) -> float:
    losses = skewed_losses(count, device)
    strategy.start(Run(count, 8, 0, device))
    return _best(lambda: strategy.plan_epoch(1, losses), device, rounds)


def skewed_losses(count: int, device: torch.device) -> torch.Tensor:
    """Skewed as those of a trained net are: many low, few high."""
    return torch.empty(count, device=device).exponential_(generator=torch.Generator(device).manual_seed(0))


def _best(work: Callable[[], object], device: torch.device, rounds: int = 3) -> float:
    """Seconds of a call, finished on the device, at its best."""

    def finished() -> None:
        work()
        synchronise(device)

    return min(seconds_of(finished) for _ in range(rounds))
