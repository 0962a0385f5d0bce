"""Which slices of which tensors are one neuron: channels, hidden neurons and attention heads, with all that depends on them.

Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023, in its authors' library `torch-pruning`: it traces the
model and says which layers have to be cut together. On top of that:
- a group that nothing reads is the model's output and is never cut;
- a group that a LayerNorm or GroupNorm reads is never cut, since a norm over fewer numbers changes all of them. So the
  residual stream of a transformer keeps its width, and its feed-forward neurons and attention heads are what can go;
- the channels of an attention layer go head by head, the same ones in query, key, value and in the output's inputs.
"""

import copy
import warnings
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from frugal.errors import FrugalError

DENSE = (nn.Linear, nn.Conv1d, nn.Conv2d)
HEAD_SIZES = ("attention_head_size", "head_dim")  # how attention layers of `transformers` call it


@dataclass(frozen=True)
class Member:
    """The part of a group in one tensor.

    module, tensor: where it is, such as "layer1.0.conv1" and "weight"; dim: the dimension that shrinks; places: (units, n),
    for each unit the positions along it in the full model; reads: whether these are a layer's inputs rather than its outputs
    """

    module: str
    tensor: str
    dim: int
    places: Tensor
    reads: bool

    @property
    def key(self) -> tuple[str, str, int]:
        """The dimension it lies on, which other groups may share (a concatenation, say)."""
        return self.module, self.tensor, self.dim


@dataclass(frozen=True)
class Group:
    """Neurons that are removed together.

    name: of the first layer that produces them; units: how many there are in the full model; size: channels of one unit, 1
    or an attention head's; attention: name of the attention layer whose heads they are, or None
    """

    name: str
    units: int
    size: int
    members: tuple[Member, ...]
    attention: str | None = None

    @property
    def readers(self) -> list[Member]:
        """The weights that multiply what these neurons say."""
        return [member for member in self.members if member.reads]


def call(model: nn.Module, example: Any) -> Tensor:
    """The model's logits (b, classes). example: a tensor, or a mapping of the model's keyword arguments."""
    output = model(**example) if isinstance(example, dict) else model(example)
    return getattr(output, "logits", output)


def move(example: Any, device: torch.device | str) -> Any:
    """An example on a device."""
    return {k: v.to(device) for k, v in example.items()} if isinstance(example, dict) else example.to(device)


def find_groups(model: nn.Module, example: Any) -> list[Group]:
    """Every group that can be cut, in the order of the model's layers.

    example: a batch of at least two samples of the kind the model takes; the model is copied, not touched. Raises
    FrugalError where there is nothing to cut.
    """
    twin = copy.deepcopy(model).cpu().eval().requires_grad_(True)
    names = {module: name for name, module in twin.named_modules()}
    graph = torch_pruning.DependencyGraph()
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")  # on parameters outside of layers, which stay as they are
        graph.build_dependency(twin, move(example, "cpu"), forward_fn=call)
        found = [_group(items, names) for items in graph.get_all_groups(root_module_types=list(DENSE))]
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    groups = [
        g for g in found if g is not None and all(f"{m.module}.{m.tensor}" in trained for m in g.readers)
    ]  # a frozen reader has no gradient to judge by
    if not groups:
        raise FrugalError(
            f"{type(model).__name__} has no neurons that could be removed: no convolution or linear layer is read by another "
            "without a LayerNorm between; choose another model or strategy full"
        )
    order = {name: place for place, name in enumerate(names.values())}
    return sorted(groups, key=lambda group: order[group.name])


def _group(items: Any, names: dict[nn.Module, str]) -> Group | None:
    """A group of the dependency graph in our terms, or None where it must stay as it is."""
    members: list[Member] = []
    for item in items:
        layer, reads = item.dep.layer, "in_channels" in item.dep.handler.__name__
        if not any(True for _ in layer.parameters()):
            continue  # an elementwise operation, a reshape: nothing to cut
        if isinstance(layer, DENSE) and getattr(layer, "groups", 1) == 1:
            tensors = [("weight", 1)] if reads else [("weight", 0), ("bias", 0)]
        elif isinstance(layer, _BatchNorm):
            tensors, reads = [(name, 0) for name in ("weight", "bias", "running_mean", "running_var")], False
        else:
            return None
        places = _by_unit([int(i) for i in item.idxs], [int(i) for i in item.root_idxs])
        members += [
            Member(names[layer], name, dim, places, reads)
            for name, dim in tensors
            if getattr(layer, name, None) is not None
        ]
    if not any(member.reads for member in members):
        return None
    order = {name: place for place, name in enumerate(names.values())}
    members.sort(key=lambda member: (order[member.module], member.tensor, member.dim))
    producers = [m for m in members if m.tensor == "weight" and m.dim == 0 and not m.reads]
    return _by_head(Group(producers[0].module, len(members[0].places), 1, tuple(members)), names)


def _by_unit(places: list[int], units: list[int]) -> Tensor:
    """(units, n): the positions that belong to each unit, ascending; a flattened channel has several."""
    found: list[list[int]] = [[] for _ in range(max(units) + 1)]
    for place, unit in zip(places, units, strict=True):
        found[unit].append(place)
    return torch.tensor([sorted(own) for own in found])


def _by_head(group: Group, names: dict[nn.Module, str]) -> Group | None:
    """The group with heads for units, where it belongs to an attention layer; None where that isn't coupled as it must be."""
    layers = {name: module for module, name in names.items()}
    produced = {m.module for m in group.members if not m.reads}
    parents = {layers[name.rpartition(".")[0]] for name in produced if "." in name}
    attention = [p for p in parents if any(hasattr(p, name) for name in HEAD_SIZES)]
    if not attention:
        return group
    size = next(getattr(attention[0], name) for name in HEAD_SIZES if hasattr(attention[0], name))
    if len(parents) > 1 or len(produced) != 3 or group.units % size:
        return None
    members = tuple(Member(m.module, m.tensor, m.dim, m.places.reshape(-1, size), m.reads) for m in group.members)
    return Group(group.name, group.units // size, size, members, names[attention[0]])
