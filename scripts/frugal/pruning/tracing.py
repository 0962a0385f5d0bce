"""Tracing of a model: which slices of tensors might be one neuron (channel, hidden neuron, attention head), with its readers.

Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023, https://arxiv.org/abs/2301.12900, in its
authors' library `torch-pruning`: it traces the model and says which layers have to be cut together. On top of that:
- a group that nothing reads is the model's output and is never cut;
- a group that a LayerNorm, GroupNorm or RMSNorm reads is never cut, since a norm over fewer numbers changes all of them. So
  the residual stream of a transformer keeps its width, and its feed-forward neurons and attention heads are what can go;
- the channels of an attention layer go head by head, the same ones in query, key, value and in the output's inputs.

The library knows layers and guesses at everything else, so what is found here is tried out (`frugal.pruning.trial_cuts`).
"""

import copy
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from frugal.errors import FrugalError, in_one_line, needs_extra
from frugal.pruning.groups import DENSE, Group, Member, call, move

with needs_extra("pruning", "strategies that remove neurons"):
    import torch_pruning
    from torch_pruning.dependency import group as library
    from torch_pruning.dependency import index_mapping

HEAD_SIZES = ("attention_head_size", "head_dim")  # how attention layers of `transformers` call it
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
STEPS = 10_000  # from layer to layer in one group; DenseNet-121 takes some hundred


class LeftWhole(Exception):
    """Why a group stays as it is, in words that follow its name and a colon."""


def trace(model: nn.Module, example: Any) -> tuple[list[Group], dict[str, str]]:
    """Groups that seem fit to be cut, and by the name of a layer why its group isn't, in the order of the model's layers.

    example: a batch of at least two samples of the kind the model takes; the model is copied, not touched. Raises
    FrugalError where it can't be traced.
    """
    twin = copy.deepcopy(model).cpu().eval().requires_grad_(True)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    graph = torch_pruning.DependencyGraph()
    layers = _Layers(twin)
    longest = max((length for parameter in twin.parameters() for length in parameter.shape), default=0)
    groups, whole = [], {}
    with warnings.catch_warnings(), torch.enable_grad(), bounded(longest):
        warnings.simplefilter("ignore")  # on operations that the library doesn't know
        try:
            graph.build_dependency(twin, move(example, "cpu"), forward_fn=call)
        except Exception as error:  # of the library's code, so of any kind
            raise FrugalError(
                f"{type(model).__name__} can't be pruned: torch-pruning, which finds out what is cut together, can't follow how "
                f"its layers are joined ({in_one_line(error)}); choose another model or strategy full"
            ) from error
        for root, items in _items(graph):
            try:
                if isinstance(items, Exception):
                    raise LeftWhole(f"the library that traces layers can't follow them ({in_one_line(items)})")
                group = layers.group(items)
                if group is not None and any(f"{m.module}.{m.tensor}" not in trained for m in group.readers):
                    raise LeftWhole("a layer that reads them is frozen, so that there is no gradient to judge by")
            except LeftWhole as reason:
                whole[layers.names[root]] = str(reason)
            else:
                groups += [group] if group is not None else []
    order = {name: place for place, name in enumerate(layers.names.values())}
    groups.sort(key=lambda group: order[group.name])
    return groups, {name: whole[name] for name in sorted(whole, key=order.__getitem__)}


def _items(graph: Any) -> Iterator[tuple[nn.Module, Any]]:
    """For each layer that no earlier group produces: it and the items of its group, or the error in finding them."""
    seen: set[int] = set()
    for root in list(graph.module2node):
        if not isinstance(root, DENSE) or id(root) in seen:
            continue
        pruner = graph.get_pruner_of_module(root)
        try:
            items = list(graph.get_pruning_group(root, pruner.prune_out_channels, list(range(root.weight.shape[0]))))
        except Exception as error:
            yield root, error
            continue
        seen |= {id(item.dep.target.module) for item in items if graph.is_out_channel_pruning_fn(item.dep.handler)}
        yield root, items


class _Layers:
    """The layers and parameters of a traced model, and what the library's groups of them are in our terms."""

    def __init__(self, model: nn.Module):
        self.names = {module: name for name, module in model.named_modules()}
        self.layers = {name: module for module, name in self.names.items()}
        self.order = {name: place for place, name in enumerate(self.layers)}
        held = [
            (id(parameter), name, tensor)
            for name, module in self.layers.items()
            for tensor, parameter in module.named_parameters(recurse=False, remove_duplicate=False)
        ]
        self.owners = {key: (name, tensor) for key, name, tensor in held}
        self.holders = Counter(key for key, *_ in held)

    def group(self, items: list[Any]) -> Group | None:
        """The group, or None where it is the model's output; raises LeftWhole where it must stay as it is."""
        units = len(set(items[0].root_idxs))
        members = [member for item in items for member in self._members(item, units)]
        if not any(member.reads for member in members):
            return None
        members.sort(key=lambda member: (self.order[member.module], member.tensor, member.dim))
        producers = [m for m in members if m.tensor == "weight" and m.dim == 0 and not m.reads]
        return self._by_head(Group(producers[0].module, units, 1, tuple(members)))

    def _members(self, item: Any, units: int) -> list[Member]:
        layer, reads = item.dep.layer, "in_channels" in item.dep.handler.__name__
        if isinstance(layer, nn.Parameter):
            name, tensor = self.owners[id(layer)]
            layer, tensors, reads = self.layers[name], [(tensor, item.dep.target.pruning_dim)], False
        elif isinstance(layer, DENSE) and layer_groups(layer) == 1:
            tensors = [("weight", 1)] if reads else [("weight", 0), ("bias", 0)]
        elif isinstance(layer, DENSE) and layer_groups(layer) == layer.in_channels == layer.out_channels:
            tensors, reads = [("weight", 0), ("bias", 0)], False  # depthwise: each channel for itself
        elif isinstance(layer, _BatchNorm):
            tensors, reads = [(name, 0) for name in ("weight", "bias", "running_mean", "running_var")], False
        elif layer not in self.names or (not isinstance(layer, NORMS) and not [*layer.parameters(), *layer.buffers()]):
            return []  # an elementwise operation, a reshape: nothing to cut
        else:
            tensors = []
        if isinstance(layer, NORMS):
            raise LeftWhole(
                f"they are read by a {type(layer).__name__}, and a norm over fewer numbers changes all of them"
            )
        if not tensors:
            kind = "grouped convolution" if isinstance(layer, DENSE) else type(layer).__name__
            raise LeftWhole(f"they meet a {kind}, which can't be cut")
        tensors = [(name, dim) for name, dim in tensors if getattr(layer, name, None) is not None]
        return [self._member(layer, name, dim, item, units, reads) for name, dim in tensors]

    def _member(self, layer: nn.Module, tensor: str, dim: int, item: Any, units: int, reads: bool) -> Member:
        module = self.names[layer]
        own = layer._parameters.get(tensor, layer._buffers.get(tensor))
        if own is None:
            raise LeftWhole(f"{module}.{tensor} is computed anew in each pass (a parametrisation, weight norm)")
        if self.holders[id(own)] > 1:
            raise LeftWhole(f"{module}.{tensor} is shared with another layer")
        return Member(module, tensor, dim, _by_unit(item, units, own.shape[dim]), reads)

    def _by_head(self, group: Group) -> Group:
        """The group with heads for units, where it belongs to an attention layer."""
        produced = {m.module for m in group.members if not m.reads}
        parents = {self.layers[name.rpartition(".")[0]] for name in produced if "." in name}
        attention = [p for p in parents if any(hasattr(p, name) for name in HEAD_SIZES)]
        if not attention:
            return group
        size = next(getattr(attention[0], name) for name in HEAD_SIZES if hasattr(attention[0], name))
        if len(parents) > 1 or len(produced) != 3 or group.units % size:
            raise LeftWhole(
                "they are an attention layer's, whose query, key and value aren't three layers of their own"
            )
        members = tuple(Member(m.module, m.tensor, m.dim, m.places.reshape(-1, size), m.reads) for m in group.members)
        return Group(group.name, group.units // size, size, members, self.names[attention[0]])


def layer_groups(layer: nn.Module) -> int:
    """Groups of a convolution; a linear layer is one."""
    return getattr(layer, "groups", 1)


def _by_unit(item: Any, units: int, length: int) -> Tensor:
    """(units, n): the positions that belong to each unit, ascending; a flattened channel has several. length: of their dim."""
    found: list[list[int]] = [[] for _ in range(units)]
    try:
        for place, unit in zip(item.idxs, item.root_idxs, strict=True):
            found[int(unit)].append(int(place))
        places = torch.tensor([sorted(own) for own in found])
    except (TypeError, ValueError, IndexError):
        places = torch.zeros(0)
    if places.dim() != 2 or not places.numel() or places.max() >= length or len(places.unique()) != places.numel():
        raise LeftWhole("they are split, gated or joined, so that it can't be told which places belong to one of them")
    return places


@contextmanager
def bounded(longest: int) -> Iterator[None]:
    """Within it, the library takes an operation it fails on for an activation, and raises OverflowError where it runs away.

    It takes a chunk or a reshape apart by rules that fit most nets. Where one doesn't fit, it raises, or multiplies the places
    of a channel each time it comes round, until memory is full (ShuffleNetV2, Swin).

    longest: of the model's dimensions; a group can't have more places than that in any of them
    """
    follow, spread = library.Group.add_dep, index_mapping._FlattenIndexMapping.__call__

    def add(group: library.Group, dep: Any, idxs: list[Any]) -> None:
        if len(idxs) > longest or len(group) > STEPS:
            raise OverflowError("their places grow without end")
        follow(group, dep, idxs)

    def flatten(mapping: Any, idxs: list[Any]) -> list[Any]:
        if not mapping.reverse and len(idxs) * mapping._stride > longest:
            raise OverflowError("their places grow without end")
        return spread(mapping, idxs)

    updates = {k: v for k, v in vars(index_mapping).items() if k.startswith("update_") and k != "update_index_mapping"}
    with (
        mock.patch.multiple(index_mapping, **{name: _attempt(update) for name, update in updates.items()}),
        mock.patch.object(library.Group, "add_dep", add),
        mock.patch.object(index_mapping._FlattenIndexMapping, "__call__", flatten),
    ):
        yield


def _attempt(update: Callable[..., None]) -> Callable[..., None]:
    def attempt(*given: Any) -> None:
        with suppress(Exception):  # of any kind; the trial tells what comes of it
            update(*given)

    return attempt
