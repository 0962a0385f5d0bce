"""What a loop of one's own can't do for a strategy, refused before anything trains, each in one line."""

import sys
from dataclasses import dataclass, fields
from operator import length_hint
from typing import Any

import torch
from torch import Tensor, nn

from frugal import registry
from frugal.errors import FrugalError
from frugal.strategies.base import Run, Strategy
from frugal.training.distributed import Team

OWN = "train with frugal's own trainer"
# What only the trainer or its models can do: needs of a strategy, and hooks that it overrides.
UNSUPPORTED = {
    "widths": "builds the model in another size",
    "residual blocks": "leaves out blocks of frugal's own models",
    "token layers": "leaves out tokens in frugal's own models",
    "patches": "leaves out patches in frugal's own models",
    "followed widths": "repeats the widths of another run",
}
HOOKS = {"length": "decides how long the training is", "sample_scores": "makes scores for other runs"}
# What a strategy needs of another run, the argument of Frugal that gives it, and what that is.
GIVEN = {
    "followed": ("followed", "the history of that run, a row of counts for each epoch"),
    "followed scores": ("scores", "those that it gave, a row for each sample"),
}
SHARED = ("sparse", "set")  # strategies of weights whose parameters stay as DistributedDataParallel has found them


@dataclass(frozen=True)
class OwnRun(Run):
    """What a strategy may know of a training in somebody's loop. Reading an `example` that wasn't given raises FrugalError."""

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name == "example" and value is None:
            raise FrugalError(
                "this strategy traces the model: give example=, a batch of inputs such as the model takes"
            )
        return value


def parts_of(strategy: Strategy) -> list[Strategy]:
    """Those that a combination is made of, or the strategy itself."""
    return getattr(strategy, "strategies", [strategy])


def overrides(strategy: Strategy, *names: str) -> bool:
    """Whether a strategy, or a part of it, has a hook of its own of one of these names."""
    return any(
        getattr(type(part), name) is not getattr(Strategy, name) for part in parts_of(strategy) for name in names
    )


def check(strategy: Strategy, model: nn.Module, samples: int, epochs: int, batch_size: int) -> str:
    """The strategy's name. Raises FrugalError for what can't be done in a loop of one's own."""
    if not isinstance(strategy, Strategy):
        raise FrugalError(f"Frugal takes a strategy, such as InfoBatch(), and was given {strategy!r}")
    if hasattr(strategy, "run"):
        raise FrugalError("this strategy is at work in another training; make a new one for each")
    if isinstance(model, nn.parallel.DistributedDataParallel):
        raise FrugalError("give Frugal the model itself, and wrap it in DistributedDataParallel after that")
    for name, value in (("samples", samples), ("epochs", epochs), ("batch_size", batch_size)):
        if not isinstance(value, int) or value < 1:
            raise FrugalError(f"{name} is {value!r}; give a whole number of at least 1")
    use = type(strategy).__module__.rpartition(".")[2]
    if type(strategy).__module__ == f"frugal.strategies.{use}":
        given = {field.name: getattr(strategy, field.name) for field in fields(strategy)}
        for name, value in registry.check("strategy", use, given, type(strategy).__name__).items():
            setattr(strategy, name, value)
    else:
        use = type(strategy).__name__
    for part in parts_of(strategy):
        name = sys.modules[type(part).__module__].__name__.rpartition(".")[2]
        if part.spectral or part.reads != "pixels" or part.levels():
            raise FrugalError(f"{name} chooses how samples are read, which a loop of one's own can't; {OWN}")
        for need, why in UNSUPPORTED.items():
            if need in part.needs:
                raise FrugalError(f"{name} {why}; {OWN}")
        for hook, why in HOOKS.items():
            if overrides(part, hook):
                raise FrugalError(f"{name} {why}; {OWN}")
    return use


def check_followed(
    strategy: Strategy, samples: int, epochs: int, followed: list[dict[str, float]] | None, scores: Tensor | None
) -> None:
    """Raise FrugalError where what the strategy needs of another run isn't given, or isn't of this data set or length.

    scores: (n,) or (n, columns)
    """
    given = {"followed": followed, "scores": scores}
    for part in parts_of(strategy):
        name = type(part).__module__.rpartition(".")[2]
        for need, (argument, what) in GIVEN.items():
            if need in part.needs and given[argument] is None:
                raise FrugalError(f"{name} {part.needs[need]}; give {argument}=, {what}")
        if "followed" in part.needs and len(followed) < epochs:
            raise FrugalError(
                f"followed has rows for {len(followed)} of {epochs} epochs; give the history of a run of as many"
            )
    if scores is not None and (scores.dim() == 0 or len(scores) != samples):
        raise FrugalError(f"scores is of shape {tuple(scores.shape)} for {samples} samples; give a row for each")


def check_data(data: Any, samples: int) -> None:
    """Raise FrugalError where a data set, whose length may be unknown, has fewer samples than Frugal was told of."""
    if length_hint(data, samples) < samples:
        raise FrugalError(f"samples is {samples}, and the data set has {len(data)}; give samples=len(data)")


def check_visits(strategy: Strategy, run: Run) -> None:
    """Raise FrugalError where an epoch can't fill one batch."""
    visited = min(run.samples, strategy.most_visited())
    if run.batch_size > visited:
        raise FrugalError(
            f"batch_size is {run.batch_size}, and an epoch visits at most {visited} of {run.samples} samples; lower it, or "
            "leave out fewer"
        )


def check_optimizer(training: Any, optimizer: torch.optim.Optimizer) -> None:
    """Raise FrugalError where it isn't the one optimizer over the model as the strategy has prepared it."""
    if training.optimizer is not None:
        raise FrugalError("attach: there is an optimizer already, and a strategy follows the steps of one")
    device = next(training.model.parameters()).device
    if device != training.device:
        raise FrugalError(
            f"the model is on {device}, and Frugal was made for {training.device}; give it device='{device}'"
        )
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if any(id(parameter) not in held for parameter in training.new):
        raise FrugalError(
            f"{training.use} puts other parameters into the model, which the optimizer doesn't have; call Frugal without an "
            "optimizer, make it after that, and give it to attach"
        )


def check_ranks(use: str, strategy: Strategy, ranks: int) -> None:
    """Raise FrugalError for a strategy that several ranks can't share, or not under DistributedDataParallel."""
    for part in parts_of(strategy):
        name = type(part).__module__.rpartition(".")[2]
        if part.single_device or ("weights" in part.decides and name not in SHARED):
            raise FrugalError(f"{use} can't be shared by {ranks} ranks in a loop of one's own; start one process")


def check_gradients(team: Team, model: nn.Module) -> None:
    """Raise FrugalError where the ranks hold different gradients: they would train different models."""
    gradient = next((p.grad for p in model.parameters() if p.grad is not None), None)
    found = team.gather(None if gradient is None else gradient.norm().item())
    if len(set(found)) > 1:
        raise FrugalError(
            f"{team.size} ranks have different gradients; wrap the model: DistributedDataParallel(model), and call that one"
        )
