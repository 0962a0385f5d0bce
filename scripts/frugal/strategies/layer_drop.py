"""Layer dropping: each training step leaves out residual blocks, drawn at random, the deeper the more often.

Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016, https://arxiv.org/abs/1603.09382: block l of L, from 1, survives a
step with probability
    p_l = 1 - l / L (1 - p_L),   p_L = 0.5,
and what it adds is multiplied by p_l when the net is tested (`schedule: constant`).

Zhang and He, "Accelerating Training of Transformer-Based Language Models with Progressive Layer Dropping", NeurIPS 2020,
https://arxiv.org/abs/2010.13369: p_L falls while the net trains, from 1 towards p, at a share t of the training,
    p_L(t) = (1 - p) exp(-gamma t) + p,   p = 0.5, gamma = 100,
and what a surviving block adds is divided by its p_l in training, so nothing is changed for testing (`schedule: progressive`).
"""

import math
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Gt, Le
from torch import Tensor, nn

from frugal import registry
from frugal.strategies.base import EpochPlan, Run, Strategy, TrainingState


@dataclass
class LayerDrop(Strategy):
    """One draw for each block and step, for the whole batch; a dropped block executes its shortcut only, forward and backward.

    It has no gradient in that step, so neither weight decay nor momentum moves it, and its batch statistics stay. What a step
    executes changes from step to step, so the net is never compiled.

    survival: p_L or p above, the probability of the last block; schedule: of the formulas above; gamma: of the progressive one
    """

    decides = ("weights",)
    eager: ClassVar[bool] = True
    needs: ClassVar[dict[str, Any]] = {"residual blocks": "leaves out residual blocks"}

    survival: Annotated[float, Gt(0), Le(1)] = 0.5
    schedule: Literal["constant", "progressive"] = "constant"
    gamma: Annotated[float, Gt(0)] = 100.0

    def start(self, run: Run) -> None:
        """Draws are the strategy's own, and the same on all ranks."""
        super().start(run)
        self.draws, self.progress = run.generator("layer_drop"), 0.0
        self.kept, self.passes = 0, 0  # of this epoch: block passes that were executed, and all that there were

    def prepare_model(self, model: nn.Module) -> nn.Module:
        """Find the blocks; those with weights of the same shapes cost the same."""
        self.blocks = registry.load("model", self.model_builder.use).droppable(model)
        self.alike = [tuple(tuple(p.shape) for p in block.parameters()) for block in self.blocks]
        if self.schedule == "constant":
            for block, survives in zip(self.blocks, self.probabilities(0.0), strict=True):
                block.in_test = survives
        return model

    def probabilities(self, progress: float) -> list[float]:
        """p_l of each block, from the front. progress: share of the training done."""
        last = self.survival
        if self.schedule == "progressive":
            last += (1 - last) * math.exp(-self.gamma * progress)
        return [1 - place / len(self.blocks) * (1 - last) for place in range(1, len(self.blocks) + 1)]

    def begin(self, training: TrainingState) -> None:
        """Give SGD its momentum before the first step: torch's fused one can't begin with some of the parameters only.

        From zero it is the first gradient, which is what SGD begins with.
        """
        for group in training.optimizer.param_groups:
            for parameter in group["params"] if group.get("momentum") else ():
                training.optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """Every sample; what is counted starts anew. losses: (n,) last training loss of each, which are not looked at."""
        self.kept, self.passes = 0, 0
        return EpochPlan()

    def before_forward(self, training: TrainingState) -> None:
        """Draw the blocks that this step keeps."""
        drawn = torch.rand(len(self.blocks), generator=self.draws).tolist()
        for block, survives, number in zip(self.blocks, self.probabilities(self.progress), drawn, strict=True):
            block.kept = number < survives
            if self.schedule == "progressive":
                block.in_training = 1 / survives
        self.kept += sum(block.kept for block in self.blocks)
        self.passes += len(self.blocks)

    def variant(self) -> Hashable:
        """How many of each kind of block are dropped, None where none is."""
        dropped = Counter(kind for block, kind in zip(self.blocks, self.alike, strict=True) if not block.kept)
        return frozenset(dropped.items()) or None

    def after_step(self, training: TrainingState) -> None:
        """All blocks are there again; the next step's probabilities are those of the training done so far."""
        self.progress = training.progress
        for block in self.blocks:
            block.kept = True

    @property
    def notes(self) -> list[str]:
        """How many blocks there are, and what their probabilities come to."""
        told = ", ".join(f"{survives:.3f}" for survives in self.probabilities(1.0))
        return [
            f"layer_drop: {len(self.blocks)} residual blocks, which survive a step with probabilities {told} at the end"
        ]

    def evidence(self) -> dict[str, float | None]:
        """Share of the passes through a block that this epoch executed."""
        return {"kept_block_passes": self.kept / self.passes if self.passes else None}

    def state_dict(self) -> dict[str, Any]:
        """The draws to come, and what was counted in this epoch."""
        return {"draws": self.draws.get_state(), "progress": self.progress, "kept": self.kept, "passes": self.passes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.draws.set_state(state["draws"])
        self.progress, self.kept, self.passes = state["progress"], state["kept"], state["passes"]
