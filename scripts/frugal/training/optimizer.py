"""Optimizer and learning rate of a recipe.

The rate is a function of progress, the share of the training done: leaving samples out never makes it jump.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import cos, pi
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from frugal.errors import FrugalError
from frugal.recipe import Rates, Recipe
from frugal.training.muon import MATRIX, Muon, matrices_of

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
MULTIPLIER = "multiplier"  # of the learning rate, a key of a parameter group of the optimizer; 1 where it is missing


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD, Adam or AdamW over all parameters, one fused update per step instead of one per tensor; or Muon.

    In groups only where the recipe tells kinds of parameters apart, by their rates or their weight decay, or the optimizer does.

    Raises FrugalError where the recipe has a rate for a kind of parameter that the model lacks, or an optimizer that has none
    to step.
    """
    if recipe.optimizer == "muon":
        return Muon(
            divided(parameter_groups(model, recipe), matrices_of(model)),
            recipe.learning_rate,
            recipe.momentum,
            recipe.nesterov,
            recipe.weight_decay,
        )
    common = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay, "fused": True}
    alike = recipe.rates == Rates() and (recipe.decay_norm_and_bias or recipe.weight_decay == 0)
    parameters = model.parameters() if alike else parameter_groups(model, recipe)
    if recipe.optimizer == "sgd":
        nesterov = recipe.nesterov and recipe.momentum > 0
        return torch.optim.SGD(parameters, momentum=recipe.momentum, nesterov=nesterov, **common)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer](parameters, **common)


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """A group of the optimizer for each kind of parameter in `Rates`, with its learning rate and weight decay.

    Decay is taken times the learning rate, so it is divided by the multiplier and the product stays what it was. It is 0 for
    all kinds but weights where the recipe has `decay_norm_and_bias: false`.
    Raises FrugalError for a multiplier of a kind that the model lacks.
    """
    kinds: dict[str, list[nn.Parameter]] = {name: [] for name in Rates.model_fields}
    seen: set[int] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in seen:  # a tied weight is held by several modules
                kinds[kind_of(module, name)].append(parameter)
                seen.add(id(parameter))
    groups = []
    for kind, parameters in kinds.items():
        multiplier = getattr(recipe.rates, kind)
        if multiplier != 1 and not any(parameter.requires_grad for parameter in parameters):
            has = ", ".join(name for name, own in kinds.items() if any(one.requires_grad for one in own))
            raise FrugalError(
                f"recipe.rates.{kind} is {multiplier:g}, and the model trains no parameter of that kind; leave it out, or "
                f"choose of {has}"
            )
        if parameters:
            decay = recipe.weight_decay if kind == "weight" or recipe.decay_norm_and_bias else 0.0
            own = {"lr": recipe.learning_rate * multiplier, "weight_decay": decay / multiplier}
            groups.append({"params": parameters, **own, MULTIPLIER: multiplier})
    return groups


def divided(groups: list[dict[str, Any]], matrices: set[int]) -> list[dict[str, Any]]:
    """Each group in two, told apart by the key that `Muon` looks at. matrices: ids of the parameters it is for."""
    halves = []
    for group in groups:
        for wanted in (True, False):
            if own := [parameter for parameter in group["params"] if (id(parameter) in matrices) == wanted]:
                halves.append({**group, "params": own, MATRIX: wanted})
    return halves


def kind_of(module: nn.Module, name: str) -> str:
    """The kind of a module's own parameter, as `Rates` names it.

    Nets of libraries bring normalisation layers of their own, T5LayerNorm say, which are known by the name of their class.
    """
    kind = "bias" if name == "bias" or name.endswith("_bias") else "weight"
    of_norm = isinstance(module, NORMS) or type(module).__name__.rstrip("123d").endswith("Norm")
    return f"norm_{kind}" if of_norm else kind


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group: its multiplier times `rate`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get(MULTIPLIER, 1.0)


def rate_of(optimizer: torch.optim.Optimizer) -> float:
    """The learning rate in force, before the groups' multipliers."""
    group = optimizer.param_groups[0]
    return group["lr"] / group.get(MULTIPLIER, 1.0)


@contextmanager
def every_step(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` after each step that any optimizer of this process takes within the block."""
    hook = register_optimizer_step_post_hook(lambda *_: tell())
    try:
        yield
    finally:
        hook.remove()


def one_cycle(progress: float, warmup: float) -> float:
    """Share of the peak rate under OneCycle, as torch has it: cosine up from 1/25, cosine down to 1/250,000.

    Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates", 2018,
    https://arxiv.org/abs/1708.07120.
    """
    start, end = 1 / 25, 1 / 25e4
    if progress < warmup:
        return _between(start, 1.0, progress / warmup)
    return _between(1.0, end, (progress - warmup) / (1 - warmup))


def cosine(progress: float, warmup: float, start: float = 0.0, end: float = 0.0) -> float:
    """Share of the peak rate: straight from `start` up to 1, which is reached after `warmup`, then half a cosine down to `end`.

    Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017, https://arxiv.org/abs/1608.03983,
    without restarts.
    """
    if progress < warmup:
        return start + (1 - start) * progress / warmup
    return _between(1.0, end, (progress - warmup) / (1 - warmup))


def triangular(progress: float, warmup: float, start: float = 0.0, end: float = 0.0) -> float:
    """Share of the peak rate: straight from `start` up to 1, which is reached after `warmup`, and straight down to `end`."""
    if progress < warmup:
        return start + (1 - start) * progress / warmup
    return 1 - (1 - end) * (progress - warmup) / (1 - warmup)


def step(progress: float, warmup: float, milestones: list[float], factor: float, start: float = 0.0) -> float:
    """Share of the peak rate: straight from `start` up to 1, then times `factor` at each milestone, a share of the training."""
    if progress < warmup:
        return start + (1 - start) * progress / warmup
    return factor ** sum(progress >= milestone for milestone in milestones)


def _between(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + cos(pi * share)) / 2


def rate_at(progress: float, recipe: Recipe) -> float:
    """Learning rate when `progress`, in [0, 1], of the training is done."""
    peak, warmup, start = recipe.learning_rate, recipe.warmup, recipe.start_share
    match recipe.schedule:
        case "constant":
            return peak
        case "one_cycle":
            return peak * one_cycle(progress, warmup)
        case "cosine":
            return peak * cosine(progress, warmup, start, recipe.end_share)
        case "triangular":
            return peak * triangular(progress, warmup, start, recipe.end_share)
        case "step":
            return peak * step(progress, warmup, recipe.milestones, recipe.factor, start)
