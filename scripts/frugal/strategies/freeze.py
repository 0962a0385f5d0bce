"""FreezeOut: layers stop training one after the other, from the front, and nothing is back-propagated to them any more.

Brock et al., "FreezeOut: Accelerate Training by Progressively Freezing Layers", 2017, https://arxiv.org/abs/1706.04983. Layer i
of L, from 0, is trained until a share t_i of the training is done,
    t_i = t_0 + (1 - t_0) i / (L - 1),   or the cube of that,
and its learning rate comes to its end by then: alpha_i(t) = alpha(t / t_i) / t_i, where alpha is the schedule of the recipe. In
the paper that is a cosine without warm-up (`schedule: cosine`, `warmup: 0`). The division by t_i, which is optional, gives all
layers the same integral of the rate. Only the last layer is trained to the end.
"""

import copy
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Gt, Le
from torch import Tensor, nn

from frugal.errors import FrugalError
from frugal.strategies.base import Strategy, TrainingState


@dataclass
class Freeze(Strategy):
    """Freeze layers from the front; the gradient then ends at the first layer that is still trained.

    A frozen weight has no gradient, so neither weight decay nor momentum moves it, and its momentum is given back. Batch
    normalisation in a frozen layer goes on as it did: in training it divides by the statistics of the batch and its running
    statistics follow, so that what later layers see doesn't jump. Where a net is compiled, each freezing compiles it anew.

    t_0: share of the training after which the first layer stops, before it is cubed; schedule: of the formula above;
    scaled: whether each layer's rate is divided by t_i
    """

    decides = ("weights",)
    needs: ClassVar[dict[str, Any]] = {
        "no average": "leaves frozen weights where they are, and an average over the training would move them",
    }

    t_0: Annotated[float, Gt(0), Le(1)] = 0.8
    schedule: Literal["linear", "cubic"] = "cubic"
    scaled: bool = True

    def prepare_model(self, model: nn.Module) -> nn.Module:
        """Find the layers; raises FrugalError where there is only one."""
        self.layers = layers_of(model, self.run.example)
        if len(self.layers) < 2:
            raise FrugalError(
                f"freeze: the model has {len(self.layers)} layer(s) with weights, and the last is trained to the end"
            )
        self.frozen = 0
        return model

    @property
    def ends(self) -> list[float]:
        """t_i of each layer, from the front; that of the last is 1."""
        last = len(self.layers) - 1
        linear = [self.t_0 + (1 - self.t_0) * place / last for place in range(last)] + [1.0]
        return [end**3 for end in linear] if self.schedule == "cubic" else linear

    def begin(self, training: TrainingState) -> None:
        """Give each layer a learning rate of its own."""
        self._divide(training.optimizer)
        self._set_rates(training)

    def before_forward(self, training: TrainingState) -> None:
        """Hold what is frozen: a net that begins an epoch may have chosen anew what is trained."""
        self._hold()

    def after_step(self, training: TrainingState) -> None:
        """Freeze the layers whose time has come, and set the rates of the others for the next step."""
        due = sum(training.progress >= end for end in self.ends if end < 1)
        if due > self.frozen:
            for parameter in self._parameters(self.layers[self.frozen : due]):
                training.optimizer.state.pop(parameter, None)
            self.frozen = due
            self._hold()
            training.model_changed()
        self._set_rates(training)

    def _hold(self) -> None:
        for parameter in self._parameters(self.layers[: self.frozen]):
            parameter.requires_grad_(False)
            parameter.grad = None

    def _parameters(self, layers: list[dict[str, nn.Parameter]]) -> list[nn.Parameter]:
        return [parameter for layer in layers for parameter in layer.values()]

    def _divide(self, optimizer: torch.optim.Optimizer) -> None:
        """A group for each layer of each group there is, the last layer's first: its rate is the recipe's."""
        divided = []
        for group in optimizer.param_groups:
            for place in reversed(range(len(self.layers))):
                of_layer = {id(parameter) for parameter in self.layers[place].values()}
                own = [parameter for parameter in group["params"] if id(parameter) in of_layer]
                if own:
                    base = group.get("multiplier", 1.0)
                    divided.append({**group, "params": own, "layer": place, "base": base, "multiplier": base})
        optimizer.param_groups[:] = sorted(divided, key=lambda group: -group["layer"])

    def _set_rates(self, training: TrainingState) -> None:
        progress, ends = training.progress, self.ends
        rate = training.scheduled_rate(progress)
        for group in training.optimizer.param_groups:
            end = ends[group["layer"]]
            if progress < end < 1:
                scale = 1 / end if self.scaled else 1.0
                # A schedule that starts at a rate of zero has no ratio there, and every layer's rate is zero.
                share = training.scheduled_rate(progress / end) / rate if rate else 1.0
                group["multiplier"] = group["base"] * scale * share

    @property
    def notes(self) -> list[str]:
        """The layers, and when each of them stops."""
        told = (
            f"{next(iter(layer)).rpartition('.')[0]} {end:.3f}"
            for layer, end in zip(self.layers, self.ends, strict=True)
        )
        return [f"freeze: share of the training after which each layer stops: {', '.join(told)}"]

    def evidence(self) -> dict[str, float | None]:
        """Layers that are frozen, and the weights in them."""
        weights = sum(parameter.numel() for parameter in self._parameters(self.layers[: self.frozen]))
        return {"frozen_layers": self.frozen, "frozen_weights": weights}

    def state_dict(self) -> dict[str, Any]:
        """How many layers are frozen; rates are the optimizer's."""
        return {"frozen": self.frozen}

    def rebuild(self, training: TrainingState, state: dict[str, Any]) -> None:
        """Give each layer a learning rate of its own, as the saved optimizer has it."""
        self._divide(training.optimizer)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.frozen = state["frozen"]
        self._hold()


def layers_of(model: nn.Module, example: Tensor) -> list[dict[str, nn.Parameter]]:
    """The layers of a model in the order in which a forward pass comes to them, each with its parameters by their names.

    A layer begins at each module that has a weight of two dimensions or more; what has less, such as a normalisation, belongs
    to the layer before it. A weight that is used by several belongs to the last of them, and what is never called, to the
    module that holds it. example: (b, ...), a batch that the model takes, on the CPU
    """
    order: list[str] = []
    twin = copy.deepcopy(model).cpu().eval()
    for name, module in twin.named_modules():
        module.register_forward_pre_hook(lambda _module, _inputs, name=name: order.append(name))
    with torch.no_grad(), torch.random.fork_rng([]):
        twin(example)
    called = {name: place for place, name in enumerate(order)}  # where a module is called again, its last place
    owned: dict[int, tuple[int, str, nn.Parameter]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        place = called.get(name)
        parent = name
        while place is None:
            parent = parent.rpartition(".")[0]
            place = called.get(parent)  # the model itself, "", is called in any case
        for own, parameter in module.named_parameters(name, recurse=False):
            if id(parameter) not in owned or owned[id(parameter)][0] < place:
                owned[id(parameter)] = (place, own, parameter)
    found: list[dict[str, nn.Parameter]] = []
    module_before = None
    for place, own, parameter in sorted(owned.values(), key=lambda one: one[0]):
        holds_weight = any(other.dim() > 1 for at, _, other in owned.values() if at == place)
        begun = found and not any(other.dim() > 1 for other in found[-1].values())  # with a normalisation, ahead of all
        if not found or (holds_weight and place != module_before and not begun):
            found.append({})
        found[-1][own] = parameter
        module_before = place
    return found
