"""Benchmark of the meter: what `frugal.meter` adds to a plain loop that trains a ResNet-8 on images of CIFAR-10's size.

Two equal nets are trained in turns, step by step, one of them metered, so that whatever else the machine does meets both. A round
is as long as the meter's period, so that the step which the slow counter sees has its true share. Since seconds of equal steps
differ by more than the meter takes, its own code is timed too, call by call, and what counted steps take longer. On a CPU
seconds are CPU seconds. That both nets have the same losses, bit for bit, is checked on the way.
"""

import statistics
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from frugal.bench.hooks import now
from frugal.bench.loops import Timed
from frugal.bench.row import Row, interval_of_median
from frugal.errors import FrugalError
from frugal.loops.meter import Meter
from frugal.models import resnet

SHAPE, CLASSES, BATCH = (3, 32, 32), 10, 128
PERIOD, ROUNDS = 100, 7  # steps of which the meter counts one, by default
GOAL = 1.0
HOOKS = ("_before_pass", "_after_pass", "_after_backward", "_after_step")


def measure(folder: Path) -> list[Row]:
    """Per cent of the loop's seconds, with a target. folder: not used. Raises FrugalError where the meter changes a loss."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH, *SHAPE, generator=draw).to(device)
    labels = torch.randint(CLASSES, (BATCH,), generator=draw).to(device)
    plain, metered = Side(device), Side(device)
    for side in (plain, metered):  # what the first steps set up is nobody's
        side.step(images, labels), side.step(images, labels)
    added, every, watch = [], [], Timed(device)
    meter = Meter(metered.model, metered.optimizer, every=PERIOD)
    for name in HOOKS:
        watch.wrap(meter, name)
    with meter:
        for _ in range(ROUNDS):
            plain.steps, metered.steps = [], []
            for turn in range(PERIOD):
                sides = (plain, metered) if turn % 2 else (metered, plain)
                losses = [side.step(images, labels) for side in sides]
                if not torch.equal(*losses):
                    raise FrugalError(f"the metered loop has other losses: {losses}")
            added.append(100 * (sum(metered.steps) / sum(plain.steps) - 1))
            every += plain.steps
    if meter.flops_executed is None:
        raise FrugalError("the meter did not count the FLOPs of the loop that it was measured on")
    ordinary = statistics.median(every)
    counted = (meter.clock.cpu if device.type == "cpu" else meter.clock.seconds)["count"] - ROUNDS * ordinary
    own = 100 * (watch.spent + counted) / (len(every) * ordinary)
    what, median = f"ResNet-8, batch {BATCH}: ", statistics.median(added)
    return [
        Row(
            "meter",
            what + "a metered loop over a plain one",
            median,
            "% more",
            GOAL,
            "at most",
            interval_of_median(added),
        ),
        Row("meter", what + "the meter's code, and what counted steps take longer", own, "%", GOAL, "at most"),
    ]


class Side:
    """One of the two trainings, with the seconds that each of its steps took."""

    def __init__(self, device: torch.device):
        torch.manual_seed(0)
        self.device = device
        self.steps: list[float] = []
        self.model: nn.Module = resnet.build(SHAPE, CLASSES, depth=8, width=16).to(device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """images: (b, C, H, W); labels: (b,); returns the loss before the step, ()."""
        begun = now(self.device)
        self.optimizer.zero_grad()
        loss = cross_entropy(self.model(images), labels)
        loss.backward()
        self.optimizer.step()
        self.steps.append(now(self.device) - begun)
        return loss.detach()
