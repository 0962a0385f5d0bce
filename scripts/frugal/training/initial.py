"""What a model may be told by the trainer, by methods that it may have:

initialise(images)   once, before the first step of a run: set initial values that depend on training images (n, C, H, W)
start_epoch(epoch)   before each epoch, from 0, and when a run is resumed within one: freeze what is trained for a while only

A run that is resumed isn't initialised again: its checkpoint has the weights.
"""

import torch
from torch import nn

from frugal.data.device import Split
from frugal.strategies.base import Run

IMAGES = 5000  # that a model is initialised with, at most
VALUES = 2**26  # likewise pixels times channels: 256 MiB


def initialise(model: nn.Module, data: Split, run: Run) -> int:
    """Initialise a model that asks for it, with images drawn by the seed, normalised and in full; returns how many it took."""
    if not hasattr(model, "initialise"):
        return 0
    count = max(1, min(IMAGES, len(data), VALUES // torch.Size(data.shape).numel()))
    chosen = torch.randperm(len(data), generator=run.generator("initialise"))[:count].sort().values
    model.initialise(data.read(chosen.to(data.labels.device)))
    return count


def tell_epoch(model: nn.Module, epoch: int) -> bool:
    """Tell a model that wants to know that epoch `epoch` begins, or goes on; returns whether other parameters are trained now.

    Then a step does other work: no gradient has to go back beyond the first layer that is trained.
    """
    if not hasattr(model, "start_epoch"):
        return False
    before = [parameter.requires_grad for parameter in model.parameters()]
    model.start_epoch(epoch)
    return before != [parameter.requires_grad for parameter in model.parameters()]
