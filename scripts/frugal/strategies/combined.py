"""Combination of strategies in one training: for example, one leaves out samples, one bits of them, one weights.

What they save multiplies. None of the sources combines its ideas. Each part does here what it does on its own, so a
combination only lays the answers of its parts over each other; two that answer the same question are refused when the config
is read.
"""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from frugal.errors import FrugalError
from frugal.parameters import Part, split
from frugal.strategies.base import EpochPlan, Run, Strategy, TrainingState, make


@dataclass
class Combined(Strategy):
    """Strategies that decide different things, in the order in which their hooks are called.

    parts: of each its `use` and its parameters, or a new strategy such as `InfoBatch()`. A part that repeats another run's
    counts is given the history of the run that the combination `follows`.
    """

    parts: list[Part]

    def __post_init__(self):
        self.parts = [_described(part) for part in self.parts]
        self.uses = [part["use"] for part in self.parts]
        self.strategies = [make(*split(part)) for part in self.parts]
        self.reads = "coefficients" if any(part.reads == "coefficients" for part in self.strategies) else "pixels"
        self.spectral = any(part.spectral for part in self.strategies)
        self.single_device = any(part.single_device for part in self.strategies)
        self.eager = any(part.eager for part in self.strategies)
        self.shares: dict[str, float] = {}  # of the samples visited in the epoch, those read at each level

    def start(self, run: Run) -> None:
        """Start every part; each draws from generators of its own, so none disturbs another's draws."""
        super().start(run)
        for part in self.strategies:
            part.model_builder = self.model_builder
            part.start(run)

    def begin(self, training: TrainingState) -> None:
        """Every part's."""
        for part in self.strategies:
            part.begin(training)

    def most_visited(self) -> int:
        """The fewest of any part."""
        return min(part.most_visited() for part in self.strategies)

    def prepare_model(self, model: nn.Module) -> nn.Module:
        """The model as each part in turn makes it; those that leave out tokens come last, since others may build it anew."""
        for part in sorted(self.strategies, key=lambda part: "tokens" in part.decides):
            model = part.prepare_model(model)
        return model

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """The plans of all parts laid over each other. losses: (n,) last loss of each. Raises FrugalError where two collide."""
        plan = EpochPlan()
        for use, part in zip(self.uses, self.strategies, strict=True):
            own = part.plan_epoch(epoch, losses)
            for field in fields(own):
                answer = getattr(own, field.name)
                if answer is None:
                    continue
                if getattr(plan, field.name) is not None:
                    raise FrugalError(
                        f"strategy combined: {use} and another part both plan the {field.name} of an epoch"
                    )
                setattr(plan, field.name, answer)
        if plan.level is not None:
            self._see_to_levels(plan)
        return plan

    def _see_to_levels(self, plan: EpochPlan) -> None:
        """Count the levels among the samples that are visited; where batches hold one level, a lone sample joins the others."""
        visited = torch.arange(len(plan.level)) if plan.order is None else plan.order.cpu()
        if plan.keep is not None:
            visited = visited[plan.keep.cpu()[visited]]
        if self.spectral:
            plan.level, plan.part = _without_lone(plan.level.cpu(), plan.part, visited)
        told = Counter(plan.level.cpu()[visited].tolist())
        self.shares = {f"share_k{k}": told[k] / len(visited) for k in self.levels()}

    def batches_at_once(self) -> int:
        """Those of the part which reads more than one."""
        return max(part.batches_at_once() for part in self.strategies)

    def scoring_scale(self) -> float | None:
        """That of the part which scores candidates."""
        return next((scale for part in self.strategies if (scale := part.scoring_scale()) is not None), None)

    def select_from(self, indices: Tensor, logits: Tensor, labels: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(b,), (b, classes), (b,) -> (m,), with weights (m,) where it has any: the choice of the part which scores them."""
        scoring = next(part for part in self.strategies if part.scoring_scale() is not None)
        return scoring.select_from(indices, logits, labels)

    def after_forward(self, indices: Tensor, logits: Tensor, labels: Tensor) -> Tensor | None:
        """(b,), (b, classes), (b,) -> (b,) or None: the mask of the part that has one."""
        masks = [part.after_forward(indices, logits, labels) for part in self.strategies]
        return next((mask for mask in masks if mask is not None), None)

    def length(self, planned: float, training: TrainingState) -> float:
        """The recipe's as each part in turn changes it."""
        for part in self.strategies:
            planned = part.length(planned, training)
        return planned

    def learning_rate(self, scheduled: float) -> float:
        """The recipe's as each part in turn changes it."""
        for part in self.strategies:
            scheduled = part.learning_rate(scheduled)
        return scheduled

    def before_forward(self, training: TrainingState) -> None:
        """Every part's."""
        for part in self.strategies:
            part.before_forward(training)

    def variant(self) -> Hashable:
        """Every part's, None where none has one."""
        variants = tuple(part.variant() for part in self.strategies)
        return None if set(variants) == {None} else variants

    def before_step(self, training: TrainingState) -> None:
        """Every part's."""
        for part in self.strategies:
            part.before_step(training)

    def after_step(self, training: TrainingState) -> None:
        """Every part's."""
        for part in self.strategies:
            part.after_step(training)

    def after_epoch(self, training: TrainingState) -> None:
        """Every part's."""
        for part in self.strategies:
            part.after_epoch(training)

    def settled_since(self) -> int | None:
        """When the last part left the net's shape alone."""
        since = [part.settled_since() for part in self.strategies]
        return None if None in since else max(since)

    def finish(self, training: TrainingState) -> bool:
        """Whether any part changed the net once more."""
        changed = [part.finish(training) for part in self.strategies]  # of all, not up to the first
        return any(changed)

    def left_out(self) -> tuple[int, int]:
        """Weights removed and weights held at zero, of all parts."""
        removed, masked = zip(*(part.left_out() for part in self.strategies), strict=True)
        return sum(removed), sum(masked)

    @property
    def notes(self) -> list[str]:
        """Every part's."""
        return [note for part in self.strategies for note in part.notes]

    def test_level(self) -> int | None:
        """That of the part which reads at levels."""
        return next((level for part in self.strategies if (level := part.test_level()) is not None), None)

    def levels(self) -> list[int]:
        """Those of the part which reads at levels."""
        return sorted({level for part in self.strategies for level in part.levels()})

    def evidence(self) -> dict[str, float | None]:
        """Every part's; a name that two of them have is given their names too. Shares of levels are of the visited samples."""
        return self._named([part.evidence() for part in self.strategies]) | self.shares

    def trace(self) -> dict[str, Tensor]:
        """Every part's; columns (batches,)."""
        return self._named([part.trace() for part in self.strategies])

    def _named(self, told: list[dict[str, Any]]) -> dict[str, Any]:
        often = Counter(name for one in told for name in one)
        pairs = zip(self.uses, told, strict=True)
        return {f"{k}_{use}" if often[k] > 1 else k: value for use, one in pairs for k, value in one.items()}

    def state_dict(self) -> dict[str, Any]:
        """Every part's, and the shares of the levels."""
        return {"parts": [part.state_dict() for part in self.strategies], "shares": self.shares}

    def rebuild(self, training: TrainingState, state: dict[str, Any]) -> None:
        """Every part's."""
        for part, own in zip(self.strategies, state["parts"], strict=True):
            part.rebuild(training, own)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        for part, own in zip(self.strategies, state["parts"], strict=True):
            part.load_state_dict(own)
        self.shares = state["shares"]


def _described(part: Any) -> Part:
    """A part by its `use` and its parameters, also where a strategy is given. Raises FrugalError for anything else."""
    if isinstance(part, dict) and "use" in part:
        return part
    use = type(part).__module__.rpartition(".")[2]
    if not isinstance(part, Strategy) or type(part).__module__ != f"frugal.strategies.{use}":
        raise FrugalError(
            f"strategy combined: {part!r} is no part; give strategies of Frugal's, as Combined([InfoBatch(), RigL(sparsity=0.5)])"
        )
    return {"use": use, **{field.name: getattr(part, field.name) for field in fields(part)}}


def _without_lone(level: Tensor, part: Tensor | None, visited: Tensor) -> tuple[Tensor, Tensor | None]:
    """Levels and parts, (n,) each, in which no sample of `visited` is the only one of its level in its part of the epoch.

    It alone would have no batch statistics. It joins the samples of the nearest part, and takes the level that most of a part
    have.
    """
    level = level.clone()
    parts = torch.zeros_like(level) if part is None else part.cpu().clone()
    known, counts = parts[visited].unique(return_counts=True)
    for lone in known[counts == 1] if (counts > 1).any() else []:
        others = known[counts > 1]
        parts[parts == lone] = others[(others - lone).abs().argmin()]
    for one in parts[visited].unique():
        here = visited[parts[visited] == one]
        known, counts = level[here].unique(return_counts=True)
        for lone in known[counts == 1] if len(known) > 1 else []:
            level[here[level[here] == lone]] = known[counts.argmax()]
    return level, None if part is None else parts
