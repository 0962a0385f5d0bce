"""A dense net made sparse: which layers are covered, and what stays dense and why."""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from frugal.errors import FrugalError
from frugal.sparse.choice import Choice
from frugal.sparse.layers import SparseConv2d, SparseLayer, SparseLinear
from frugal.sparse.pattern import Pattern
from frugal.training.allocator import give_back

SKIP = ("first-conv", "head")  # what stays dense unless a study says otherwise, besides embeddings and norms


@dataclass
class Coverage:
    """Dense layers by name: those that become sparse, and those that don't with the reason."""

    covered: dict[str, nn.Module] = field(default_factory=dict)
    dense: dict[str, str] = field(default_factory=dict)

    @property
    def note(self) -> str:
        """A sentence for the record."""
        dense = ", ".join(f"{name} ({why})" for name, why in self.dense.items()) or "no linear layer or convolution"
        return f"sparse: {', '.join(self.covered)}; dense: {dense}, embeddings, norms and biases"


def coverage(model: nn.Module, skip: list[str] | None) -> Coverage:
    """Which linear layers and convolutions are covered.

    skip: names of layers, with * and ?, and the words first-conv (the first convolution) and head (the last linear layer);
    None for those two words. Raises FrugalError for an entry that names no layer, or where nothing is left to cover.
    """
    layers = {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)}
    words = {
        "first-conv": next((n for n, m in layers.items() if not isinstance(m, nn.Linear)), None),
        "head": next((n for n, m in reversed(layers.items()) if isinstance(m, nn.Linear)), None),
    }
    found = Coverage()
    for entry in SKIP if skip is None else skip:
        names = [words[entry]] if entry in words else [name for name in layers if fnmatchcase(name, entry)]
        if names == [] or (names == [None] and skip is not None):
            raise FrugalError(
                f"skip names {entry!r}, but the model has no such layer; there are: {', '.join([*words, *layers])}"
            )
        found.dense.update({name: entry for name in names if name is not None})
    for name, layer in layers.items():
        why = _unfit(layer)
        if why and name not in found.dense:
            found.dense[name] = why
        elif name not in found.dense:
            found.covered[name] = layer
    if not found.covered:
        raise FrugalError(f"no layer is left to be sparse: {found.note}; skip fewer of them")
    return found


def _unfit(layer: nn.Module) -> str | None:
    if isinstance(layer, nn.Conv1d):
        return "a convolution over one axis"
    if isinstance(layer, nn.Conv2d) and layer.groups > 1:
        return "a grouped convolution"
    if isinstance(layer, nn.Conv2d) and (isinstance(layer.padding, str) or layer.padding_mode != "zeros"):
        return f"padding {layer.padding} of {layer.padding_mode}"
    return None


def weight_matrix(layer: nn.Module) -> tuple[int, int]:
    """Shape of a layer's weight as a matrix (outputs, inputs)."""
    return layer.weight.shape[0], layer.weight[0].numel()


def check_sparsity(pattern: Pattern, sparsity: float) -> None:
    """Raises FrugalError for a share that isn't in [0, 1), or that the pattern doesn't have."""
    if not 0 <= sparsity < 1:
        raise FrugalError(f"sparsity is {sparsity}; it is the share of weights left out, at least 0 and below 1")
    if pattern.of_four and sparsity != 0.5:
        raise FrugalError(f"sparsity is {sparsity}; semi-structured-2-4 leaves out exactly 0.5")


def sparsify(
    model: nn.Module,
    pattern: Pattern,
    sparsity: float,
    generator: torch.Generator,
    skip: list[str] | None = None,
    kernel: str = "auto",
    dynamic: bool = False,
) -> str:
    """Replace the covered layers of a model in place, one after the other; returns a sentence on what is sparse.

    kernel: auto, sparse or scatter; dynamic: the pattern will change in training, so a checkpoint may hold another one.
    Raises FrugalError for a sparsity outside [0, 1), a layer that blocks don't tile, and 2:4 without CUDA.
    """
    check_sparsity(pattern, sparsity)
    found = coverage(model, skip)
    for name, layer in found.covered.items():
        pattern.check(weight_matrix(layer), name)
    if pattern.of_four and not all(p.is_cuda for p in model.parameters()):
        raise FrugalError(
            "pattern semi-structured-2-4 needs a CUDA GPU of compute capability 8.0 or more; choose block-16x16 or random"
        )
    note = found.note
    for name in list(found.covered):
        layer = found.covered.pop(name)  # so that its weight is gone once the sparse layer is there
        shape = weight_matrix(layer)
        index = pattern.draw(shape, sparsity, generator)
        if len(index) == 0:
            raise FrugalError(f"layer {name}: sparsity {sparsity} keeps nothing of {shape[0]} x {shape[1]}; lower it")
        kind = SparseConv2d if isinstance(layer, nn.Conv2d) else SparseLinear
        sparse = kind(layer, name, pattern, index, sparsity, kernel)
        sparse.dynamic = dynamic
        if name == "":
            raise FrugalError("the model is a single layer; put it into a module")
        model.set_submodule(name, sparse)
    give_back()
    return note


def sparse_layers(model: nn.Module) -> dict[str, SparseLayer]:
    """The sparse layers of a model by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, SparseLayer)}


def kept_and_total(model: nn.Module) -> tuple[int, int]:
    """Weights that sparse layers keep, and that they would have densely."""
    layers = sparse_layers(model).values()
    return sum(layer.values.numel() for layer in layers), sum(layer.dense_weights for layer in layers)


def kernels_of(model: nn.Module) -> dict[str, list[str]]:
    """The chosen kernel of each layer and why, for a checkpoint: a resumed run goes on with the same sums."""
    layers = sparse_layers(model).items()
    return {name: [layer.chosen.kernel, layer.chosen.why] for name, layer in layers if layer.chosen}


def restore_kernels(model: nn.Module, kernels: dict[str, Any]) -> None:
    """The counterpart of `kernels_of`."""
    for name, layer in sparse_layers(model).items():
        layer.chosen = Choice(*kernels[name]) if name in kernels else None
        layer.kernel = layer.chosen and layer.chosen.kernel


def kernel_notes(model: nn.Module) -> list[str]:
    """A sentence per layer whose kernel is chosen."""
    return [f"{n}: kernel {m.chosen.kernel}, {m.chosen.why}" for n, m in sparse_layers(model).items() if m.chosen]
