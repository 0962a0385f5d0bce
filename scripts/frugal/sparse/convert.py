"""Conversion of a dense net to a sparse one: which layers are covered, what stays dense and why, and how sparse each layer is."""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from math import prod
from typing import Any

import torch
from torch import nn

from frugal.errors import FrugalError
from frugal.measure.memory import give_back
from frugal.sparse.choice import Choice
from frugal.sparse.fitness import Fitness, elsewhere, is_convolution, is_linear, sparse_kind
from frugal.sparse.layers import SparseLayer
from frugal.sparse.pattern import Pattern

SKIP = ("first-conv", "head")  # what stays dense unless a study says otherwise, besides embeddings and norms


@dataclass
class Coverage:
    """Dense layers by name: those that become sparse, and those that don't with the reason.

    also: further names of a layer that the model uses in several places
    """

    covered: dict[str, nn.Module] = field(default_factory=dict)
    dense: dict[str, str] = field(default_factory=dict)
    also: dict[str, list[str]] = field(default_factory=dict)

    @property
    def note(self) -> str:
        """A sentence for the record."""
        sparse = ", ".join(self._told(name) for name in self.covered)
        dense = ", ".join(f"{self._told(name)} ({why})" for name, why in self.dense.items())
        return f"sparse: {sparse}; dense: {dense or 'no linear layer or convolution'}, embeddings, norms and biases"

    def _told(self, name: str) -> str:
        return " = ".join([name, *self.also.get(name, [])])

    @property
    def reasons(self) -> str:
        """Why layers stay dense, each reason once with how many layers it holds for and the first of them."""
        by_reason: dict[str, list[str]] = {}
        for name, why in self.dense.items():
            by_reason.setdefault(why, []).append(name)
        return ", ".join(
            f"{names[0]} ({why})" if len(names) == 1 else f"{names[0]} and {len(names) - 1} more ({why})"
            for why, names in by_reason.items()
        )


def coverage(model: nn.Module, skip: list[str] | None, called: str | None = None) -> Coverage:
    """Which linear layers and convolutions are covered.

    skip: names of layers, with * and ?, and the words first-conv (the first convolution) and head (the last linear layer);
    None for those two words; called: the model's name for messages, else that of its class
    Raises FrugalError for an entry that names no layer, or where nothing is left to cover.
    """
    layers, names, found = {}, {}, Coverage()
    for name, module in model.named_modules(remove_duplicate=False):
        if not (is_linear(module) or is_convolution(module)):
            continue
        if module in names:
            found.also.setdefault(names[module], []).append(name)
        else:
            layers[name], names[module] = module, name
    every = [(alias, name) for name in layers for alias in [name, *found.also.get(name, [])]]
    words = {
        "first-conv": next((n for n, m in layers.items() if is_convolution(m)), None),
        "head": next((n for n, m in reversed(layers.items()) if is_linear(m)), None),
    }
    for entry in SKIP if skip is None else skip:
        chosen = [words[entry]] if entry in words else [name for alias, name in every if fnmatchcase(alias, entry)]
        if chosen == [] or (chosen == [None] and skip is not None):
            raise FrugalError(
                f"skip names {entry!r}, but the model has no such layer; there are: {', '.join([*words, *layers])}"
            )
        found.dense.update({name: entry for name in chosen if name is not None})
    fitness, skipped = Fitness(model), False
    for name, layer in layers.items():
        why = fitness.unfit(layer)
        if name in found.dense:
            skipped = skipped or why is None
        elif why:
            found.dense[name] = why
        else:
            found.covered[name] = layer
    found.dense.update(elsewhere(model))
    if not found.covered:
        advice = "skip fewer of them" if skipped else "choose another model, or a strategy that has no sparse layers"
        raise FrugalError(
            f"model {called or type(model).__name__}: no layer is left to be sparse: "
            f"{found.reasons or 'it has no linear layer and no convolution'}; {advice}"
        )
    return found


def weight_matrix(layer: nn.Module) -> tuple[int, int]:
    """Shape of a layer's weight as a matrix (outputs, inputs)."""
    return sparse_kind(layer).matrix_shape(layer.weight)


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
    called: str | None = None,
    distribution: str = "uniform",
) -> str:
    """Make the covered layers of a model sparse in place, one after the other; returns a sentence on what is sparse.

    kernel: auto, sparse or scatter; dynamic: the pattern will change in training, so a checkpoint may hold another one;
    called: the model's name for messages; distribution: see `frugal.sparse.convert`; erk has a place for every layer, so
    that without a `skip` none stays dense, as in its paper. A layer stays the object it was, so what is used twice is sparse
    in both places.
    Raises FrugalError for a sparsity outside [0, 1), a layer that blocks don't tile, and 2:4 without CUDA.
    """
    check_sparsity(pattern, sparsity)
    found = coverage(model, [] if skip is None and distribution == "erk" else skip, called)
    kept = densities({name: layer.weight.shape for name, layer in found.covered.items()}, sparsity, distribution)
    for name, layer in found.covered.items():
        pattern.check(weight_matrix(layer), name)
    if pattern.of_four and not all(p.is_cuda for p in model.parameters()):
        raise FrugalError(
            "pattern semi-structured-2-4 needs a CUDA GPU of compute capability 8.0 or more; choose block-16x16 or random"
        )
    for name, layer in found.covered.items():
        shape = weight_matrix(layer)
        own = 1 - kept[name] if distribution == "erk" else sparsity
        index = pattern.draw(shape, own, generator)
        if len(index) == 0:
            raise FrugalError(f"layer {name}: sparsity {own:g} keeps nothing of {shape[0]} x {shape[1]}; lower it")
        sparse = sparse_kind(layer)(layer, name, pattern, index, own, kernel)
        sparse.dynamic = dynamic
        sparse.take_the_place_of(layer)  # which frees the dense weight
    give_back()
    return found.note


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
        layer.kernel = None if layer.chosen is None or layer.chosen.kernel == "read" else layer.chosen.kernel


def kernel_notes(model: nn.Module) -> list[str]:
    """A sentence per layer whose kernel is chosen, or that other modules compute with."""
    chosen = {name: layer.chosen for name, layer in sparse_layers(model).items() if layer.chosen}
    return [f"{n}: {c.why}" if c.kernel == "read" else f"{n}: kernel {c.kernel}, {c.why}" for n, c in chosen.items()]


def densities(weights: dict[str, tuple[int, ...]], sparsity: float, distribution: str) -> dict[str, float]:
    """Share of its weights that each layer keeps, in (0, 1]: the same for each, or by Erdos-Renyi-kernel.

    Evci et al., "Rigging the Lottery: Making All Tickets Winners", ICML 2020, https://arxiv.org/abs/1911.11134. With the latter
    the density of a layer is in proportion to
        (n_in + n_out + k_w + k_h) / (n_in n_out k_w k_h),
    without k for a linear layer, scaled such that all layers together keep as many weights as asked for. Where that gives more
    than 1, a layer is dense and the others share the rest. Small layers so keep more of theirs.

    weights: shape of each layer's weight, (n_out, n_in) or (n_out, n_in, k_h, k_w); sparsity: of all together, in [0, 1);
    distribution: uniform or erk
    """
    if distribution == "uniform":
        return dict.fromkeys(weights, 1 - sparsity)
    sizes = {name: prod(shape) for name, shape in weights.items()}
    scores = {name: sum(shape) / sizes[name] for name, shape in weights.items()}
    left, dense = (1 - sparsity) * sum(sizes.values()), set()
    while True:
        sparse = [name for name in weights if name not in dense]
        room = left - sum(sizes[name] for name in dense)
        epsilon = room / sum(scores[name] * sizes[name] for name in sparse) if sparse else 0.0
        full = {name for name in sparse if epsilon * scores[name] > 1}
        if not full:
            return {name: 1.0 if name in dense else epsilon * scores[name] for name in weights}
        dense |= full
