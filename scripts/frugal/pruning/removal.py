"""Live neurons of a net, the removal of some of them from it and its optimizer, and the widths that a followed run ended with.

What is left is told by the units that live, numbered as in the full model. So a checkpoint holds these numbers, and a fresh
model is brought to the shapes of a pruned one by cutting each group once, whatever happened in between.

Every tensor keeps the entries of the neurons that stay, in their order: weights, BatchNorm's buffers, gradients, and each
moment in the optimizer. The parameters are new objects, since autograd and compiled code hold on to the shape of old ones.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from frugal.errors import FrugalError
from frugal.pruning.groups import Group, Member

COLUMN = "width_"  # how the columns of history.csv with the width of a group begin


@dataclass(frozen=True)
class Cut:
    """One dimension of a tensor, and the positions of it that stayed."""

    module: str
    tensor: str
    dim: int
    keep: Tensor


class Neurons:
    """The groups of a model, which units of each live, and where in the shrunken tensors they are."""

    def __init__(self, groups: list[Group], model: nn.Module):
        """model: the full one."""
        self.groups = {group.name: group for group in groups}
        self.live = {group.name: torch.arange(group.units) for group in groups}
        # By dimension, its positions in the full model that are still there.
        self._present = {
            m.key: torch.arange(getattr(model.get_submodule(m.module), m.tensor).shape[m.dim])
            for g in groups
            for m in g.members
        }
        self._places: dict[tuple, Tensor | None] = {}  # known until the next cut

    @property
    def widths(self) -> dict[str, int]:
        """Live units by group."""
        return {name: len(live) for name, live in self.live.items()}

    def places(self, group: Group, member: Member, device: torch.device) -> Tensor | None:
        """(live units, n): where they are now along the member's dimension; None for one after the other and nothing else."""
        key = (group.name, *member.key)
        if key not in self._places:
            present = self._present[member.key]
            now = torch.searchsorted(present, member.places[self.live[group.name]])
            plain = now.shape[1] == 1 and torch.equal(now[:, 0], torch.arange(len(present)))
            self._places[key] = None if plain else now.to(device)
        return self._places[key]

    def keep(self, model: nn.Module, kept: dict[str, Tensor], optimizer: Optimizer | None = None) -> list[Cut]:
        """Cut the model to these units. kept: by group, those that stay, numbered as in the full model and ascending."""
        cuts = []
        self._places.clear()
        for name, units in kept.items():
            group = self.groups[name]
            gone = self.live[name][~torch.isin(self.live[name], units)]
            if not len(gone):
                continue
            for member in group.members:
                stays = ~torch.isin(self._present[member.key], member.places[gone].flatten())
                self._present[member.key] = self._present[member.key][stays]
                done = Cut(member.module, member.tensor, member.dim, stays.nonzero().squeeze(1))
                cut(model, done.module, done.tensor, done.dim, done.keep, optimizer)
                cuts.append(done)
            self.live[name] = units.clone()
            if group.attention is not None:
                describe_heads(model.get_submodule(group.attention), len(units), group.size)
        return cuts

    def state_dict(self) -> dict[str, Tensor]:
        """Live units by group."""
        return dict(self.live)


def final_widths(strategy: str, followed: list[dict[str, float]] | None, groups: list[Group]) -> dict[str, int]:
    """Of each group, as the last row of the history of the followed run says.

    Raises FrugalError where no run is followed, it pruned nothing, or it pruned another model than this.
    """
    if not followed:
        raise FrugalError(f"{strategy} repeats the widths of another run; name that strategy with `follows:`")
    widths = {key.removeprefix(COLUMN): int(n) for key, n in followed[-1].items() if key.startswith(COLUMN)}
    if not widths:
        raise FrugalError(
            f"{strategy} repeats the widths of a run that prunes, but the one it follows has no columns {COLUMN}* in its "
            "history.csv; follow a strategy that uses dynamic_pruning or prune_train"
        )
    full = {group.name: group.units for group in groups}
    if widths.keys() != full.keys() or any(not 1 <= widths[name] <= full[name] for name in full):
        raise FrugalError(
            f"{strategy}: the followed run has widths {widths}, which don't fit this model's {full}; follow a run of the same "
            "model"
        )
    return widths


def cut(model: nn.Module, module: str, tensor: str, dim: int, keep: Tensor, optimizer: Optimizer | None = None) -> None:
    """Keep the positions `keep` (ascending, int64) of one dimension of a parameter or buffer, wherever it is held."""
    layer = model.get_submodule(module)
    old = getattr(layer, tensor)
    keep = keep.to(old.device)
    new = select(old.detach(), dim, keep)
    if isinstance(old, nn.Parameter):
        new = nn.Parameter(new, requires_grad=old.requires_grad)
        new.grad = None if old.grad is None else select(old.grad, dim, keep)
        if optimizer is not None:
            _carry(optimizer, old, new, dim, keep)
    setattr(layer, tensor, new)
    _describe(layer)


def select(tensor: Tensor, dim: int, keep: Tensor) -> Tensor:
    """index_select of positions (m,) in the memory order of channels-last weights, with which convolutions are faster."""
    chosen = tensor.index_select(dim, keep)
    if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        return chosen.contiguous(memory_format=torch.channels_last)
    return chosen


def _carry(optimizer: Optimizer, old: nn.Parameter, new: nn.Parameter, dim: int, keep: Tensor) -> None:
    """Put `new` in the old parameter's place, with its moments cut the same way; counters such as Adam's step stay."""
    for group in optimizer.param_groups:
        group["params"] = [new if parameter is old else parameter for parameter in group["params"]]
    state = optimizer.state.pop(old, None)
    if state is None:
        return
    for name, value in state.items():
        if not isinstance(value, Tensor) or value.dim() == 0:
            continue
        if value.shape != old.shape:
            raise FrugalError(
                f"{type(optimizer).__name__} keeps {name} in another shape than its weight, which pruning can't cut; "
                "use optimizer sgd, adam, adamw or muon"
            )
        state[name] = select(value, dim, keep)
    optimizer.state[new] = state


def _describe(layer: nn.Module) -> None:
    """Bring a layer's own account of its widths up to date."""
    if isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = layer.weight.shape
    elif isinstance(layer, nn.Conv1d | nn.Conv2d):
        layer.out_channels, layer.in_channels = layer.weight.shape[:2]
        if layer.groups > 1:  # depthwise
            layer.groups = layer.in_channels = layer.out_channels
    elif isinstance(layer, _BatchNorm):
        layer.num_features = len(next(t for t in (layer.running_mean, layer.weight) if t is not None))


def describe_heads(attention: nn.Module, heads: int, size: int) -> None:
    """Bring an attention layer's account of its heads up to date, by the names that `transformers` gives them."""
    for name, value in (("num_heads", heads), ("num_attention_heads", heads), ("all_head_size", heads * size)):
        if hasattr(attention, name):
            setattr(attention, name, value)
