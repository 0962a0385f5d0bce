"""Dynamic pruning: neurons that don't matter are removed while the net trains, so that later epochs are cheaper.

"Experiment Report: Implement a dynamic pruning algorithm that identifies and removes redundant neurons and connections during
training" (author and year not named).

Importance is I_c = EMA of (sum of activation x gradient)^2 over a neuron's coupled group, divided by the layer's mean: Molchanov
et al., "Importance Estimation for Neural Network Pruning", CVPR 2019, https://arxiv.org/abs/1906.10771 (see
`frugal.pruning.importance`). Groups are found by DepGraph: Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023,
https://arxiv.org/abs/2301.12900 (see `frugal.pruning.tracing`). Removed neurons are gone from weights, BatchNorm
statistics, gradients and the optimizer's moments.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor, nn

from frugal.errors import FrugalError
from frugal.pruning.choice import Guards, by_target, by_threshold, least_important
from frugal.pruning.connections import Connections
from frugal.pruning.importance import Importance
from frugal.pruning.removal import Neurons
from frugal.pruning.sizes import Sizes
from frugal.strategies.base import Run, Strategy, TrainingState


@dataclass
class DynamicPruning(Strategy):
    """Every `every` steps remove neurons whose relative importance was under `threshold` in `checks` checks running.

    warmup, until: shares of the training between which that happens; step: share of a layer that may go per event; floor:
    share of it that always stays; round_to: widths stay multiples of it; events: removals at most; decay: of the EMA, per
    step; target_flops: share of the full net's FLOPs to come down to, evenly over the events, by whatever is least
    important, in place of the threshold; connections: share of the weights to hold at zero at last, the smallest ones.
    A layer at its floor is left as it is and counted in `layers_at_floor`.
    """

    decides = ("weights",)
    moves_weights: ClassVar[bool] = True
    single_device: ClassVar[bool] = True
    tells = ("widths",)
    ascending = (("warmup", "until"),)

    threshold: Annotated[float, Ge(0)] = 0.01
    every: Annotated[int, Ge(1)] = 50
    checks: Annotated[int, Ge(1)] = 3
    warmup: Annotated[float, Ge(0), Lt(1)] = 0.1
    until: Annotated[float, Gt(0), Le(1)] = 0.7
    step: Annotated[float, Gt(0), Lt(1)] = 0.05
    floor: Annotated[float, Gt(0), Lt(1)] = 0.1
    round_to: Annotated[int, Ge(1)] = 8
    events: Annotated[int, Ge(1)] = 20
    decay: Annotated[float, Ge(0), Lt(1)] = 0.95
    target_flops: Annotated[float, Gt(0), Lt(1)] | None = None
    connections: Annotated[float, Ge(0), Lt(1)] = 0.0

    def start(self, run: Run) -> None:
        """Raises FrugalError where `until` doesn't come after `warmup`."""
        super().start(run)
        self.calendar = Events(self.every, self.warmup, self.until, self.events)
        self.done = 0  # events in which something was removed; with a target, those whose time has come
        self.removals = 0
        self.last_removal = 0  # epoch from which the net is as it is now
        self.progress = 0.0
        self.connection_masks = Connections()
        self.masked_share = 0.0  # how much of `connections` is masked by now, in [0, 1]

    def prepare_model(self, model: nn.Module) -> nn.Module:
        """Find the groups; raises FrugalError where there are none, or no allowed width reaches the target."""
        self.sizes = Sizes(model, self.run.example)
        self.neurons = Neurons(self.sizes.groups, model)
        self.importance = Importance(self.neurons, self.decay)
        self.guards = Guards(self.step, self.floor, self.round_to, self.sizes.groups)
        self.strikes = {name: torch.zeros(width, dtype=torch.int64) for name, width in self.neurons.widths.items()}
        if self.target_flops is not None:
            steps = round(self.run.epochs * max(1, round(self.run.samples / self.run.batch_size)))
            possible = self.calendar.possible(steps)
            least = self.sizes.share(self.guards.reachable(possible))
            if least > self.target_flops:
                raise FrugalError(
                    f"strategy dynamic_pruning: target_flops is {self.target_flops:g}, but with floor {self.floor:g}, step "
                    f"{self.step:g}, round_to {self.round_to} and {possible} events no less than {least:.3f} of the FLOPs can "
                    "be reached; raise target_flops, step or events, or lower floor or round_to"
                )
        return model

    def before_step(self, training: TrainingState) -> None:
        """Take in this step's gradients."""
        if self.progress < self.until:
            self.importance.observe(training.model)

    def after_step(self, training: TrainingState) -> None:
        """Hold masked weights at zero, and every so often check whether neurons go."""
        self.connection_masks.apply(training.model)
        if training.ledger.steps % self.every == 0:
            self.progress = training.progress
            self._check(training)

    def _check(self, training: TrainingState) -> None:
        if self.progress < self.warmup:
            return
        due = self.calendar.due(self.progress)
        if self._open() and (self.target_flops is None or due > self.done):
            if self.target_flops is None:
                self._prune_by_threshold(training)
            else:
                self.done = due
                self.prune_to(training, 1 - (1 - self.target_flops) * due / self.events)
        if self.connections and self.masked_share < 1:
            self.masked_share = self.calendar.passed(self.progress)
            self.connection_masks.mask(training.model, self.connections * self.masked_share)

    def prune_to(self, training: TrainingState, share: float) -> None:
        """An event that comes down to a share of the full net's FLOPs, or as near to it as the guards allow."""
        importance = self.importance.absolute()
        self.guards.grant()
        widths = by_target(self.neurons, self.guards, self.sizes, importance, share)
        self._remove(training, least_important(importance, widths))

    def _open(self) -> bool:
        """Whether there may be another event."""
        return self.done < self.events and (self.target_flops is not None or self.progress <= self.until)

    def _prune_by_threshold(self, training: TrainingState) -> None:
        """An event, where there are enough units that were under the threshold for long enough."""
        importance = self.importance.relative()
        self.guards.grant()
        for name, values in importance.items():
            self.strikes[name] = torch.where(values < self.threshold, self.strikes[name] + 1, 0)
            importance[name] = torch.where(self.strikes[name] >= self.checks, values - self.threshold, values)
        widths = by_threshold(self.neurons, self.guards, self.strikes, self.checks)
        self.done += widths != self.neurons.widths
        self._remove(training, least_important(importance, widths))

    def _remove(self, training: TrainingState, stays: dict[str, Tensor]) -> None:
        gone = {name: int((~mask).sum()) for name, mask in stays.items()}
        if not any(gone.values()):
            return
        kept = {name: self.neurons.live[name][mask] for name, mask in stays.items()}
        self.connection_masks.follow(self.neurons.keep(training.model, kept, training.optimizer))
        self.importance.forget(stays)
        for name, mask in stays.items():
            self.strikes[name] = self.strikes[name][mask]
            self.guards.spend(self.neurons.groups[name], gone[name])
        self.removals += 1
        self.last_removal = training.epoch + 1
        training.model_changed()

    def settled_since(self) -> int | None:
        """The epoch of the last removal, once there will be no other."""
        still_open = self._open() and self.progress < self.until
        return None if still_open else self.last_removal

    def left_out(self) -> tuple[int, int]:
        """Weights that are gone, and weights held at zero."""
        return self.sizes.full[1] - self.sizes.at(self.neurons.widths)[1], self.connection_masks.masked

    def evidence(self) -> dict[str, float | None]:
        """Of the net as it is after this epoch; FLOPs are those of a forward pass of one sample."""
        flops, weights = self.sizes.at(self.neurons.widths)
        return {
            "live_parameters": weights - self.connection_masks.masked,
            "flops_per_sample": flops,
            "removals": self.removals,
            "layers_at_floor": len(self.guards.at_floor(self.neurons.widths)),
            **{f"width_{name}": width for name, width in self.neurons.widths.items()},
        }

    @property
    def notes(self) -> list[str]:
        """Which groups are left whole and why, and what the guards did."""
        widths = self.neurons.widths
        floored = [f"{name} ({widths[name]} wide)" for name in self.guards.at_floor(widths)]
        notes = list(self.sizes.found.notes)
        notes += [f"pruning: left at their floor: {', '.join(floored)}"] if floored else []
        if self.target_flops is not None:
            share = self.sizes.share(widths)
            notes += [f"pruning: {share:.4f} of the full net's FLOPs, target {self.target_flops:g}"]
        return notes

    def state_dict(self) -> dict[str, Any]:
        """Live neurons, masks, what is known of their importance, and the calendar."""
        return {
            "live": self.neurons.state_dict(),
            "connection_masks": self.connection_masks.state_dict(),
            "importance": self.importance.state_dict(),
            "strikes": self.strikes,
            "saved": self.guards.saved,
            "counts": [self.done, self.removals, self.last_removal, self.progress, self.masked_share],
        }

    def rebuild(self, training: TrainingState, state: dict[str, Any]) -> None:
        """Bring a fresh model to the widths of the saved one."""
        self.neurons.keep(training.model, state["live"], training.optimizer)
        training.model_changed()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`, on a model that was rebuilt."""
        self.connection_masks.load_state_dict(state["connection_masks"], self.run.device)
        self.importance.load_state_dict(state["importance"], self.run.device)
        self.strikes, self.guards.saved = state["strikes"], dict(state["saved"])
        self.done, self.removals, self.last_removal, self.progress, self.masked_share = state["counts"]


@dataclass(frozen=True)
class Events:
    """The calendar of removals: checks every so many steps, from the warm-up to a point after which the net settles.

    every: steps between checks; warmup, until: shares of the training between which there are checks; most: events at most.
    With a target the events are spread evenly; without, each check that finds something is one.
    """

    every: int
    warmup: float
    until: float
    most: int

    def __post_init__(self) -> None:
        if self.until <= self.warmup:
            raise FrugalError(
                f"strategy dynamic_pruning: until is {self.until:g} and warmup {self.warmup:g}, both shares of the training; "
                "until must be the larger one"
            )

    def passed(self, progress: float) -> float:
        """How far between warm-up and end, 0 to 1. progress: of the training, in [0, 1]."""
        return min(1.0, max(0.0, (progress - self.warmup) / (self.until - self.warmup)))

    def due(self, progress: float) -> int:
        """How many of the events of a target should have been by now, 0 to `most`."""
        return int(self.most * self.passed(progress) + 1e-9)

    def possible(self, steps: int) -> int:
        """How many events with something to remove fit into a training of that many steps, on the way to a target.

        Raises FrugalError where no check comes late enough for the last one.
        """
        due = [self.due(step / steps) for step in range(self.every, steps + 1, self.every)]
        if not due or due[-1] < self.most:
            raise FrugalError(
                f"strategy dynamic_pruning: a check every {self.every} of {steps} steps leaves none after {self.until:g} of the "
                "training, so the target can't be reached in time; lower every or until"
            )
        return len(set(due) - {0})
