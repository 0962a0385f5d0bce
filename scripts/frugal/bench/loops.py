"""Benchmark of strategies in a loop of one's own: what the integration costs in an epoch of the net of the CIFAR study.

The work of the integration is timed inside an epoch, call by call, on the clock of the CPU on a CPU: the sampler, weigh, the
hooks around a step and closing the epoch. What the strategy computes there, such as its plan, counts in full.
"""

from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from frugal.bench.hooks import now
from frugal.bench.row import Row
from frugal.loops.plain import Frugal
from frugal.models import cnn
from frugal.strategies.base import Strategy
from frugal.strategies.infobatch import InfoBatch
from frugal.strategies.rigl import RigL

SAMPLES, SHAPE, BATCH, EPOCHS = 12_800, (3, 32, 32), 128, 2
# The smallest net of the CIFAR study, in which overhead weighs most, and a batch of its size.
CHANNELS = [16, 32]


def measure(folder: Path) -> list[Row]:
    """A row for each of two strategies. folder: not used"""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(SAMPLES, *SHAPE, generator=draw)
    data = TensorDataset(images, torch.randint(10, (SAMPLES,), generator=draw))
    return [
        Row("loops", f"{name} in a plain loop", _share(strategy, data, device), "% of an epoch", 1, "at most")
        for name, strategy in (("InfoBatch", InfoBatch()), ("RigL's steps", RigL(kernel="scatter")))
    ]


class Timed:
    """Seconds in calls of the integration; one that another makes is part of that one."""

    def __init__(self, device: torch.device):
        self.device, self.spent, self.inside = device, 0.0, False

    def wrap(self, owner: Any, name: str) -> None:
        """Time a method of an object."""
        method = getattr(owner, name)

        def timed(*given: Any, **named: Any) -> Any:
            if self.inside:
                return method(*given, **named)
            self.inside, begun = True, now(self.device)
            try:
                return method(*given, **named)
            finally:
                self.spent += now(self.device) - begun
                self.inside = False

        setattr(owner, name, timed)


def _share(strategy: Strategy, data: TensorDataset, device: torch.device) -> float:
    """Per cent of the seconds of the last epoch that the integration takes."""
    torch.manual_seed(0)
    model = cnn.build(SHAPE, 10, channels=CHANNELS).to(device)
    training = Frugal(strategy, model, samples=len(data), epochs=EPOCHS, batch_size=BATCH)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    training.attach(optimizer)
    loader = DataLoader(data, batch_sampler=training.sampler)
    watch = Timed(device)
    # The hooks of the optimizer hold these by a weak reference to the method, so what they call is timed instead.
    for owner, names in (
        (training, ("weigh", "planned", "settle", "take")),
        (training.optimizer_steps, ("before", "after", "rate")),
    ):
        for name in names:
            watch.wrap(owner, name)
    took = 0.0
    for _ in range(EPOCHS):
        begun, watch.spent = now(device), 0.0
        for inputs, labels in loader:
            losses = cross_entropy(model(inputs.to(device)), labels.to(device), reduction="none")
            optimizer.zero_grad()
            training.weigh(losses).backward()
            training.step()
        took = now(device) - begun
    return 100 * watch.spent / took
