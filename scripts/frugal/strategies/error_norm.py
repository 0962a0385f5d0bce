"""EL2N and GraNd, two scores of samples early in training: a scoring run, whose scores others use and are charged for.

Paul, Ganguli & Dziugaite, "Deep Learning on a Data Diet: Finding Important Examples Early in Training", NeurIPS 2021,
https://arxiv.org/abs/2107.07075. EL2N of a sample x with label y is || softmax(f(x)) - onehot(y) ||, GraNd the norm of the
gradient of its loss by all weights. The paper takes both after some epochs of a full schedule, or GraNd at initialisation, and
averages them over ten nets; here one net of the run's seed is trained for `passes`, its schedule that much shorter. Kirsch,
"Does 'Deep Learning on a Data Diet' reproduce? Overall yes, but GraNd at Initialization does not", 2023,
https://arxiv.org/abs/2303.14753.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from frugal.errors import FrugalError
from frugal.strategies.base import Strategy, TrainingState

AT_ONCE = 2**26  # gradients of single weights, 256 MiB
ONE_STEP = 1e-9  # epochs: a training ends after the first step, without which there is none


@dataclass
class ErrorNorm(Strategy):
    """Train for `passes` epochs on everything, then score every sample, unaugmented and in evaluation mode.

    score: el2n, for a forward pass of each sample, or grand, for a backward pass too; passes: epochs of training before; 0
    scores at initialisation, and one step is trained after that
    """

    decides = ("samples",)
    tells = ("scores",)
    needs: ClassVar[dict[str, Any]] = {
        "classes": "it compares logits with classes",
        "unscaled": {"score": {"grand": "takes gradients of single losses"}},
    }

    score: Literal["el2n", "grand"] = "el2n"
    passes: Annotated[float, Ge(0)] = 1.0

    def __post_init__(self):
        self.found: Tensor | None = None
        self.done = 0.0

    def length(self, planned: float, training: TrainingState) -> float:
        """As many epochs as are trained before the scores are taken."""
        return max(self.passes, ONE_STEP)

    def settled_since(self) -> None:
        """Early stopping doesn't end it before the scores are taken."""

    def begin(self, training: TrainingState) -> None:
        """Score at initialisation."""
        if self.passes == 0:
            self._score(training)

    def after_epoch(self, training: TrainingState) -> None:
        """Score at the end."""
        self.done = training.position
        if training.ended and self.passes > 0:
            self._score(training)

    def _score(self, training: TrainingState) -> None:
        backward, model = self.score == "grand", training.model
        norms = grand(model, self.run.label_smoothing) if backward else el2n(model)
        self.found = training.score_training_set(norms, backward=backward)

    def evidence(self) -> dict[str, float | None]:
        """Passes over the whole data so far."""
        return {"passes": self.done}

    def sample_scores(self) -> Tensor | None:
        """(n,) norms."""
        return self.found

    def state_dict(self) -> dict[str, Any]:
        """The scores, where they are taken, and how far it came."""
        return {"found": self.found, "done": self.done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.found, self.done = None if state["found"] is None else state["found"].cpu(), state["done"]


def el2n(model: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """(b, ...) and (b,) -> (b,): || softmax(f(x)) - onehot(y) ||."""

    @torch.no_grad()
    def norms(inputs: Tensor, labels: Tensor) -> Tensor:
        chances = model(inputs).float().softmax(1)
        return (chances - functional.one_hot(labels, chances.shape[1])).norm(dim=1)

    return norms


def grand(model: nn.Module, label_smoothing: float = 0.0) -> Callable[[Tensor, Tensor], Tensor]:
    """(b, ...) and (b,) -> (b,): the norm of the gradient of each sample's loss by all weights that are trained.

    The function raises FrugalError for a net whose samples torch can't take by themselves.
    """
    trained = {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}
    others = {name: weight.detach() for name, weight in model.named_parameters() if not weight.requires_grad}
    others |= dict(model.named_buffers())

    def loss(weights: dict[str, Tensor], sample: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(model, {**others, **weights}, (sample[None],))
        return functional.cross_entropy(logits.float(), label[None], label_smoothing=label_smoothing)

    each = vmap(grad(loss), in_dims=(None, 0, 0))
    size = max(1, AT_ONCE // sum(weight.numel() for weight in trained.values()))

    def norms(inputs: Tensor, labels: Tensor) -> Tensor:
        try:
            parts = [
                sum(g.flatten(1).float().square().sum(1) for g in each(trained, *part).values())
                for part in zip(inputs.split(size), labels.split(size), strict=True)
            ]
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            why = str(error).strip().splitlines()[0]
            raise FrugalError(
                f"grand: torch can't take the gradient of single samples ({why}); set score: el2n"
            ) from error
        return torch.cat(parts).sqrt()

    return norms
