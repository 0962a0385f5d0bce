"""Benchmark of the strategies' own code: seconds that an epoch spends in the hooks of each, beside passes, steps and reading.

Steps are timed as they are; the hooks of a whole epoch of 50,000 samples are then called one after the other as the loop calls
them, between the same gradients, so that what happens every hundredth step or once per epoch has its true share. Whatever a
hook does counts as its own cost, but for passes over the net, which are the formula's. On a CPU seconds are CPU seconds.
"""

import gc
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from frugal import registry
from frugal.bench import generated
from frugal.bench.row import Row
from frugal.bench.selection import BATCH, SAMPLES, SHAPE, few_steps, skewed_losses
from frugal.data.cache import Cache
from frugal.errors import FrugalError
from frugal.measure.clock import synchronise
from frugal.measure.ledger import Charge
from frugal.pruning.finding import find_groups
from frugal.strategies.base import Strategy
from frugal.training.scoring import Scoring
from frugal.training.setup import make_model
from frugal.training.trainer import Trainer

EPOCHS = 3  # of which the hooks of the second are timed
TURNS = 3
STAGES = [[16, 0.4], [24, 0.7], [32, 1]]
GIVEN: dict[str, dict[str, Any]] = {  # where a parameter has no default, or one for longer trainings
    "combined": {"parts": [{"use": "infobatch"}, {"use": "dynamic_pruning"}]},
    "compression": {"k_lo": 8, "k_hi": 16},
    "error_norm": {"passes": 2},  # scores at the end of the epoch that is timed
    "frequency_curriculum": {"stages": STAGES, "ahead": 0.25},
    "held_out_loss": {"passes": 2},
    "interpolated_curriculum": {"stages": STAGES},
    "prune_train": {"every": 0.5},
    "rigl": {"sparsity": 0.5},
}
RESNET = ("resnet", {"depth": 8, "width": 16})
VIT = ("vit", {"patch": 4, "layers": 4, "heads": 4, "hidden": 64, "feed_forward": 128})
NETS = {"patch_drop": VIT, "token_drop": VIT}
# What the loop calls in each epoch; the others are called once per run, or by who writes its record.
HOOKS = (
    *("plan_epoch", "batches_at_once", "scoring_scale", "select_from", "after_forward", "length", "learning_rate"),
    *("before_forward", "before_step", "after_step", "after_epoch", "evidence", "trace", "left_out", "settled_since"),
)


def measure(folder: Path) -> list[Row]:
    """A row for each strategy there is, on a ResNet-8 or a small vision transformer. folder: for generated images."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cache = generated.cache(folder / "hooks", SAMPLES, SHAPE)
    rows = []
    for use in registry.names("strategy"):
        share, most = _share(_trainer(use, cache, device))
        what = f"{use}: its hooks" + (f", most of it in {most}" if share >= 0.5 else "")
        rows.append(Row("hooks", what, share, "% of an epoch", 2, "at most"))
        gc.collect()  # a trainer and its strategy hold each other, and each has a copy of the data
    return rows


class Stopwatch:
    """Seconds spent in each hook of a strategy; a hook that another one calls is part of that one."""

    def __init__(self, strategy: Strategy, device: torch.device):
        self.device, self.spent, self.inside = device, dict.fromkeys(HOOKS, 0.0), False
        for name in HOOKS:
            setattr(strategy, name, partial(self._timed, name, getattr(strategy, name)))

    def _timed(self, name: str, hook: Callable[..., Any], *given: Any) -> Any:
        if self.inside:
            return hook(*given)
        self.inside, begun = True, now(self.device)
        try:
            return hook(*given)
        finally:
            self.spent[name] += now(self.device) - begun
            self.inside = False

    @property
    def total(self) -> float:
        """Of all hooks."""
        return sum(self.spent.values())


def now(device: torch.device) -> float:
    """CPU seconds of this process, which other work on the machine doesn't change; on a GPU seconds, once it has finished."""
    if device.type == "cpu":
        return time.process_time()
    synchronise(device)
    return time.perf_counter()


def _trainer(use: str, cache: Cache, device: torch.device) -> Trainer:
    """One that is ready for its first step; where a strategy follows a run, one that left nothing out and scored at random."""
    model, parameters = NETS.get(use, RESNET)
    recipe = {"epochs": EPOCHS, "batch_size": BATCH, "augment": {"crop_padding": 4, "flip": True}}
    spec = generated.spec(use, SHAPE, model, parameters, recipe, **GIVEN.get(use, {}))
    reason: Exception | None = None
    for given in ({}, {"followed": None}, {"followed": None, "scoring": _scoring()}):
        if given:
            net = make_model(spec, cache, torch.device("cpu"))
            widths = {f"width_{g.name}": g.units for g in find_groups(net, torch.ones(2, *SHAPE)).groups}
            row = {"samples": SAMPLES, "samples_backpropagated": SAMPLES, "flops_executed": 10**18, **widths}
            given = given | {"followed": [row] * EPOCHS}
        try:
            return Trainer(spec, cache, device, **given)
        except (FrugalError, KeyError) as error:
            reason = error
    raise FrugalError(f"{use} can't be run: {reason}; give it parameters in GIVEN of bench/hooks.py")


def _scoring() -> Scoring:
    scores = torch.rand(SAMPLES, EPOCHS, generator=torch.Generator().manual_seed(0))
    return Scoring(scores, Charge(0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0), "")


def _share(trainer: Trainer) -> tuple[float, str]:
    """Per cent of an epoch's seconds that the hooks take, and the hook that takes most."""
    few_steps(trainer)
    seconds = []
    watch = Stopwatch(trainer.strategy, trainer.device)
    for _ in range(TURNS):
        begun, hooks, steps = now(trainer.device), watch.total, trainer.ledger.steps
        few_steps(trainer)
        took = now(trainer.device) - begun - (watch.total - hooks)
        if trainer.ledger.steps > steps:
            seconds.append(took / (trainer.ledger.steps - steps))
    trainer.losses.copy_(skewed_losses(SAMPLES, trainer.device))
    trainer.score_training_set = partial(_scores_at_once, trainer)
    trainer.close()
    trainer.epoch, trainer.passed, trainer.batches = 1, 1.0, None
    watch.spent = dict.fromkeys(HOOKS, 0.0)
    trainer._plan()
    steps = _hooks_of_an_epoch(trainer)
    whole = statistics.median(seconds) * steps + watch.total
    return 100 * watch.total / whole, max(watch.spent, key=watch.spent.__getitem__)


def _hooks_of_an_epoch(trainer: Trainer) -> int:
    """Call them as `Loop.train_epoch` does, and return how many steps the optimizer would take."""
    strategy, batches, ledger = trainer.strategy, trainer.batches, trainer.ledger
    draws = torch.Generator(trainer.device).manual_seed(0)
    waiting, steps = torch.zeros(0, dtype=torch.int64, device=trainer.device), 0
    for (start, stop), observed in zip(batches.bounds, batches.observed, strict=True):
        if trainer.ended:
            break
        strategy.learning_rate(trainer.scheduled_rate(trainer.progress))
        trainer.step += 1
        if observed:
            continue
        indices = batches.order[start:stop]
        scale = strategy.scoring_scale()
        if scale is None and strategy.batches_at_once() == 1:
            full = [indices]
        else:
            chosen = indices if scale is None else _selected(strategy, indices, trainer, draws)
            *full, waiting = torch.cat([waiting, chosen]).split(BATCH)
            if len(waiting) == BATCH:
                full, waiting = [*full, waiting], waiting[:0]
        for batch in full:
            labels = trainer.train_data.labels.index_select(0, batch)
            strategy.before_forward(trainer)
            strategy.after_forward(batch, torch.randn(len(batch), 10, device=trainer.device, generator=draws), labels)
            strategy.before_step(trainer)
            trainer.answered = batch, torch.rand(len(batch), device=trainer.device, generator=draws) < 0.9
            ledger.steps, steps = ledger.steps + 1, steps + 1
            ledger.samples_backpropagated += len(batch)
            strategy.after_step(trainer)
    for hook in (strategy.evidence, strategy.trace, strategy.left_out, strategy.settled_since):
        hook()
    strategy.after_epoch(trainer)
    return steps


def _selected(strategy: Strategy, indices: Tensor, trainer: Trainer, draws: torch.Generator) -> Tensor:
    labels = trainer.train_data.labels.index_select(0, indices)
    chosen = strategy.select_from(
        indices, torch.randn(len(indices), 10, device=trainer.device, generator=draws), labels
    )
    return indices[chosen[0] if isinstance(chosen, tuple) else chosen]


def _scores_at_once(trainer: Trainer, score: Any, samples: Tensor | None = None, backward: bool = False) -> Tensor:
    """In place of passes, which the formula asks for."""
    found, count = torch.full((SAMPLES,), float("nan")), SAMPLES if samples is None else len(samples)
    found[slice(None) if samples is None else samples.cpu()] = torch.rand(count)
    return found
