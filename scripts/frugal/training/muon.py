"""Muon: steps of momentum made orthogonal for the matrices inside a net, AdamW for its other parameters.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024, https://kellerjordan.github.io/posts/muon/;
steps as large as AdamW's, so that one learning rate serves both: Liu et al., "Muon is Scalable for LLM Training", 2025,
https://arxiv.org/abs/2502.16982. The arithmetic is torch's.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim._muon import DEFAULT_A, DEFAULT_B, DEFAULT_C, DEFAULT_NS_STEPS, EPS, muon
from torch.optim.adamw import adamw

from frugal.errors import FrugalError

MATRIX = "matrix"  # key of a parameter group: whether its steps are made orthogonal
BETAS, TINY = (0.9, 0.999), 1e-8  # of AdamW, torch's defaults


class Muon(torch.optim.Optimizer):
    """Muon for groups with `matrix: True`, whose parameters are taken as matrices (first dimension, all others); AdamW elsewhere.

    Moments are kept by parameter and in its shape, `momentum_buffer` here and `exp_avg`, `exp_avg_sq` and `step` there, so that
    pruning can cut them as it cuts those of SGD and Adam. lr, weight_decay: of both; decay is taken times the rate;
    flops: of the matrix products of the last step, its sums are not in it
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        lr: float,
        momentum: float = 0.95,
        nesterov: bool = True,
        weight_decay: float = 0.0,
    ):
        """groups: of parameters, each with the key `matrix`; momentum, nesterov: of the matrices."""
        super().__init__(groups, {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay})

        self.flops = 0

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take a step with the gradients that there are; a parameter without one stays as it is."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.flops = 0
        for group in self.param_groups:
            given = [parameter for parameter in group["params"] if parameter.grad is not None]
            (self._orthogonal if group[MATRIX] else self._adam)(group, given)
        return loss

    def _orthogonal(self, group: dict[str, Any], given: list[Tensor]) -> None:
        moments = [self._moment(parameter, "momentum_buffer") for parameter in given]
        self.flops += sum(products_of(parameter.shape) for parameter in given)
        muon(
            [as_matrix(parameter) for parameter in given],
            [as_matrix(parameter.grad, parameter) for parameter in given],
            [as_matrix(moment) for moment in moments],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            nesterov=group["nesterov"],
            ns_coefficients=(DEFAULT_A, DEFAULT_B, DEFAULT_C),
            ns_steps=DEFAULT_NS_STEPS,
            eps=EPS,
            adjust_lr_fn="match_rms_adamw",
            has_complex=False,
        )

    def _adam(self, group: dict[str, Any], given: list[Tensor]) -> None:
        first, second = ([self._moment(parameter, name) for parameter in given] for name in ("exp_avg", "exp_avg_sq"))
        steps = [self.state[parameter].setdefault("step", torch.tensor(0.0)) for parameter in given]
        adamw(
            given,
            [parameter.grad for parameter in given],
            first,
            second,
            [],
            steps,
            foreach=False,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=TINY,
            maximize=False,
        )

    def _moment(self, parameter: Tensor, name: str) -> Tensor:
        state = self.state[parameter]
        if name not in state:
            state[name] = torch.zeros_like(parameter)  # in the parameter's memory order
        return state[name]


def as_matrix(tensor: Tensor, like: Tensor | None = None) -> Tensor:
    """View of a tensor as (first dimension, all others), the others in the order that they have in memory.

    That order is of no consequence for Muon, as long as weight, gradient and moment share it. like: the weight whose order a
    gradient is brought to, if need be by a copy
    """
    weight = tensor if like is None else like
    if weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last):
        tensor = tensor.permute(0, 2, 3, 1)
    # A copy of a weight would be stepped in its place: `view` raises an error instead.
    return tensor.view(len(tensor), -1) if like is None else tensor.reshape(len(tensor), -1)


def products_of(shape: torch.Size) -> int:
    """FLOPs of making one matrix orthogonal: in each of five turns two products with it and one of its Gram matrix."""
    few, many = sorted((shape[0], shape[1:].numel()))
    return DEFAULT_NS_STEPS * (2 * 2 * few * few * many + 2 * few**3)


def matrices_of(model: nn.Module) -> set[int]:
    """Ids of the parameters that Muon is for: weights of convolutions and linear layers, without the last, which classifies.

    Raises FrugalError for a net that has none.
    """
    layers = [module for module in model.modules() if isinstance(module, (nn.Linear, nn.modules.conv._ConvNd))]
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    last = linear[-1] if linear else None
    found = {
        id(layer.weight)
        for layer in layers
        if layer is not last and isinstance(layer.weight, nn.Parameter) and layer.weight.requires_grad
    }
    if not found:
        raise FrugalError(
            "optimizer muon is for the weights of convolutions and linear layers before the last, and the model trains none; "
            "choose adamw or sgd"
        )
    return found
