"""Selective-Backprop: forward every sample, back-propagate those of high loss with a higher probability.

Jiang et al., "Accelerating Deep Learning by Focusing on the Biggest Losers", 2019, https://arxiv.org/abs/1910.00762.
P(train on a sample of loss L) = CDF(L)^beta, with the distribution of the last R losses, those of its own batch among them;
the selected ones wait until they fill a batch. Losses that come from the distribution are kept at a mean rate of
1 / (beta + 1). A candidate costs (1 + 3a)/3 of training on it (forward 1, backward 2, keep rate a). Nothing is reweighted, so
the objective is another one. R = 1024, beta = 3 and the first epoch on everything are the defaults of the authors' code,
https://github.com/angelajiang/SelectiveBackprop.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import Tensor
from torch.nn import functional

from frugal.strategies.base import EpochPlan, Run, Strategy
from frugal.strategies.selection import SCALES


@dataclass
class SelectiveBackprop(Strategy):
    """Keep each candidate with a probability that grows with the rank of its loss among recent ones.

    beta: selectivity, 0 keeps all; history: R, recent losses to compare with; primed: epochs that train on everything first;
    scoring: fresh (a forward pass of each candidate) or half (that pass at half resolution)
    """

    decides = ("samples",)
    single_device: ClassVar[bool] = True
    needs: ClassVar[dict[str, Any]] = {
        "images": {"scoring": {"half": "scoring half shrinks them"}},
        "sizes": {"scoring": {"half": "scoring half forwards images of half the size"}},
    }

    beta: Annotated[float, Ge(0)] = 3.0
    history: Annotated[int, Ge(1)] = 1024
    primed: Annotated[int, Ge(0)] = 1
    scoring: Literal["fresh", "half"] = "fresh"

    def start(self, run: Run) -> None:
        """A generator of its own where the losses lie, and no losses yet."""
        super().start(run)
        self.generator = run.generator("selective_backprop", run.device)
        self.recent = torch.empty(0, device=run.device)
        self.selecting = False
        self.rates: list[Tensor] = []  # per batch of candidates in this epoch: share kept, share expected

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """Everything is read; what is trained on is selected batch by batch. losses: (n,), not looked at."""
        self.selecting, self.rates = epoch >= self.primed, []
        return EpochPlan()

    def scoring_scale(self) -> float | None:
        """At which size candidates are forwarded to be scored; None in the first epochs."""
        return SCALES[self.scoring] if self.selecting else None

    def select(self, logits: Tensor, labels: Tensor) -> Tensor:
        """From a scoring pass, (b, classes) and (b,): positions (m,) of those to train on. How many is asked of the device."""
        smoothing = self.run.label_smoothing
        losses = functional.cross_entropy(logits.float(), labels, reduction="none", label_smoothing=smoothing)
        self.recent = torch.cat([self.recent, losses])[-self.history :]
        probability = self._rank(losses) ** self.beta
        kept = torch.rand(len(losses), generator=self.generator, device=losses.device) < probability
        self.rates.append(torch.stack([kept.double().mean(), probability.double().mean()]))
        return kept.nonzero().squeeze(1)

    def _rank(self, losses: Tensor) -> Tensor:
        """Share of the recent losses that are lower, (b,) -> (b,)."""
        return torch.searchsorted(self.recent.sort().values, losses).float() / len(self.recent)

    def trace(self) -> dict[str, Tensor]:
        """Of each batch of candidates in this epoch: the share kept, and the mean probability of being kept."""
        if not self.rates:
            return {}
        kept, expected = torch.stack(self.rates).T
        return {"kept_share": kept, "expected_share": expected}

    def evidence(self) -> dict[str, float | None]:
        """Means of the trace over this epoch; None where everything is trained on."""
        return {
            name: self.trace()[name].mean().item() if self.rates else None for name in ("kept_share", "expected_share")
        }

    def state_dict(self) -> dict[str, Any]:
        """Generator, recent losses and what this epoch logged."""
        generator = self.generator.get_state()
        return {"generator": generator, "recent": self.recent, "selecting": self.selecting, "rates": self.rates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.generator.set_state(state["generator"])
        self.recent, self.selecting = state["recent"].to(self.run.device), state["selecting"]
        self.rates = [pair.to(self.run.device) for pair in state["rates"]]
