"""State of a run in training: what it consists of, what a checkpoint holds of it, and what follows from it.

A resumed run takes the step that would have come next.
"""

from collections.abc import Hashable
from dataclasses import asdict
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from frugal.data.device import Split
from frugal.data.policies import Policy
from frugal.measure.clock import Clock
from frugal.measure.energy import Energy
from frugal.measure.flops import PassFlops, pass_flops
from frugal.measure.ledger import Charge, Ledger
from frugal.recipe import Recipe
from frugal.spec import RunSpec
from frugal.strategies.base import Strategy
from frugal.training.average import Average
from frugal.training.batches import Epoch, Gathering
from frugal.training.distributed import Team
from frugal.training.forward import Forward
from frugal.training.history import EpochSums, History
from frugal.training.initial import tell_epoch
from frugal.training.optimizer import rate_of
from frugal.training.tasks import Task


class Chosen(TypedDict):
    """What is chosen before the first step, by the clock where the recipe leaves it open.

    precision: in force; side_by_side: layers as in `training.convolution_gradients`; why: for the record
    """

    precision: str
    side_by_side: list[tuple[int, ...]]
    why: list[str]


class RunState:
    """What a `Trainer` makes and owns, and its `Loop` changes.

    epoch: epochs that are closed; passed: epochs done, the last of them perhaps in part; steps: of the epoch planned last, None
    before the first; step: steps done in the epoch under way; batches: of that epoch, those of all ranks, and share: this
    rank's part of them, both None between epochs; losses: (n,) last training loss of each sample, inf where never seen;
    stepping: whether the optimizer takes a step of the loop right now; policy: of augmentation, None for none; first_flips: (n,)
    bool, which samples are mirrored in the first epoch, None where flips don't alternate; classes: of the data set;
    class_weights: (classes,), by which losses are multiplied in a step, None for 1; scaler: of the loss, in float16, else None;
    average: of the weights, None where the recipe asks for none; loads: of the machine, at the start and after each epoch;
    notes: for the record; read_from: "cache", "files" or, where residency changed within the run, both
    """

    spec: RunSpec
    recipe: Recipe
    device: torch.device
    team: Team
    strategy: Strategy
    task: Task
    classes: int
    class_weights: Tensor | None
    train_data: Split
    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler | None
    forward: Forward | None
    losses: Tensor
    ledger: Ledger
    charge: Charge | None
    answered: tuple[Tensor, Tensor]
    clock: Clock
    energy: Energy
    epoch: int
    passed: float
    steps: int | None
    step: int
    stepping: bool
    average: Average | None
    batches: Epoch | None
    share: Epoch | None
    sums: EpochSums | None
    history: History
    gathering: Gathering
    sampler: torch.Generator
    augmenter: torch.Generator
    policy: Policy | None
    first_flips: Tensor | None
    chosen: Chosen | None
    flops_of_size: dict[tuple[int, bool, Hashable], PassFlops]
    flops_sources: dict[str, None]
    loads: list[float]
    notes: list[str]
    read_from: set[str]

    @property
    def progress(self) -> float:
        """Share of the planned training that is done, in [0, 1]; within an epoch by its steps."""
        return min(1.0, self.position / self.epochs)

    @property
    def position(self) -> float:
        """Epochs that are done, with the share of the steps of the one under way."""
        return self.passed + (self.step / len(self.batches) if self.batches is not None else 0.0)

    @property
    def epochs(self) -> float:
        """Epochs to train for; the last may end within one."""
        return self.strategy.length(self.recipe.epochs, self)

    @property
    def ended(self) -> bool:
        """Whether less than half a step of the training is left."""
        return self.ledger.steps > 0 and (self.epochs - self.position) * self.steps < 0.5

    @property
    def rate(self) -> float:
        """The learning rate in force; it lives in the optimizer, so that it comes back with it."""
        return rate_of(self.optimizer)

    def flops_at(self, pixels: int, useful: bool = False) -> PassFlops:
        """FLOPs of one sample: an image of that many pixels per side, or anything else as long as it is; counted at first use.

        useful: without multiplications by weights that are known to be zero. Counting is no part of the training's time and
        energy.
        """
        useful = useful and any(
            hasattr(module, "count_useful") for module in self.model.modules()
        )  # else it's the same
        key = (pixels, useful, self.strategy.variant())
        if key not in self.flops_of_size:
            data, classes = self.train_data, self.classes
            shape = data.shape_at(pixels)
            with self.clock.stage("count"):
                metered = self.energy.pause()
                flops = pass_flops(self.model, shape, classes, dtype=data.dtype, useful=useful)
                self.flops_of_size[key] = flops
                self.flops_sources |= {flops.source: None}
                if metered:
                    self.energy.start()
        return self.flops_of_size[key]

    def model_changed(self) -> None:
        """Where weights were replaced by smaller ones, or others are trained from now on: count FLOPs and compile anew."""
        self.flops_of_size.clear()
        if self.forward is not None and self.forward.compiled is not None:
            with self.clock.stage("compile"):
                self.forward.renew()

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the run depends on, and all that its record will say; with several ranks, each has to ask."""
        cuda = self.device.type == "cuda"
        own = {
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(self.device) if cuda else None,
            "energy": self.energy.state(),
        }
        return {
            "epoch": self.epoch,
            "passed": self.passed,
            "steps": self.steps,
            "loads": self.loads,
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "strategy": self.strategy.state_dict(),
            "losses": self.losses,
            "batches": None if self.batches is None else self.batches.state_dict(),
            "sums": None if self.batches is None else self.sums.state_dict(),
            "waiting": self.gathering.waiting,
            "history": self.history.state_dict(),
            "ledger": asdict(self.ledger),
            "clock": self.clock.state_dict(),
            "chosen": self.chosen,
            "flops_sources": list(self.flops_sources),
            "read_from": sorted(self.read_from),
            "sampler": self.sampler.get_state(),
            "augmenter": self.augmenter.get_state(),
            "ranks": self.team.gather(own),  # what differs between them: dropout draws its own mask on each
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.epoch, self.step = state["epoch"], state["step"]
        if tell_epoch(self.model, self.epoch):
            self.model_changed()
        self.passed, self.steps, self.loads = state["passed"], state["steps"], state["loads"]
        self.strategy.rebuild(self, state["strategy"])  # shapes before weights
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
        if state["average"] is not None:
            self.average = Average(self.model, self.recipe.average)
            self.average.load_state_dict(state["average"])
        self.strategy.load_state_dict(state["strategy"])
        self.losses.copy_(state["losses"])
        if state["batches"] is not None:
            self.batches = Epoch(**state["batches"]).to(self.device)
            self.sums = EpochSums.from_state(state["sums"], self.device)
        self.gathering.waiting = [[part.to(self.device) for part in parts] for parts in state["waiting"]]
        self.history = History(**state["history"])
        self.ledger = Ledger(**state["ledger"])
        self.clock.load_state_dict(state["clock"])
        self.chosen = state["chosen"]
        self.flops_sources = dict.fromkeys(state["flops_sources"]) | self.flops_sources
        self.read_from |= set(state["read_from"])
        if len(self.read_from) > 1:
            self.notes.append("bytes_read: of image files and of the cache, since residency changed within this run")
        self.sampler.set_state(state["sampler"])
        self.augmenter.set_state(state["augmenter"])
        own = state["ranks"][self.team.rank]
        torch.set_rng_state(own["torch"])
        if own["cuda"] is not None:
            torch.cuda.set_rng_state(own["cuda"], self.device)
        self.energy.resume(own["energy"])
