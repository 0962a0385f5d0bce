"""Optimizer and learning rate of a recipe.

The rate is a function of progress, the share of the training done: leaving samples out never makes it jump.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import cos, pi

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from frugal.spec import Recipe


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, Adam or AdamW over all parameters; one fused update per step instead of one per tensor."""
    common = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay, "fused": True}
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=recipe.momentum, nesterov=recipe.momentum > 0, **common)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer](model.parameters(), **common)


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


def cosine(progress: float, warmup: float) -> float:
    """Share of the peak rate: linear up from 0, cosine down to 0."""
    if progress < warmup:
        return progress / warmup
    return _between(1.0, 0.0, (progress - warmup) / (1 - warmup))


def _between(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + cos(pi * share)) / 2


def rate_at(progress: float, recipe: Recipe) -> float:
    """Learning rate when `progress`, in [0, 1], of the training is done."""
    if recipe.schedule == "constant":
        return recipe.learning_rate
    shape = {"one_cycle": one_cycle, "cosine": cosine}[recipe.schedule]
    return recipe.learning_rate * shape(progress, recipe.warmup)
