"""Trial cuts of groups: a net without neurons must compute what it computed while they were zero.

That is what removal means. A trace knows layers and guesses at what happens between them; an operation that mixes channels
(a shuffle, a softmax, a mean over channels, a flip) looks to it like an activation, and once cut, readers would take the
wrong channels without any error. So every group is cut on a copy, random sets of its units, and the outputs are compared.

The copy's weights are shaken and scaled layer by layer, so that no zero of an initialisation (a LayerScale, the last norm of
a residual block) and no vanishing signal hides a difference. The model, its buffers and all random states stay as they are.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from frugal.pruning.groups import DENSE, Group, call
from frugal.pruning.removal import Neurons

PRECISIONS = {torch.float64: 1e-7, torch.float32: 1e-4}  # with it, the share of the largest output that is rounding
SETS, SEEN = (
    6,
    2,
)  # of units to cut, and in how many of them zeros must be seen in the output; few units may all be inactive
VISIBLE = 100  # times the rounding: what zeros must at least change, so that a difference could be seen
MIXED = "cutting them changes the output (something between mixes channels)"


def try_out(model: nn.Module, example: Any, groups: list[Group]) -> tuple[list[Group], dict[str, str]]:
    """The groups that may be cut, all at once or any of them, and by the name of each other one why not.

    example: a batch of at least two samples, of which shapes and types matter. Most nets take a handful of passes; where
    something is wrong, the groups are halved to find it.
    """
    if not groups:
        return [], {}
    whole: dict[str, str] = {}
    return _Trial(model, example, groups).accept([], groups, whole), whole


class _Trial:
    """A copy of the model on the CPU, random samples for it, and for each group some sets of units that stay."""

    def __init__(self, model: nn.Module, example: Any, groups: list[Group]):
        self.draws = torch.Generator().manual_seed(0)
        self.kept = {group.name: self._sets(group.units) for group in groups}
        for dtype, self.rounding in PRECISIONS.items():
            self.twin = copy.deepcopy(model).cpu().eval().requires_grad_(False).to(dtype)
            try:
                self.samples = self._samples(example, dtype)
                self._shake()
                self.full, self.trains = self._outputs(), self._can_train()
            except Exception:
                self.full = []  # some nets make constants in single precision
            if self.full and all(output.isfinite().all() for output in self.full):
                break
            self.full = []

    def accept(self, kept: list[Group], candidates: list[Group], whole: dict[str, str]) -> list[Group]:
        """Those of `kept` and the candidates that may be cut together; the others' reasons go to `whole`."""
        reason = self._differs(kept + candidates)
        if reason is None:
            return kept + candidates
        if len(candidates) == 1:
            whole[candidates[0].name] = reason
            return kept
        half = len(candidates) // 2
        return self.accept(self.accept(kept, candidates[:half], whole), candidates[half:], whole)

    def _sets(self, units: int) -> list[Tensor]:
        """A quarter of the units gone, now of all of them, now of the first half, which no mirroring leaves the same."""
        sets = []
        for pool in (units, max(1, units // 2)) * (SETS // 2):
            stays = torch.ones(units, dtype=torch.bool)
            stays[torch.randperm(pool, generator=self.draws)[: max(1, units // 4)]] = units == 1
            sets.append(stays.nonzero().squeeze(1))
        return sets

    def _samples(self, example: Any, dtype: torch.dtype) -> Any:
        """Random numbers of the example's shape; what isn't floating-point, such as tokens, stays as it is."""

        def draw(like: Tensor) -> Tensor:
            if not like.is_floating_point():
                return like.cpu()
            return torch.randn(like.shape, generator=self.draws, dtype=dtype)

        return {k: draw(v) for k, v in example.items()} if isinstance(example, dict) else draw(example)

    def _shake(self) -> None:
        """Give vectors and constant parameters noise, then in one pass every layer outputs of unit size, BatchNorm included."""
        for parameter in self.twin.parameters():
            if parameter.dim() < 2 or parameter.min() == parameter.max():
                parameter.add_(torch.randn(parameter.shape, generator=self.draws, dtype=parameter.dtype), alpha=0.1)
        hooks = [
            layer.register_forward_hook(_scale)
            for layer in self.twin.modules()
            if isinstance(layer, DENSE) and "weight" in layer._parameters
        ]
        hooks += [m.register_forward_pre_hook(_measure) for m in self.twin.modules() if isinstance(m, _BatchNorm)]
        self._outputs()
        for hook in hooks:
            hook.remove()

    def _outputs(self) -> list[Tensor]:
        torch.default_generator.manual_seed(0)  # not `torch.manual_seed`, which also seeds GPUs
        with torch.no_grad():
            return list(_tensors(call(self.twin, self.samples)))

    def _can_train(self) -> bool:
        """Whether the untouched copy takes these samples in training mode, in which some nets run more layers."""
        try:
            self._train()
        except Exception:
            return False
        return True

    def _train(self) -> None:
        with self._restored():
            for module in self.twin.modules():
                module._buffers.update({k: b.clone() for k, b in module._buffers.items() if b is not None})
            self.twin.train()
            self._outputs()

    @contextmanager
    def _restored(self) -> Iterator[None]:
        """Bring the copy's tensors and all its layers say of themselves back, where they were replaced."""

        def state(module: nn.Module) -> dict[str, Any]:
            return {k: dict(v) if k in ("_parameters", "_buffers") else v for k, v in vars(module).items()}

        saved = [(module, state(module)) for module in self.twin.modules()]
        try:
            yield
        finally:
            for module, before in saved:
                vars(module).clear()
                vars(module).update(before)

    def _differs(self, groups: list[Group]) -> str | None:
        """Why these groups can't be cut together, None where they can."""
        if not self.full:
            return "the net gives no finite numbers for random samples, so that it can't be tried out"
        scale, seen = max(float(output.abs().max()) for output in self.full), 0
        for turn in range(SETS):
            kept = {group.name: self.kept[group.name][turn] for group in groups}
            with self._restored():
                try:
                    Neurons(groups, self.twin).keep(self.twin, kept)
                    outputs = self._outputs()
                    if turn == 0 and self.trains:
                        self._train()
                except Exception as error:  # of the model's own code, so of any kind
                    return f"without some of them the net doesn't run ({type(error).__name__})"
            with self._zeroed(groups, kept):
                zeroed = self._outputs()
            if [o.shape for o in outputs] != [o.shape for o in zeroed]:
                return "they are part of the output"
            if not _distance(outputs, zeroed) <= self.rounding * scale:
                return MIXED
            seen += _distance(zeroed, self.full) > VISIBLE * self.rounding * scale
            if seen == SEEN or all(group.units == 1 for group in groups):  # of one unit none will go
                return None
        return None if seen else "the output is the same without them, so that it can't be told what cutting them does"

    @contextmanager
    def _zeroed(self, groups: list[Group], kept: dict[str, Tensor]) -> Iterator[None]:
        """Set what the other units say, and what is made of it, to zero, and back afterwards."""
        before = []
        for group in groups:
            gone = torch.ones(group.units, dtype=torch.bool)
            gone[kept[group.name]] = False
            places = {member.key: member.places[gone].flatten() for member in group.members}
            for member in group.members:
                if member.tensor != "running_var":
                    tensor = getattr(self.twin.get_submodule(member.module), member.tensor).data
                    part = member.dim, places[member.key]
                    before.append((tensor, part, tensor.index_select(*part)))
                    tensor.index_fill_(*part, 0)
        try:
            yield
        finally:
            for tensor, part, values in reversed(before):
                tensor.index_copy_(*part, values)


def _scale(layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    """Scale a layer so that its output has standard deviation 1."""
    spread = output.std()
    if not (spread.isfinite() and spread > 0):
        return output
    for tensor in (layer.weight, layer.bias):
        if tensor is not None:
            tensor.div_(spread)
    return output / spread


def _measure(norm: _BatchNorm, inputs: tuple[Tensor]) -> None:
    """Take mean and variance of this input for those of the training."""
    if norm.running_mean is not None and norm.running_var is not None:
        others = [d for d in range(inputs[0].dim()) if d != 1]
        norm.running_mean.copy_(inputs[0].mean(others))
        norm.running_var.copy_(inputs[0].var(others) + 0.1)


def _tensors(output: Any) -> Iterator[Tensor]:
    """The floating-point tensors in a model's output."""
    if isinstance(output, Tensor):
        if output.is_floating_point():
            yield output
    elif isinstance(output, dict):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, list | tuple):
        for value in output:
            yield from _tensors(value)


def _distance(outputs: list[Tensor], others: list[Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(outputs, others, strict=True))
