"""What a trainer is put together from: strategy, model, and the forward pass in the precision that was chosen."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from frugal import registry
from frugal.data.download import verify
from frugal.spec import RunSpec
from frugal.strategies.base import Blueprint, Strategy
from frugal.training.forward import Forward, compile_mode
from frugal.training.precision import choose_precision

if TYPE_CHECKING:
    from frugal.training.loop import Trainer


def make_strategy(spec: RunSpec) -> Strategy:
    """The strategy object a spec names, which is told how the run's model is built."""
    module = registry.load("strategy", spec.strategy.use)
    found = [
        c
        for c in vars(module).values()
        if isinstance(c, type) and issubclass(c, Strategy) and c.__module__ == module.__name__
    ]
    strategy = found[0](**spec.strategy.parameters)
    model = registry.load("model", spec.model.use)
    build = partial(model.build, spec.dataset.shape, spec.dataset.classes)
    defaults = {name: p.default for name, p in registry.parameters("model", spec.model.use).items()}
    parameters = defaults | spec.model.parameters
    strategy.blueprint = Blueprint(spec.model.use, build, parameters, getattr(model, "WIDTHS", {}))
    return strategy


def make_model(spec: RunSpec, device: torch.device) -> nn.Module:
    """The model a spec names, on the device, channels last. Raises FrugalError where a file it starts from has changed."""
    for path, sha256 in spec.model.files.items():
        verify(Path(path), sha256)
    build = registry.load("model", spec.model.use).build
    model = build(spec.dataset.shape, spec.dataset.classes, **spec.model.parameters)
    return model.to(device, memory_format=torch.channels_last)


def make_forward(trainer: "Trainer") -> Forward:
    """Choose the precision unless a checkpoint says which, and compile where that pays; both in clock stages of their own.

    Sets the trainer's precision and adds to its notes.
    """
    recipe, device, team, clock = trainer.recipe, trainer.device, trainer.team, trainer.clock
    channels, size = trainer.train_data.shape[0], trainer.train_data.shape[-1]
    batch = -(-(recipe.batch_size - team.rank) // team.size)
    shapes = [(batch, channels, k, k) for k in (trainer.strategy.levels() if trainer.strategy.spectral else [size])]
    if trainer.precision is None and recipe.precision == "auto":
        with clock.stage("precision"):
            chosen = choose_precision(trainer.model, shapes[-1], trainer.spec.dataset.classes, device)
        trainer.precision = dict(zip(("use", "why"), team.from_leader(chosen), strict=True))
    elif trainer.precision is None:
        trainer.precision = {"use": recipe.precision, "why": f"precision {recipe.precision}: as asked"}
    steps = recipe.epochs * max(1, round(len(trainer.train_data) / recipe.batch_size))
    mode = compile_mode(recipe.compile, device, steps)
    forward = Forward(trainer.model, device, trainer.precision["use"], mode)
    if mode:
        with clock.stage("compile"):
            forward.warm_up(shapes)
    how = f"on, {clock.seconds['compile']:.1f} s in all" if mode else "off"
    trainer.notes += [trainer.precision["why"], f"compile {str(recipe.compile).lower()}: {how}"]
    return forward
