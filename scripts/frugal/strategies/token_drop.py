"""Random-LTD: the layers between the first and the last work on a random part of the tokens, which grows to all of them.

Yao et al., "Random-LTD: Random and Layerwise Token Dropping Brings Efficient Training for Large-scale Transformers", 2022,
https://arxiv.org/abs/2211.11586. For each sample and each of these layers tokens are drawn anew. The others pass the layer by
unchanged and are merged with what comes out, in their order. No token is special: the class token of BERT and padding are drawn
like any other, and only where nothing but padding would be drawn does a token of the text take the place of one.

The number of tokens kept grows linearly with the training, in steps of `increment`, until all are kept from `until` on. Defaults
are those of the paper's GPT-3 of 1.3 billion weights: from 128 of 2,048 tokens, by 16 at a time, over 70 % of the training. Its
learning rate that goes by tokens and layers is left out: the recipe's schedule stays as it is.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from math import floor
from types import MethodType
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn

from frugal import registry
from frugal.errors import FrugalError
from frugal.sparse.tokens import draw, kept, pick, put_back
from frugal.strategies.base import EpochPlan, Strategy, TrainingState


@dataclass
class TokenDrop(Strategy):
    """The first and the last layer see all tokens, those between a share that grows; in evaluation all layers see all.

    initial: share of the tokens kept at first, in (0, 1]; increment: tokens by which the number kept grows at a time; until:
    share of the training from which on all are kept
    """

    decides = ("tokens",)
    eager: ClassVar[bool] = True
    needs: ClassVar[dict[str, Any]] = {"token layers": "it drops tokens between the first layer and the last"}

    initial: Annotated[float, Gt(0), Le(1)] = 0.0625
    increment: Annotated[int, Ge(1)] = 16
    until: Annotated[float, Gt(0), Le(1)] = 0.7

    def prepare_model(self, model: nn.Module) -> nn.Module:
        """Give the layers between a `kept_share`. Raises FrugalError where the model has none, or too few."""
        where = registry.token_layers(self.model_builder.use, self.model_builder.parameters)
        layers = list(model.get_submodule(where)) if where else []
        if len(layers) < 3:
            raise FrugalError(
                f"token_drop drops tokens between the first layer and the last, and model {self.model_builder.use} has "
                f"{len(layers)} layers of tokens; choose one with three or more"
            )
        self.tokens = _tokens(model, layers[0], self.run.example)
        self.layers = layers[1:-1]
        for layer in self.layers:
            layer.forward = MethodType(_on_some, layer)
        self.work_on(self.tokens)
        self.count = self.due(0.0)
        self.worked_on, self.steps = 0, 0
        return model

    def due(self, progress: float) -> int:
        """How many of the tokens are kept. progress: share of the training done."""
        first = max(1, floor(self.initial * self.tokens))
        grown = min(1.0, progress / self.until)
        count = floor(round(first + (self.tokens - first) * grown, 6))
        return count if count == self.tokens else max(first, count - count % self.increment)

    def work_on(self, count: int) -> None:
        """Have the layers between work on so many of the tokens of a sample like the example, of others on that share."""
        for layer in self.layers:
            layer.kept_share = count / self.tokens

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """All samples. losses: (n,), not looked at."""
        self.worked_on, self.steps = 0, 0
        return EpochPlan()

    def before_forward(self, training: TrainingState) -> None:
        """Leave tokens out."""
        self.work_on(self.count)
        self.worked_on, self.steps = self.worked_on + self.count, self.steps + 1

    def variant(self) -> Hashable:
        """How many tokens the layers between work on, None where on all."""
        return None if self.layers[0].kept_share == 1 else self.count

    def after_step(self, training: TrainingState) -> None:
        """All tokens again; the next step keeps as many as are due then."""
        self.work_on(self.tokens)
        self.count = self.due(training.progress)

    def evidence(self) -> dict[str, float | None]:
        """Tokens that each layer between worked on, the mean over the steps of the epoch, and their share of all tokens."""
        mean = self.worked_on / self.steps if self.steps else None
        return {"kept_tokens": mean, "kept_token_share": None if mean is None else mean / self.tokens}

    @property
    def notes(self) -> list[str]:
        """Which layers, and of how many tokens."""
        return [
            f"token_drop: {len(self.layers)} of {len(self.layers) + 2} layers work on {self.due(0.0)} of {self.tokens} tokens at "
            "first; learning rates are those of the recipe"
        ]

    def state_dict(self) -> dict[str, Any]:
        """The number kept in the next step, and the sums of the epoch so far; draws come from torch's own generator."""
        return {"count": self.count, "worked_on": self.worked_on, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.count, self.worked_on, self.steps = state["count"], state["worked_on"], state["steps"]


def _on_some(layer: nn.Module, hidden: Tensor, *given: Any, **named: Any) -> Tensor:
    """A layer's forward pass (b, L, hidden) -> (b, L, hidden) on some of the tokens, with what else it is given of these."""
    whole = type(layer).forward
    count = kept(hidden.shape[1], layer.kept_share)
    if not layer.training or count == hidden.shape[1]:
        return whole(layer, hidden, *given, **named)
    masks = [other for other in (*given, *named.values()) if isinstance(other, Tensor)]
    for mask in masks:
        if mask.dim() != 4:
            raise FrugalError(
                "token_drop can't tell what a layer is given beside its tokens: a tensor of shape "
                f"{tuple(mask.shape)}, which is no mask (b, 1, L, L); choose another model"
            )
    places = draw(hidden, count, _real(masks[0]) if masks else None)
    given, named = [_cut(one, places) for one in given], {name: _cut(one, places) for name, one in named.items()}
    return put_back(hidden, places, whole(layer, pick(hidden, places), *given, **named))


def _real(mask: Tensor) -> Tensor:
    """(b, L) bool: tokens that any other looks at. mask: (b, 1, 1 or L, L), bool or what is added to the attention's scores."""
    return (mask if mask.dtype == torch.bool else mask >= 0)[:, 0].any(1)


def _cut(given: Any, places: Tensor) -> Any:
    """What a layer is given beside its tokens, of those at places (b, n) alone: of a mask its columns, and rows if it has any."""
    if not isinstance(given, Tensor):
        return given
    columns = places[:, None, None, :].expand(len(places), *given.shape[1:3], -1)
    mask = given.expand(len(places), -1, -1, -1).gather(3, columns)
    if mask.shape[2] == 1:
        return mask
    return mask.gather(2, places[:, None, :, None].expand(-1, mask.shape[1], -1, mask.shape[3]))


def _tokens(model: nn.Module, layer: nn.Module, example: Tensor) -> int:
    """How many tokens of an example (2, ...) the first layer is given."""
    seen: list[int] = []
    hook = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[1]))
    was, where = model.training, next(model.parameters()).device
    with torch.no_grad():
        model.eval()(example.to(where))
    hook.remove()
    model.train(was)
    return seen[0]
